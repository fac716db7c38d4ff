//! Everything that this layer calls upward: the calls of `tcp-wrap`, each inside a callback scope, and async hooks.

use crate::{AsyncId, AsyncStream, Provider, Result};

pub use tcp_wrap::upcall::OnStream;

/// A listening stream. Mirrors `ConnectionWrap::OnConnection`; called in the server's context.
pub trait OnConnection {
    /// A connection was accepted, or accepting failed. Its trigger is the server, and hooks know it already.
    fn on_connection(&mut self, connection: Result<AsyncStream>);

    /// The listener is closed; this is its last call.
    fn on_close(&mut self) {}
}

impl<F: FnMut(Result<AsyncStream>)> OnConnection for F {
    fn on_connection(&mut self, connection: Result<AsyncStream>) {
        self(connection);
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
