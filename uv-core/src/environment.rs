//! This process's variables, as far as `std` leaves them to code without `unsafe`: removing one. Mirrors
//! `uv_os_unsetenv`.

use crate::{Errno, Error, Result, sys};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// Removes a variable from this process's environment (`uv_os_unsetenv`), and so from that of children to come.
///
/// Other threads may read the environment at any time, without a lock in C, so this is for a process that has only one
/// thread: the beginning of `main` is the place for it.
///
/// # Errors
/// `EBUSY` if there are other threads; `EINVAL` for an empty name, or one with `=` or NUL; what the system says of
/// `/proc/self/task`, where threads are counted. The variable is still there then.
///
/// ```
/// use uv_core::{Errno, unset_variable};
///
/// match unset_variable("MY_PROGRAM_TOKEN") {
///     Ok(()) => assert!(std::env::var_os("MY_PROGRAM_TOKEN").is_none()),
///     Err(error) => assert_eq!(error.errno(), Errno::EBUSY),
/// }
/// ```
pub fn unset_variable(name: impl AsRef<OsStr>) -> Result<()> {
    let name = name.as_ref();
    let failed = |errno| Error::new("unsetenv", errno).on(name.display());
    if name.is_empty() || name.as_bytes().iter().any(|byte| matches!(byte, b'=' | 0)) {
        return Err(failed(Errno::EINVAL));
    }
    sys::environment::remove(name).map_err(failed)
}
