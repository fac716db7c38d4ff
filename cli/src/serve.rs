//! `cargo xtask serve`: the main job, an HTTP server over the whole chain.

use crate::args::{Result, ServeOptions};
use crate::service::{self, Listening, Place, Service};
use crate::trace::live;
use app::{App, Site};
use async_wrap::Environment;
use http::files::Files;

/// Serves until a signal says otherwise, and then until everything is answered.
///
/// # Errors
/// What kept it from listening.
pub fn run(options: &ServeOptions) -> Result<()> {
    service::run(options)
}

impl Service for ServeOptions {
    fn place(&self) -> Place {
        Place { addr: self.addr, workers: self.workers, policy: self.policy }
    }

    fn about(&self) -> String {
        self.root.as_ref().map(|root| format!(", the files of {}", root.display())).unwrap_or_default()
    }

    fn check(&self, env: &Environment) -> Result<()> {
        files(env, self).map(drop)
    }

    fn listen(&self, env: &Environment, listening: Listening<'_>) -> Result<()> {
        let app = App::default().with_chain(self.offers_chain().then_some(live::answer));
        match files(env, self)? {
            Some(files) => listening.with(Site::new(app, files)),
            None => listening.with(app),
        }
    }
}

/// The files of `--root`.
fn files(env: &Environment, options: &ServeOptions) -> Result<Option<Files>> {
    let root = options.root.as_deref();
    Ok(root.map(|root| Files::open(env, root)).transpose()?)
}
