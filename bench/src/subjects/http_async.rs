//! HTTP over the whole chain, with an async function as its handler: the page of `cargo xtask serve`, routed in the same way.

use super::serving::{ANYWHERE, announce, end_on_sigterm};
use crate::Result;
use async_wrap::Environment;
use http::serve::OwnedRequest;
use http::{Response, Server, ServerOptions};
use net::ListenOptions;

/// Serves until SIGTERM.
pub(crate) fn serve() -> Result<()> {
    let env = Environment::with_new_loop()?;
    end_on_sigterm(env.loop_handle())?;
    let server = Server::new(&env, ServerOptions::default())?;
    server.serve(ListenOptions::addr(ANYWHERE), route)?;
    announce(server.address().and_then(|address| address.as_tcp()).ok_or("no address")?);
    Ok(env.run_to_end()?)
}

async fn route(request: OwnedRequest, response: Response) -> Result<()> {
    match (request.path(), request.method()) {
        ("/", "GET" | "HEAD") => response.set_header("Content-Type", "text/plain")?.end(b"hello")?,
        ("/", _) => response.set_status(405)?.set_header("Allow", "GET, HEAD")?.end(b"")?,
        _ => response.set_status(404)?.end(b"not found\n")?,
    }
    Ok(())
}
