//! This layer's part of the tower of a socket of datagrams. Mirrors `onMessage`, `onError` and `afterSend` of
//! `lib/dgram.js`.

use crate::LAYER;
use crate::udp::{CONNECT_DUE, Envelope, LISTENING_DUE, UdpSocket};
use crate::upcall::UdpHandler;
use crate::uv_core::{Error, Result};
use async_wrap::AsyncUdp;
use async_wrap::layer::OnUnwind;
use async_wrap::upcall::OnUdp;
use std::net::SocketAddr;

pub(super) struct Tower<H> {
    socket: UdpSocket,
    handler: H,
}

impl<H: UdpHandler> Tower<H> {
    pub(super) const fn new(socket: UdpSocket, handler: H) -> Self {
        Self { socket, handler }
    }
}

/// A dropped loop reports nothing any more. The callbacks often hold their socket, which holds them: this breaks the circle.
impl<H> Drop for Tower<H> {
    fn drop(&mut self) {
        let inner = &self.socket.0;
        drop((inner.sends.take(), inner.hosts.take()));
    }
}

/// Calls the handler and traces the call.
#[inline]
#[track_caller]
fn up(socket: &UdpSocket, name: &'static str, call: impl FnOnce()) {
    let _up = LAYER.up(name, || socket.facts());
    call();
}

impl<H: UdpHandler> OnUdp for Tower<H> {
    fn on_receive(&mut self, _: &AsyncUdp, data: &[u8], envelope: &Envelope) {
        let _up = LAYER.up("UdpHandler::on_message", || self.socket.facts().bytes(data.len()));
        self.handler.on_message(&self.socket, data, envelope);
    }

    fn on_send(&mut self, _: &AsyncUdp, result: Result<()>) {
        let on_sent = self.socket.0.sends.borrow_mut().pop_front().flatten();
        if let Some(on_sent) = on_sent {
            on_sent(&self.socket, result.map_err(Into::into));
        }
    }

    fn on_error(&mut self, _: &AsyncUdp, error: Error, _: Option<SocketAddr>) {
        let Self { socket, handler } = self;
        up(socket, "UdpHandler::on_error", || handler.on_error(socket, error.into()));
    }

    fn on_notify(&mut self, _: &AsyncUdp) {
        let Self { socket, handler } = self;
        if socket.0.flags.take(LISTENING_DUE) {
            // Also after a panic.
            let unfinished = OnUnwind::new(|| socket.0.udp.notify());
            up(socket, "UdpHandler::on_listening", || handler.on_listening(socket));
            unfinished.disarm();
        }
        if let Some(error) = socket.take_failure()
            && !socket.is_closed()
        {
            // Also after a panic.
            let unfinished = OnUnwind::new(|| socket.0.udp.notify());
            up(socket, "UdpHandler::on_error", || handler.on_error(socket, error));
            unfinished.disarm();
        }
        if socket.0.flags.take(CONNECT_DUE) && !socket.is_closed() {
            up(socket, "UdpHandler::on_connect", || handler.on_connect(socket));
        }
    }

    fn on_close(&mut self, _: &AsyncUdp) {
        let Self { socket, handler } = self;
        up(socket, "UdpHandler::on_close", || handler.on_close(socket));
    }
}
