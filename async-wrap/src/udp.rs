//! Sockets of datagrams with an async context: each upcall runs in a callback scope, and each send is a resource. Mirrors
//! the `AsyncWrap` side of `UDPWrap` and of its `SendWrap`.

mod forward;

use crate::layer::trace::Facts;
use crate::scoped::ScopedUdp;
use crate::upcall::OnUdp;
use crate::{AsyncContext, AsyncId, Environment, LAYER, Provider};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::rc::Rc;
use tcp_wrap::UdpWrap;
use uv_core::Result;
use uv_core::udp::SendOptions;

/// A wrapped socket of datagrams with its async context. Clones share it.
///
/// ```
/// use async_wrap::upcall::OnUdp;
/// use async_wrap::{AsyncUdp, Environment};
/// use async_wrap::uv_core::udp::{Envelope, SendOptions, UdpOptions};
///
/// struct Print;
///
/// impl OnUdp for Print {
///     fn on_receive(&mut self, udp: &AsyncUdp, data: &[u8], _: &Envelope) {
///         println!("in the context of {}: {data:?}", udp.environment().execution_async_id());
///         udp.close();
///     }
/// }
///
/// let env = Environment::with_new_loop()?;
/// let udp = AsyncUdp::new(&env);
/// udp.bind(([127, 0, 0, 1], 0).into(), &UdpOptions::default())?;
/// udp.set_handler(Print);
/// udp.receive_start()?;
/// udp.send("hello".into(), &SendOptions::to(udp.local_addr()?))?;
/// env.run_to_end()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct AsyncUdp(Rc<Inner>);

struct Inner {
    env: Environment,
    udp: UdpWrap,
    context: AsyncContext,
    /// Whether the socket has a tower, which reports the close.
    handled: Cell<bool>,
    /// The ids of the sends that are not reported yet, oldest first.
    sends: RefCell<VecDeque<AsyncId>>,
}

impl AsyncUdp {
    /// Creates a socket of datagrams without a descriptor, and tells hooks of it (`UDPWRAP`).
    #[must_use]
    #[track_caller]
    pub fn new(env: &Environment) -> Self {
        Self(Rc::new(Inner {
            env: env.clone(),
            udp: UdpWrap::new(env.loop_handle()),
            context: env.new_context(Provider::UdpWrap),
            handled: Cell::new(false),
            sends: RefCell::default(),
        }))
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.0.env
    }

    /// The socket's context.
    #[must_use]
    pub fn context(&self) -> AsyncContext {
        self.0.context
    }

    /// The socket's id.
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.0.context.async_id()
    }

    /// Sets the handler; each of its calls is a callback scope. During an upcall the change takes effect when the
    /// upcall returns.
    pub fn set_handler(&self, handler: impl OnUdp + 'static) {
        self.0.handled.set(true);
        self.0.udp.set_handler(ScopedUdp::new(self.clone(), handler));
    }

    /// Sends a datagram; `on_send` runs in the context of the request (`UDPSENDWRAP`).
    ///
    /// # Errors
    /// As [`UdpWrap::send`].
    pub fn send(&self, data: Bytes, options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("AsyncUdp::send", || self.facts().bytes(data.len()));
        self.0.udp.send(data, options)?;
        self.push_send();
        Ok(())
    }

    /// Like [`send`](Self::send), with a copy of `data`, gathered from several buffers.
    ///
    /// # Errors
    /// As [`UdpWrap::send_copy`].
    pub fn send_copy(&self, data: &[IoSlice<'_>], options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("AsyncUdp::send_copy", || self.facts());
        self.0.udp.send_copy(data, options)?;
        self.push_send();
        Ok(())
    }

    /// Closes the socket: the loop calls `on_close` in its close phase, and hooks are told that the resource is
    /// destroyed. Idempotent.
    pub fn close(&self) {
        let _down = LAYER.down("AsyncUdp::close", || self.facts());
        if !self.0.handled.get() && self.0.env.hooks().follow_resources() {
            // Its `on_close` tells the hooks, and drops the values.
            self.set_handler(Discard);
        }
        self.0.udp.close();
    }

    /// The wrap beneath.
    fn wrap(&self) -> &UdpWrap {
        &self.0.udp
    }

    /// The socket's facts for a trace record.
    fn facts(&self) -> Facts {
        self.0.context.facts()
    }

    fn push_send(&self) {
        if !self.0.handled.get() {
            // Its `on_send` ends the requests.
            self.set_handler(Discard);
        }
        let context = self.0.env.new_context_with_trigger(Provider::UdpSendWrap, self.async_id());
        self.0.sends.borrow_mut().push_back(context.async_id());
    }

    /// Takes the id of the oldest send, which `on_send` reports.
    pub(crate) fn pop_send(&self) -> AsyncId {
        self.0.sends.borrow_mut().pop_front().unwrap_or_default()
    }
}

impl fmt::Debug for AsyncUdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncUdp")
            .field("context", &self.0.context)
            .field("udp", &self.0.udp)
            .finish_non_exhaustive()
    }
}

/// The handler of a socket that sends, or is closed, before the program has set one.
struct Discard;

impl OnUdp for Discard {
    fn on_receive(&mut self, _: &AsyncUdp, _: &[u8], _: &uv_core::udp::Envelope) {}
}
