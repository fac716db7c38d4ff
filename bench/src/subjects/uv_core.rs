//! Streams served with `uv-core` alone.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{ACCEPT_BATCH, BACKLOG, Connection, Service};
use upcall::say;
use uv_core::{BindOptions, Loop, Pipe, Result, RunMode, Stream, Tcp};

pub(crate) fn serve(options: &Options) -> crate::Result<()> {
    let service = Service::of_bench(options.own_name())?;
    let event_loop = Loop::new()?;
    end_on_sigterm(&event_loop)?;
    if let Some(path) = &options.path {
        let server = Pipe::new(&event_loop);
        server.bind(path)?;
        listen(&server, service)?;
        announce_path(path);
    } else {
        let server = Tcp::new(&event_loop);
        server.bind(ANYWHERE, BindOptions::default())?;
        // Connections inherit it.
        server.set_nodelay(true)?;
        listen(&server, service)?;
        announce(server.local_addr()?);
    }
    event_loop.run(RunMode::Default)?;
    Ok(())
}

fn listen(server: &Stream, service: Service) -> Result<()> {
    server.set_accept_batch(ACCEPT_BATCH);
    server.listen_with(BACKLOG, move |listener, status| match status.and_then(|()| listener.accept()) {
        Ok(stream) => {
            stream.set_upcall(Connection::new(service));
            if stream.read_start().is_err() {
                stream.close();
            }
        }
        Err(error) => say::err(error),
    })
}
