//! An echo server that stops reading from a client who does not read.
//!
//! `cargo run -p upcall-net --example echo`, then `nc 127.0.0.1 7000`.

use net::async_wrap::Environment;
use net::upcall::SocketHandler;
use net::{ListenOptions, Server, ServerOptions, Socket};

struct Echo;

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        // `false` means that the peer reads too slowly: a pause bounds the queue, and `on_drain` ends it.
        if let Ok(false) = socket.write(data) {
            socket.pause();
        }
    }

    fn on_drain(&mut self, socket: &Socket) {
        socket.resume();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default());
    server.listen_with(ListenOptions::addr(address.parse()?), |_, socket| {
        socket.set_handler(Echo);
    })?;
    println!("listening on {}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
