//! Streams served with `tcp-wrap`.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{ACCEPT_BATCH, BACKLOG, Connection, Service};
use tcp_wrap::{PipeWrap, StreamWrap, TcpWrap};
use upcall::say;
use uv_core::{BindOptions, Loop, Result, RunMode};

pub(crate) fn serve(options: &Options) -> crate::Result<()> {
    let service = Service::of_bench(options.own_name())?;
    let event_loop = Loop::new()?;
    end_on_sigterm(&event_loop)?;
    if let Some(path) = &options.path {
        let server = PipeWrap::new(&event_loop);
        server.bind(path)?;
        listen(&server, service)?;
        announce_path(path);
    } else {
        let server = TcpWrap::new(&event_loop);
        server.bind(ANYWHERE, BindOptions::default())?;
        // Connections inherit it.
        server.set_nodelay(true)?;
        listen(&server, service)?;
        announce(server.local_addr()?);
    }
    event_loop.run(RunMode::Default)?;
    Ok(())
}

fn listen(server: &StreamWrap, service: Service) -> Result<()> {
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
