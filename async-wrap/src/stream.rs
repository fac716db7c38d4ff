//! Streams with an async context: wraps whose upcalls run in callback scopes, and whose requests are resources. Mirrors
//! the `AsyncWrap` side of `HandleWrap`, `ConnectWrap`, `WriteWrap` and `ShutdownWrap`.

mod forward;

use crate::layer::trace::Facts;
use crate::scoped::{Listening, Scoped};
use crate::upcall::{OnConnection, OnStream};
use crate::{AsyncContext, AsyncId, Environment, LAYER, Provider};
use bytes::Bytes;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::{PipeWrap, StreamWrap, TcpWrap, Written};
use uv_core::file::FileRange;
use uv_core::{Errno, Error, Result};

/// A wrapped stream with its async context. Clones share it.
///
/// It has the calls of [`StreamWrap`] and does not dereference to it: only this type assigns an upcall to its request and
/// runs it in that request's context.
///
/// ```
/// use async_wrap::upcall::OnStream;
/// use async_wrap::{AsyncStream, Environment};
/// use uv_core::{Error, Result};
///
/// struct Print;
///
/// impl OnStream for Print {
///     fn on_connect(&mut self, stream: &AsyncStream, result: Result<()>) {
///         if result.and_then(|()| stream.read_start()).is_err() {
///             stream.close();
///         }
///     }
///
///     fn on_read(&mut self, stream: &AsyncStream, data: &[u8]) {
///         println!("in the context of {}: {data:?}", stream.environment().execution_async_id());
///     }
///
///     fn on_end(&mut self, stream: &AsyncStream) {
///         stream.close();
///     }
///
///     fn on_error(&mut self, stream: &AsyncStream, _: Error) {
///         stream.close();
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// let stream = AsyncStream::tcp(&env);
/// stream.set_handler(Print);
/// stream.connect_tcp(address)?;
/// # let (mut peer, _) = listener.accept()?;
/// # std::io::Write::write_all(&mut peer, b"hello")?;
/// # drop(peer);
/// env.run_to_end()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AsyncStream(Rc<StreamInner>);

struct StreamInner {
    env: Environment,
    stream: StreamWrap,
    context: Cell<AsyncContext>,
    /// Whether the stream has a tower, which reports the close.
    handled: Cell<bool>,
    connect: Cell<AsyncId>,
    shutdown: Cell<AsyncId>,
    /// `None` while no write is queued, which is the common state.
    writes: Cell<Option<Box<Writes>>>,
}

/// The ids of the queued writes, oldest first.
#[derive(Default)]
struct Writes(VecDeque<AsyncId>);

impl AsyncStream {
    /// Creates a TCP stream without a socket.
    #[must_use]
    #[track_caller]
    pub fn tcp(env: &Environment) -> Self {
        Self::new(env, (*TcpWrap::new(env.loop_handle())).clone(), Provider::TcpWrap)
    }

    /// Creates a stream over a Unix socket, without a descriptor.
    #[must_use]
    #[track_caller]
    pub fn pipe(env: &Environment) -> Self {
        Self::new(env, (*PipeWrap::new(env.loop_handle())).clone(), Provider::PipeWrap)
    }

    /// Gives `stream` a new context and tells hooks of it.
    #[must_use]
    pub fn new(env: &Environment, stream: StreamWrap, provider: Provider) -> Self {
        Self::with_context(env, stream, env.new_context(provider))
    }

    /// Gives `stream` a new context that the resource `trigger` has caused, and tells hooks of it: it has the values of its
    /// cause.
    #[must_use]
    pub fn with_trigger(env: &Environment, stream: StreamWrap, provider: Provider, trigger: AsyncId) -> Self {
        Self::with_context(env, stream, env.new_context_of(provider, trigger))
    }

    fn with_context(env: &Environment, stream: StreamWrap, context: AsyncContext) -> Self {
        Self(Rc::new(StreamInner {
            env: env.clone(),
            stream,
            context: Cell::new(context),
            handled: Cell::new(false),
            connect: Cell::default(),
            shutdown: Cell::default(),
            writes: Cell::default(),
        }))
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }

    /// The stream's context.
    #[must_use]
    pub fn context(&self) -> AsyncContext {
        self.0.context.get()
    }

    /// The stream's id.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.0.context.get().async_id()
    }

    /// Gives the stream a new context, whose trigger and values are those of what executes, and destroys the old one
    /// (`asyncReset`): for hooks, a connection that serves another request is another resource. Calls that follow run in the new
    /// context; requests in progress keep theirs.
    pub fn renew_context(&self) {
        let old = self.context();
        self.0.context.set(self.0.env.new_context(old.provider()));
        self.0.env.emit_destroy(old.async_id());
    }

    /// Sets the handler; each of its calls is a callback scope. During an upcall the change takes effect when the
    /// upcall returns.
    pub fn set_handler(&self, handler: impl OnStream + 'static) {
        self.0.handled.set(true);
        self.0.stream.set_handler(Scoped::new(self.clone(), handler));
    }

    /// Starts listening; each call of the handler is a callback scope.
    ///
    /// # Errors
    /// As [`StreamWrap::listen`].
    pub fn listen(&self, backlog: u32, handler: impl OnConnection + 'static) -> Result<()> {
        let _down = LAYER.down("AsyncStream::listen", || self.facts());
        self.0.stream.listen(backlog, Listening::new(self.clone(), handler))?;
        self.0.handled.set(true);
        Ok(())
    }

    /// Like [`listen`](Self::listen), with a closure for [`OnConnection::on_connection`].
    ///
    /// # Errors
    /// As for `listen`.
    pub fn listen_with(
        &self,
        backlog: u32,
        on_connection: impl FnMut(&Self, Result<Self>) + 'static,
    ) -> Result<()> {
        self.listen(backlog, on_connection)
    }

    /// Connects to an address; `on_connect` runs in the context of the request (`TCPCONNECTWRAP`).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream; otherwise as [`TcpWrap::connect`].
    pub fn connect_tcp(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("AsyncStream::connect_tcp", || self.facts());
        self.tcp_wrap("connect")?.connect(addr)?;
        self.expect_end();
        self.0.connect.set(self.new_request(Provider::TcpConnectWrap));
        Ok(())
    }

    /// Begins a connect whose address is not known yet; `on_connect` runs in the stream's context. See
    /// [`Tcp::expect_connection`](uv_core::Tcp::expect_connection).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a TCP stream; otherwise as `Tcp::expect_connection`.
    pub fn expect_connection(&self, target: impl fmt::Display) -> Result<()> {
        let _down = LAYER.down("AsyncStream::expect_connection", || self.facts());
        self.tcp_wrap("connect")?.expect_connection(target)
    }

    /// Takes the connected socket of another stream, which is then only to be closed. See
    /// [`Tcp::take_connection`](uv_core::Tcp::take_connection).
    ///
    /// # Errors
    /// `ENOTSUP` if either is not a TCP stream; otherwise as `Tcp::take_connection`.
    pub fn take_connection(&self, from: &Self) -> Result<()> {
        let _down = LAYER.down("AsyncStream::take_connection", || self.facts());
        self.tcp_wrap("connect")?.take_connection(&from.tcp_wrap("connect")?)
    }

    /// Connects to the name of a Unix socket; `on_connect` runs in the context of the request (`PIPECONNECTWRAP`).
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a pipe; otherwise as [`PipeWrap::connect`].
    pub fn connect_pipe(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let _down = LAYER.down("AsyncStream::connect_pipe", || self.facts());
        self.pipe_wrap("connect")?.connect(name)?;
        self.expect_end();
        self.0.connect.set(self.new_request(Provider::PipeConnectWrap));
        Ok(())
    }

    /// Writes all of `data`. If a rest is queued, `on_write` runs in the context of the request (`WRITEWRAP`).
    ///
    /// # Errors
    /// As [`StreamWrap::write`].
    #[inline]
    pub fn write(&self, data: &[u8]) -> Result<Written> {
        let _down = LAYER.down("AsyncStream::write", || self.facts().bytes(data.len()));
        let result = self.0.stream.write(data);
        if let Ok(Written { later: 1.., .. }) = result {
            self.push_write();
        }
        result
    }

    /// Like [`write`](Self::write), for output that more follows at once: see
    /// [`Stream::try_write_more`](uv_core::Stream::try_write_more).
    ///
    /// # Errors
    /// As [`StreamWrap::write_more`].
    pub fn write_more(&self, data: &[u8]) -> Result<Written> {
        let _down = LAYER.down("AsyncStream::write_more", || self.facts().bytes(data.len()));
        Ok(self.note_rest(self.0.stream.write_more(data)?))
    }

    /// Like [`write`](Self::write), but queues the rest without copying it.
    ///
    /// # Errors
    /// As [`StreamWrap::write_bytes`].
    pub fn write_bytes(&self, data: Bytes) -> Result<Written> {
        let _down = LAYER.down("AsyncStream::write_bytes", || self.facts().bytes(data.len()));
        Ok(self.note_rest(self.0.stream.write_bytes(data)?))
    }

    /// Like [`write`](Self::write), with all of `data` in one system call.
    ///
    /// # Errors
    /// As [`StreamWrap::writev`].
    pub fn writev(&self, data: &[IoSlice<'_>]) -> Result<Written> {
        let _down = LAYER.down("AsyncStream::writev", || self.facts());
        Ok(self.note_rest(self.0.stream.writev(data)?))
    }

    /// Like [`writev`](Self::writev), for a buffer that is shared: the rest of `data` is queued without copying it.
    ///
    /// # Errors
    /// As [`StreamWrap::write_shared`].
    pub fn write_shared(&self, front: &[u8], data: Bytes, back: &[u8]) -> Result<Written> {
        let _down = LAYER.down("AsyncStream::write_shared", || self.facts().bytes(data.len()));
        Ok(self.note_rest(self.0.stream.write_shared(front, data, back)?))
    }

    /// Like [`write`](Self::write), with a part of a file.
    ///
    /// # Errors
    /// As [`StreamWrap::write_file`].
    pub fn write_file(&self, file: FileRange) -> Result<Written> {
        let _down = LAYER.down("AsyncStream::write_file", || self.facts());
        Ok(self.note_rest(self.0.stream.write_file(file)?))
    }

    /// Writes `data` with descriptors, which travel with its first byte; `on_write` reports the result in the context
    /// of the request.
    ///
    /// # Errors
    /// `ENOTSUP` if this is not a pipe; otherwise as [`PipeWrap::write_fds`].
    pub fn write_fds(&self, data: Bytes, fds: Vec<Rc<OwnedFd>>) -> Result<()> {
        let _down = LAYER.down("AsyncStream::write_fds", || self.facts());
        self.pipe_wrap("write")?.write_fds(data, fds)?;
        self.push_write();
        Ok(())
    }

    /// Finishes writing; `on_shutdown` runs in the context of the request (`SHUTDOWNWRAP`).
    ///
    /// # Errors
    /// As [`StreamWrap::shutdown`].
    pub fn shutdown(&self) -> Result<()> {
        let _down = LAYER.down("AsyncStream::shutdown", || self.facts());
        self.0.stream.shutdown()?;
        self.expect_end();
        self.0.shutdown.set(self.new_request(Provider::ShutdownWrap));
        Ok(())
    }

    /// Closes the stream: the loop calls `on_close` in its close phase, and hooks are told that the resource is
    /// destroyed. Idempotent.
    pub fn close(&self) {
        let _down = LAYER.down("AsyncStream::close", || self.facts());
        self.expect_end();
        self.0.stream.close();
    }

    /// Like [`close`](Self::close), but sends the FIN before the descriptor is closed.
    pub fn close_with_fin(&self) {
        let _down = LAYER.down("AsyncStream::close_with_fin", || self.facts());
        self.expect_end();
        self.0.stream.close_with_fin();
    }

    /// Like [`close`](Self::close), but with a reset.
    ///
    /// # Errors
    /// As [`StreamWrap::reset`].
    pub fn reset(&self) -> Result<()> {
        let _down = LAYER.down("AsyncStream::reset", || self.facts());
        self.expect_end();
        self.0.stream.reset()
    }

    /// Gives a stream without a handler a tower if hooks or storages follow it: the tower ends the stream's requests, and in its
    /// `on_close` the stream.
    fn expect_end(&self) {
        if !self.0.handled.get() && self.0.env.hooks().follow_resources() {
            self.set_handler(Discard);
        }
    }

    /// The wrap beneath.
    fn wrap(&self) -> &StreamWrap {
        &self.0.stream
    }

    fn tcp_wrap(&self, op: &'static str) -> Result<TcpWrap> {
        self.0.stream.as_tcp().ok_or_else(|| Error::new(op, Errno::ENOTSUP))
    }

    fn pipe_wrap(&self, op: &'static str) -> Result<PipeWrap> {
        self.0.stream.as_pipe().ok_or_else(|| Error::new(op, Errno::ENOTSUP))
    }

    /// The stream's facts for a trace record.
    fn facts(&self) -> Facts {
        self.0.context.get().facts()
    }

    fn new_request(&self, provider: Provider) -> AsyncId {
        self.0.env.new_context_with_trigger(provider, self.async_id()).async_id()
    }

    fn note_rest(&self, written: Written) -> Written {
        if written.later > 0 {
            self.push_write();
        }
        written
    }

    #[inline(never)]
    fn push_write(&self) {
        if !self.0.handled.get() {
            // Its `on_write` ends the requests.
            self.set_handler(Discard);
        }
        let id = self.new_request(Provider::WriteWrap);
        let mut writes = self.0.writes.take().unwrap_or_default();
        writes.0.push_back(id);
        self.0.writes.set(Some(writes));
    }

    /// Takes the id of the oldest queued write, which `on_write` reports.
    pub(crate) fn pop_write(&self) -> AsyncId {
        let Some(mut writes) = self.0.writes.take() else { return AsyncId::NONE };
        let id = writes.0.pop_front().unwrap_or_default();
        if !writes.0.is_empty() {
            self.0.writes.set(Some(writes));
        }
        id
    }

    pub(crate) fn take_connect(&self) -> AsyncId {
        self.0.connect.take()
    }

    pub(crate) fn take_shutdown(&self) -> AsyncId {
        self.0.shutdown.take()
    }
}

impl fmt::Debug for AsyncStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream")
            .field("context", &self.0.context.get())
            .field("stream", &self.0.stream)
            .finish_non_exhaustive()
    }
}

/// The handler of a stream that writes, or is closed, before the program has set one.
struct Discard;

impl OnStream for Discard {
    fn on_read(&mut self, _: &AsyncStream, _: &[u8]) {}

    fn on_end(&mut self, _: &AsyncStream) {}

    fn on_error(&mut self, _: &AsyncStream, _: Error) {}
}
