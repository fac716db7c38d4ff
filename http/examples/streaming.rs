//! A body without a length, written at the pace of the client: a thousand lines, and one from a timer.
//!
//! `cargo run -p upcall-http --example streaming`, then `curl http://127.0.0.1:8000/`.

use http::async_wrap::Environment;
use http::net::ListenOptions;
use http::upcall::ResponseHandler;
use http::{Response, Result, Server, ServerOptions};
use std::time::Duration;

/// Counts to a thousand, and says goodbye later.
struct Count {
    next: u32,
}

impl Count {
    fn write_on(&mut self, response: &Response) -> Result<()> {
        while self.next <= 1000 {
            let line = format!("{}\n", self.next);
            self.next += 1;
            if !response.write(line.as_bytes())? {
                // Enough is queued; `on_drain` comes when it has left.
                return Ok(());
            }
        }
        // A response is a handle: it may be carried anywhere on its thread and ended there.
        let response = response.clone();
        let env = response.environment().clone();
        env.set_timeout(Duration::from_millis(50), move || drop(response.end(b"goodbye\n")));
        Ok(())
    }
}

impl ResponseHandler for Count {
    fn on_drain(&mut self, response: &Response) {
        let _ = self.write_on(response);
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen_with(ListenOptions::addr(address.parse()?), |_, response| {
        let mut count = Count { next: 1 };
        // An error means that the client has closed the connection.
        if count.write_on(&response).is_ok() {
            response.set_handler(count);
        }
    })?;
    println!("listening on http://{}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
