//! Ctrl-C and SIGTERM of the processes of a project.

use crate::args::Result;
use async_wrap::Environment;
use std::cell::Cell;
use std::rc::Rc;
use uv_core::Signal;

/// The signal of Ctrl-C.
pub(super) const SIGINT: i32 = Signal::SIGINT;
/// The signal of an orderly end.
pub(super) const SIGTERM: i32 = Signal::SIGTERM;

/// Calls `act` for each of these signals.
pub(super) fn on(env: &Environment, signals: &[i32], act: impl Fn() + Clone + 'static) -> Result<()> {
    for signum in signals {
        let (signal, act) = (Signal::new(env.loop_handle()), act.clone());
        signal.start(*signum, move |_: &Signal, _: i32| act())?;
        signal.unref();
    }
    Ok(())
}

/// Calls `first` for the first of these signals, `second` for each after it: a program that was told twice to end does not
/// go on with what it was doing.
pub(super) fn on_ending(
    env: &Environment,
    signals: &[i32],
    first: impl Fn() + Clone + 'static,
    second: impl Fn() + Clone + 'static,
) -> Result<()> {
    let came = Rc::new(Cell::new(false));
    on(env, signals, move || if came.replace(true) { second() } else { first() })
}
