//! Streams served with the futures of `net`: a task for each connection.

use super::options::Options;
use super::serving::{ANYWHERE, announce, announce_path, end_on_sigterm};
use super::streams::{Service, WRITE, WRITES};
use crate::Result;
use async_wrap::Environment;
use futures_io::{AsyncRead, AsyncWrite};
use net::futures::{AsyncSocket, Incoming};
use net::{ListenOptions, Server, ServerOptions};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What is asked for by a read: a message of the largest echo fits.
const READ_BUFFER: usize = 64 * 1024;

thread_local! {
    /// The buffer of all connections, so that a connection that waits has none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
}

pub(crate) fn serve(options: &Options) -> Result<()> {
    let service = Service::of_bench(options.own_name())?;
    let env = Environment::with_new_loop()?;
    end_on_sigterm(env.loop_handle())?;
    let server = Server::new(&env, ServerOptions::default().no_delay(true).allow_half_open(true));
    let target = match &options.path {
        Some(path) => ListenOptions::path(path),
        None => ListenOptions::addr(ANYWHERE),
    };
    let mut incoming = Incoming::of(server, target)?;
    match &options.path {
        Some(path) => announce_path(path),
        None => announce(incoming.address().and_then(|address| address.as_tcp()).ok_or("no address")?),
    }
    let spawner = (*env).clone();
    env.spawn_detached(async move {
        while let Some(accepted) = incoming.next().await {
            let Ok(socket) = accepted else { continue };
            // The failure of a connection is its end.
            spawner.spawn_detached(async move { drop(serve_one(socket, service).await) });
        }
    });
    Ok(env.run_to_end()?)
}

async fn serve_one(mut socket: AsyncSocket, service: Service) -> io::Result<()> {
    while let Some(rest) = poll_fn(|context| poll_serve(&mut socket, service, context)).await? {
        if service == Service::Writes {
            for _ in 0..rest.len() * WRITES {
                socket.write_all(WRITE).await?;
            }
        } else if !rest.is_empty() {
            socket.write_all(&rest).await?;
        }
    }
    Ok(())
}

/// Reads, and for an echo writes at once what the socket takes. Returns what is left, in a vector of its own; `None` is the end.
fn poll_serve(
    socket: &mut AsyncSocket,
    service: Service,
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let count = ready!(Pin::new(&mut *socket).poll_read(context, buffer))?;
        let done = match service {
            _ if count == 0 => return Poll::Ready(Ok(None)),
            Service::Sink => count,
            Service::Writes => 0,
            Service::Echo => match Pin::new(socket).poll_write(context, &buffer[..count]) {
                Poll::Ready(written) => written?,
                Poll::Pending => 0,
            },
        };
        Poll::Ready(Ok(Some(buffer[done..count].to_vec())))
    })
}
