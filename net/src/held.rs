//! An accepted connection that the program keeps without a handler. It is not read until a handler is set, from a task
//! or a timer for example, and is destroyed with its last handle. In Node a socket without listeners is not read
//! either.

use crate::listening::Listening;
use crate::state::{
    AWAITS_HANDLER, CLOSE_UNREPORTED, DESTROYED, FINISH_PENDING, FINISHED, HAD_ERROR, NOTIFIED, SHARED,
    SocketInner, TIMED_OUT,
};
use crate::upcall::SocketHandler;
use crate::uv_core::{Error, Result};
use crate::{LAYER, Socket};
use async_wrap::AsyncStream;
use async_wrap::upcall::OnStream;
use std::rc::{Rc, Weak};

/// The handler of a held connection.
pub(crate) struct Held {
    /// Weak, because the socket waits for the holders of its handles.
    socket: Weak<SocketInner>,
    /// Keeps the server's handler until the end of this connection is reported to it.
    server: Option<Rc<Listening>>,
}

impl Held {
    /// Lets the socket wait for its handler: see [`Socket::destroy_unless_held`].
    pub(crate) fn begin(socket: &Socket, own: usize) {
        let inner = &socket.0;
        inner.set(AWAITS_HANDLER | SHARED.when(own > 1));
        inner.stream.set_handler(Self { socket: Rc::downgrade(inner), server: inner.server.upgrade() });
        inner.stream.read_stop();
    }

    /// Ends the wait. Returns the handler if the socket is still open; otherwise tells the handler that the connection is
    /// closed.
    pub(crate) fn end<H: SocketHandler + 'static>(socket: &Socket, mut handler: H) -> Option<H> {
        let inner = &socket.0;
        inner.clear(AWAITS_HANDLER | SHARED);
        if !inner.take(CLOSE_UNREPORTED) {
            if inner.has(FINISH_PENDING | TIMED_OUT | NOTIFIED) {
                inner.stream.notify();
            }
            return Some(handler);
        }
        let closed = socket.clone();
        socket.environment().next_tick(move || {
            if let Some(error) = closed.0.cold.peek(|cold| cold.error.take()).flatten() {
                let _up = LAYER.up("SocketHandler::on_error", || closed.facts());
                handler.on_error(&closed, error);
            }
            let _up = LAYER.up("SocketHandler::on_close", || closed.facts());
            handler.on_close(&closed, closed.0.has(HAD_ERROR));
        });
        None
    }

    /// Destroys a held socket with its last handle.
    #[cold]
    fn drop_handle(socket: &Socket) {
        let own = if socket.0.has(SHARED) { 2 } else { 1 };
        if Rc::strong_count(&socket.0) == own {
            socket.0.clear(AWAITS_HANDLER | SHARED);
            socket.destroy_unless_handled();
        }
    }

    fn with(&self, work: impl FnOnce(&Socket)) {
        if let Some(inner) = self.socket.upgrade() {
            work(&Socket(inner));
        }
    }
}

impl Drop for Socket {
    #[inline]
    fn drop(&mut self) {
        if self.0.has(AWAITS_HANDLER) {
            Held::drop_handle(self);
        }
    }
}

impl OnStream for Held {
    fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

    fn on_end(&mut self, _: &AsyncStream) {}

    fn on_error(&mut self, _: &AsyncStream, error: Error) {
        self.with(|socket| socket.destroy_with(error.into()));
    }

    fn on_write(&mut self, _: &AsyncStream, result: Result<()>) {
        if let Err(error) = result {
            self.with(|socket| socket.break_with(error.into()));
        }
    }

    fn on_shutdown(&mut self, _: &AsyncStream, _: Result<()>) {
        self.with(|socket| {
            socket.0.set(FINISHED);
            socket.destroy_if_done();
        });
    }

    fn on_close(&mut self, stream: &AsyncStream) {
        if let Some(server) = self.server.take() {
            server.connection_closed(stream.async_id());
        }
        self.with(|socket| {
            socket.0.clear(AWAITS_HANDLER | SHARED);
            socket.0.set(DESTROYED | CLOSE_UNREPORTED);
            socket.0.drop_timers();
        });
    }
}
