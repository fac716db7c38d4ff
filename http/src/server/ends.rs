//! The ends of a server to await: that it stops, and that it has closed. Mirrors the callback of `server.close`.

use super::{Core, Server};
use crate::serve::OwnedRequest;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::mem::replace;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What waits for a server's end. A table, since the futures of connections come and go while the server runs.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Neither listening nor about to.
    is_stopping: Cell<bool>,
    wakers: RefCell<Slab<Waker>>,
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
        // They stay in the table, whose keys they have.
        let wakers: Vec<_> = self.wakers.borrow().iter().map(|(_, waker)| waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
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
    ///     let env = response.socket().environment().clone();
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
    /// Its waker's place in the table, from the first poll on.
    key: Option<usize>,
}

impl End {
    fn of(core: &Rc<Core>, is_reached: fn(&Core) -> bool) -> Self {
        Self { core: Rc::clone(core), is_reached, key: None }
    }
}

impl Future for End {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if (self.is_reached)(&self.core) {
            return Poll::Ready(());
        }
        let (core, waker) = (Rc::clone(&self.core), context.waker().clone());
        let mut wakers = core.ends.wakers.borrow_mut();
        let old = match self.key.and_then(|key| wakers.get_mut(key)) {
            Some(place) => Some(replace(place, waker)),
            None => {
                self.key = Some(wakers.insert(waker));
                None
            }
        };
        // Only now: a waker may have the last of its task.
        drop(wakers);
        drop(old);
        Poll::Pending
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let waker = self.core.ends.wakers.borrow_mut().try_remove(key);
            drop(waker);
        }
    }
}
