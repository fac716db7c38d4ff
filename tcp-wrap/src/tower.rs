//! This layer's floor of the tower: what the loop calls, turned into what the layer above is called with.

use crate::upcall::{OnConnection, OnStream};
use crate::{LAYER, StreamWrap};
use uv_core::layer::trace::Facts;
use uv_core::upcall::{AcceptUpcall, StreamUpcall};
use uv_core::{Error, Result};

/// Stands on a connected stream.
pub(crate) struct StreamTower<H> {
    handler: H,
}

impl<H: OnStream> StreamTower<H> {
    pub(crate) const fn new(handler: H) -> Self {
        Self { handler }
    }
}

impl<H: OnStream> StreamUpcall for StreamTower<H> {
    fn on_read(&mut self, data: &[u8]) {
        let _up = LAYER.up("OnStream::on_read", || Facts::default().bytes(data.len()));
        self.handler.on_read(data);
    }

    fn on_end(&mut self) {
        let _up = LAYER.up("OnStream::on_end", Facts::default);
        self.handler.on_end();
    }

    fn on_read_error(&mut self, error: Error) {
        let _up = LAYER.up("OnStream::on_error", Facts::default);
        self.handler.on_error(error);
    }

    fn on_unread_end(&mut self) {
        let _up = LAYER.up("OnStream::on_unread_end", Facts::default);
        self.handler.on_unread_end();
    }

    fn on_connect(&mut self, result: Result<()>) {
        let _up = LAYER.up("OnStream::on_connect", Facts::default);
        self.handler.on_connect(result);
    }

    fn on_write(&mut self, result: Result<()>) {
        let _up = LAYER.up("OnStream::on_write", Facts::default);
        self.handler.on_write(result);
    }

    fn on_shutdown(&mut self, result: Result<()>) {
        let _up = LAYER.up("OnStream::on_shutdown", Facts::default);
        self.handler.on_shutdown(result);
    }

    fn on_notify(&mut self) {
        let _up = LAYER.up("OnStream::on_notify", Facts::default);
        self.handler.on_notify();
    }

    fn on_close(&mut self) {
        let _up = LAYER.up("OnStream::on_close", Facts::default);
        self.handler.on_close();
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
    fn on_connection(&mut self, status: Result<()>) {
        match status {
            // As in Node, a connection that is gone before it is taken is nobody's business.
            Ok(()) => {
                if let Ok(connection) = self.listener.accept() {
                    let _up = LAYER.up("OnConnection::on_connection", || connection.facts());
                    self.handler.on_connection(Ok(connection));
                }
            }
            Err(error) => {
                let _up = LAYER.up("OnConnection::on_connection", || Facts::saying(&error));
                self.handler.on_connection(Err(error));
            }
        }
    }

    fn on_close(&mut self) {
        let _up = LAYER.up("OnConnection::on_close", Facts::default);
        self.handler.on_close();
    }
}
