//! Ending connects and servers from elsewhere, several at once. Mirrors `AbortController` and the option `signal` of
//! `net.connect` and `server.listen`.

use crate::state::{ABORTABLE, SocketInner};
use crate::{Error, ErrorCode, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};

/// Ends the sockets and servers that were given it as an option (`AbortController`). Clones are one handle. Dropping it has no
/// effect.
///
/// A socket is destroyed, connected or not, and its `on_error` gets [`ErrorCode::Aborted`]; a server is closed as by
/// [`Server::close`](crate::Server::close). What is given a handle that is aborted already ends in the same way, before any
/// system call. In both cases the calls come from the loop, not from within [`abort`](Self::abort), `connect` or `listen`.
///
/// ```
/// use net::abort::AbortHandle;
/// use net::async_wrap::Environment;
/// use net::upcall::SocketHandler;
/// use net::{ConnectOptions, Error, ErrorCode, Socket};
/// use std::time::Duration;
///
/// struct Client;
///
/// impl SocketHandler for Client {
///     fn on_data(&mut self, _: &Socket, _: &[u8]) {}
///
///     fn on_error(&mut self, _: &Socket, error: Error) {
///         assert_eq!(error.code(), ErrorCode::Aborted);
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// let abort = AbortHandle::new();
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
/// # let address = listener.local_addr().expect("it has an address");
/// // Both end after 10 ms, wherever they are.
/// Socket::connect(&env, ConnectOptions::addr(address).abort(&abort), Client)?;
/// Socket::connect(&env, ConnectOptions::addr(address).abort(&abort), Client)?;
/// env.set_timeout(Duration::from_millis(10), move || abort.abort());
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct AbortHandle(Rc<Inner>);

#[derive(Default)]
struct Inner {
    is_aborted: Cell<bool>,
    last: Cell<u64>,
    /// What an abort ends, in the order in which it began.
    targets: RefCell<BTreeMap<u64, Weak<dyn Abort>>>,
}

/// Something that an abort ends: for a layer above that takes an [`AbortHandle`] as an option.
pub trait Abort {
    /// Ends it, without an upcall from within this call.
    fn abort(self: Rc<Self>);
}

/// An entry among the targets of a handle, which is removed with it.
pub struct Registration {
    handle: Rc<Inner>,
    number: u64,
}

impl AbortHandle {
    /// Creates a handle that is not aborted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends everything that was given this handle. Idempotent.
    pub fn abort(&self) {
        if self.0.is_aborted.replace(true) {
            return;
        }
        let targets = self.0.targets.take();
        targets.into_values().filter_map(|target| target.upgrade()).for_each(Abort::abort);
    }

    /// Whether [`abort`](Self::abort) was called.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.is_aborted.get()
    }

    /// Lets an abort end `target`, as long as the registration exists. If the handle is aborted already, nothing follows.
    ///
    /// ```
    /// use net::abort::{Abort, AbortHandle};
    /// use std::cell::Cell;
    /// use std::rc::{Rc, Weak};
    ///
    /// #[derive(Default)]
    /// struct Job(Cell<bool>);
    ///
    /// impl Abort for Job {
    ///     fn abort(self: Rc<Self>) {
    ///         self.0.set(true);
    ///     }
    /// }
    ///
    /// let (abort, job) = (AbortHandle::new(), Rc::new(Job::default()));
    /// let weak: Weak<Job> = Rc::downgrade(&job);
    /// let _registered = abort.register(weak);
    /// abort.abort();
    /// assert!(job.0.get());
    /// ```
    #[must_use = "the target is registered as long as the registration exists"]
    pub fn register(&self, target: Weak<dyn Abort>) -> Registration {
        let number = self.0.last.get() + 1;
        self.0.last.set(number);
        self.0.targets.borrow_mut().insert(number, target);
        Registration { handle: Rc::clone(&self.0), number }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.handle.targets.borrow_mut().remove(&self.number);
    }
}

impl Socket {
    /// Lets an abort end the socket, or ends it if that was before.
    pub(crate) fn end_with_abort(&self, handle: &AbortHandle) {
        if handle.is_aborted() {
            return self.destroy_with(Error::aborted());
        }
        let this: Weak<SocketInner> = Rc::downgrade(&self.0);
        self.0.cold.with(|cold| cold.abort = Some(handle.register(this)));
        self.0.set(ABORTABLE);
    }
}

impl Abort for SocketInner {
    fn abort(self: Rc<Self>) {
        Socket(self).destroy_with(Error::aborted());
    }
}

impl Error {
    /// The error of what an abort has ended.
    pub(crate) const fn aborted() -> Self {
        Self::new(ErrorCode::Aborted, "the operation was aborted")
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets = self.0.targets.borrow().len();
        f.debug_struct("AbortHandle")
            .field("is_aborted", &self.is_aborted())
            .field("targets", &targets)
            .finish()
    }
}
