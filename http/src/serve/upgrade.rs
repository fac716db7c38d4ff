//! Connections that leave HTTP, for async functions. Mirrors the events 'upgrade' and 'connect' of `http.Server`.

use super::{Failure, OwnedRequest, Serving, poll_caught};
use crate::proto::{EncodeError, Encoder, RequestFacts, ResponseHead};
use crate::server::Core;
use crate::upcall::RequestHandler;
use crate::{Error, Request, Response, Result};
use net::Socket;
use net::futures::AsyncSocket;
use pin_project_lite::pin_project;
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
    /// panics before the [`Upgrade`] is accepted or refused, the client gets 500.
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
        let future = (self.upgraded)(OwnedRequest::new(request), Upgrade::new(request, socket, head));
        env.start_detached(Watched { future });
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
    }
}

impl<S: Future<Output = Result<(), Failure>>> Future for Watched<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        poll_caught(self.project().future, context).map(|result| {
            if let Err(Some(failure)) = result {
                // Often no more than a client that has left.
                log::warn!(target: "http", "the handler of an upgraded connection has failed: {failure}");
            }
        })
    }
}

/// A connection that leaves HTTP, before its last response. Dropping it refuses with 500.
pub struct Upgrade {
    core: Rc<Core>,
    facts: RequestFacts,
    /// The protocol that the client likes best; none with `CONNECT`.
    protocol: Vec<u8>,
    /// `None` once it is accepted or refused.
    socket: Option<AsyncSocket>,
}

impl Upgrade {
    fn new(request: &Request<'_>, socket: Socket, head: &[u8]) -> Self {
        let mut socket = AsyncSocket::new(socket);
        socket.unshift(head);
        let offered = request.fields.get("upgrade").unwrap_or_default();
        let best = offered.split(|byte| *byte == b',').next().map(<[u8]>::trim_ascii);
        Self {
            core: Rc::clone(&request.connection().core),
            facts: RequestFacts { keep_alive: false, ..RequestFacts::from(&**request) },
            protocol: best.unwrap_or_default().to_vec(),
            socket: Some(socket),
        }
    }

    /// Sends 101 with `fields` and returns the connection, of which the first bytes read are those that the client has sent
    /// behind its request. `Connection: Upgrade` is added, and unless `fields` have another one an `Upgrade` with the protocol
    /// that the client named first. A `CONNECT` gets 200 with `fields`.
    ///
    /// # Errors
    /// `Encode` for a field that cannot be sent, after which the client gets 500; `Net` if the connection is closed.
    pub fn accept(mut self, fields: &[(&str, &str)]) -> Result<AsyncSocket> {
        let mut head = ResponseHead::new();
        if !self.facts.is_connect {
            head.set_status(101)?;
            head.set("Upgrade", &self.protocol)?;
        }
        set_all(&mut head, fields)?;
        head.remove("Connection");
        if !self.facts.is_connect {
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
        self.send_refusal(status, fields)
    }

    fn send_refusal(&mut self, status: u16, fields: &[(&str, &str)]) -> Result<()> {
        // A success would be the start of a tunnel.
        if !(300..=599).contains(&status) {
            return Err(EncodeError::InvalidStatus(status).into());
        }
        let mut head = ResponseHead::new();
        head.set_status(status)?;
        set_all(&mut head, fields)?;
        head.remove("Connection");
        head.set("Connection", b"close")?;
        self.send(&head).map(drop)
    }

    /// Sends a head without content, and gives the connection away.
    fn send(&mut self, head: &ResponseHead) -> Result<AsyncSocket> {
        let mut out = Vec::new();
        let encoder = Encoder::begin(&self.facts, head, 0, true)?;
        encoder.put_head(head, &self.core.heads.at(self.core.now()), &mut out);
        let socket = self.socket.take().ok_or(Error::Closed)?;
        socket.socket().write(&out)?;
        Ok(socket)
    }
}

fn set_all(head: &mut ResponseHead, fields: &[(&str, &str)]) -> Result<()> {
    for (name, value) in fields {
        head.set(name, value.as_bytes())?;
    }
    Ok(())
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        if self.socket.is_some() {
            log::warn!(target: "http", "an upgrade was dropped before it was accepted or refused");
            // Fails only if the client has disconnected.
            let _ = self.send_refusal(500, &[]);
        }
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("socket", &self.socket).finish_non_exhaustive()
    }
}
