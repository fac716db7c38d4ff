//! The answer to one look-up, which may come at any time: at once, later, or never.

use crate::uv_core::{Errno, Error};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

/// The most addresses of an answer that are used: each costs a descriptor and, in the worst case, the kernel's patience of
/// two minutes.
const MOST_ADDRESSES: usize = 64;

/// The place for the answer to one look-up. The first answer counts. If all clones are dropped without an answer, the
/// look-up has failed.
#[derive(Clone)]
pub struct Answer(Rc<AnswerInner>);

type Then = Box<dyn FnOnce(Result<Vec<SocketAddr>, Error>)>;

struct AnswerInner {
    host: String,
    then: Cell<Option<Then>>,
    held: Cell<Option<Box<dyn Any>>>,
}

impl Answer {
    pub(crate) fn new(host: String, then: Then) -> (Self, Asked) {
        let inner = Rc::new(AnswerInner { host, then: Cell::new(Some(then)), held: Cell::default() });
        let asked = Asked(Rc::downgrade(&inner));
        (Self(inner), asked)
    }

    /// Answers with addresses, in the order in which they should be tried. Port 0 stands for the port that the program
    /// asked for. At most 64 addresses are used.
    pub fn found(&self, addresses: impl IntoIterator<Item = impl Into<SocketAddr>>) {
        let addresses: Vec<_> = addresses.into_iter().take(MOST_ADDRESSES).map(Into::into).collect();
        if addresses.is_empty() {
            return self.failed(Error::new("getaddrinfo", Errno::EAI_NODATA).on(&self.0.host));
        }
        self.0.end(Ok(addresses));
    }

    /// Answers that the host does not exist (`ENOTFOUND`).
    pub fn missing(&self) {
        self.failed(Error::new("getaddrinfo", Errno::EAI_NONAME).on(&self.0.host));
    }

    /// Answers that the look-up has failed.
    pub fn failed(&self, error: Error) {
        self.0.end(Err(error));
    }

    /// Whether the program still waits for this answer.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let then = self.0.then.take();
        let is_wanted = then.is_some();
        self.0.then.set(then);
        is_wanted
    }

    /// Keeps `guard` until the answer is given or is not wanted any more: its destructor can cancel a request. Without an
    /// answer pending it is dropped at once.
    pub fn hold(&self, guard: impl Any) {
        if self.is_wanted() {
            drop(self.0.held.replace(Some(Box::new(guard))));
        }
    }
}

impl AnswerInner {
    fn end(&self, result: Result<Vec<SocketAddr>, Error>) {
        drop(self.held.take());
        if let Some(then) = self.then.take() {
            then(result);
        }
    }
}

impl Drop for AnswerInner {
    fn drop(&mut self) {
        let error = Error::new("getaddrinfo", Errno::EAI_FAIL).on(&self.host);
        self.end(Err(error.noting("the resolver has dropped its answer")));
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("host", &self.0.host).finish_non_exhaustive()
    }
}

/// A look-up that is asked. Dropping it makes its answer unwanted.
pub(crate) struct Asked(Weak<AnswerInner>);

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(answer) = self.0.upgrade() {
            drop(answer.then.take());
            drop(answer.held.take());
        }
    }
}
