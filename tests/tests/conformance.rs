//! The application of `upcall serve` passes the whole conformance suite, and ends when it is told to.

use async_wrap::Environment;
use http::{Server, ServerOptions};
use net::ListenOptions;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use upcall::app::App;
use uv_core::threads::AsyncSender;
use uv_core::{Async, Loop, RunMode};

/// How long connections that the suite left open may stay after the end.
const GRACE: Duration = Duration::from_millis(100);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[test]
fn the_server_conforms() -> Outcome<()> {
    run(ServerOptions::default())
}

#[test]
fn the_server_conforms_on_the_slow_path() -> Outcome<()> {
    run(ServerOptions::default().slow_path_only(true))
}

fn run(options: ServerOptions) -> Outcome<()> {
    let (started, start) = mpsc::channel();
    let server = thread::spawn(move || serve(&started, options));
    let (address, stop) = start.recv()?;
    let report =
        tests::conformance::run_all(address, Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/conformance")));
    stop.send();
    let is_alive = server.join().map_err(|_| "the server panicked")??;
    let report = report?;
    assert!(report.is_clean(), "{report}");
    assert!(!is_alive, "the loop ended with something alive");
    Ok(())
}

/// Serves on a loop of its own until told to stop. Returns whether anything was left alive.
fn serve(started: &mpsc::Sender<(SocketAddr, AsyncSender)>, options: ServerOptions) -> Outcome<bool> {
    let event_loop = Loop::new()?;
    let env = Environment::new(&event_loop);
    let server = Server::new(&env, options)?;
    server.listen(ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0))), App::default())?;
    let address = server.address().and_then(|address| address.as_tcp()).ok_or("the server has no address")?;
    let stop = Async::new(&event_loop, move |stop: &Async| {
        // Refused only if it was told so before.
        let _ = server.shutdown(GRACE);
        stop.close();
    });
    started.send((address, stop.sender()))?;
    Ok(env.run(RunMode::Default)?)
}
