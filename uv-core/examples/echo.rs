//! An echo server: what a connection sends comes back to it.
//!
//! `cargo run -p upcall-uv-core --example echo`, then `nc 127.0.0.1 7000`. With `--once` it serves one connection, its own.

use std::net::SocketAddr;
use uv_core::Stream;
use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Error, Loop, Result, RunMode, Tcp};

/// Bytes that may wait for a client that does not read what it is sent.
const PATIENCE: usize = 64 * 1024;

/// The tower of one connection: all that stands above it.
struct Echo;

impl StreamUpcall for Echo {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        if stream.write(data.to_vec()).is_err() {
            stream.close();
        } else if stream.write_queue_size() > PATIENCE {
            // What the client sends now waits in the kernel, and after a while with the client.
            stream.read_stop();
        }
    }

    fn on_write(&mut self, stream: &Stream, _: Result<()>) {
        // `EALREADY` while reading; a closing connection refuses too.
        if stream.write_queue_size() == 0 {
            let _ = stream.read_start();
        }
    }

    fn on_end(&mut self, stream: &Stream) {
        // Everything that was echoed is sent before the FIN, and then the connection is done.
        if stream.shutdown().is_err() {
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

fn main() -> Result<()> {
    env_logger::init();
    let once = std::env::args().any(|arg| arg == "--once");
    let event_loop = Loop::new()?;
    let server = Tcp::new(&event_loop);
    server.bind(SocketAddr::from(([127, 0, 0, 1], if once { 0 } else { 7000 })), BindOptions::default())?;
    let listener = server.clone();
    server.listen_with(128, move |_, status| {
        let Ok(connection) = status.and_then(|()| listener.accept()) else { return };
        connection.set_upcall(Echo);
        if connection.read_start().is_err() {
            connection.close();
        }
        if once {
            listener.close();
        }
    })?;
    let addr = server.local_addr()?;
    println!("echoing on {addr}");
    if once {
        Client::connect(&event_loop, addr)?;
    }
    event_loop.run(RunMode::Default)?;
    event_loop.close()
}

/// Says hello and prints what comes back.
struct Client;

impl Client {
    fn connect(event_loop: &Loop, addr: SocketAddr) -> Result<()> {
        let connection = Tcp::new(event_loop);
        connection.set_upcall(Self);
        connection.connect(addr)
    }
}

impl StreamUpcall for Client {
    fn on_connect(&mut self, stream: &Stream, result: Result<()>) {
        let greeted = result
            .and_then(|()| stream.write("hello, echo\n"))
            .and_then(|()| stream.shutdown())
            .and_then(|()| stream.read_start());
        if let Err(error) = greeted {
            println!("{error}");
            stream.close();
        }
    }

    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        print!("{}", String::from_utf8_lossy(data));
    }

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, error: Error) {
        println!("{error}");
        stream.close();
    }
}
