//! A connection as `tcp-wrap` and `async-wrap` serve it: their streams differ in who is told, not in what they do.

use super::streams::{HIGH_WATER_MARK, Service, WRITE, WRITES};
use async_wrap::AsyncStream;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{Error, Result, StreamWrap, Written};

/// What both kinds of streams can do.
pub(crate) trait Wrapped {
    fn wrap(&self) -> &StreamWrap;
    fn write(&self, data: &[u8]) -> Result<Written>;
    fn shutdown(&self) -> Result<()>;
    fn close(&self);
}

impl Wrapped for StreamWrap {
    fn wrap(&self) -> &StreamWrap {
        self
    }

    fn write(&self, data: &[u8]) -> Result<Written> {
        self.write(data)
    }

    fn shutdown(&self) -> Result<()> {
        self.shutdown()
    }

    fn close(&self) {
        self.close();
    }
}

impl Wrapped for AsyncStream {
    fn wrap(&self) -> &StreamWrap {
        self
    }

    fn write(&self, data: &[u8]) -> Result<Written> {
        self.write(data)
    }

    fn shutdown(&self) -> Result<()> {
        self.shutdown()
    }

    fn close(&self) {
        self.close();
    }
}

/// The handler of one connection.
pub(crate) struct Connection<S> {
    stream: S,
    service: Service,
    /// Not read from until what waits is with the kernel.
    is_paused: bool,
}

impl<S: Wrapped> Connection<S> {
    pub(crate) fn new(stream: S, service: Service) -> Self {
        Self { stream, service, is_paused: false }
    }

    fn send(&mut self, data: &[u8]) -> Result<()> {
        let written = self.stream.write(data)?;
        if written.later > 0 && self.stream.wrap().write_queue_size() >= HIGH_WATER_MARK {
            self.is_paused = true;
            self.stream.wrap().read_stop();
        }
        Ok(())
    }
}

impl<S: Wrapped> OnStream for Connection<S> {
    fn on_read(&mut self, data: &[u8]) {
        let served = match self.service {
            Service::Echo => self.send(data),
            Service::Sink => Ok(()),
            Service::Writes => (0..data.len() * WRITES).try_for_each(|_| self.send(WRITE)),
        };
        if served.is_err() {
            self.stream.close();
        }
    }

    fn on_write(&mut self, result: Result<()>) {
        let is_drained = self.stream.wrap().write_queue_size() == 0;
        if result.is_err() {
            self.stream.close();
        } else if self.is_paused && is_drained {
            self.is_paused = false;
            if self.stream.wrap().read_start().is_err() {
                self.stream.close();
            }
        }
    }

    fn on_end(&mut self) {
        // What waits is sent before the FIN.
        if self.stream.wrap().write_queue_size() == 0 || self.stream.shutdown().is_err() {
            self.stream.close();
        }
    }

    fn on_shutdown(&mut self, _: Result<()>) {
        self.stream.close();
    }

    fn on_error(&mut self, _: Error) {
        self.stream.close();
    }
}
