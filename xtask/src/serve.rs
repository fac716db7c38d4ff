//! `cargo xtask serve`: the main job, an HTTP server over the whole chain.

use crate::app::App;
use crate::args::{Result, ServeOptions};
use async_wrap::{Environment, Loop, RunMode};
use http::{ListenOptions, Server, ServerOptions};
use std::time::Duration;
use uv_core::Signal;

/// How long requests may take to end after a signal.
const GRACE: Duration = Duration::from_secs(10);

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Serves until a signal says otherwise, and then until everything is answered.
///
/// # Errors
/// What kept it from listening.
pub fn run(options: &ServeOptions) -> Result<()> {
    let lp = Loop::new()?;
    let env = Environment::new(&lp);
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen(ListenOptions::addr(options.addr), App)?;
    let address = server.address().map_or_else(|| options.addr.to_string(), |address| address.to_string());
    println!("listening on http://{address} in one process");
    println!("try: curl http://{address}/");
    drain_on_signals(&env, &server)?;
    env.run(RunMode::Default)?;
    Ok(())
}

/// The first signal drains, a second one ends at once.
fn drain_on_signals(env: &Environment, server: &Server) -> Result<()> {
    for signum in [SIGINT, SIGTERM] {
        let signal = Signal::new(env.loop_handle());
        let server = server.clone();
        signal.start(signum, move |_: &Signal, _: i32| {
            if server.shutdown(GRACE).is_err() {
                server.close_all_connections();
            }
        })?;
        signal.unref();
    }
    Ok(())
}
