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

impl Socket {
    /// Destroys the socket unless it has a handler or the program keeps a handle to it: then it waits for a handler.
    /// `own` is the number of handles that do not belong to the program; one of them may last as long as the socket.
    pub fn destroy_unless_held(&self, own: usize) {
        if !self.has_handler() && Rc::strong_count(&self.0) > own {
            self.0.set(AWAITS_HANDLER | SHARED.when(own > 1));
            self.0
                .stream
                .set_handler(Waiting { socket: Rc::downgrade(&self.0), server: self.0.server.upgrade() });
            self.0.stream.read_stop();
        } else {
            self.destroy_unless_handled();
        }
    }

    /// Takes a handler for a held socket. Returns the handler if the socket is still open; otherwise tells the handler
    /// that the connection is closed.
    pub(crate) fn claim<H: SocketHandler + 'static>(&self, mut handler: H) -> Option<H> {
        let state = &self.0;
        state.clear(AWAITS_HANDLER | SHARED);
        if !state.take(CLOSE_UNREPORTED) {
            if state.has(FINISH_PENDING | TIMED_OUT | NOTIFIED) {
                state.stream.notify();
            }
            return Some(handler);
        }
        let socket = self.clone();
        self.environment().next_tick(move || {
            if let Some(error) = socket.0.cold.peek(|cold| cold.error.take()).flatten() {
                let _up = LAYER.up("SocketHandler::on_error", || socket.facts());
                handler.on_error(&socket, error);
            }
            let _up = LAYER.up("SocketHandler::on_close", || socket.facts());
            handler.on_close(&socket, socket.0.has(HAD_ERROR));
        });
        None
    }

    #[cold]
    fn drop_if_last(&self) {
        let own = if self.0.has(SHARED) { 2 } else { 1 };
        if Rc::strong_count(&self.0) == own {
            self.0.clear(AWAITS_HANDLER | SHARED);
            self.destroy_unless_handled();
        }
    }
}

impl Drop for Socket {
    #[inline]
    fn drop(&mut self) {
        if self.0.has(AWAITS_HANDLER) {
            self.drop_if_last();
        }
    }
}

/// The handler of a held connection.
struct Waiting {
    /// Weak, because the socket waits for the holders of its handles.
    socket: Weak<SocketInner>,
    /// Keeps the server's handler until the end of this connection is reported to it.
    server: Option<Rc<Listening>>,
}

impl Waiting {
    fn with(&self, work: impl FnOnce(&Socket)) {
        if let Some(state) = self.socket.upgrade() {
            work(&Socket(state));
        }
    }
}

impl OnStream for Waiting {
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

    fn on_close(&mut self, _: &AsyncStream) {
        if let Some(server) = self.server.take() {
            server.connection_closed();
        }
        self.with(|socket| {
            socket.0.clear(AWAITS_HANDLER | SHARED);
            socket.0.set(DESTROYED | CLOSE_UNREPORTED);
            socket.0.drop_timers();
        });
    }
}
