//! The upcalls of this layer: those of `tcp-wrap`, each inside a callback scope, and async hooks.

use crate::{AsyncId, AsyncStream, AsyncUdp, Provider};
use std::net::SocketAddr;
use uv_core::udp::Envelope;
use uv_core::{Error, Result};

/// The handler of a listening stream. Mirrors `ConnectionWrap::OnConnection`. Its calls run in the server's context.
pub trait OnConnection {
    /// A connection is waiting: decides whether it becomes a stream, or is closed before there is a stream or a context for
    /// it. [`AsyncStream::with_announced`] lends its descriptor.
    ///
    /// This call alone is in no callback scope, which most decisions do not need. A handler that calls a program opens one:
    /// [`Environment::make_callback`](crate::Environment::make_callback).
    fn accepts_connection(&mut self, listener: &AsyncStream) -> bool {
        let _ = listener;
        true
    }

    /// A connection was accepted, or accepting failed. The connection's trigger is the server, and hooks have been told
    /// of it.
    fn on_connection(&mut self, listener: &AsyncStream, connection: Result<AsyncStream>);

    /// The answer to [`AsyncStream::drain`]: no connection waits.
    fn on_drained(&mut self, listener: &AsyncStream) {
        let _ = listener;
    }

    /// The listener is closed. No call follows.
    fn on_close(&mut self, listener: &AsyncStream) {
        let _ = listener;
    }
}

impl<F: FnMut(&AsyncStream, Result<AsyncStream>)> OnConnection for F {
    fn on_connection(&mut self, listener: &AsyncStream, connection: Result<AsyncStream>) {
        self(listener, connection);
    }
}

/// The handler of a connection, whose calls run inside callback scopes. Mirrors `StreamListener` and the `oncomplete`
/// of Node's request wraps.
pub trait OnStream {
    /// Bytes arrived (`OnUvRead`). `data` is valid only during the call.
    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]);

    /// The peer has sent its FIN; reading has stopped.
    fn on_end(&mut self, stream: &AsyncStream);

    /// Reading failed; the stream is no longer readable or writable.
    fn on_error(&mut self, stream: &AsyncStream, error: Error);

    /// There is input, the end or a failure, which [`AsyncStream::try_read`] gets: the answer to
    /// [`AsyncStream::readable_start`].
    fn on_readable(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }

    /// The peer has sent its FIN while the stream is not reading. `on_end` follows once the program has read up to it.
    fn on_unread_end(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }

    /// The connect has completed or failed (`ConnectWrap.oncomplete`).
    fn on_connect(&mut self, stream: &AsyncStream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The queued part of a write has been written or has failed (`WriteWrap.oncomplete`). Called in order, once for
    /// each [`Written::later`](tcp_wrap::Written::later) that was not zero.
    fn on_write(&mut self, stream: &AsyncStream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The shutdown has completed or failed (`ShutdownWrap.oncomplete`).
    fn on_shutdown(&mut self, stream: &AsyncStream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The answer to [`notify`](crate::AsyncStream::notify).
    fn on_notify(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }

    /// The stream is closed. No call follows.
    fn on_close(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }
}

/// The handler of a socket of datagrams, whose calls run inside callback scopes. Mirrors the `onmessage`, `onerror` and
/// `oncomplete` of Node's wraps.
pub trait OnUdp {
    /// A datagram arrived (`OnRecv`). `data` is valid only during the call.
    fn on_receive(&mut self, udp: &AsyncUdp, data: &[u8], envelope: &Envelope);

    /// The oldest unreported datagram was sent, or not (`SendWrap.oncomplete`). Called once for each send, in order.
    fn on_send(&mut self, udp: &AsyncUdp, result: Result<()>) {
        let _ = (udp, result);
    }

    /// An earlier datagram did not arrive, or receiving failed: see [`UdpUpcall::on_error`].
    ///
    /// [`UdpUpcall::on_error`]: uv_core::upcall::UdpUpcall::on_error
    fn on_error(&mut self, udp: &AsyncUdp, error: Error, to: Option<SocketAddr>) {
        let _ = (udp, error, to);
    }

    /// The answer to [`notify`](crate::AsyncUdp::notify).
    fn on_notify(&mut self, udp: &AsyncUdp) {
        let _ = udp;
    }

    /// The socket is closed. No call follows.
    fn on_close(&mut self, udp: &AsyncUdp) {
        let _ = udp;
    }
}

/// An observer of all resources. Mirrors the callbacks of `async_hooks.createHook`.
///
/// A hook is not told of events that it causes itself during one of its calls, so it may use the environment freely;
/// other hooks are told. A panic of a hook passes on like any other. A hook that panics while another panic unwinds
/// aborts the process, where Node exits.
///
/// ```
/// use async_wrap::{AsyncHook, AsyncId, Environment, Provider};
///
/// struct Print;
///
/// impl AsyncHook for Print {
///     fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
///         println!("{provider:?} {id:?} was caused by {trigger:?}");
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// let hook = env.hook(Print);
/// hook.enable();
/// env.set_immediate(|| println!("an immediate"));
/// env.run_to_end()?;
/// hook.disable();
/// # Ok::<(), uv_core::Error>(())
/// ```
pub trait AsyncHook {
    /// A resource was created. `trigger` is the resource that caused it.
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        let _ = (id, provider, trigger);
    }

    /// A callback of the resource is about to be called. A hook that panics refuses the call: it does not happen, an interval goes
    /// on with the next one, and a resource that has only one call is destroyed.
    fn on_before(&mut self, id: AsyncId) {
        let _ = id;
    }

    /// The callback has returned or panicked.
    fn on_after(&mut self, id: AsyncId) {
        let _ = id;
    }

    /// A task has ended (`promiseResolve`): its future is ready, has panicked, or was aborted. Its resource is of the type
    /// [`Provider::Promise`], and `on_destroy` follows.
    fn on_settled(&mut self, id: AsyncId) {
        let _ = id;
    }

    /// The resource is destroyed. The hook is told later than it happened: in the loop's check phase, or when
    /// [`Environment::run`](crate::Environment::run) finds nothing left alive.
    fn on_destroy(&mut self, id: AsyncId) {
        let _ = id;
    }
}
