//! Where a listening handle comes from: a socket of one's own, or whatever else implements the trait.
//!
//! Mirrors the seam in Node's `listenInCluster`: a primary or a lone process goes through `createServerHandle`, a
//! worker through `cluster._getServer`, and both end in a handle with the same few methods.

use crate::{Address, Result};
use async_wrap::{AsyncId, AsyncStream, Environment, Provider};

pub use crate::listening::Acceptor;
pub use crate::query::{Bound, ListenQuery, ListenTarget};

/// How a source answers later. Called from the loop, at most once.
///
/// It owns the server's handler. A source that drops it refuses without a word: the handler is dropped, and the server
/// may listen again. So it belongs where the end of the loop drops it, such as in the tower of whatever brings the
/// answer.
pub type ListenReply = Box<dyn FnOnce(Result<Box<dyn ListenHandle>>)>;

/// Something that can be asked for listening handles.
pub trait ListenSource {
    /// A handle for `query`: now, or later through `reply`, in which case this returns `None`.
    ///
    /// # Errors
    /// What is known at once; `reply` is then never called.
    fn get_handle(
        &self,
        env: &Environment,
        query: ListenQuery,
        reply: ListenReply,
    ) -> Result<Option<Box<dyn ListenHandle>>>;
}

/// What waits behind a listening handle whose server is about to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenQueue {
    /// No connection waits.
    Nothing,
    /// The next poll phase brings all that wait in the kernel.
    InKernel,
    /// Another process was asked for what waits there. [`Acceptor::queue_taken`] follows when all of it has come.
    Elsewhere,
}

/// A handle that can listen: a real socket, or one that stands for a socket in another process. Dropped without
/// [`close`](Self::close) it closes by itself.
pub trait ListenHandle {
    /// Starts listening. Connections go to `acceptor`, each inside a callback scope, never from within this call. It
    /// sets up each of them unless [`Acceptor::prepare_listener`] or [`Acceptor::expect_prepared`] was called.
    ///
    /// # Errors
    /// The system's refusal, such as `EADDRINUSE`.
    fn listen(&self, backlog: u32, acceptor: Acceptor) -> Result<()>;

    /// Where it listens.
    fn address(&self) -> Option<Address>;

    /// Stops listening. The acceptor is dropped soon afterwards, from the loop.
    fn close(&self);

    /// Takes what waits, as many connections as this: the server is about to close. Default: [`ListenQueue::Nothing`].
    fn take_queue(&self, connections: u32) -> ListenQueue {
        let _ = connections;
        ListenQueue::Nothing
    }

    /// Keeps the loop alive while listening.
    fn ref_(&self);

    /// Lets the loop end although the handle listens.
    fn unref(&self);

    /// The id of its async context, by which the server is known to hooks. `None` for a handle that has no context: the
    /// server then gets an id of its own.
    fn async_id(&self) -> Option<AsyncId> {
        None
    }

    /// There may be room again for connections that were given to somebody else ([`Acceptor::room`]): one has closed,
    /// or the limit was raised.
    fn has_room(&self) {}
}

/// Sockets of this process's own.
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

/// A socket of this process's own. Closed when dropped.
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
        ListenQueue::InKernel
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
