//! This layer's floor of the tower: what happens on a stream, turned into what a socket emits. Mirrors
//! `onStreamRead`, `afterConnect`, `onReadableStreamEnd` and `_destroy`.

use crate::Socket;
use crate::socket::CONNECTING;
use crate::upcall::SocketHandler;
use async_wrap::upcall::OnStream;
use tcp_wrap::{Error, Result};

pub(crate) struct SocketTower<H> {
    socket: Socket,
    handler: H,
}

impl<H: SocketHandler> SocketTower<H> {
    pub(crate) fn new(socket: Socket, handler: H) -> Self {
        Self { socket, handler }
    }

    fn destroy_if_done(&self) {
        if self.socket.0.is_done() {
            self.socket.destroy();
        }
    }
}

impl<H: SocketHandler> OnStream for SocketTower<H> {
    fn on_read(&mut self, data: &[u8]) {
        self.socket.0.refresh_timeout();
        self.handler.on_data(data);
    }

    fn on_end(&mut self) {
        let state = &self.socket.0;
        state.refresh_timeout();
        state.set_peer_ended();
        self.handler.on_end();
        if !state.allows_half_open() {
            state.set_ended_by_peer();
            self.socket.end();
        }
        self.destroy_if_done();
    }

    fn on_error(&mut self, error: Error) {
        self.socket.destroy_with(error.into());
    }

    fn on_connect(&mut self, result: Result<()>) {
        let state = &self.socket.0;
        if state.is_destroyed() {
            return;
        }
        state.clear(CONNECTING);
        if let Err(error) = result {
            return self.socket.destroy_with(error.into());
        }
        state.refresh_timeout();
        if state.take_ended() {
            state.shut_down();
        }
        self.handler.on_connect();
        self.socket.read_unless_paused();
    }

    fn on_write(&mut self, result: Result<()>) {
        let state = &self.socket.0;
        state.refresh_timeout();
        match result {
            Ok(()) if state.take_drain_owed() && !state.is_destroyed() => self.handler.on_drain(),
            Ok(()) => {}
            // A close cancels what is left; that is no error of its own.
            Err(_) if state.is_destroyed() => {}
            Err(error) => self.socket.destroy_with(error.into()),
        }
    }

    fn on_shutdown(&mut self, _: Result<()>) {
        let state = &self.socket.0;
        if !state.is_destroyed() {
            // Whatever came of it, nothing more will be sent; a broken connection shows when it is read.
            state.set_finished();
            self.handler.on_finish();
            self.destroy_if_done();
        }
    }

    fn on_notify(&mut self) {
        if self.socket.0.take_timed_out() {
            self.handler.on_timeout();
        }
        if self.socket.0.take_notified() {
            self.handler.on_notify();
        }
        // An end that found the connection gone already has nothing else to finish it.
        if self.socket.0.is_finished() {
            self.destroy_if_done();
        }
    }

    fn on_close(&mut self) {
        let state = &self.socket.0;
        state.drop_timeout();
        // First, so that its slot is free by the time that anybody hears of the close.
        state.leave_server();
        if let Some(error) = state.take_error() {
            self.handler.on_error(*error);
        }
        self.handler.on_close(state.had_error());
    }
}

/// Stands on a connection that nobody wanted.
pub(crate) struct Unclaimed;

impl SocketHandler for Unclaimed {
    fn on_data(&mut self, _: &[u8]) {}
}
