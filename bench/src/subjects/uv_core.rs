//! Streams served with `uv-core` alone.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{ACCEPT_BATCH, BACKLOG, HIGH_WATER_MARK, Service, WRITE, WRITES};
use upcall::say;
use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Errno, Error, Loop, Pipe, Result, RunMode, Stream, Tcp};

pub(crate) fn serve(options: &Options) -> crate::Result<()> {
    let service = Service::of_bench(&options.bench)?;
    let lp = Loop::new()?;
    end_on_sigterm(&lp)?;
    if let Some(path) = &options.path {
        let server = Pipe::new(&lp);
        server.bind(path)?;
        listen(&server, service)?;
        announce_path(path);
    } else {
        let server = Tcp::new(&lp);
        server.bind(ANYWHERE, BindOptions::default())?;
        // Connections inherit it.
        server.set_nodelay(true)?;
        listen(&server, service)?;
        announce(server.local_addr()?);
    }
    lp.run(RunMode::Default)?;
    Ok(())
}

fn listen(server: &Stream, service: Service) -> Result<()> {
    server.set_accept_batch(ACCEPT_BATCH);
    server.listen_with(BACKLOG, move |listener, status| match status.and_then(|()| listener.accept()) {
        Ok(stream) => {
            stream.set_upcall(Connection { service, is_paused: false });
            if stream.read_start().is_err() {
                stream.close();
            }
        }
        Err(error) => say::err(error),
    })
}

struct Connection {
    service: Service,
    /// Not read from until what waits is with the kernel.
    is_paused: bool,
}

impl Connection {
    /// Writes at once what the kernel takes, and queues the rest.
    fn send(&mut self, stream: &Stream, data: &[u8]) -> Result<()> {
        let sent = match stream.try_write(data) {
            Err(error) if error.errno() == Errno::EAGAIN => 0,
            result => result?,
        };
        if sent < data.len() {
            stream.write(data[sent..].to_vec())?;
            if stream.write_queue_size() >= HIGH_WATER_MARK {
                self.is_paused = true;
                stream.read_stop();
            }
        }
        Ok(())
    }
}

impl StreamUpcall for Connection {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        let served = match self.service {
            Service::Echo => self.send(stream, data),
            Service::Sink => Ok(()),
            Service::Writes => (0..data.len() * WRITES).try_for_each(|_| self.send(stream, WRITE)),
        };
        if served.is_err() {
            stream.close();
        }
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
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

    fn on_end(&mut self, stream: &Stream) {
        // What waits is sent before the FIN.
        if stream.write_queue_size() == 0 || stream.shutdown().is_err() {
            stream.close();
        }
    }

    fn on_shutdown(&mut self, stream: &Stream, _: Result<()>) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }
}
