//! This layer's part of the tower: the loop calls it, and it calls the layer above.
//!
//! Each tower holds its wrap, so that it can pass a reference to the layer above: eight bytes, and no reference counting
//! in a call. Wrap and tower form a reference cycle, which the loop breaks at the close by dropping the tower.

use crate::upcall::{OnConnection, OnStream, OnUdp};
use crate::{LAYER, StreamWrap, UdpWrap};
use std::net::SocketAddr;
use uv_core::layer::trace::Facts;
use uv_core::udp::{Envelope, Udp};
use uv_core::upcall::{AcceptUpcall, StreamUpcall, UdpUpcall};
use uv_core::{Error, Result, Stream};

/// The tower of a connection.
pub(crate) struct StreamTower<H> {
    wrap: StreamWrap,
    handler: H,
}

impl<H: OnStream> StreamTower<H> {
    pub(crate) const fn new(wrap: StreamWrap, handler: H) -> Self {
        Self { wrap, handler }
    }

    /// Calls the layer above and traces the call.
    #[inline]
    #[track_caller]
    fn up(&mut self, name: &'static str, call: impl FnOnce(&mut H, &StreamWrap)) {
        let _up = LAYER.up(name, Facts::default);
        call(&mut self.handler, &self.wrap);
    }
}

impl<H: OnStream> StreamUpcall for StreamTower<H> {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        let _up = LAYER.up("OnStream::on_read", || Facts::default().bytes(data.len()));
        self.handler.on_read(&self.wrap, data);
    }

    fn on_end(&mut self, _: &Stream) {
        self.up("OnStream::on_end", |handler, wrap| handler.on_end(wrap));
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        self.up("OnStream::on_error", |handler, wrap| handler.on_error(wrap, error));
    }

    fn on_readable(&mut self, _: &Stream) {
        self.up("OnStream::on_readable", |handler, wrap| handler.on_readable(wrap));
    }

    fn on_unread_end(&mut self, _: &Stream) {
        self.up("OnStream::on_unread_end", |handler, wrap| handler.on_unread_end(wrap));
    }

    fn on_connect(&mut self, _: &Stream, result: Result<()>) {
        self.up("OnStream::on_connect", |handler, wrap| handler.on_connect(wrap, result));
    }

    fn on_write(&mut self, _: &Stream, result: Result<()>) {
        self.up("OnStream::on_write", |handler, wrap| handler.on_write(wrap, result));
    }

    fn on_shutdown(&mut self, _: &Stream, result: Result<()>) {
        self.up("OnStream::on_shutdown", |handler, wrap| handler.on_shutdown(wrap, result));
    }

    fn on_notify(&mut self, _: &Stream) {
        self.up("OnStream::on_notify", |handler, wrap| handler.on_notify(wrap));
    }

    fn on_close(&mut self, _: &Stream) {
        self.up("OnStream::on_close", |handler, wrap| handler.on_close(wrap));
    }
}

/// The tower of a listener.
pub(crate) struct ListenTower<H> {
    listener: StreamWrap,
    handler: H,
}

impl<H: OnConnection> ListenTower<H> {
    pub(crate) fn new(listener: StreamWrap, handler: H) -> Self {
        Self { listener, handler }
    }
}

impl<H: OnConnection> AcceptUpcall for ListenTower<H> {
    fn on_connection(&mut self, _: &Stream, status: Result<()>) {
        let Self { listener, handler } = self;
        match status {
            // As in Node, a connection that the peer aborts before it is accepted is not reported.
            Ok(()) => {
                if !handler.accepts_connection(listener) {
                    // Fails if the handler has closed the listener.
                    let _ = listener.handle().refuse();
                    return;
                }
                if let Ok(connection) = listener.accept() {
                    let _up = LAYER.up("OnConnection::on_connection", || connection.facts());
                    handler.on_connection(listener, Ok(connection));
                }
            }
            Err(error) => {
                let _up = LAYER.up("OnConnection::on_connection", || Facts::saying(&error));
                handler.on_connection(listener, Err(error));
            }
        }
    }

    fn on_drained(&mut self, _: &Stream) {
        let _up = LAYER.up("OnConnection::on_drained", Facts::default);
        self.handler.on_drained(&self.listener);
    }

    fn on_close(&mut self, _: &Stream) {
        let _up = LAYER.up("OnConnection::on_close", Facts::default);
        self.handler.on_close(&self.listener);
    }
}

/// The tower of a socket of datagrams.
pub(crate) struct UdpTower<H> {
    wrap: UdpWrap,
    handler: H,
}

impl<H: OnUdp> UdpTower<H> {
    pub(crate) const fn new(wrap: UdpWrap, handler: H) -> Self {
        Self { wrap, handler }
    }

    /// Calls the layer above and traces the call.
    #[inline]
    #[track_caller]
    fn up(&mut self, name: &'static str, call: impl FnOnce(&mut H, &UdpWrap)) {
        let _up = LAYER.up(name, Facts::default);
        call(&mut self.handler, &self.wrap);
    }
}

impl<H: OnUdp> UdpUpcall for UdpTower<H> {
    fn on_receive(&mut self, _: &Udp, data: &[u8], envelope: &Envelope) {
        let _up = LAYER.up("OnUdp::on_receive", || Facts::default().bytes(data.len()));
        self.handler.on_receive(&self.wrap, data, envelope);
    }

    fn on_send(&mut self, _: &Udp, result: Result<()>) {
        self.up("OnUdp::on_send", |handler, wrap| handler.on_send(wrap, result));
    }

    fn on_error(&mut self, _: &Udp, error: Error, to: Option<SocketAddr>) {
        self.up("OnUdp::on_error", |handler, wrap| handler.on_error(wrap, error, to));
    }

    fn on_notify(&mut self, _: &Udp) {
        self.up("OnUdp::on_notify", |handler, wrap| handler.on_notify(wrap));
    }

    fn on_close(&mut self, _: &Udp) {
        self.up("OnUdp::on_close", |handler, wrap| handler.on_close(wrap));
    }
}
