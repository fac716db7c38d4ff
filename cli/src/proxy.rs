//! `cargo xtask proxy`: a reverse proxy over server, client and Agent, in one process or in a cluster.

use crate::args::{ProxyOptions, Result};
use crate::service::{self, Listening, Place, Service};
use async_wrap::Environment;
use http::proxy::Proxy;
use std::time::Duration;

/// Serves until a signal says otherwise, and then until everything is answered.
///
/// # Errors
/// What kept it from listening.
pub fn run(options: &ProxyOptions) -> Result<()> {
    service::run(options)
}

impl Service for ProxyOptions {
    fn place(&self) -> Place {
        Place { addr: self.addr, workers: self.workers, policy: self.policy }
    }

    fn about(&self) -> String {
        let urls = self.to.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!(", for {}", urls.join(" and "))
    }

    fn check(&self, _: &Environment) -> Result<()> {
        Ok(())
    }

    fn listen(&self, env: &Environment, listening: Listening<'_>) -> Result<()> {
        let options = http::proxy::ProxyOptions::default();
        let limits = options.time_limits.head(Duration::from_secs(self.timeout));
        let options =
            options.trust_clients(self.trust_clients).pass_host(!self.replace_host).time_limits(limits);
        listening.with(Proxy::new(env, options, self.to.clone())?)
    }
}
