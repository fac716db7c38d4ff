//! The environment of this process. Mirrors `uv_os_unsetenv`, libuv's `src/unix/core.c`.

use crate::Errno;
use std::ffi::OsStr;

/// Removes a variable, if no other thread could be reading the environment. The name is a valid one.
pub(crate) fn remove(name: &OsStr) -> Result<(), Errno> {
    if !is_alone()? {
        return Err(Errno::EBUSY);
    }
    // SAFETY: this is the only thread of the process, and only itself could start another one: nobody reads or changes
    // the environment during the call.
    unsafe { std::env::remove_var(name) };
    Ok(())
}

/// Whether the process has no other thread.
fn is_alone() -> Result<bool, Errno> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(Errno::from)?;
    Ok(threads.take(2).count() == 1)
}
