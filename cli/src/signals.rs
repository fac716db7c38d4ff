//! Ctrl-C and SIGTERM of the processes that serve.

use crate::args::Result;
use async_wrap::Environment;
use std::cell::RefCell;
use std::rc::Rc;
use uv_core::Signal;

/// The signal of Ctrl-C.
pub(crate) const SIGINT: i32 = Signal::SIGINT;
/// The signal of an orderly end.
pub(crate) const SIGTERM: i32 = Signal::SIGTERM;

/// Calls `act` for each of these signals.
pub(crate) fn on(env: &Environment, signals: &[i32], act: impl FnMut() + 'static) -> Result<()> {
    let act = Rc::new(RefCell::new(act));
    for signum in signals {
        let (signal, act) = (Signal::new(env.loop_handle()), Rc::clone(&act));
        // Signals come one at a time, so it is not borrowed.
        signal.start(*signum, move |_: &Signal, _: i32| act.borrow_mut()())?;
        signal.unref();
    }
    Ok(())
}

/// Calls `first` for the first of these signals, `second` for each after it: a program that was told twice to end does not
/// go on with what it was doing.
pub(crate) fn on_ending(
    env: &Environment,
    signals: &[i32],
    first: impl Fn() + 'static,
    second: impl Fn() + 'static,
) -> Result<()> {
    let mut came = false;
    on(env, signals, move || if std::mem::replace(&mut came, true) { second() } else { first() })
}
