//! A server that says hello.
//!
//! `cargo run -p upcall-http --example hello`, then `curl http://127.0.0.1:8000/`.

use http::async_wrap::Environment;
use http::net::ListenOptions;
use http::{Server, ServerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen_with(ListenOptions::addr(address.parse()?), |request, response| {
        // An error means that the client has closed the connection.
        let _ = match request.path() {
            "/" => response.end(b"hello\n"),
            _ => response.set_status(404).and_then(|response| response.end(b"not found\n")),
        };
    })?;
    println!("listening on http://{}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
