//! An async hook that shows how a TCP connection of this program to itself runs: which resource triggers which, and
//! when callbacks are called. Run it with `cargo run -p upcall-async-wrap --example hooks`.

use async_wrap::tcp_wrap::TcpWrap;
use async_wrap::upcall::OnStream;
use async_wrap::uv_core::{BindOptions, Error, Loop, Result, RunMode};
use async_wrap::{AsyncHook, AsyncId, AsyncStream, Environment, Provider};

/// Prints every event, indented by the depth of nested callbacks.
#[derive(Default)]
struct Printer {
    depth: usize,
}

impl AsyncHook for Printer {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        println!("{:indent$}{provider} {id} was made; trigger: {trigger}", "", indent = self.depth);
    }

    fn on_before(&mut self, id: AsyncId) {
        println!("{:indent$}before {id}", "", indent = self.depth);
        self.depth += 2;
    }

    fn on_after(&mut self, id: AsyncId) {
        self.depth -= 2;
        println!("{:indent$}after {id}", "", indent = self.depth);
    }

    fn on_destroy(&mut self, id: AsyncId) {
        println!("{:indent$}destroyed {id}", "", indent = self.depth);
    }
}

/// Both ends of the connection: the client sends a greeting, the server sends it back, and both finish.
struct Talk {
    is_server: bool,
}

impl Talk {
    fn answer(&self, stream: &AsyncStream, data: &[u8]) -> Result<()> {
        if self.is_server {
            let _ = stream.write(data)?;
        }
        stream.shutdown()
    }
}

impl OnStream for Talk {
    fn on_connect(&mut self, stream: &AsyncStream, result: Result<()>) {
        if result.and_then(|()| stream.read_start()).is_err() || stream.write(b"hello").is_err() {
            stream.close();
        }
    }

    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]) {
        println!("  read {:?}", String::from_utf8_lossy(data));
        stream.environment().next_tick(|| println!("  a tick, after the callback that queued it"));
        if self.answer(stream, data).is_err() {
            stream.close();
        }
    }

    fn on_end(&mut self, stream: &AsyncStream) {
        stream.close();
    }

    fn on_error(&mut self, stream: &AsyncStream, error: Error) {
        println!("  {error}");
        stream.close();
    }
}

fn main() -> Result<()> {
    let event_loop = Loop::new()?;
    let env = Environment::new(&event_loop);
    env.hook(Printer::default()).enable();

    let tcp = TcpWrap::new(&event_loop);
    tcp.bind(([127, 0, 0, 1], 0).into(), BindOptions::default())?;
    let server = AsyncStream::new(&env, (*tcp).clone(), Provider::TcpServerWrap);
    server.listen_with(16, |server, connection| {
        if let Ok(stream) = connection {
            stream.set_handler(Talk { is_server: true });
            if stream.read_start().is_err() {
                stream.close();
            }
        }
        server.close();
    })?;

    let client = AsyncStream::tcp(&env);
    client.set_handler(Talk { is_server: false });
    client.connect_tcp(tcp.local_addr()?)?;

    env.run(RunMode::Default)?;
    println!("No handle is alive.");
    Ok(())
}
