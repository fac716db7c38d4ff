//! What a loop has: its handles and requests, which keep it alive, and the queues in which handles wait for a phase. Mirrors
//! `uv_walk`, `uv__handle_start`, `uv__req_register`, `uv__io_feed` and `uv__make_close_pending`, libuv's `src/uv-common.c` and
//! `src/unix/core.c`.

use crate::event_loop::LoopHandle;
use crate::handle::{Handle, HandleInfo, HandleInner, HandleKind};
use crate::handle_table::HandleTable;
use crate::key::Key;
use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Members {
    table: HandleTable,
    /// The number of handles that are both active and referenced. Each keeps the loop alive.
    active_handles: Cell<usize>,
    /// The number of requests in flight. Each keeps the loop alive.
    active_requests: Cell<usize>,
    /// The `Loop` was dropped, so that it will never run again; only clones of its handle are left.
    is_gone: Cell<bool>,
}

impl Members {
    /// Whether a handle or a request keeps the loop alive.
    pub(crate) fn keep_alive(&self) -> bool {
        self.active_handles.get() > 0 || self.active_requests.get() > 0
    }

    /// From now on the table takes no handle.
    pub(crate) fn set_gone(&self) {
        self.is_gone.set(true);
    }

    /// Empties the table and returns its handles.
    pub(crate) fn take_handles(&self) -> Vec<Rc<dyn HandleInner>> {
        self.table.take()
    }

    pub(crate) fn end_all_requests(&self) {
        self.active_requests.set(0);
    }
}

impl LoopHandle {
    /// Calls `visit` with every open handle, including closing ones (`uv_walk`). `visit` may close handles; handles
    /// that it creates are not visited.
    pub fn walk(&self, mut visit: impl FnMut(&Handle)) {
        for handle in self.open_handles() {
            visit(handle.base());
        }
    }

    /// Closes every handle that is not closing yet, as a program does before it drops the loop.
    pub fn close_all(&self) {
        self.walk(Handle::close);
    }

    /// The open handles: half of the answer to "what keeps my loop alive?" (`uv_print_all_handles`). The other half is
    /// [`active_requests`](Self::active_requests). [`why_alive`](Self::why_alive) is the answer as a text.
    ///
    /// ```
    /// use uv_core::{Loop, RunMode};
    ///
    /// let event_loop = Loop::new()?;
    /// event_loop.queue_work(|| {}, |_| {});
    /// assert!(event_loop.handles().is_empty() && event_loop.is_alive(), "no handle keeps the loop alive");
    /// assert_eq!(event_loop.active_requests(), 1, "a request does");
    /// assert!(!event_loop.run(RunMode::Default)?);
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[must_use]
    pub fn handles(&self) -> Vec<HandleInfo> {
        self.open_handles().iter().map(|handle| HandleInfo::of(&**handle)).collect()
    }

    /// The number of requests in flight: connects, writes, sends and shutdowns that are pending or not yet reported, and work
    /// in the thread pool (`loop->active_reqs`). Each keeps the loop alive, even on an unreferenced handle.
    #[must_use]
    pub fn active_requests(&self) -> usize {
        self.members().active_requests.get()
    }

    fn members(&self) -> &Members {
        &self.inner().members
    }

    pub(crate) fn open_handles(&self) -> Vec<Rc<dyn HandleInner>> {
        self.members().table.open()
    }

    /// Adds a new handle to the table. `make` must not use the loop.
    ///
    /// A dropped loop creates a closed handle outside of the table, because nothing would drop the table's content.
    #[track_caller]
    pub(crate) fn add<N: HandleInner + 'static>(
        &self,
        kind: HandleKind,
        make: impl FnOnce(Handle) -> N,
    ) -> Rc<N> {
        if self.is_gone() {
            let inner = Rc::new(make(Handle::new(self.clone(), Key::NONE, kind)));
            inner.base().set_closed();
            return inner;
        }
        self.members().table.add(|key| make(Handle::new(self.clone(), key, kind)))
    }

    /// Whether the `Loop` was dropped, so that it will never run again.
    pub(crate) fn is_gone(&self) -> bool {
        self.members().is_gone.get()
    }

    /// Where a handle of the table was made, if that is known.
    pub(crate) fn made_at(&self, key: Key) -> Option<&'static Location<'static>> {
        self.members().table.made_at(key)
    }

    pub(crate) fn handle(&self, key: Key) -> Option<Rc<dyn HandleInner>> {
        self.members().table.find(key)
    }

    /// Removes a closed handle from the table.
    pub(crate) fn remove(&self, handle: &Handle) {
        self.members().table.remove(handle.key());
    }

    pub(crate) fn push_closing(&self, handle: Rc<dyn HandleInner>, on_closed: Option<Box<dyn FnOnce()>>) {
        self.inner().closing.borrow_mut().push((handle, on_closed));
    }

    /// Queues a handle whose completions the pending phase reports (`uv__io_feed`).
    pub(crate) fn feed(&self, handle: Rc<dyn HandleInner>) {
        self.inner().pending.push(handle);
    }

    /// Adds a handle to the still-ready set: the next poll phase does not block and gives the handle a turn.
    pub(crate) fn push_ready(&self, handle: Rc<dyn HandleInner>) {
        self.inner().still_ready.push(handle);
    }

    pub(crate) fn active_handles(&self) -> usize {
        self.members().active_handles.get()
    }

    pub(crate) fn add_active(&self, count: usize) {
        self.members().active_handles.set(self.members().active_handles.get() + count);
    }

    pub(crate) fn remove_active(&self, count: usize) {
        self.members().active_handles.set(self.members().active_handles.get().saturating_sub(count));
    }

    /// Counts a request, which keeps the loop alive until [`end_request`](Self::end_request).
    pub(crate) fn begin_request(&self) {
        self.members().active_requests.set(self.members().active_requests.get() + 1);
    }

    pub(crate) fn end_request(&self) {
        #[cfg(upcall_faults)]
        crate::faults::end_request(self.backend_fd(), self.members().active_requests.get());
        self.members().active_requests.set(self.members().active_requests.get().saturating_sub(1));
    }
}
