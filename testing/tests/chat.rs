//! The README's example: a line server with a mistake, which a scenario finds; and the same server without it.
#![cfg(upcall_faults)]

use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};
use testing::{Explorer, World, explore};

/// Sends every line back. The mistake: it takes what one read brings for whole lines.
struct Lines;

impl SocketHandler for Lines {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            // Fails if the client has closed.
            let _ = socket.write(&[b"> ", line, b"\n"].concat());
        }
    }
}

fn every_line_comes_back(world: &World) -> Result<(), String> {
    every_line_comes_back_from(world, || Lines)
}

fn every_line_comes_back_from<H: SocketHandler + 'static>(
    world: &World,
    handler: impl Fn() -> H + 'static,
) -> Result<(), String> {
    let Ok(env) = world.environment("server") else { return Ok(()) };
    let (server, path) = (Server::new(&env, ServerOptions::default()), world.path());
    if server.listen_with(ListenOptions::path(&path), move |_, socket| socket.set_handler(handler())).is_err()
    {
        return Ok(()); // A fault kept it from listening, which is no mistake of the server.
    }
    let Ok(client) = world.peer(&path) else { return server.close().map_err(|error| error.to_string()) };
    client.send("hello\nworld\n");
    client.finish();
    world.run_until(|| client.is_ended())?;
    let received = client.received();
    if !b"> hello\n> world\n".starts_with(&received) {
        return Err(format!("received {:?}", String::from_utf8_lossy(&received)));
    }
    server.close().map_err(|error| error.to_string())?;
    world.run()
}

/// The same without the mistake: what is not a whole line yet waits for its end.
#[derive(Default)]
struct WholeLines(Vec<u8>);

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

#[test]
fn without_the_mistake_every_seed_holds() {
    explore(0..500, |world| every_line_comes_back_from(world, WholeLines::default));
}

#[test]
fn the_mistake_is_found_and_needs_few_faults() {
    let explorer = Explorer::new(every_line_comes_back);
    let failure = (0..200).find_map(|seed| explorer.check(seed).err()).expect("a seed that shows it");
    assert!(failure.reason.starts_with("received"), "{failure}");
    assert!(failure.faults.len() <= 2, "{failure}");
    assert!(failure.trace.iter().any(|line| line.contains("SocketHandler::on_data")), "{failure}");
    println!("seed {}: {}", failure.seed, failure.reason);
    let again = explorer.check(failure.seed).expect_err("the same seed");
    assert_eq!((again.reason, again.faults), (failure.reason, failure.faults));
}
