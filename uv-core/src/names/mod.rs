//! Look-ups: addresses of names, and names of addresses, by the C library in the thread pool. Mirrors `uv_getaddrinfo`
//! and `uv_getnameinfo`, libuv's `src/unix/getaddrinfo.c` and `src/unix/getnameinfo.c`.
//!
//! A look-up may wait for the network for a long time. So look-ups run in half of the pool's threads at most, and a
//! look-up that runs can be cancelled: its thread continues until the C library returns, and its answer is dropped.

mod query;

use crate::pool::Lane;
use crate::threads::Work;
use crate::{Errno, Error, LoopHandle, Result, sys};
use std::net::SocketAddr;

pub use query::{AddrFlags, AddrQuery, Family, NameFlags, NameQuery, SocketType};

/// The answer of [`getaddrinfo`](LoopHandle::getaddrinfo).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddrInfo {
    /// The addresses in the order in which they should be tried, at least one, each once.
    pub addresses: Vec<SocketAddr>,
    /// The host's official name, if [`AddrFlags::CANONNAME`] asks for it.
    pub canonical_name: Option<String>,
}

/// The answer of [`getnameinfo`](LoopHandle::getnameinfo).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameInfo {
    /// The host's name, or its address if it has no name.
    pub host: String,
    /// The service's name, or its port if it has no name.
    pub service: String,
}

/// A request for a look-up (`uv_getaddrinfo_t`, `uv_getnameinfo_t`). Dropping it does not cancel the look-up.
#[derive(Clone, Debug)]
pub struct Lookup(Work);

impl Lookup {
    /// Cancels the look-up, also while it runs (`uv_cancel`, which cancels only look-ups that have not begun). The loop
    /// calls `after` with `EAI_CANCELED` later, without waiting for the C library.
    ///
    /// # Errors
    /// `EBUSY` if the look-up has ended or is cancelled already; nothing changes then.
    pub fn cancel(&self) -> Result<()> {
        self.0.abandon()
    }
}

impl LoopHandle {
    /// Looks up addresses in the thread pool and then calls `after` on the loop's thread, in the poll phase
    /// (`uv_getaddrinfo`). The request keeps the loop alive until `after` has been called.
    ///
    /// An error of the look-up names the host and the code of `getaddrinfo(3)`: see [`Errno::code`].
    ///
    /// ```
    /// use uv_core::names::AddrQuery;
    /// use uv_core::{Loop, RunMode};
    ///
    /// let event_loop = Loop::new()?;
    /// // A host alone is a query, too.
    /// let lookup = event_loop.getaddrinfo("localhost", |found| println!("{found:?}"))?;
    /// event_loop.getaddrinfo(AddrQuery::new("127.0.0.1").service("80"), |found| {
    ///     assert_eq!(found.map(|found| found.addresses), Ok(vec![([127, 0, 0, 1], 80).into()]));
    /// })?;
    /// # let _ = lookup;
    /// assert!(!event_loop.run(RunMode::Default)?);
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AddrQuery::check`]; `after` is not called then.
    #[doc(alias = "dns")]
    #[doc(alias = "resolve")]
    pub fn getaddrinfo(
        &self,
        query: impl Into<AddrQuery>,
        after: impl FnOnce(Result<AddrInfo>) + 'static,
    ) -> Result<Lookup> {
        let query = query.into();
        let asked = query.asked()?;
        let work = move || sys::names::getaddrinfo(&asked);
        let after = move |ended| after(found(ended, &query));
        Ok(Lookup(self.queue_work_on(Lane::Slow, work, after)))
    }

    /// Looks up the names of an address and its port, otherwise like [`getaddrinfo`](Self::getaddrinfo)
    /// (`uv_getnameinfo`).
    #[doc(alias = "reverse")]
    pub fn getnameinfo(
        &self,
        query: impl Into<NameQuery>,
        after: impl FnOnce(Result<NameInfo>) + 'static,
    ) -> Lookup {
        let query = query.into();
        let asked = query.asked();
        let work = move || sys::names::getnameinfo(&asked);
        let after = move |ended| after(outcome(ended, "getnameinfo", || query.addr.to_string()));
        Lookup(self.queue_work_on(Lane::Slow, work, after))
    }
}

/// Looks up addresses and waits for them, without a loop (`uv_getaddrinfo` without a callback).
///
/// # Errors
/// As for [`AddrQuery::check`]; any error of the look-up.
pub fn getaddrinfo(query: &AddrQuery) -> Result<AddrInfo> {
    let asked = query.asked()?;
    found(Ok(sys::names::getaddrinfo(&asked)), query)
}

/// Looks up the names of an address and its port and waits for them, without a loop (`uv_getnameinfo` without a
/// callback).
///
/// # Errors
/// Any error of the look-up.
pub fn getnameinfo(query: &NameQuery) -> Result<NameInfo> {
    outcome(Ok(sys::names::getnameinfo(&query.asked())), "getnameinfo", || query.addr.to_string())
}

/// The addresses, or why there are none.
fn found(ended: Result<Result<AddrInfo, Errno>>, query: &AddrQuery) -> Result<AddrInfo> {
    outcome(ended, "getaddrinfo", || query.target()).map_err(|error| match query.mistake() {
        Some(note) if error.errno() != Errno::EAI_CANCELED => error.noting(note),
        _ => error,
    })
}

/// The result of a look-up, from what its request ended with. The outer error is of the pool.
fn outcome<T>(
    ended: Result<Result<T, Errno>>,
    op: &'static str,
    target: impl FnOnce() -> String,
) -> Result<T> {
    let errno = match ended {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(errno)) => errno,
        Err(error) if error.errno() == Errno::ECANCELED => Errno::EAI_CANCELED,
        Err(error) => error.errno(),
    };
    Err(Error::new(op, errno).on(target()))
}
