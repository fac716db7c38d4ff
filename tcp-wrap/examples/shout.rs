//! A server that sends its input back in capitals.
//!
//! `cargo run -p upcall-tcp-wrap --example shout`, then `nc 127.0.0.1 7000`.

use tcp_wrap::upcall::OnStream;
use tcp_wrap::uv_core::{BindOptions, Error, Loop, Result, RunMode};
use tcp_wrap::{StreamWrap, TcpWrap};

struct Shout;

impl OnStream for Shout {
    fn on_read(&mut self, stream: &StreamWrap, data: &[u8]) {
        // The result says how much the kernel took; `on_write` is called only if a rest is queued.
        if stream.write(&data.to_ascii_uppercase()).is_err() {
            stream.close();
        }
    }

    fn on_end(&mut self, stream: &StreamWrap) {
        stream.close();
    }

    fn on_error(&mut self, stream: &StreamWrap, _: Error) {
        stream.close();
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7000".into());
    let event_loop = Loop::new()?;
    let server = TcpWrap::new(&event_loop);
    server.bind(address.parse()?, BindOptions::default())?;
    server.listen(511, |_: &StreamWrap, connection: Result<StreamWrap>| {
        let Ok(connection) = connection else { return };
        connection.set_handler(Shout);
        if connection.read_start().is_err() {
            connection.close();
        }
    })?;
    println!("listening on {}", server.local_addr()?);
    event_loop.run(RunMode::Default)?;
    Ok(())
}
