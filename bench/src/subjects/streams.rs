//! What the stream benchmarks ask of a server, whichever layer it is written for, and a connection as the layers beneath
//! `net` serve it: they know no back-pressure by themselves.

use crate::Result;
use async_wrap::AsyncStream;
use tcp_wrap::StreamWrap;
use uv_core::{Errno, Error, Stream};

/// Connections that the kernel keeps ready, and those that are taken in one turn: the numbers of `net`, so that the
/// layers differ in nothing else.
pub(crate) const BACKLOG: u32 = 511;
pub(crate) const ACCEPT_BATCH: u32 = 16;

/// Bytes that may wait for a client that reads slowly before it is not listened to any more: the number of `net` again.
pub(crate) const HIGH_WATER_MARK: usize = 64 * 1024;

/// Writes that answer each byte of a request, and what each of them writes.
pub(crate) const WRITES: usize = 16;
pub(crate) const WRITE: &[u8] = &[b'w'; 64];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Echo,
    Sink,
    /// Each is answered with [`WRITES`] writes.
    Writes,
}

impl Service {
    /// What a benchmark needs.
    pub(crate) fn of_bench(bench: &str) -> Result<Self> {
        match bench {
            "pump" => Ok(Self::Sink),
            "writes" => Ok(Self::Writes),
            "echo" | "connect" | "idle" => Ok(Self::Echo),
            _ if bench.starts_with("echo-") => Ok(Self::Echo),
            _ => Err(format!("subject: no benchmark {bench:?} of streams").into()),
        }
    }
}

/// A stream of one of these layers: they differ in who is told, not in what they do.
pub(crate) trait Layered {
    /// Gives the kernel what it takes, and queues the rest. Returns whether there is a rest.
    fn send(&self, data: &[u8]) -> uv_core::Result<bool>;
    fn queued(&self) -> usize;
    fn pause(&self);
    fn resume(&self) -> uv_core::Result<()>;
    /// Sends the FIN after what is queued.
    fn finish(&self) -> uv_core::Result<()>;
    fn discard(&self);
}

/// The layer's own functions, and how it sends.
macro_rules! layered {
    ($stream:ty, $send:expr) => {
        impl Layered for $stream {
            fn send(&self, data: &[u8]) -> uv_core::Result<bool> {
                $send(self, data)
            }

            fn queued(&self) -> usize {
                self.write_queue_size()
            }

            fn pause(&self) {
                self.read_stop();
            }

            fn resume(&self) -> uv_core::Result<()> {
                self.read_start()
            }

            fn finish(&self) -> uv_core::Result<()> {
                self.shutdown()
            }

            fn discard(&self) {
                self.close();
            }
        }
    };
}

layered!(Stream, send_all);
layered!(StreamWrap, |stream: &Self, data| Ok(stream.write(data)?.later > 0));
layered!(AsyncStream, |stream: &Self, data| Ok(stream.write(data)?.later > 0));

fn send_all(stream: &Stream, data: &[u8]) -> uv_core::Result<bool> {
    let sent = match stream.try_write(data) {
        Err(error) if error.errno() == Errno::EAGAIN => 0,
        result => result?,
    };
    if sent < data.len() {
        stream.write(data[sent..].to_vec())?;
    }
    Ok(sent < data.len())
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

    fn send(&mut self, stream: &impl Layered, data: &[u8]) -> uv_core::Result<()> {
        if stream.send(data)? && stream.queued() >= HIGH_WATER_MARK {
            self.is_paused = true;
            stream.pause();
        }
        Ok(())
    }

    fn serve(&mut self, stream: &impl Layered, data: &[u8]) {
        let served = match self.service {
            Service::Echo => self.send(stream, data),
            Service::Sink => Ok(()),
            Service::Writes => (0..data.len() * WRITES).try_for_each(|_| self.send(stream, WRITE)),
        };
        if served.is_err() {
            stream.discard();
        }
    }

    fn go_on(&mut self, stream: &impl Layered, result: uv_core::Result<()>) {
        let is_drained = stream.queued() == 0;
        let is_over = result.is_err()
            || (is_drained && std::mem::take(&mut self.is_paused) && stream.resume().is_err());
        if is_over {
            stream.discard();
        }
    }

    fn end(stream: &impl Layered) {
        // What waits is sent before the FIN.
        if stream.queued() == 0 || stream.finish().is_err() {
            stream.discard();
        }
    }
}

/// The upcalls of a layer, which have the same names but for the last one.
macro_rules! serve_with {
    ($upcall:path, $stream:ty, $on_error:ident) => {
        impl $upcall for Connection {
            fn on_read(&mut self, stream: &$stream, data: &[u8]) {
                self.serve(stream, data);
            }

            fn on_write(&mut self, stream: &$stream, result: uv_core::Result<()>) {
                self.go_on(stream, result);
            }

            fn on_end(&mut self, stream: &$stream) {
                Self::end(stream);
            }

            fn on_shutdown(&mut self, stream: &$stream, _: uv_core::Result<()>) {
                stream.close();
            }

            fn $on_error(&mut self, stream: &$stream, _: Error) {
                stream.close();
            }
        }
    };
}

serve_with!(uv_core::upcall::StreamUpcall, Stream, on_read_error);
serve_with!(tcp_wrap::upcall::OnStream, StreamWrap, on_error);
serve_with!(async_wrap::upcall::OnStream, AsyncStream, on_error);
