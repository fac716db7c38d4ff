//! Look-ups as resources: each ends in its own context. Mirrors `GetAddrInfoReqWrap` and `GetNameInfoReqWrap`, Node's
//! `src/cares_wrap.cc`.

use crate::{AsyncContext, AsyncId, Environment, Provider};
use std::fmt;
use uv_core::Result;
use uv_core::names::{AddrInfo, AddrQuery, Lookup, NameInfo, NameQuery};

/// A request for a look-up, with its async context. Dropping it does not cancel the look-up.
#[derive(Clone)]
pub struct AsyncLookup {
    lookup: Lookup,
    context: AsyncContext,
}

impl Environment {
    /// Looks up addresses in the thread pool; `after` runs in the context of the request (`GETADDRINFOREQWRAP`). See
    /// [`LoopHandle::getaddrinfo`](uv_core::LoopHandle::getaddrinfo).
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use async_wrap::uv_core::names::AddrQuery;
    ///
    /// let env = Environment::with_new_loop()?;
    /// env.getaddrinfo(AddrQuery::new("localhost"), |found| println!("{found:?}"))?;
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AddrQuery::check`]; `after` is not called then.
    pub fn getaddrinfo(
        &self,
        query: AddrQuery,
        after: impl FnOnce(Result<AddrInfo>) + 'static,
    ) -> Result<AsyncLookup> {
        // Before hooks are told of a request that does not begin.
        query.check()?;
        let context = self.new_context(Provider::GetAddrInfoReqWrap);
        let lookup = self.loop_handle().getaddrinfo(query, self.in_request(context, after))?;
        Ok(AsyncLookup { lookup, context })
    }

    /// Looks up the names of an address and its port in the thread pool; `after` runs in the context of the request
    /// (`GETNAMEINFOREQWRAP`). See [`LoopHandle::getnameinfo`](uv_core::LoopHandle::getnameinfo).
    pub fn getnameinfo(
        &self,
        query: NameQuery,
        after: impl FnOnce(Result<NameInfo>) + 'static,
    ) -> AsyncLookup {
        let context = self.new_context(Provider::GetNameInfoReqWrap);
        let lookup = self.loop_handle().getnameinfo(query, self.in_request(context, after));
        AsyncLookup { lookup, context }
    }

    /// Calls `after` in the context of a request, which is destroyed then.
    fn in_request<T>(
        &self,
        context: AsyncContext,
        after: impl FnOnce(Result<T>) + 'static,
    ) -> impl FnOnce(Result<T>) + 'static {
        let env = self.clone();
        move |result| {
            env.make_callback(context, || {
                let _over = env.destroy_at_end(context.async_id());
                after(result);
            });
        }
    }
}

impl AsyncLookup {
    /// Cancels the look-up, also while it runs: `after` is called with `EAI_CANCELED` later.
    ///
    /// # Errors
    /// `EBUSY` if the look-up has ended or is cancelled already.
    pub fn cancel(&self) -> Result<()> {
        self.lookup.cancel()
    }

    /// The id of the request.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.context.async_id()
    }
}

impl fmt::Debug for AsyncLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncLookup").field("async_id", &self.async_id()).finish_non_exhaustive()
    }
}
