//! A reverse proxy over the whole chain, as `cargo xtask proxy` has it.

use super::Options;
use super::serving::{ANYWHERE, announce, end_on_sigterm};
use crate::Result;
use async_wrap::Environment;
use http::proxy::{Proxy, ProxyOptions};
use http::{Server, ServerOptions};
use net::ListenOptions;

/// Serves until SIGTERM, in front of the server that the options name.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let upstream = format!("http://{}", options.to()?).parse()?;
    let env = Environment::with_new_loop()?;
    end_on_sigterm(env.loop_handle())?;
    let server = Server::new(&env, ServerOptions::default())?;
    server.listen(ListenOptions::addr(ANYWHERE), Proxy::new(&env, ProxyOptions::default(), [upstream])?)?;
    announce(server.address().and_then(|address| address.as_tcp()).ok_or("no address")?);
    Ok(env.run_to_end()?)
}
