//! Connections that leave HTTP, for async functions. Mirrors the events 'upgrade' and 'connect' of `http.Server`.

use super::{Failure, OwnedRequest, Serving, log_failure, own_error, poll_caught, refusal_of};
use crate::proto::{EncodeError, Encoder, OwnedHead, RequestFacts, ResponseHead};
use crate::server::Core;
use crate::upcall::RequestHandler;
use crate::{Error, Request, Response, Result};
use net::Socket;
use net::futures::AsyncSocket;
use pin_project_lite::pin_project;
use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

impl<F, R> Serving<F>
where
    F: FnMut(OwnedRequest, Response) -> R + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
{
    /// Takes upgrades, too: offers of an `Upgrade` and `CONNECT`s for which `accepts` returns `true` go to `upgraded`, in place of
    /// the handler of requests. What it does not accept is a request like any other, and a `CONNECT` gets 501: see
    /// [`RequestHandler::accepts_upgrade`].
    ///
    /// The future of `upgraded` begins at once and lasts as long as it likes: its reads tell it of its client. If it fails or
    /// panics before the [`Upgrade`] is accepted or refused, the client gets 500, or what [`Error::refused`] names.
    ///
    /// ```
    /// use http::async_wrap::Environment;
    /// use http::net::ListenOptions;
    /// use http::serve::{Failure, OwnedRequest, Serving, Upgrade};
    /// use http::{Response, Server, ServerOptions};
    ///
    /// async fn respond(_: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     Ok(response.end(b"no chat here")?)
    /// }
    ///
    /// async fn chat(_: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    ///     let mut socket = upgrade.accept(&[("Upgrade", "echo")])?;
    ///     let mut buffer = [0; 1024];
    ///     while let count @ 1.. = socket.read(&mut buffer).await? {
    ///         socket.write_all(&buffer[..count]).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let env = Environment::with_new_loop()?;
    /// let server = Server::new(&env, ServerOptions::default())?;
    /// let handler = Serving::new(respond).with_upgrades(|request| request.path() == "/chat", chat);
    /// server.listen(ListenOptions::port(0), handler)?;
    /// # server.close()?;
    /// env.run_to_end()?;
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn with_upgrades<A, U, S>(self, accepts: A, upgraded: U) -> Upgrading<F, A, U>
    where
        A: FnMut(&Request<'_>) -> bool + 'static,
        U: FnMut(OwnedRequest, Upgrade) -> S + 'static,
        S: Future<Output = Result<(), Failure>> + 'static,
    {
        Upgrading { serving: self, accepts, upgraded }
    }
}

/// A [`RequestHandler`] that calls async functions with requests and upgrades: see [`Serving::with_upgrades`].
pub struct Upgrading<F, A, U> {
    serving: Serving<F>,
    accepts: A,
    upgraded: U,
}

impl<F, R, A, U, S> RequestHandler for Upgrading<F, A, U>
where
    F: FnMut(OwnedRequest, Response) -> R + 'static,
    R: Future<Output = Result<(), Failure>> + 'static,
    A: FnMut(&Request<'_>) -> bool + 'static,
    U: FnMut(OwnedRequest, Upgrade) -> S + 'static,
    S: Future<Output = Result<(), Failure>> + 'static,
{
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.serving.on_request(request, response);
    }

    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        (self.accepts)(request)
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        let env = socket.environment().clone();
        let upgrade = Upgrade::new(request, socket, head);
        let unanswered = Rc::clone(&upgrade.unanswered);
        let request = OwnedRequest::new(request);
        let head = request.shared_head();
        let future = (self.upgraded)(request, upgrade);
        env.start_detached(Watched { future, head, unanswered });
    }
}

impl<F, A, U> fmt::Debug for Upgrading<F, A, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a connection that has left HTTP.
    struct Watched<S> {
        #[pin]
        future: S,
        head: Rc<OwnedHead>,
        unanswered: Rc<Unanswered>,
    }
}

impl<S: Future<Output = Result<(), Failure>>> Future for Watched<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.unanswered.is_awaited.set(true);
        let polled = poll_caught(this.future, context);
        this.unanswered.is_awaited.set(false);
        let refusal = match &polled {
            Poll::Ready(Err(Some(failure))) => own_error(&**failure).and_then(refusal_of),
            _ => None,
        };
        let parts = this.unanswered.parts.take();
        let is_told = parts.is_some_and(|parts| match &refusal {
            Some((status, text)) => parts.refuse_with_text(*status, text),
            None => {
                parts.refuse_with_text(500, "");
                false
            }
        });
        drop(refusal);
        polled.map(|result| match result {
            // Often no more than a client that has left.
            Err(failure) if !is_told => log_failure(log::Level::Warn, &this.head.head(), failure),
            _ => {}
        })
    }
}

/// What is left of an upgrade that was dropped without a response, while its future is polled: what that fails with says what
/// the client gets.
#[derive(Default)]
struct Unanswered {
    parts: Cell<Option<Parts>>,
    /// The future is being polled.
    is_awaited: Cell<bool>,
}

/// A connection that leaves HTTP, before its last response. Dropping it refuses with 500, or with what its future fails with.
pub struct Upgrade {
    /// `None` once it is accepted or refused.
    parts: Option<Parts>,
    unanswered: Rc<Unanswered>,
}

/// What an upgrade is made of.
struct Parts {
    core: Rc<Core>,
    facts: RequestFacts,
    /// The protocol that the client likes best; none with `CONNECT`.
    protocol: Vec<u8>,
    socket: AsyncSocket,
}

impl Upgrade {
    fn new(request: &Request<'_>, socket: Socket, head: &[u8]) -> Self {
        let mut socket = AsyncSocket::new(socket);
        socket.unshift(head);
        let offered = request.fields.get("upgrade").unwrap_or_default();
        let best = offered.split(|byte| *byte == b',').next().map(<[u8]>::trim_ascii);
        let parts = Parts {
            core: Rc::clone(&request.connection().core),
            facts: RequestFacts { keep_alive: false, ..RequestFacts::from(&**request) },
            protocol: best.unwrap_or_default().to_vec(),
            socket,
        };
        Self { parts: Some(parts), unanswered: Rc::default() }
    }

    /// Sends 101 with `fields` and returns the connection, of which the first bytes read are those that the client has sent
    /// behind its request. `Connection: Upgrade` is added, and unless `fields` have another one an `Upgrade` with the protocol
    /// that the client named first. A `CONNECT` gets 200 with `fields`.
    ///
    /// # Errors
    /// `Encode` for a field that cannot be sent, after which the client gets 500; `Net` if the connection is closed.
    pub fn accept(mut self, fields: &[(&str, &str)]) -> Result<AsyncSocket> {
        let Parts { facts, protocol, .. } = self.parts.as_ref().ok_or(Error::Closed)?;
        let mut head = ResponseHead::new();
        if !facts.is_connect {
            head.set_status(101)?;
            head.set("Upgrade", protocol)?;
        }
        set_all(&mut head, fields)?;
        head.remove("Connection");
        if !facts.is_connect {
            head.set("Connection", b"Upgrade")?;
        }
        self.send(&head)
    }

    /// Sends a final response with `fields` and without content, and closes the connection.
    ///
    /// # Errors
    /// `Encode` for a status outside of 300 to 599, and for a field that cannot be sent, after which the client gets 500; `Net`
    /// if the connection is closed.
    pub fn refuse(mut self, status: u16, fields: &[(&str, &str)]) -> Result<()> {
        let head = refusal_head(status, fields)?;
        self.send(&head).map(drop)
    }

    fn send(&mut self, head: &ResponseHead) -> Result<AsyncSocket> {
        let parts = self.parts.take().ok_or(Error::Closed)?;
        match parts.send(head, b"") {
            Ok(()) => Ok(parts.socket),
            Err(error) => {
                self.parts = matches!(error, Error::Encode(_)).then_some(parts);
                Err(error)
            }
        }
    }
}

impl Parts {
    /// Sends a head with content.
    fn send(&self, head: &ResponseHead, text: &[u8]) -> Result<()> {
        let mut out = Vec::new();
        let mut encoder = Encoder::begin(&self.facts, head, text.len() as u64, true)?;
        encoder.put_head(head, &self.core.heads.at(self.core.now()), &mut out);
        encoder.put(text, &mut out)?;
        self.socket.socket().write(&out)?;
        Ok(())
    }

    /// Refuses with a text, and with 500 if the status is that of no refusal. Returns whether it was one.
    fn refuse_with_text(self, status: u16, text: &str) -> bool {
        let head = refusal_head(status, &[]).and_then(|mut head| {
            if !text.is_empty() {
                head.set("Content-Type", b"text/plain; charset=utf-8")?;
            }
            Ok(head)
        });
        let is_refusal = head.is_ok();
        if let Ok(head) = head.or_else(|_| refusal_head(500, &[])) {
            // Fails only if the client has disconnected.
            let _ = self.send(&head, if is_refusal { text.as_bytes() } else { b"" });
        }
        is_refusal
    }
}

/// The head of a final response that closes the connection.
fn refusal_head(status: u16, fields: &[(&str, &str)]) -> Result<ResponseHead> {
    // A success would be the start of a tunnel.
    if !(300..=599).contains(&status) {
        return Err(EncodeError::InvalidStatus(status).into());
    }
    let mut head = ResponseHead::new();
    head.set_status(status)?;
    set_all(&mut head, fields)?;
    head.remove("Connection");
    head.set("Connection", b"close")?;
    Ok(head)
}

fn set_all(head: &mut ResponseHead, fields: &[(&str, &str)]) -> Result<()> {
    for (name, value) in fields {
        head.set(name, value.as_bytes())?;
    }
    Ok(())
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        let Some(parts) = self.parts.take() else { return };
        if self.unanswered.is_awaited.get() {
            // Its future may be failing, and say why.
            self.unanswered.parts.set(Some(parts));
            return;
        }
        log::warn!(target: "http", "an upgrade was dropped before it was accepted or refused");
        parts.refuse_with_text(500, "");
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let socket = self.parts.as_ref().map(|parts| &parts.socket);
        f.debug_struct("Upgrade").field("socket", &socket).finish_non_exhaustive()
    }
}
