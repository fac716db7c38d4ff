//! hyper's connections of servers, with the timer installed.

use crate::LoopTimer;
use hyper::server::conn::http1;
use net::async_wrap::Environment;

/// hyper's builder of HTTP/1 connections, with a [`LoopTimer`] of `env`. So the limit of hyper for the time in which a head has to
/// come, 30 s, has an effect; without a timer hyper ignores it. Change it by `header_read_timeout`. Make one builder, and serve
/// all connections by it.
///
/// ```
/// use hyper::service::service_fn;
/// use hyper::{Request, Response, body::Incoming as Body};
/// use net::ListenOptions;
/// use net::async_wrap::Environment;
/// use net::futures::Incoming;
/// use std::convert::Infallible;
/// use upcall_hyper::{Io, http1_server};
///
/// async fn hello(_: Request<Body>) -> Result<Response<String>, Infallible> {
///     Ok(Response::new("hello".into()))
/// }
///
/// let env = Environment::with_new_loop()?;
/// let mut incoming = Incoming::listen(&env, ListenOptions::addr(([127, 0, 0, 1], 0).into()))?;
/// let (server, spawner) = (http1_server(&env), env.clone());
/// env.spawn_local(async move {
///     while let Some(accepted) = incoming.next().await {
///         // An error passes, such as ENOMEM: the server tries again.
///         let Ok(socket) = accepted.inspect_err(|error| eprintln!("{error}")) else { continue };
///         // Errors are those of clients that break a connection, or a rule.
///         spawner.spawn_local(server.serve_connection(Io::new(socket), service_fn(hello)));
/// #       break;
///     }
/// });
/// # env.block_on(env.sleep(std::time::Duration::from_millis(1)))?;
/// # if false {
/// env.run_to_end()?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn http1_server(env: &Environment) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(LoopTimer::new(env));
    builder
}
