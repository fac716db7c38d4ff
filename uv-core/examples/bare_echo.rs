//! An echo server on the bare loop: it sends back what a connection sends.
//!
//! `cargo run -p upcall-uv-core --example bare_echo`, then `nc 127.0.0.1 7000`.

use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Error, Loop, Result, RunMode, Stream, Tcp};

/// The bytes that wait for a slow client before the server stops reading from it.
const PATIENCE: usize = 64 * 1024;

/// The tower of one connection.
struct Echo;

impl StreamUpcall for Echo {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        if stream.write(data.to_vec()).is_err() {
            stream.close();
        } else if stream.write_queue_size() > PATIENCE {
            // Further input stays in the kernel, whose window then makes the client wait.
            stream.read_stop();
        }
    }

    fn on_write(&mut self, stream: &Stream, _: Result<()>) {
        // It fails with `EALREADY` while the stream is reading, and on a closing connection.
        if stream.write_queue_size() == 0 {
            let _ = stream.read_start();
        }
    }

    fn on_end(&mut self, stream: &Stream) {
        // All output is sent before the FIN.
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

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let event_loop = Loop::new()?;
    let server = Tcp::new(&event_loop);
    server.bind(address.parse()?, BindOptions::default())?;
    server.listen_with(128, |listener, status| {
        let Ok(connection) = status.and_then(|()| listener.accept()) else { return };
        connection.set_upcall(Echo);
        if connection.read_start().is_err() {
            connection.close();
        }
    })?;
    println!("listening on {}", server.local_addr()?);
    event_loop.run(RunMode::Default)?;
    Ok(())
}
