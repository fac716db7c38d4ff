//! What this process was started with: its environment, and the name of its program. Mirrors `uv_os_unsetenv`, libuv's
//! `src/unix/core.c`.

use crate::Errno;
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

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

/// The path that the program of this process was started by, as `exec` was given it.
pub(crate) fn exec_name() -> Option<OsString> {
    // SAFETY: takes an integer only.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if name.is_null() {
        return None;
    }
    // SAFETY: the kernel has put this string above the first stack, where it stays as long as the process.
    let name = unsafe { CStr::from_ptr(name) };
    Some(OsStr::from_bytes(name.to_bytes()).to_owned())
}
