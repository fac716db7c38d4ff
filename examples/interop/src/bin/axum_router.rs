//! A router of axum on the loop: tower's services in hyper's connections, without tokio's runtime.
//!
//! ```sh
//! cargo run --bin axum_router
//! curl http://127.0.0.1:8002/slow/100
//! ```

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Router, body::Bytes};
use hyper::rt::Timer;
use net::ListenOptions;
use net::async_wrap::Environment;
use net::futures::Incoming;
use std::error::Error;
use std::time::Duration;
use upcall_hyper::{Io, LoopTimer, TowerService, http1_server};

/// axum's handlers are `Send`, and the environment is not. The timer is.
async fn slow(State(timer): State<LoopTimer>, Path(millis): Path<u64>) -> String {
    timer.sleep(Duration::from_millis(millis)).await;
    format!("after {millis} ms\n")
}

async fn echo(body: Bytes) -> Bytes {
    body
}

/// The routes, whose handlers sleep by `timer`.
pub(crate) fn router(timer: LoopTimer) -> Router {
    let hello = get(|| async { "hello\n" });
    Router::new()
        .route("/", hello)
        .route("/echo", post(echo))
        .route("/slow/{millis}", get(slow))
        .with_state(timer)
}

/// Serves until the server beneath `incoming` is closed.
pub(crate) async fn serve(env: Environment, mut incoming: Incoming, router: Router) {
    let (server, service) = (http1_server(&env), TowerService::new(router));
    while let Some(accepted) = incoming.next().await {
        // An error passes, such as ENOMEM: the server tries again.
        let Ok(socket) = accepted.inspect_err(|error| eprintln!("{error}")) else { continue };
        let connection = server.serve_connection(Io::new(socket), service.clone());
        // Its errors are those of clients that leave, or break a rule.
        env.spawn_local(connection).detach();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let env = Environment::with_new_loop()?;
    let incoming = Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 8002).into()))?;
    println!("http://127.0.0.1:8002/");
    env.spawn_local(serve(env.clone(), incoming, router(LoopTimer::new(&env))));
    env.run_to_end()?;
    Ok(())
}
