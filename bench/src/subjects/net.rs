//! Streams served with `net`.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{Service, WRITE, WRITES};
use crate::Result;
use async_wrap::{Environment, Loop, RunMode};
use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};

/// Serves until SIGTERM.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let service = Service::of_bench(&options.bench)?;
    let lp = Loop::new()?;
    let env = Environment::new(&lp);
    end_on_sigterm(&lp)?;
    let server = Server::new(&env, ServerOptions { no_delay: true, ..ServerOptions::default() });
    let target = match &options.path {
        Some(path) => ListenOptions::path(path),
        None => ListenOptions::addr(ANYWHERE),
    };
    server.listen(target, move |socket: Socket| {
        socket.set_handler(Connection { socket: socket.clone(), service });
    })?;
    match &options.path {
        Some(path) => announce_path(path),
        None => announce(server.address().and_then(|address| address.as_tcp()).ok_or("no address")?),
    }
    env.run(RunMode::Default)?;
    Ok(())
}

struct Connection {
    socket: Socket,
    service: Service,
}

impl Connection {
    fn send(&self, data: &[u8]) -> net::Result<()> {
        if !self.socket.write(data)? {
            self.socket.pause();
        }
        Ok(())
    }
}

impl SocketHandler for Connection {
    fn on_data(&mut self, data: &[u8]) {
        // What fails, fails because the connection is gone, and its socket closes by itself.
        let _ = match self.service {
            Service::Echo => self.send(data),
            Service::Sink => Ok(()),
            Service::Writes => (0..data.len() * WRITES).try_for_each(|_| self.send(WRITE)),
        };
    }

    fn on_drain(&mut self) {
        self.socket.resume();
    }
}
