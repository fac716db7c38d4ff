//! The environment of this process, and the name of its program. Mirrors `uv_os_unsetenv`, libuv's `src/unix/core.c`.

use crate::Errno;
use std::ffi::{CStr, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Removes a variable if the process has no other thread. `name` must be valid.
pub(crate) fn remove(name: &OsStr) -> Result<(), Errno> {
    if !is_alone()? {
        #[cfg(upcall_faults)]
        crate::faults::reached(crate::faults::Branch::VariableKept);
        return Err(Errno::EBUSY);
    }
    // SAFETY: this is the only thread of the process, and only it could start another, so no thread reads or changes
    // the environment during the call.
    unsafe { std::env::remove_var(name) };
    Ok(())
}

/// Whether the process has no other thread.
fn is_alone() -> Result<bool, Errno> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(Errno::from)?;
    Ok(threads.take(2).count() == 1)
}

/// The path of this process's program, as it was passed to `exec`.
pub(crate) fn exec_name() -> Option<OsString> {
    // SAFETY: takes an integer only.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if name.is_null() {
        return None;
    }
    // SAFETY: the kernel has put this string above the first stack, where it stays as long as the process lives.
    let name = unsafe { CStr::from_ptr(name) };
    Some(OsStr::from_bytes(name.to_bytes()).to_owned())
}
