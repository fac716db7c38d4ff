//! Everything that this layer calls upward: the calls of `tcp-wrap`, each inside a callback scope, and async hooks.

use crate::{AsyncId, AsyncStream, Error, Provider, Result};

/// A listening stream. Mirrors `ConnectionWrap::OnConnection`; called in the server's context.
pub trait OnConnection {
    /// A connection was accepted, or accepting failed. Its trigger is the server, and hooks know it already.
    fn on_connection(&mut self, listener: &AsyncStream, connection: Result<AsyncStream>);

    /// The listener is closed; this is its last call.
    fn on_close(&mut self, listener: &AsyncStream) {
        let _ = listener;
    }
}

impl<F: FnMut(&AsyncStream, Result<AsyncStream>)> OnConnection for F {
    fn on_connection(&mut self, listener: &AsyncStream, connection: Result<AsyncStream>) {
        self(listener, connection);
    }
}

/// A connected stream, each call inside a callback scope. Mirrors `StreamListener` and the `oncomplete` of Node's request wraps.
pub trait OnStream {
    /// Bytes arrived; lent for the call (`OnUvRead`).
    fn on_read(&mut self, stream: &AsyncStream, data: &[u8]);

    /// The peer has finished sending; reading is stopped.
    fn on_end(&mut self, stream: &AsyncStream);

    /// Reading failed; the stream is neither readable nor writable any more.
    fn on_error(&mut self, stream: &AsyncStream, error: Error);

    /// The peer of a socket that is not being read has finished sending: `on_end` comes once that is read.
    fn on_unread_end(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }

    /// A connect ended (`ConnectWrap.oncomplete`).
    fn on_connect(&mut self, stream: &AsyncStream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// The rest of a write that did not go out at once ended (`WriteWrap.oncomplete`): in order, one call for each
    /// [`Written::later`](tcp_wrap::Written::later) that was not zero.
    fn on_write(&mut self, stream: &AsyncStream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// A shutdown ended (`ShutdownWrap.oncomplete`).
    fn on_shutdown(&mut self, stream: &AsyncStream, result: Result<()>) {
        let _ = (stream, result);
    }

    /// [`notify`](crate::StreamWrap::notify) was called on the stream.
    fn on_notify(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }

    /// The stream is closed; this is its last call.
    fn on_close(&mut self, stream: &AsyncStream) {
        let _ = stream;
    }
}

/// What follows the lives of all resources. Mirrors the callbacks of `async_hooks.createHook`.
///
/// A hook is not told of what it causes itself during one of its calls, so it may do what it likes; other hooks are.
/// A panic of a hook passes on like any other. One that panics while another panic unwinds aborts the process, where
/// Node exits.
pub trait AsyncHook {
    /// A resource was made; `trigger` is what caused it, and `execution_async_id` is what executes now.
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        let _ = (id, provider, trigger);
    }

    /// A callback of the resource is about to be called.
    fn on_before(&mut self, id: AsyncId) {
        let _ = id;
    }

    /// The callback is over, be it by a panic.
    fn on_after(&mut self, id: AsyncId) {
        let _ = id;
    }

    /// The resource is gone. Told later than it happened: in the loop's check phase, or when
    /// [`Environment::run`](crate::Environment::run) finds nothing left alive.
    fn on_destroy(&mut self, id: AsyncId) {
        let _ = id;
    }
}
