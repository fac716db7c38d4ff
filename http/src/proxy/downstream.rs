//! Where a response goes: to the client of an ordinary request, or to a client that offers another protocol.
//!
//! The server hands over the connection of an offer before an upstream has accepted it. So a refusal is written
//! here, with the encoder that the server uses, and is the last response on its connection.

use super::fields;
use super::tunnel::{Tunnel, Use};
use crate::proto::{EncodeError, Encoder, Fields, IncomingResponse, RequestFacts, ResponseHead};
use crate::server::Core as ServerCore;
use crate::{Body, Request, Response, Result};
use net::Socket;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a client may take to end its side behind a refused offer.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The client's side of a request.
pub(super) enum Downstream {
    /// An ordinary request; with a body unless it is empty.
    Http(Response, Option<Body>),
    /// A connection that may leave HTTP.
    Raw(Box<Raw>),
}

/// Why a request is answered here.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// What the client is told.
    pub(super) text: &'a str,
    /// The value of `Proxy-Status` (RFC 9209) behind the name.
    pub(super) error: &'a str,
}

impl Downstream {
    /// Sends an informational response on.
    pub(super) fn inform(&self, head: &IncomingResponse<'_>) {
        let mut passed = Vec::new();
        fields::pass_response(head, |name, value| passed.push((name, value)));
        match self {
            // Fails only if the client has left, which it is told by itself.
            Self::Http(response, _) => _ = response.inform(head.status, passed),
            Self::Raw(raw) => {
                let mut out = Vec::new();
                if Encoder::informational(head.status, passed, &mut out).is_ok() {
                    let _ = raw.socket.write(&out);
                }
            }
        }
    }

    /// Prepares the head of a response, which is sent with the first of its body, or by [`flush`](Self::flush).
    pub(super) fn begin(&self, head: &IncomingResponse<'_>) -> Result<()> {
        match self {
            Self::Http(response, _) => response.prepare(|prepared| fill(prepared, head)),
            Self::Raw(raw) => Ok(raw.begin(|prepared| fill(prepared, head))?),
        }
    }

    /// Sends the head, if nothing of the body has come by now.
    pub(super) fn flush(&self) {
        match self {
            Self::Http(response, _) => _ = response.flush_headers(),
            Self::Raw(raw) => _ = raw.send(),
        }
    }

    /// Sends the head soon, from the loop, if nothing of the body has come by then: the response's `on_drain` asks for it.
    pub(super) fn flush_soon(&self) {
        match self {
            Self::Http(response, _) => response.yield_now(),
            Self::Raw(raw) => raw.socket.notify(),
        }
    }

    /// Whether a connection that leaves HTTP has room: it tells of what is prepared also while it has none.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Http(..) => true,
            Self::Raw(raw) => raw.socket.buffered() < raw.socket.high_water_mark(),
        }
    }

    /// Sends some of the body on. Returns whether more is welcome.
    pub(super) fn write(&self, data: &[u8]) -> Result<bool> {
        match self {
            Self::Http(response, _) => response.write(data),
            Self::Raw(raw) => raw.write(data),
        }
    }

    /// Whether some of a response is sent.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Http(response, _) => response.is_head_sent(),
            Self::Raw(raw) => {
                let output = raw.output.borrow();
                output.encoder.is_some() && output.due.is_empty()
            }
        }
    }

    /// Ends the response with the last of its body. `is_cut` tells that some of the request will not be read.
    pub(super) fn end(&self, data: &[u8], trailers: &Fields<'_>, is_cut: bool) -> Result<()> {
        match self {
            Self::Http(response, _) => {
                for (name, value) in trailers.iter() {
                    // Refused where trailers cannot follow: to HTTP/1.0, say.
                    let _ = response.add_trailer(name, value);
                }
                if is_cut {
                    response.close_behind();
                }
                response.forget_handler();
                response.end(data)
            }
            Self::Raw(raw) => {
                raw.put(data)?;
                raw.end()
            }
        }
    }

    /// Breaks the response off, so that its client sees that it is not whole.
    pub(super) fn break_off(&self) {
        match self {
            Self::Http(response, _) => response.give_up(),
            Self::Raw(raw) if raw.socket.reset_and_destroy().is_err() => raw.socket.destroy(),
            Self::Raw(_) => {}
        }
    }

    /// Answers in place of an upstream. `is_cut` tells that some of the request will not be read.
    pub(super) fn answer(&self, name: &str, answer: &Answer<'_>, is_cut: bool) -> Result<()> {
        let Answer { status, text, error } = answer;
        let prepare = |head: &mut ResponseHead| {
            head.set_status(*status)?;
            head.set("Content-Type", b"text/plain; charset=utf-8")?;
            head.set("Content-Length", text.len().to_string().as_bytes())?;
            head.set("Proxy-Status", format!("{name}; error={error}").as_bytes())?;
            if is_cut {
                head.set("Connection", b"close")?;
            }
            Ok(())
        };
        match self {
            Self::Http(response, _) => {
                response.prepare(prepare)?;
                response.end(text.as_bytes())
            }
            Self::Raw(raw) => {
                raw.begin(prepare)?;
                raw.put(text.as_bytes())?;
                raw.end()
            }
        }
    }

    /// The body of the request, if there is one.
    pub(super) fn body(&self) -> Option<&Body> {
        match self {
            Self::Http(_, body) => body.as_ref(),
            Self::Raw(_) => None,
        }
    }

    /// The client's connection.
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Http(response, _) => response.socket(),
            Self::Raw(raw) => &raw.socket,
        }
    }
}

/// Makes the head of a response of an upstream's.
fn fill(prepared: &mut ResponseHead, head: &IncomingResponse<'_>) -> Result<(), EncodeError> {
    prepared.set_status(head.status)?;
    prepared.set_reason_unless_usual(head.reason)?;
    let mut filled = Ok(());
    fields::pass_response(head, |name, value| {
        if filled.is_ok() {
            filled = prepared.append(name, value);
        }
    });
    filled
}

/// A connection that its server has handed over.
pub(super) struct Raw {
    socket: Socket,
    server: Rc<ServerCore>,
    facts: RequestFacts,
    /// What the client has sent behind its offer.
    early: Vec<u8>,
    output: RefCell<Output>,
}

#[derive(Default)]
struct Output {
    head: ResponseHead,
    encoder: Option<Encoder>,
    /// What is to be sent next.
    due: Vec<u8>,
}

impl Raw {
    pub(super) fn new(request: &Request<'_>, socket: Socket, early: &[u8]) -> Self {
        // What comes now is for a protocol that no upstream has accepted yet.
        socket.pause();
        Self {
            socket,
            server: Rc::clone(&request.connection().core),
            facts: RequestFacts { keep_alive: false, ..RequestFacts::from(&**request) },
            early: early.to_vec(),
            output: RefCell::default(),
        }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn is_on(&self, socket: &Socket) -> bool {
        self.socket.async_id() == socket.async_id()
    }

    /// Prepares the head of a response that is the last of HTTP on this connection.
    fn begin(
        &self,
        prepare: impl FnOnce(&mut ResponseHead) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut output = self.output.borrow_mut();
        let Output { head, encoder, due } = &mut *output;
        head.clear();
        due.clear();
        prepare(head)?;
        head.set("Connection", if head.status() == 101 { b"Upgrade" } else { b"close" })?;
        let decided = Encoder::begin(&self.facts, head, 0, false)?;
        decided.put_head(head, &self.server.heads.at(self.server.now()), due);
        *encoder = Some(decided);
        Ok(())
    }

    /// Sends what is due. Returns whether more is welcome.
    fn send(&self) -> Result<bool> {
        let mut output = self.output.borrow_mut();
        let due = &mut output.due;
        let sent = if due.is_empty() { Ok(true) } else { self.socket.write(due) };
        due.clear();
        Ok(sent?)
    }

    /// Writes some of the body behind what is due.
    fn put(&self, data: &[u8]) -> Result<()> {
        let mut output = self.output.borrow_mut();
        let Output { encoder: Some(encoder), due, .. } = &mut *output else { return Ok(()) };
        Ok(encoder.put(data, due)?)
    }

    fn write(&self, data: &[u8]) -> Result<bool> {
        self.put(data)?;
        self.send()
    }

    /// Ends the refusal, and the connection behind it.
    fn end(&self) -> Result<()> {
        let mut output = self.output.borrow_mut();
        let Output { head, encoder, due } = &mut *output;
        if let Some(encoder) = encoder {
            encoder.end(head, due)?;
        }
        drop(output);
        self.send()?;
        self.socket.end();
        self.socket.resume();
        self.socket.set_timeout(LAST_WAIT);
        Ok(())
    }

    /// The offer is accepted, and the head of the 101 is prepared: both connections become one.
    pub(super) fn join(&self, upstream: &Socket, surplus: &[u8], used: Use) -> Result<()> {
        self.output.borrow_mut().due.extend_from_slice(surplus);
        self.send()?;
        if !self.early.is_empty() {
            upstream.write(&self.early)?;
        }
        Tunnel::join(&self.socket, upstream, used);
        Ok(())
    }
}
