//! The state that all handles share: the key in the loop's table, active or not, referenced or not, open or closing.
//!
//! Mirrors `uv_handle_t` and the handle half of libuv's `src/uv-common.h`. Handle types dereference to [`Handle`], as
//! every libuv handle can be cast to `uv_handle_t`.

use crate::LAYER;
use crate::event_loop::LoopHandle;
use crate::key::Key;
use crate::layer::trace::Facts;
use crate::layer::{FlagCell, FlagKind, Flags};
use crate::poller::Readiness;
use crate::traced;
use crate::why::About;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

/// The type of a handle, as `uv_handle_type` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the handle type of its name")]
pub enum HandleKind {
    Async,
    Check,
    Idle,
    Pipe,
    Poll,
    Prepare,
    Process,
    Signal,
    Tcp,
    Timer,
    Tty,
    Udp,
}

#[derive(Clone, Copy, Debug)]
struct State;

impl FlagKind for State {
    type Bits = u8;
}

const ACTIVE: Flags<State> = Flags::bit(0);
const REFERENCED: Flags<State> = Flags::bit(1);
const CLOSING: Flags<State> = Flags::bit(2);
const CLOSED: Flags<State> = Flags::bit(3);

/// The state that all handles share (`uv_handle_t`).
pub struct Handle {
    event_loop: LoopHandle,
    key: Key,
    flags: FlagCell<State>,
    kind: HandleKind,
}

/// The calls of the loop to a handle. Only the loop's phases make them, never a downcall, except `begin_close`.
///
/// A panic in an upcall passes through these methods: each keeps its state such that a later call continues the work.
pub(crate) trait HandleInner {
    /// The state that all handles share.
    fn base(&self) -> &Handle;

    /// Handles an event of the handle's descriptor.
    fn on_event(self: Rc<Self>, readiness: Readiness) {
        let _ = readiness;
        self.on_ready();
    }

    /// Keeps an event for the next poll phase, because a panic ended this one. Makes no upcall. Returns whether the
    /// caller has to add the handle to the still-ready set, which may contain it already.
    fn postpone(&self, readiness: Readiness) -> bool {
        let _ = readiness;
        true
    }

    /// Marks the handle as a member of the still-ready set. Returns whether the caller has to add it.
    fn stay_ready(&self) -> bool {
        true
    }

    /// The handle's turn, as a member of the still-ready set or because another thread has sent to it.
    fn on_ready(self: Rc<Self>) {}

    /// The pause after a failure has ended: see [`LoopHandle::pause`].
    fn resume(self: Rc<Self>) {}

    /// Reports the completions for which the handle was queued.
    fn on_pending(self: Rc<Self>) {}

    /// Stops all operations and releases the descriptor. Makes no upcall.
    fn begin_close(&self) {}

    /// Completes pending operations as cancelled.
    fn cancel(self: Rc<Self>) {}

    /// Makes the last upcall, `on_close`.
    fn finish_close(self: Rc<Self>) {}

    /// Drops the tower without calling it, because the loop is dropped or the handle is closed.
    fn drop_tower(&self) {}

    /// The descriptor, for diagnosis.
    fn descriptor(&self) -> Option<i32> {
        None
    }

    /// What the handle does, for diagnosis.
    fn about(&self) -> About {
        About::default()
    }
}

impl Handle {
    pub(crate) fn new(event_loop: LoopHandle, key: Key, kind: HandleKind) -> Self {
        Self { event_loop, key, flags: FlagCell::new(REFERENCED), kind }
    }

    /// The loop that this handle belongs to.
    #[must_use]
    pub fn loop_handle(&self) -> &LoopHandle {
        &self.event_loop
    }

    /// The handle's type (`uv_handle_get_type`).
    #[must_use]
    pub fn kind(&self) -> HandleKind {
        self.kind
    }

    /// Whether the handle is active: a started timer, a stream that reads, writes, connects or listens
    /// (`uv_is_active`).
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.flags.has(ACTIVE)
    }

    /// Whether the handle is closing or closed (`uv_is_closing`).
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.flags.has(CLOSING)
    }

    /// Whether the handle keeps its loop alive while it is active (`uv_has_ref`). Default: `true`.
    #[must_use]
    pub fn has_ref(&self) -> bool {
        self.flags.has(REFERENCED)
    }

    /// Makes the handle keep its loop alive while it is active (`uv_ref`). Idempotent.
    pub fn ref_(&self) {
        if !self.flags.has(REFERENCED) {
            self.flags.set(REFERENCED);
            if self.flags.has(ACTIVE) {
                self.event_loop.add_active(1);
            }
        }
    }

    /// Lets the loop end while the handle is active (`uv_unref`). Idempotent.
    pub fn unref(&self) {
        if self.flags.has(REFERENCED) {
            self.flags.clear(REFERENCED);
            if self.flags.has(ACTIVE) {
                self.event_loop.remove_active(1);
            }
        }
    }

    /// Closes the handle (`uv_close`). Pending operations complete as cancelled, then the loop calls `on_close` in its
    /// close phase, never inside this call. Idempotent.
    pub fn close(&self) {
        self.request_close(None);
    }

    /// Closes the handle and calls `on_closed` after its `on_close`. If the handle is closing already, `on_closed` is
    /// dropped.
    pub fn close_with(&self, on_closed: impl FnOnce() + 'static) {
        self.request_close(Some(Box::new(on_closed)));
    }

    fn request_close(&self, on_closed: Option<Box<dyn FnOnce()>>) {
        let _down = LAYER.down(traced::CLOSE, || Facts::of(self));
        if self.flags.has(CLOSING) {
            return;
        }
        self.flags.set(CLOSING);
        if let Some(handle) = self.event_loop.handle(self.key) {
            handle.begin_close();
            self.stop();
            self.event_loop.push_closing(handle, on_closed);
        }
    }

    /// Where the program made the handle, in a build with debug assertions while the handle is open: see
    /// [`LoopHandle::why_alive`](crate::LoopHandle::why_alive).
    #[must_use]
    pub fn made_at(&self) -> Option<&'static Location<'static>> {
        self.event_loop.made_at(self.key)
    }

    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Marks the handle active (`uv__handle_start`).
    pub(crate) fn start(&self) {
        if !self.flags.has(ACTIVE) && !self.flags.has(CLOSING) {
            self.flags.set(ACTIVE);
            if self.flags.has(REFERENCED) {
                self.event_loop.add_active(1);
            }
        }
    }

    /// Marks the handle inactive (`uv__handle_stop`).
    pub(crate) fn stop(&self) {
        if self.flags.has(ACTIVE) {
            self.flags.clear(ACTIVE);
            if self.flags.has(REFERENCED) {
                self.event_loop.remove_active(1);
            }
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.flags.has(CLOSED)
    }

    pub(crate) fn set_closed(&self) {
        self.flags.set(CLOSING | CLOSED);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("kind", &self.kind)
            .field("active", &self.is_active())
            .field("referenced", &self.has_ref())
            .field("closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}

/// The state of an open handle, for the question "what keeps my loop alive?" (`uv_print_all_handles`).
///
/// Displayed as `[RA] tcp fd 7`: R for referenced, A for active, C for closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandleInfo {
    /// The handle's type.
    pub kind: HandleKind,
    /// Whether it is active.
    pub active: bool,
    /// Whether it keeps the loop alive while it is active.
    pub referenced: bool,
    /// Whether it is closing, which keeps the loop alive until `on_close`.
    pub closing: bool,
    /// Its file descriptor, if it has one.
    pub fd: Option<i32>,
}

impl HandleInfo {
    pub(crate) fn of(inner: &dyn HandleInner) -> Self {
        let handle = inner.base();
        Self {
            kind: handle.kind(),
            active: handle.is_active(),
            referenced: handle.has_ref(),
            closing: handle.is_closing(),
            fd: inner.descriptor(),
        }
    }

    /// Whether this handle alone keeps the loop alive.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.closing || (self.active && self.referenced)
    }
}

impl fmt::Display for HandleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |set: bool, letter: char| if set { letter } else { '-' };
        let kind = format!("{:?}", self.kind).to_lowercase();
        write!(
            f,
            "[{}{}{}] {kind}",
            mark(self.referenced, 'R'),
            mark(self.active, 'A'),
            mark(self.closing, 'C')
        )?;
        match self.fd {
            Some(fd) => write!(f, " fd {fd}"),
            None => Ok(()),
        }
    }
}
