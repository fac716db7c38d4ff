//! What this process was started with, as far as `std` leaves it to code without `unsafe` or gets it wrong: a variable to
//! be removed, and the path of the program. Mirrors `uv_os_unsetenv` and `uv_exepath`.

use crate::{Errno, Error, Result, sys};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};

/// The program that this process runs, which the kernel knows even if it has no name any more.
const ITSELF: &str = "/proc/self/exe";

/// What the kernel appends to the path of a file that was removed.
const DELETED: &[u8] = b" (deleted)";

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
    sys::environment::remove(name).map_err(failed)
}

/// The path of the program that this process runs (`uv_exepath`), absolute and without symbolic links.
///
/// A file that was renamed has its new name here: [`program_path`] is for starting the program again. One that was removed
/// or replaced has the name that it had, where its successor is found; [`std::env::current_exe`] appends ` (deleted)` then.
///
/// # Errors
/// What the system says of `/proc/self/exe`.
///
/// ```
/// assert_eq!(uv_core::os::exe_path()?, std::env::current_exe()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn exe_path() -> Result<PathBuf> {
    let failed = |error| Error::new("readlink", Errno::from(error)).on(ITSELF);
    let path = fs::read_link(ITSELF).map_err(failed)?;
    let Some(name) = path.as_os_str().as_bytes().strip_suffix(DELETED) else { return Ok(path) };
    // A program may be called that.
    Ok(if is_itself(&path) { path } else { PathBuf::from(OsStr::from_bytes(name)) })
}

/// The path by which this process's program was started, absolute and with its symbolic links: where a deployment puts the
/// program's successor.
///
/// A deployment may remove the folder to which a link led, and let the link lead to another one. [`exe_path`] knows only
/// the folder. It is the answer where the path that `exec` was given does not lead to this program, perhaps because the
/// process has changed its folder, or the successor is there already. So ask early, and remember.
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
    // A name of a descriptor, or of whatever program looks, means another file to another process.
    let lasts =
        |path: &PathBuf| !["/proc", "/dev"].iter().any(|folder| path.starts_with(folder)) && is_itself(path);
    called.filter(lasts).map_or_else(exe_path, Ok)
}

fn is_itself(path: &Path) -> bool {
    let place = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((place(path), place(Path::new(ITSELF))), (Ok(one), Ok(other)) if one == other)
}
