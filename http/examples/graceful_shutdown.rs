//! A server that answers what was asked before it ends.
//!
//! `cargo run -p upcall-http --example graceful_shutdown`, then `curl http://127.0.0.1:8000/` and, within the second that
//! the answer takes, Ctrl-C or SIGTERM: curl has its answer, and the program ends with 0.

use http::async_wrap::Environment;
use http::net::ListenOptions;
use http::uv_core::Signal;
use http::{Server, ServerOptions};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let env = Environment::with_new_loop()?;
    let server = Server::new(&env, ServerOptions::default())?;
    let timers = env.clone();
    server.listen_with(ListenOptions::addr(address.parse()?), move |request, response| {
        println!("asked for {}", request.path());
        timers.set_timeout(Duration::from_secs(1), move || drop(response.end(b"hello\n")));
    })?;
    for signum in [Signal::SIGINT, Signal::SIGTERM] {
        let (signal, server) = (Signal::new(env.loop_handle()), server.clone());
        // An idle watcher of signals does not keep the loop alive.
        signal.unref();
        signal.start(signum, move |_, _| {
            // No further connections, and ten seconds for the answers that are due.
            let _ = server.shutdown(Duration::from_secs(10));
        })?;
    }
    // Only now: a signal that follows this line is watched.
    println!("listening on http://{}", server.address().ok_or("no address")?);
    env.run_to_end()?;
    println!("everything is answered");
    Ok(())
}
