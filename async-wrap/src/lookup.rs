//! Look-ups as resources: each ends in its own context. Mirrors `GetAddrInfoReqWrap` and `GetNameInfoReqWrap`, Node's
//! `src/cares_wrap.cc`.

use crate::layer::OnDrop;
use crate::task::Slot;
use crate::{AsyncId, AsyncResource, Environment, Provider};
use std::fmt;
use std::rc::Rc;
use uv_core::Result;
use uv_core::names::{AddrInfo, AddrQuery, Lookup, NameInfo, NameQuery};

/// A request for a look-up, which is a resource. Dropping it does not cancel the look-up.
#[derive(Clone)]
pub struct AsyncLookup {
    lookup: Lookup,
    id: AsyncId,
}

impl Environment {
    /// Looks up addresses in the thread pool; `after` runs in the context of the request (`GETADDRINFOREQWRAP`). See
    /// [`LoopHandle::getaddrinfo`](uv_core::LoopHandle::getaddrinfo).
    ///
    /// ```
    /// use async_wrap::Environment;
    ///
    /// let env = Environment::with_new_loop()?;
    /// env.getaddrinfo("localhost", |found| println!("{found:?}"))?;
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AddrQuery::check`]; `after` is not called then.
    pub fn getaddrinfo(
        &self,
        query: impl Into<AddrQuery>,
        after: impl FnOnce(Result<AddrInfo>) + 'static,
    ) -> Result<AsyncLookup> {
        let query = query.into();
        // Before hooks are told of a request that does not begin.
        query.check()?;
        let request = AsyncResource::new(self, Provider::GetAddrInfoReqWrap);
        let id = request.async_id();
        let lookup = self.loop_handle().getaddrinfo(query, request.completed_by(after))?;
        Ok(AsyncLookup { lookup, id })
    }

    /// Looks up the names of an address and its port in the thread pool; `after` runs in the context of the request
    /// (`GETNAMEINFOREQWRAP`). See [`LoopHandle::getnameinfo`](uv_core::LoopHandle::getnameinfo).
    pub fn getnameinfo(
        &self,
        query: impl Into<NameQuery>,
        after: impl FnOnce(Result<NameInfo>) + 'static,
    ) -> AsyncLookup {
        let request = AsyncResource::new(self, Provider::GetNameInfoReqWrap);
        let id = request.async_id();
        let lookup = self.loop_handle().getnameinfo(query, request.completed_by(after));
        AsyncLookup { lookup, id }
    }

    /// Looks up addresses and awaits them (`dns.promises.lookup`): see [`getaddrinfo`](Self::getaddrinfo). It begins at the first
    /// poll. Dropping the future cancels the look-up, also while it runs.
    ///
    /// ```
    /// use async_wrap::Environment;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let found = env.block_on(env.lookup("localhost"))?;
    /// println!("{:?}", found.map(|found| found.addresses));
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`AddrQuery::check`]; any error of the look-up.
    pub fn lookup<Q: Into<AddrQuery>>(&self, query: Q) -> impl Future<Output = Result<AddrInfo>> + use<Q> {
        let (env, query) = (self.clone(), query.into());
        async move {
            let slot = Rc::new(Slot::default());
            let told = Rc::clone(&slot);
            let lookup = env.getaddrinfo(query, move |found| told.put(found))?;
            // Refused once it has ended.
            let _cancelled = OnDrop::new(|| drop(lookup.cancel()));
            slot.value().await
        }
    }

    /// Looks up the names of an address and its port, and awaits them (`dns.promises.lookupService`), otherwise like
    /// [`lookup`](Self::lookup).
    ///
    /// # Errors
    /// Any error of the look-up.
    pub fn lookup_service<Q: Into<NameQuery>>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<NameInfo>> + use<Q> {
        let (env, query) = (self.clone(), query.into());
        async move {
            let slot = Rc::new(Slot::default());
            let told = Rc::clone(&slot);
            let lookup = env.getnameinfo(query, move |found| told.put(found));
            let _cancelled = OnDrop::new(|| drop(lookup.cancel()));
            slot.value().await
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
        self.id
    }
}

impl fmt::Debug for AsyncLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncLookup").field("async_id", &self.async_id()).finish_non_exhaustive()
    }
}
