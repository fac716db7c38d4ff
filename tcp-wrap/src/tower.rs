//! This layer's floor of the tower: what the loop calls, turned into what the layer above is called with.
//!
//! Each tower holds its own wrap, for the layer above to be given: eight bytes, and no reference count during a call. The
//! wrap and its tower hold each other until the close, when the loop drops the tower.

use crate::upcall::{OnConnection, OnStream};
use crate::{LAYER, StreamWrap};
use uv_core::layer::trace::Facts;
use uv_core::upcall::{AcceptUpcall, StreamUpcall};
use uv_core::{Error, Result, Stream};

/// Stands on a connected stream.
pub(crate) struct StreamTower<H> {
    wrap: StreamWrap,
    handler: H,
}

impl<H: OnStream> StreamTower<H> {
    pub(crate) const fn new(wrap: StreamWrap, handler: H) -> Self {
        Self { wrap, handler }
    }

    /// Calls the layer above, and traces the call.
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

/// Stands on a listener.
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
            // As in Node, a connection that is gone before it is taken is not reported.
            Ok(()) => {
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

    fn on_close(&mut self, _: &Stream) {
        let _up = LAYER.up("OnConnection::on_close", Facts::default);
        self.handler.on_close(&self.listener);
    }
}
