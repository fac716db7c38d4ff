//! Host names: how they are looked up. Mirrors the option `lookup` of `net.connect` and `dns.lookup`.

mod answer;
mod attempts;
mod connecting;
mod host;
mod listening;
mod order;

use crate::uv_core;
use crate::uv_core::names::AddrQuery;
use async_wrap::{AsyncLookup, Environment};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

pub use answer::Answer;
pub(crate) use answer::Asked;
pub(crate) use connecting::Connecting;
pub use host::Host;
pub(crate) use listening::{look_up_to_listen, query_to_listen};

/// How host names are looked up (the option `lookup`). Clones share it.
///
/// ```
/// use net::ConnectOptions;
/// use net::names::Resolver;
///
/// // An answer may also come later, from a callback: `answer` is a value that can be kept.
/// let resolver = Resolver::new(|env, query, answer| match query.host.as_deref() {
///     Some("database") => answer.found([([127, 0, 0, 1], 0), ([127, 0, 0, 2], 0)]),
///     Some("nowhere") => answer.missing(),
///     _ => answer.by_system(env, query),
/// });
/// let options = ConnectOptions::host("database", 5432).resolver(resolver);
/// # let _ = options;
/// ```
///
/// Default: the C library's `getaddrinfo(3)`, in the thread pool.
#[derive(Clone, Default)]
pub struct Resolver(Option<Rc<LookUp>>);

type LookUp = dyn Fn(&Environment, AddrQuery, Answer);

impl Resolver {
    /// Looks names up by calling `look_up`, which answers at once or later. A numeric address is never looked up.
    #[must_use]
    pub fn new(look_up: impl Fn(&Environment, AddrQuery, Answer) + 'static) -> Self {
        Self(Some(Rc::new(look_up)))
    }

    /// Asks for the addresses of `query`. `then` is called once, from `look_up` or later, unless the result is dropped.
    pub(crate) fn ask(
        &self,
        env: &Environment,
        query: AddrQuery,
        then: impl FnOnce(Result<Vec<SocketAddr>, uv_core::Error>) + 'static,
    ) -> Asked {
        let (answer, asked) = Answer::new(query.host.clone().unwrap_or_default(), Box::new(then));
        match &self.0 {
            Some(look_up) => look_up(env, query, answer),
            None => answer.by_system(env, query),
        }
        asked
    }
}

impl Answer {
    /// Lets the C library's `getaddrinfo(3)` answer, in the thread pool, as without a resolver of the program. The look-up is
    /// cancelled when it is not wanted any more.
    pub fn by_system(&self, env: &Environment, query: impl Into<AddrQuery>) {
        let later = self.clone();
        let asked = env.getaddrinfo(query, move |found| match found {
            Ok(found) => later.found(found.addresses),
            Err(error) => later.failed(error),
        });
        match asked {
            Ok(lookup) => self.hold(CancelOnDrop(lookup)),
            Err(error) => self.failed(error),
        }
    }
}

/// Cancels a look-up that is not wanted any more.
struct CancelOnDrop(AsyncLookup);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // Refused only after its end.
        let _ = self.0.cancel();
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}
