//! Sources of listening handles: a socket of this process, or any other implementation of the trait.
//!
//! Mirrors the branch in Node's `listenInCluster`: a primary or a standalone process goes through `createServerHandle`,
//! a worker through `cluster._getServer`, and both return a handle with the same few methods.

use crate::{Address, Result};
use async_wrap::{AsyncId, AsyncStream, Environment, Provider};

pub use crate::acceptor::Acceptor;
pub use crate::query::{Bound, ListenQuery, ListenTarget};

/// A source's later answer. The loop calls it, at most once.
///
/// It owns the server's handler. If the source drops it, the handler is dropped without a call, and the server may
/// listen again. So keep it where the end of the loop drops it, for example in the tower of the stream that brings the
/// answer.
/// answer.
pub type ListenReply = Box<dyn FnOnce(Result<Box<dyn ListenHandle>>)>;

/// A source of listening handles.
pub trait ListenSource {
    /// Returns a handle for `query`, or `None` to answer later through `reply`.
    ///
    /// # Errors
    /// Errors that are known immediately; `reply` is never called then.
    fn get_handle(
        &self,
        env: &Environment,
        query: ListenQuery,
        reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>>;
}

/// The connections that wait behind a listening handle whose server is about to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenQueue {
    /// No connection waits.
    Nothing,
    /// They wait in the kernel: [`ListenHandle::drain`] is called once handshakes in progress have had their time.
    InKernel,
    /// Another process was asked for its waiting connections. [`Acceptor::queue_taken`] follows when all of them have
    /// been passed on.
    Elsewhere,
}

/// A handle that can listen: a socket, or a stand-in for a socket in another process. Dropping it without
/// [`close`](Self::close) closes it.
pub trait ListenHandle {
    /// Starts listening. Connections are passed to `acceptor`, each inside a callback scope, never inside this call.
    /// The acceptor sets the options of each connection unless [`Acceptor::prepare_listener`] or
    /// [`Acceptor::expect_prepared`] was called.
    ///
    /// # Errors
    /// Any error of the system calls, such as `EADDRINUSE`.
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()>;

    /// The address on which it listens.
    fn address(&self) -> Option<Address>;

    /// Stops listening. The loop drops the acceptor soon afterwards.
    fn close(&self);

    /// Takes up to `connections` waiting connections, because the server is about to close. Default:
    /// [`ListenQueue::Nothing`].
    fn take_queue(&self, connections: u32) -> ListenQueue {
        let _ = connections;
        ListenQueue::Nothing
    }

    /// Accepts all connections that wait in the kernel, and then calls [`Acceptor::queue_taken`], which a stream that
    /// listens with the acceptor does by itself (`on_drained`). Returns whether it does; otherwise the server closes now.
    /// Default: `false`.
    fn drain(&self) -> bool {
        false
    }

    /// Stops accepting, or goes on: connections wait meanwhile. A distributor of connections needs no more than the default,
    /// which does nothing: [`Acceptor::room`] returns 0, and [`has_room`](Self::has_room) is called afterwards.
    fn set_accepting(&self, on: bool) {
        let _ = on;
    }

    /// Keeps the loop alive while the handle listens.
    fn ref_(&self);

    /// Lets the loop end while the handle listens.
    fn unref(&self);

    /// The id of its async context, which is also the server's for hooks. `None` for a handle without a context: the
    /// server then gets an id of its own.
    fn async_id(&self) -> Option<AsyncId> {
        None
    }

    /// There may be room again for connections that [`Acceptor::room`] has refused: a connection has closed, or the
    /// limit was raised.
    fn has_room(&self) {}
}

/// The source of sockets of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainSource;

impl ListenSource for PlainSource {
    fn get_handle(
        &self,
        env: &Environment,
        query: ListenQuery,
        _reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>> {
        Ok(Some(Box::new(PlainHandle::new(env, query.bind(env.loop_handle())?))))
    }
}

/// A socket of this process. Dropping it closes it.
pub(crate) struct PlainHandle {
    stream: AsyncStream,
    bound: Bound,
}

impl PlainHandle {
    pub(crate) fn new(env: &Environment, bound: Bound) -> Self {
        let is_tcp = bound.stream().is_tcp();
        let provider = if is_tcp { Provider::TcpServerWrap } else { Provider::PipeServerWrap };
        Self { stream: AsyncStream::new(env, bound.stream().clone(), provider), bound }
    }
}

impl Drop for PlainHandle {
    fn drop(&mut self) {
        self.stream.close();
    }
}

impl ListenHandle for PlainHandle {
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()> {
        acceptor.expect_prepared();
        self.stream.set_accept_batch(acceptor.accept_batch());
        Ok(self.stream.listen(backlog, acceptor).map_err(|error| error.on(self.bound.asked()))?)
    }

    fn address(&self) -> Option<Address> {
        Address::local(&self.stream)
    }

    fn take_queue(&self, connections: u32) -> ListenQueue {
        self.stream.set_accept_batch(connections);
        if !self.bound.is_adopted() {
            // Without this connections may complete until the close, and the last ones are reset.
            let _ = self.stream.stop_handshakes();
        }
        ListenQueue::InKernel
    }

    fn drain(&self) -> bool {
        self.stream.drain().is_ok()
    }

    fn set_accepting(&self, on: bool) {
        self.stream.set_accepting(on);
    }

    fn close(&self) {
        self.stream.close();
    }

    fn async_id(&self) -> Option<AsyncId> {
        Some(self.stream.async_id())
    }

    fn ref_(&self) {
        self.stream.ref_();
    }

    fn unref(&self) {
        self.stream.unref();
    }
}
