//! A connection as `tcp-wrap` and `async-wrap` serve it: their streams differ in who is told, not in what they do.

use super::streams::{HIGH_WATER_MARK, Service, WRITE, WRITES};
use async_wrap::AsyncStream;
use tcp_wrap::{Error, Result, StreamWrap, Written};

pub(crate) trait Wrapped {
    fn read_start(&self) -> Result<()>;
    fn read_stop(&self);
    fn write_queue_size(&self) -> usize;
    fn write(&self, data: &[u8]) -> Result<Written>;
    fn shutdown(&self) -> Result<()>;
    fn close(&self);
}

impl Wrapped for StreamWrap {
    fn read_start(&self) -> Result<()> {
        self.read_start()
    }

    fn read_stop(&self) {
        self.read_stop();
    }

    fn write_queue_size(&self) -> usize {
        self.write_queue_size()
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
    fn read_start(&self) -> Result<()> {
        self.read_start()
    }

    fn read_stop(&self) {
        self.read_stop();
    }

    fn write_queue_size(&self) -> usize {
        self.write_queue_size()
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

pub(crate) struct Connection {
    service: Service,
    /// Not read from until what waits is with the kernel.
    is_paused: bool,
}

impl Connection {
    pub(crate) fn new(service: Service) -> Self {
        Self { service, is_paused: false }
    }

    fn send(&mut self, stream: &impl Wrapped, data: &[u8]) -> Result<()> {
        let written = stream.write(data)?;
        if written.later > 0 && stream.write_queue_size() >= HIGH_WATER_MARK {
            self.is_paused = true;
            stream.read_stop();
        }
        Ok(())
    }

    fn serve(&mut self, stream: &impl Wrapped, data: &[u8]) {
        let served = match self.service {
            Service::Echo => self.send(stream, data),
            Service::Sink => Ok(()),
            Service::Writes => (0..data.len() * WRITES).try_for_each(|_| self.send(stream, WRITE)),
        };
        if served.is_err() {
            stream.close();
        }
    }

    fn go_on(&mut self, stream: &impl Wrapped, result: Result<()>) {
        let is_drained = stream.write_queue_size() == 0;
        if result.is_err() {
            stream.close();
        } else if self.is_paused && is_drained {
            self.is_paused = false;
            if stream.read_start().is_err() {
                stream.close();
            }
        }
    }

    fn end(stream: &impl Wrapped) {
        // What waits is sent before the FIN.
        if stream.write_queue_size() == 0 || stream.shutdown().is_err() {
            stream.close();
        }
    }
}

impl tcp_wrap::upcall::OnStream for Connection {
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]) {
        self.serve(stream, data);
    }

    fn on_write(&mut self, stream: &StreamWrap, result: Result<()>) {
        self.go_on(stream, result);
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        Self::end(stream);
    }

    fn on_shutdown(&mut self, stream: &StreamWrap, _: Result<()>) {
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, _: Error) {
        stream.close();
    }
}

impl async_wrap::upcall::OnStream for Connection {
    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]) {
        self.serve(stream, data);
    }

    fn on_write(&mut self, stream: &AsyncStream, result: Result<()>) {
        self.go_on(stream, result);
    }

    fn on_end(&mut self, stream: &AsyncStream) {
        Self::end(stream);
    }

    fn on_shutdown(&mut self, stream: &AsyncStream, _: Result<()>) {
        stream.close();
    }

    fn on_error(&mut self, stream: &AsyncStream, _: Error) {
        stream.close();
    }
}
