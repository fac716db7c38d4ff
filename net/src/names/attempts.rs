//! One attempt to connect to one of several addresses: a stream of its own, whose socket becomes that of the program's
//! stream if it is the first to connect.

use super::connecting::{News, tell};
use crate::state::SocketInner;
use crate::uv_core::{Error, Result};
use crate::{ConnectOptions, Socket};
use async_wrap::upcall::OnStream;
use async_wrap::{AsyncStream, Timeout};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// An attempt. Dropping it closes its stream.
pub(super) struct Attempt {
    addr: SocketAddr,
    stream: AsyncStream,
}

impl Attempt {
    /// Begins to connect. Returns the error of an attempt that fails at once.
    pub(super) fn begin(
        socket: &Socket,
        addr: SocketAddr,
        options: &ConnectOptions,
    ) -> (Self, Option<Error>) {
        let env = socket.environment();
        let _place = socket.stream().place().mark();
        env.with_default_trigger(socket.async_id(), || {
            let stream = AsyncStream::tcp(env);
            stream.set_handler(AttemptTower { socket: Rc::downgrade(&socket.0), addr });
            let failed = options.connect_tcp(&stream, addr).err();
            // An option that is refused has no target of its own.
            let failed = failed.map(|error| if error.target().is_none() { error.on(addr) } else { error });
            (Self { addr, stream }, failed)
        })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn stream(&self) -> &AsyncStream {
        &self.stream
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.stream.close();
    }
}

/// Limits the time for which the next address waits for this attempt.
pub(super) fn limit(socket: &Socket, addr: SocketAddr, after: Duration) -> Timeout {
    let (env, weak) = (socket.environment(), Rc::downgrade(&socket.0));
    let _place = socket.stream().place().mark();
    env.with_default_trigger(socket.async_id(), || {
        // A deadline: in a late loop, a connection that was established in time is found first.
        env.set_deadline(after, move |_| tell(&weak, News::TimedOut(addr)))
    })
}

/// The handler of an attempt's stream.
struct AttemptTower {
    socket: Weak<SocketInner>,
    addr: SocketAddr,
}

impl OnStream for AttemptTower {
    fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

    fn on_end(&mut self, _: &AsyncStream) {}

    fn on_error(&mut self, _: &AsyncStream, _: Error) {}

    fn on_connect(&mut self, _: &AsyncStream, result: Result<()>) {
        let addr = self.addr;
        tell(
            &self.socket,
            match result {
                Ok(()) => News::Connected(addr),
                Err(error) => News::Failed(addr, error),
            },
        );
    }
}
