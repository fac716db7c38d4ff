//! A server that sends every line back, for scenarios of the tests.

use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};
use std::path::PathBuf;
use testing::World;

/// What is not a whole line yet waits for its end.
#[derive(Default)]
pub(crate) struct WholeLines(Vec<u8>);

impl SocketHandler for WholeLines {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        self.0.extend_from_slice(data);
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            // Fails if the client has closed.
            let _ = socket.write(&[b"> ", &line[..]].concat());
        }
    }
}

/// A server that listens at a path of the world; `None` if a fault keeps it from listening.
pub(crate) fn serve<H: SocketHandler + 'static>(
    world: &World,
    backlog: u32,
    handler: impl Fn() -> H + 'static,
) -> Option<(Server, PathBuf)> {
    let env = world.environment("server").ok()?;
    let (server, path) = (Server::new(&env, ServerOptions::default()), world.path());
    let options = ListenOptions::path(&path).backlog(backlog);
    server.listen_with(options, move |_, socket| socket.set_handler(handler())).ok()?;
    Some((server, path))
}

/// Clients get a prefix of the right answer, since their connections may break.
pub(crate) fn every_line_comes_back(world: &World, backlog: u32, clients: usize) -> Result<(), String> {
    every_line_comes_back_from(world, backlog, clients, WholeLines::default)
}

pub(crate) fn every_line_comes_back_from<H: SocketHandler + 'static>(
    world: &World,
    backlog: u32,
    clients: usize,
    handler: impl Fn() -> H + 'static,
) -> Result<(), String> {
    let Some((server, path)) = serve(world, backlog, handler) else { return Ok(()) };
    let connect = |_| world.peer(&path).map_err(|error| format!("a client is refused: {error}"));
    let clients = (0..clients).map(connect).collect::<Result<Vec<_>, _>>()?;
    for client in &clients {
        client.send("hello\nworld\n");
        client.finish();
    }
    world.run_until(|| clients.iter().all(testing::Peer::is_ended))?;
    for client in &clients {
        let received = client.received();
        if !b"> hello\n> world\n".starts_with(&received) {
            return Err(format!("received {:?}", String::from_utf8_lossy(&received)));
        }
    }
    server.close().map_err(|error| error.to_string())?;
    world.run()
}
