//! A server that sends lines back. Its mistake: it takes what one read brings for whole lines.
#![cfg(upcall_faults)]
use net::{ListenOptions, Server, ServerOptions, Socket, upcall::SocketHandler};

struct Lines;

impl SocketHandler for Lines {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            let _ = socket.write(&[b"> ", line].concat()); // Fails if the client has closed.
        }
    }
}

#[test]
fn every_line_comes_back() {
    testing::explore(0..1000, |world| {
        let Ok(env) = world.environment("server") else { return Ok(()) }; // Refused by a fault.
        let (server, path) = (Server::new(&env, ServerOptions::default()), world.path());
        let listening = server.listen_with(ListenOptions::path(&path), |_, socket| socket.set_handler(Lines));
        let Ok(()) = listening else { return Ok(()) };
        let client = world.peer(&path).map_err(|error| error.to_string())?;
        client.send("hello\nworld\n");
        client.finish();
        world.run_until(|| client.is_ended())?;
        let received = String::from_utf8_lossy(&client.received()).into_owned();
        assert!("> hello\n> world\n".starts_with(&received), "received {received:?}");
        server.close().map_err(|error| error.to_string())
    });
}
