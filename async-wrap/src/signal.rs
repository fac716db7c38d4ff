//! Signals to await. Mirrors `SignalWrap`, Node's `src/signal_wrap.cc`, and `process.on('SIGTERM')`.

use crate::layer::OnDrop;
use crate::task::Waiter;
use crate::{AsyncResource, Environment, Provider};
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use uv_core::{Result, Signal};

/// The deliveries of one signal: see [`Environment::signal`]. Dropping it ends the watch; with the last watcher of the process
/// the signal's default action comes back.
pub struct Signals {
    signal: Signal,
    /// `SIGNALWRAP`.
    _resource: Rc<AsyncResource>,
    arrived: Rc<Arrived>,
    keeps_alive: bool,
}

#[derive(Default)]
struct Arrived {
    /// Deliveries that were not received. They are counted, so no bound is needed.
    count: Cell<u64>,
    waiter: Waiter,
}

impl Environment {
    /// Watches a signal from now on: what arrives before [`recv`](Signals::recv) is not lost.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use async_wrap::uv_core::{Signal, process};
    ///
    /// let env = Environment::with_new_loop()?;
    /// let mut hangups = env.signal(Signal::SIGHUP)?;
    /// process::kill(std::process::id() as i32, Signal::SIGHUP)?;
    /// env.block_on(async move { hangups.recv().await })?;
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Signal::start`].
    pub fn signal(&self, signum: i32) -> Result<Signals> {
        let resource = Rc::new(AsyncResource::new(self, Provider::SignalWrap));
        let arrived = Rc::<Arrived>::default();
        let signal = Signal::new(self.loop_handle());
        // Until something waits.
        signal.unref();
        let (told, context) = (Rc::clone(&arrived), Rc::clone(&resource));
        let started = signal.start(signum, move |_, _| {
            context.make_callback(|| {
                told.count.set(told.count.get() + 1);
                told.waiter.wake();
            });
        });
        // Closes the watcher if it has not started.
        let signals = Signals { signal, _resource: resource, arrived, keeps_alive: true };
        started.map(|()| signals)
    }

    /// Waits for `SIGINT` or `SIGTERM`, with which terminals and supervisors end a program, and returns which it was. Both are
    /// watched from this call on.
    ///
    /// When the future is ready or dropped their default actions come back: a second Ctrl-C ends the process at once.
    ///
    /// ```no_run
    /// use async_wrap::Environment;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let stopped = env.stop_signal()?;
    /// // Start what the program does, and then:
    /// env.block_on(async move {
    ///     println!("ending, since signal {} came", stopped.await);
    /// })?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`signal`](Self::signal).
    pub fn stop_signal(&self) -> Result<impl Future<Output = i32> + use<>> {
        let (mut interrupts, mut ends) = (self.signal(Signal::SIGINT)?, self.signal(Signal::SIGTERM)?);
        Ok(async move {
            let (mut interrupted, mut ended) = (pin!(interrupts.recv()), pin!(ends.recv()));
            poll_fn(|context| match interrupted.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Signal::SIGINT),
                Poll::Pending => ended.as_mut().poll(context).map(|()| Signal::SIGTERM),
            })
            .await
        })
    }
}

impl Signals {
    /// Waits for a delivery. The system may merge those that arrive at once. Keeps the loop alive meanwhile.
    ///
    /// Dropping the future loses no delivery.
    pub async fn recv(&mut self) {
        let Self { signal, arrived, keeps_alive, .. } = &*self;
        let _waiting = OnDrop::new(|| signal.unref());
        let received = || {
            let received = arrived.take();
            if received.is_none() && *keeps_alive {
                signal.ref_();
            }
            received
        };
        arrived.waiter.until(received).await;
    }

    /// Lets the loop end although something waits for the signal, as Node does. Default: it does not.
    pub fn unref(&mut self) {
        self.keeps_alive = false;
        self.signal.unref();
    }

    /// The signal's number.
    #[must_use]
    pub fn signum(&self) -> i32 {
        self.signal.signum()
    }
}

impl Arrived {
    /// Takes a delivery.
    fn take(&self) -> Option<()> {
        let rest = self.count.get().checked_sub(1)?;
        self.count.set(rest);
        Some(())
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.signal.close();
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("signum", &self.signum()).finish_non_exhaustive()
    }
}
