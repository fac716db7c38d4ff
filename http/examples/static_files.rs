//! A server of the files beneath a folder, the current one unless another is named.
//!
//! `cargo run -p upcall-http --example static_files`, then `curl http://127.0.0.1:8000/README.md`.

use http::async_wrap::Environment;
use http::files::Files;
use http::net::ListenOptions;
use http::{Server, ServerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let address = words.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let root = words.next().unwrap_or_else(|| ".".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen(ListenOptions::addr(address.parse()?), Files::open(&env, root)?)?;
    println!("listening on http://{}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    Ok(())
}
