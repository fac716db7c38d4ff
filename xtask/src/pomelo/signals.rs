//! Ctrl-C and SIGTERM of the processes of a project.

use crate::args::Result;
use async_wrap::Environment;
use uv_core::Signal;

/// The signal of Ctrl-C.
pub(super) const SIGINT: i32 = 2;
/// The signal of a wish to end.
pub(super) const SIGTERM: i32 = 15;

/// Calls `act` for each of these signals.
pub(super) fn on(env: &Environment, signals: &[i32], act: impl Fn() + Clone + 'static) -> Result<()> {
    for signum in signals {
        let (signal, act) = (Signal::new(env.loop_handle()), act.clone());
        signal.start(*signum, move |_: &Signal, _: i32| act())?;
        signal.unref();
    }
    Ok(())
}
