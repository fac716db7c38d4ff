//! What a listening handle brings to its server: connections, which are decided on and passed to the program, and failures.
//! Mirrors `onconnection`.

use crate::admission::{Arrival, Place};
use crate::listening::Listening;
use crate::query::set_connection_options;
use crate::{LAYER, Result, Server, Socket, uv_core};
use async_wrap::layer::OnUnwind;
use async_wrap::layer::trace::Facts;
use async_wrap::upcall::OnConnection;
use async_wrap::{AsyncContext, AsyncStream};
use std::cell::Cell;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// The receiver of a listening handle's connections, which passes them to the server.
pub struct Acceptor {
    listening: Rc<Listening>,
    /// The connections inherit their options from the listener.
    prepared: Cell<bool>,
    /// The next connection is admitted already, and counts at this place.
    admitted: Cell<Option<Option<Place>>>,
}

impl Acceptor {
    pub(crate) fn new(listening: Rc<Listening>) -> Self {
        Self { listening, prepared: Cell::new(false), admitted: Cell::default() }
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> Server {
        self.listening.server().clone()
    }

    /// How many more connections the server wants. A distributor of connections should give further ones to another
    /// server until [`ListenHandle::has_room`](crate::source::ListenHandle::has_room). A server with `drop_max_connection` always accepts, a closed
    /// server and a paused server never.
    #[must_use]
    pub fn room(&self) -> usize {
        let server = &self.listening.server().0;
        match self.listening.is_in_force() || self.listening.is_draining() {
            false => 0,
            true if server.is_paused.get() && !self.listening.is_draining() => 0,
            true if server.options.drop_max_connection => usize::MAX,
            true => server.room(),
        }
    }

    /// Reports that all connections that waited when the server began to close have been accepted, or passed on from
    /// [elsewhere](crate::source::ListenQueue::Elsewhere); the server closes now. Does nothing unless the server is draining.
    pub fn queue_taken(&self) {
        self.listening.end_draining();
    }

    /// How many connections to announce in one turn.
    #[must_use]
    pub fn accept_batch(&self) -> u32 {
        self.listening.server().0.options.accept_batch
    }

    /// Sets the options of all connections (`no_delay`, `keep_alive`) on the listener, from which they inherit them on
    /// Linux: this saves system calls for each connection. Does nothing for a listener that is not a TCP stream.
    ///
    /// # Errors
    /// Any error of the system calls.
    pub fn prepare_listener(&self, listener: &AsyncStream) -> Result<()> {
        self.set_options(listener)?;
        self.prepared.set(cfg!(target_os = "linux"));
        Ok(())
    }

    /// Tells the acceptor that connections have their options already, because their listener in another process has
    /// them.
    pub fn expect_prepared(&self) {
        self.prepared.set(true);
    }

    fn set_options(&self, stream: &AsyncStream) -> Result<()> {
        let options = &self.listening.server().0.options;
        if stream.is_tcp() {
            set_connection_options(stream, options.no_delay, options.keep_alive)?;
        }
        Ok(())
    }

    /// Decides whether the server wants a connection, as [`crate::admission`] describes, before there is a stream for it.
    /// Called outside of callback scopes; the program is called in `context`. A connection that is not wanted is reported
    /// ('drop'), and the caller closes it; another one is passed on by [`accept`](Self::accept).
    ///
    /// For a handle without a listening stream in this process; a stream that listens with the acceptor asks it by itself.
    #[must_use]
    pub fn admits(&self, connection: BorrowedFd<'_>, context: AsyncContext) -> bool {
        self.admitted.set(None);
        let listening = &self.listening;
        if listening.takes_all() || !listening.takes() {
            return true;
        }
        let place = listening.admit(Arrival::Descriptor(connection, context), || {});
        self.admitted.set(place);
        place.is_some()
    }

    /// Passes a connection to the server, inside a callback scope, or reports that accepting failed (`onconnection`).
    /// For a handle without a listening stream in this process. A connection that the server was not asked about by
    /// [`admits`](Self::admits) is decided on here.
    pub fn accept(&self, connection: Result<AsyncStream, uv_core::Error>) {
        let listening = &self.listening;
        match connection {
            // A source may have passed a connection on when the server closed.
            Ok(stream) if !listening.takes() => stream.close(),
            Ok(stream) if listening.takes_all() => self.take(stream, None),
            Ok(stream) => {
                let admitted = self.admitted.take();
                let place = admitted.or_else(|| listening.admit(Arrival::Stream(&stream), || stream.close()));
                if let Some(place) = place {
                    self.take(stream, place);
                }
            }
            Err(error) if listening.takes() => {
                let _up = LAYER.up("ServerHandler::on_error", Facts::default);
                listening.call(|handler, server| handler.on_error(server, error.into()));
            }
            Err(_) => {}
        }
    }

    fn take(&self, stream: AsyncStream, place: Option<Place>) {
        let listening = &self.listening;
        if !self.prepared.get() {
            // As in Node an error is ignored: for a connection that is closed already, the read reports it.
            let _ = self.set_options(&stream);
        }
        listening.connection_opened(stream.async_id(), place);
        let socket = Socket::accepted(stream, &listening.server().0.options, listening);
        // Destroys the connection if the handler panics, or returns without setting a handler or keeping a handle.
        let unhandled = OnUnwind::new(|| socket.destroy_unless_handled());
        {
            let _up = LAYER.up("ServerHandler::on_connection", || socket.facts());
            listening.call(|handler, server| handler.on_connection(server, socket.clone()));
        }
        unhandled.disarm();
        socket.destroy_unless_held(1);
    }
}

impl OnConnection for Acceptor {
    fn accepts_connection(&mut self, listener: &AsyncStream) -> bool {
        if self.listening.takes_all() {
            return true;
        }
        let context = listener.context();
        listener.with_announced(|connection| self.admits(connection, context)).unwrap_or(true)
    }

    fn on_connection(&mut self, _: &AsyncStream, connection: Result<AsyncStream, uv_core::Error>) {
        self.accept(connection);
    }

    fn on_drained(&mut self, _: &AsyncStream) {
        self.queue_taken();
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("room", &self.room()).finish_non_exhaustive()
    }
}
