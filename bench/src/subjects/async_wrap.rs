//! Streams served with `async-wrap`, with a hook that hears of everything or without.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{ACCEPT_BATCH, BACKLOG, Connection, Service};
use async_wrap::{AsyncHook, AsyncId, AsyncStream, Environment, Provider};
use tcp_wrap::{PipeWrap, TcpWrap};
use upcall::say;
use uv_core::{BindOptions, Result};

pub(crate) fn serve(options: &Options, hooks: bool) -> crate::Result<()> {
    let service = Service::of_bench(options.own_name())?;
    let env = Environment::with_new_loop()?;
    if hooks {
        env.hook(Count::default()).enable();
    }
    end_on_sigterm(env.loop_handle())?;
    if let Some(path) = &options.path {
        let pipe = PipeWrap::new(env.loop_handle());
        pipe.bind(path)?;
        listen(&AsyncStream::new(&env, (*pipe).clone(), Provider::PipeServerWrap), service)?;
        announce_path(path);
    } else {
        let tcp = TcpWrap::new(env.loop_handle());
        tcp.bind(ANYWHERE, BindOptions::default())?;
        // Connections inherit it.
        tcp.set_nodelay(true)?;
        listen(&AsyncStream::new(&env, (*tcp).clone(), Provider::TcpServerWrap), service)?;
        announce(tcp.local_addr()?);
    }
    Ok(env.run_to_end()?)
}

fn listen(server: &AsyncStream, service: Service) -> Result<()> {
    server.set_accept_batch(ACCEPT_BATCH);
    server.listen_with(BACKLOG, move |_, stream| match stream {
        Ok(stream) => {
            stream.set_handler(Connection::new(service));
            if stream.read_start().is_err() {
                stream.close();
            }
        }
        Err(error) => say::err(error),
    })
}

/// Counts, the least that a hook can do.
#[derive(Default)]
struct Count {
    made: u64,
    entered: u64,
    left: u64,
    destroyed: u64,
}

impl AsyncHook for Count {
    fn on_init(&mut self, _: AsyncId, _: Provider, _: AsyncId) {
        self.made += 1;
    }

    fn on_before(&mut self, _: AsyncId) {
        self.entered += 1;
    }

    fn on_after(&mut self, _: AsyncId) {
        self.left += 1;
    }

    fn on_destroy(&mut self, _: AsyncId) {
        self.destroyed += 1;
    }
}
