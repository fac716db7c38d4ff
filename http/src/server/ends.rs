//! The ends of a server to await: that it stops, and that it has closed. Mirrors the callback of `server.close`.

use super::{Core, Server};
use crate::serve::OwnedRequest;
use async_wrap::task::{Wait, Waiters};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What waits for a server's end.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Neither listening nor about to.
    is_stopping: Cell<bool>,
    waiters: Waiters,
}

impl Ends {
    pub(super) fn listens(&self) {
        self.is_stopping.set(false);
    }

    pub(super) fn stops(&self) {
        self.is_stopping.set(true);
        self.wake();
    }

    /// Each future looks at what it waits for, and waits on if it is not that.
    pub(super) fn wake(&self) {
        self.waiters.wake();
    }
}

impl Server {
    /// Waits until the server stops, or returns at once if it does not listen: [`close`](Self::close) or
    /// [`shutdown`](Self::shutdown) was called. What has no end of its own, such as a stream of events, ends then, so that the server
    /// can close before its time of grace is over. Keeps nothing alive.
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        End::of(&self.core, |core| core.ends.is_stopping.get() || !core.is_in_use())
    }

    /// Waits until the server does not listen, and its last connection is closed (`on_close`). Returns at once if it does not
    /// listen yet. The server keeps the loop alive until then, the future does not.
    ///
    /// ```
    /// use http::async_wrap::Environment;
    /// use http::net::ListenOptions;
    /// use http::{Server, ServerOptions};
    /// use std::time::Duration;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let server = Server::new(&env, ServerOptions::default())?;
    /// server.listen_with(ListenOptions::port(0), |_, response| drop(response))?;
    /// server.shutdown(Duration::from_secs(10))?;
    /// env.block_on(server.closed())?;
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn closed(&self) -> impl Future<Output = ()> + use<> {
        End::of(&self.core, |core| !core.is_in_use())
    }
}

impl OwnedRequest {
    /// Waits until the server stops: see [`Server::stopping`].
    ///
    /// ```
    /// use http::serve::{Failure, OwnedRequest};
    /// use http::Response;
    /// use std::time::Duration;
    ///
    /// /// A line in each second, until the server stops.
    /// async fn clock(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     let env = response.environment().clone();
    ///     while env.timeout(Duration::from_secs(1), request.stopping()).await.is_err() {
    ///         response.write(b"tick\n")?;
    ///     }
    ///     Ok(response.end(b"the end\n")?)
    /// }
    /// ```
    pub fn stopping(&self) -> impl Future<Output = ()> + use<> {
        End::of(self.core(), |core| core.ends.is_stopping.get() || !core.is_in_use())
    }
}

/// Waits for an end of a server.
struct End {
    core: Rc<Core>,
    is_reached: fn(&Core) -> bool,
    wait: Wait,
}

impl End {
    fn of(core: &Rc<Core>, is_reached: fn(&Core) -> bool) -> Self {
        Self { core: Rc::clone(core), is_reached, wait: Wait::default() }
    }
}

impl Future for End {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if (self.is_reached)(&self.core) {
            return Poll::Ready(());
        }
        self.core.ends.waiters.wait(&self.wait, context);
        Poll::Pending
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.core.ends.waiters.leave(&self.wait);
    }
}
