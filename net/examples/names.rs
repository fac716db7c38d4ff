//! Connects to a host by name and shows which of its addresses are tried.
//!
//! `cargo run -p upcall-net --example names -- example.org 80`; without arguments it talks to a server of its own.

use net::async_wrap::Environment;
use net::upcall::SocketHandler;
use net::{ConnectOptions, Error, ListenOptions, Server, ServerOptions, Socket};
use std::net::SocketAddr;

struct Show;

impl SocketHandler for Show {
    fn on_lookup(&mut self, _: &Socket, host: &str, found: Result<&[SocketAddr], &Error>) {
        println!("{host}: {found:?}");
    }

    fn on_connection_attempt(&mut self, _: &Socket, addr: SocketAddr) {
        println!("trying {addr}");
    }

    fn on_connection_attempt_failed(&mut self, _: &Socket, _: SocketAddr, error: &Error) {
        println!("{error}");
    }

    fn on_connection_attempt_timeout(&mut self, _: &Socket, addr: SocketAddr) {
        println!("{addr} is slow");
    }

    fn on_connect(&mut self, socket: &Socket) {
        println!("connected to {:?}", socket.remote_address());
        socket.destroy();
    }

    fn on_data(&mut self, _: &Socket, _: &[u8]) {}

    fn on_error(&mut self, _: &Socket, error: Error) {
        println!("{error}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env = Environment::with_new_loop()?;
    let mut args = std::env::args().skip(1);
    let host = args.next().unwrap_or_else(|| "localhost".to_owned());
    let port = match args.next() {
        Some(port) => port.parse()?,
        None => own_server(&env)?,
    };
    Socket::connect(&env, ConnectOptions::host(host, port), Show)?;
    env.run_to_end()?;
    Ok(())
}

/// A server for one client.
fn own_server(env: &Environment) -> Result<u16, Box<dyn std::error::Error>> {
    let server = Server::new(env, ServerOptions::default());
    server.listen_with(ListenOptions::port(0), |server, socket| {
        socket.destroy();
        // Fails for a second client.
        let _ = server.close();
    })?;
    Ok(server.address().and_then(|address| address.port()).ok_or("no port")?)
}
