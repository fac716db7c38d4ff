//! This layer's part of the tower: it turns the events of a stream into those of a socket. Mirrors `onStreamRead`,
//! `afterConnect`, `onReadableStreamEnd` and `_destroy`.

use crate::listening::Listening;
use crate::names::Connecting;
use crate::state::{CONNECTING, DESTROY_SOON, DESTROYED, Due, ENDED, FINISHED, HAD_ERROR, PEER_ENDED, TIMED};
use crate::upcall::SocketHandler;
use crate::uv_core::{Error, Result};
use crate::{LAYER, Socket};
use async_wrap::AsyncStream;
use async_wrap::layer::OnDrop;
use async_wrap::upcall::OnStream;
use std::rc::Rc;

pub(crate) struct SocketTower<H> {
    socket: Socket,
    /// Keeps the server's handler until the end of this connection is reported to it.
    server: Option<Rc<Listening>>,
    handler: H,
}

impl<H: SocketHandler> SocketTower<H> {
    pub(crate) fn new(socket: Socket, handler: H) -> Self {
        let server = socket.0.server.upgrade();
        Self { socket, server, handler }
    }

    /// Handles input of a socket that has a timeout, or is to be destroyed soon. Returns whether its handler gets the
    /// input.
    #[inline(never)]
    fn note_read(&self) -> bool {
        self.socket.0.refresh_timeout();
        !self.socket.0.is_lingering()
    }

    fn finish(&mut self) {
        let Self { socket, handler, .. } = self;
        if socket.0.has(FINISHED) {
            // A layer above has shut the stream down directly, and this is the report of that.
            return;
        }
        socket.0.set(FINISHED);
        let _then = OnDrop::new(|| socket.destroy_if_done());
        up(socket, "SocketHandler::on_finish", || handler.on_finish(socket));
    }
}

/// Calls the handler and traces the call.
#[inline]
#[track_caller]
pub(crate) fn up(socket: &Socket, name: &'static str, call: impl FnOnce()) {
    let _up = LAYER.up(name, || socket.facts());
    call();
}

impl<H: SocketHandler> OnStream for SocketTower<H> {
    fn on_read(&mut self, _: &AsyncStream, data: &[u8]) {
        if self.socket.0.has(TIMED | DESTROY_SOON) && !self.note_read() {
            return;
        }
        let _up = LAYER.up("SocketHandler::on_data", || self.socket.facts().bytes(data.len()));
        self.handler.on_data(&self.socket, data);
    }

    fn on_end(&mut self, _: &AsyncStream) {
        let Self { socket, handler, .. } = self;
        socket.0.refresh_timeout();
        socket.0.set(PEER_ENDED);
        if socket.0.is_lingering() {
            return socket.destroy();
        }
        // Also if the handler panics: a panic must not leave the connection open.
        let _then = OnDrop::new(|| socket.follow_end());
        up(socket, "SocketHandler::on_end", || handler.on_end(socket));
    }

    fn on_error(&mut self, _: &AsyncStream, error: Error) {
        if self.socket.0.is_lingering() {
            // The handler has had its last call but `on_close` before the wait, so errors of the wait are not reported.
            return self.socket.destroy();
        }
        self.socket.destroy_with(error.into());
    }

    fn on_readable(&mut self, _: &AsyncStream) {
        let Self { socket, handler, .. } = self;
        up(socket, "SocketHandler::on_readable", || handler.on_readable(socket));
    }

    fn on_unread_end(&mut self, _: &AsyncStream) {
        let Self { socket, handler, .. } = self;
        up(socket, "SocketHandler::on_unread_end", || handler.on_unread_end(socket));
    }

    fn on_connect(&mut self, _: &AsyncStream, result: Result<()>) {
        let Self { socket, handler, .. } = self;
        let state = &socket.0;
        if state.has(DESTROYED) {
            return;
        }
        state.clear(CONNECTING);
        if let Err(error) = result {
            return socket.destroy_with(error.into());
        }
        state.refresh_timeout();
        if state.has(ENDED) {
            state.shut_down();
        }
        let _then = OnDrop::new(|| socket.read_unless_paused());
        up(socket, "SocketHandler::on_connect", || handler.on_connect(socket));
    }

    fn on_write(&mut self, _: &AsyncStream, result: Result<()>) {
        let Self { socket, handler, .. } = self;
        socket.0.refresh_timeout();
        match result {
            Ok(()) if socket.0.takes_drain() => {
                up(socket, "SocketHandler::on_drain", || handler.on_drain(socket));
            }
            Ok(()) => {}
            // After `destroy` this does nothing: a close cancels the queue, which is not a separate error.
            Err(error) => {
                let error = error.into();
                if socket.write_failed(Clone::clone(&error)) {
                    up(socket, "SocketHandler::on_write_failed", || handler.on_write_failed(socket, &error));
                }
            }
        }
    }

    fn on_shutdown(&mut self, _: &AsyncStream, _: Result<()>) {
        // Whatever the result, nothing more will be sent; the read reports a broken connection.
        if !self.socket.0.has(DESTROYED) {
            self.finish();
        }
    }

    fn on_notify(&mut self, _: &AsyncStream) {
        let Self { socket, handler, .. } = self;
        match socket.0.take_due() {
            Some(Due::Finish) => self.finish(),
            Some(Due::Timeout) => up(socket, "SocketHandler::on_timeout", || handler.on_timeout(socket)),
            Some(Due::Connecting) => Connecting::go_on(socket, handler),
            Some(Due::Notify) => up(socket, "SocketHandler::on_notify", || handler.on_notify(socket)),
            None => {}
        }
    }

    fn on_close(&mut self, stream: &AsyncStream) {
        let Self { socket, server, handler } = self;
        let state = &socket.0;
        state.set(DESTROYED);
        state.drop_timers();
        // Before the handler's calls, so that the server has room for a connection when the handler hears of the close.
        if let Some(server) = server.take() {
            server.connection_closed(stream.async_id());
        }
        if let Some(error) = state.cold.peek(|cold| cold.error.take()).flatten() {
            up(socket, "SocketHandler::on_error", || handler.on_error(socket, error));
        }
        up(socket, "SocketHandler::on_close", || handler.on_close(socket, state.has(HAD_ERROR)));
    }
}

/// The handler of a socket that is destroyed because the program set none. Discards input.
pub(crate) struct Discard;

impl SocketHandler for Discard {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}
