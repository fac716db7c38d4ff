//! The process's environment variables and the path of its program, where `std` needs `unsafe` or is wrong. Mirrors
//! `uv_os_getpid`, `uv_os_getenv`, `uv_os_unsetenv` and `uv_exepath`.

use crate::{Errno, Error, Result, sys};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};

/// The program of this process. The kernel resolves it even if the file no longer has a name.
const ITSELF: &str = "/proc/self/exe";

/// The kernel's suffix for the path of a removed file.
const DELETED: &[u8] = b" (deleted)";

/// Removes a variable from this process's environment (`uv_os_unsetenv`), and so from that of later children.
///
/// Other threads may read the environment at any time, and C code does so without a lock. So this needs a process with
/// a single thread: call it at the beginning of `main`.
///
/// `EBUSY` if there are other threads; `EINVAL` for an empty name, or a name with `=` or NUL; any error of reading
/// `/proc/self/task`, where threads are counted. An error leaves the variable in place.
///
/// ```
/// use uv_core::os::unset_variable;
/// use uv_core::Errno;
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
    #[cfg(upcall_faults)]
    if crate::faults::remove_child_variable(name).is_some() {
        return Ok(());
    }
    sys::environment::remove(name).map_err(failed)
}

/// The value of a variable in this process's environment (`uv_os_getenv`). As [`std::env::var_os`], but a child process
/// that a test plays has variables of its own.
///
/// ```
/// assert_eq!(uv_core::os::variable("PATH"), std::env::var_os("PATH"));
/// ```
#[must_use]
pub fn variable(name: impl AsRef<OsStr>) -> Option<OsString> {
    #[cfg(upcall_faults)]
    if let Some(value) = crate::faults::child_variable(name.as_ref()) {
        return value;
    }
    std::env::var_os(name)
}

/// Another descriptor for the standard input of this process.
///
/// # Errors
/// `EBADF` if it is closed; `EMFILE`.
///
/// ```
/// let _input = uv_core::os::standard_input()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
pub fn standard_input() -> Result<OwnedFd> {
    let failed = |errno| Error::new("dup", errno).on("standard input");
    #[cfg(upcall_faults)]
    if let Some(input) = crate::faults::child_stdin() {
        return input.map_err(failed);
    }
    io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed(Errno::from(error)))
}

/// The id of this process (`uv_os_getpid`).
///
/// ```
/// assert_eq!(uv_core::os::pid(), std::process::id() as i32);
/// ```
#[must_use]
pub fn pid() -> i32 {
    #[cfg(upcall_faults)]
    if let Some(pid) = crate::faults::own_pid() {
        return pid;
    }
    std::process::id().cast_signed()
}

/// The path of the program that this process runs (`uv_exepath`), absolute and without symbolic links.
///
/// For a renamed file this is the new name: to restart the program use [`program_path`]. For a removed or replaced file
/// it is the old name, under which a replacement is found; [`std::env::current_exe`] appends ` (deleted)` then.
///
/// # Errors
/// Any error of reading the link `/proc/self/exe`.
///
/// ```
/// assert_eq!(uv_core::os::exe_path()?, std::env::current_exe()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn exe_path() -> Result<PathBuf> {
    let failed = |error| Error::new("readlink", Errno::from(error)).on(ITSELF);
    let path = fs::read_link(ITSELF).map_err(failed)?;
    let Some(name) = path.as_os_str().as_bytes().strip_suffix(DELETED) else { return Ok(path) };
    // A program's own name may end in ` (deleted)`.
    Ok(if is_itself(&path) { path } else { PathBuf::from(OsStr::from_bytes(name)) })
}

/// The path under which this program was started, absolute and with its symbolic links: the path at which a deployment
/// installs the next version.
///
/// A deployment may remove the directory that a link pointed to and repoint the link. [`exe_path`] knows only the old
/// directory. `program_path` falls back to it if the path given to `exec` does not lead to this program, because the
/// process has changed its working directory or a new version is installed already. So call this early and keep the
/// result.
///
/// # Errors
/// As for [`exe_path`].
///
/// ```
/// let path = uv_core::os::program_path()?;
/// assert_eq!(path.canonicalize()?, uv_core::os::exe_path()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn program_path() -> Result<PathBuf> {
    let called = sys::environment::exec_name().and_then(|name| path::absolute(name).ok());
    // A path of a descriptor, or `/proc/self/exe`, names another file in another process.
    let lasts =
        |path: &PathBuf| !["/proc", "/dev"].iter().any(|folder| path.starts_with(folder)) && is_itself(path);
    called.filter(lasts).map_or_else(exe_path, Ok)
}

fn is_itself(path: &Path) -> bool {
    let place = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((place(path), place(Path::new(ITSELF))), (Ok(one), Ok(other)) if one == other)
}
