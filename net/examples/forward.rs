//! Forwards a port to a host: each client gets a connection of its own to the host, whose addresses are tried until one connects.
//!
//! `cargo run -p upcall-net --example forward -- 127.0.0.1:7000 example.org 80`; without a host it forwards to an echo server of
//! its own.

use net::async_wrap::Environment;
use net::upcall::SocketHandler;
use net::{ConnectOptions, Error, ListenOptions, Server, ServerOptions, Socket};

/// One side of a pair: what it receives is for the other one.
struct Side {
    other: Socket,
}

impl SocketHandler for Side {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // An error means that the other side is closed, which closes this one.
        if let Ok(false) = self.other.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, _: &Socket) {
        self.other.resume();
    }

    // The other direction goes on, since both sides allow it: a client that has said everything still gets its answer.
    fn on_end(&mut self, _: &Socket) {
        self.other.end();
    }

    fn on_error(&mut self, _: &Socket, error: Error) {
        println!("{error}");
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.other.destroy_soon();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:7000".into());
    let env = Environment::with_new_loop()?;
    let (host, port) = match (args.next(), args.next()) {
        (Some(host), Some(port)) => (host, port.parse()?),
        _ => ("localhost".to_owned(), own_server(&env)?),
    };
    let server = Server::new(&env, ServerOptions::default().allow_half_open(true));
    server.listen_with(ListenOptions::addr(address.parse()?), move |server, client| {
        let options = ConnectOptions::host(host.as_str(), port).allow_half_open(true);
        match Socket::connect(server.environment(), options, Side { other: client.clone() }) {
            // What the client says before this is connected is queued.
            Ok(other) => client.set_handler(Side { other }),
            Err(error) => {
                println!("{error}");
                client.destroy();
            }
        }
    })?;
    println!("listening on {}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}

/// An echo server: each of its sockets is its own other side.
fn own_server(env: &Environment) -> Result<u16, Box<dyn std::error::Error>> {
    let server = Server::new(env, ServerOptions::default().allow_half_open(true));
    server.listen_with(ListenOptions::host("127.0.0.1", 0), |_, socket| {
        socket.set_handler(Side { other: socket.clone() });
    })?;
    Ok(server.address().and_then(|address| address.port()).ok_or("no port")?)
}
