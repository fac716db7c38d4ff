//! Streams served with `net`.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{Service, WRITE, WRITES};
use crate::Result;
use async_wrap::Environment;
use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};

pub(crate) fn serve(options: &Options) -> Result<()> {
    let service = Service::of_bench(options.own_name())?;
    let env = Environment::with_new_loop()?;
    end_on_sigterm(env.loop_handle())?;
    let server = Server::new(&env, ServerOptions::default().no_delay(true));
    let target = match &options.path {
        Some(path) => ListenOptions::path(path),
        None => ListenOptions::addr(ANYWHERE),
    };
    server.listen_with(target, move |_, socket| {
        socket.set_handler(Connection(service));
    })?;
    match &options.path {
        Some(path) => announce_path(path),
        None => announce(server.address().and_then(|address| address.as_tcp()).ok_or("no address")?),
    }
    Ok(env.run_to_end()?)
}

struct Connection(Service);

fn send(socket: &Socket, data: &[u8]) -> net::Result<()> {
    if !socket.write(data)? {
        socket.pause();
    }
    Ok(())
}

impl SocketHandler for Connection {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // Fails only if the connection is closed, and then its socket closes by itself.
        let _ = match self.0 {
            Service::Echo => send(socket, data),
            Service::Sink => Ok(()),
            Service::Writes => (0..data.len() * WRITES).try_for_each(|_| send(socket, WRITE)),
        };
    }

    fn on_drain(&mut self, socket: &Socket) {
        socket.resume();
    }
}
