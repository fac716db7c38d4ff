//! Requests on paths: what a file is, what a folder contains, and changes of names. Mirrors `uv_fs_stat`,
//! `uv_fs_scandir`, `uv_fs_rename`, `uv_fs_unlink`, `uv_fs_mkdir` and `uv_fs_rmdir`.

use super::completed;
use crate::sys::file::on_path;
use crate::threads::Work;
use crate::{Errno, Error, LoopHandle, Result};
use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Entries of one folder: the list of a folder with more, about 100 MB, is refused.
const ENTRIES: usize = 1 << 20;

/// An entry of a folder (`uv_dirent_t`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DirEntry {
    /// The name, without the folder's.
    pub name: OsString,
    /// Its kind; a symbolic link is not followed.
    pub kind: FileType,
}

/// Refuses a path that names nothing, before any system call.
pub(super) fn checked<'a>(op: &'static str, path: &'a Path) -> Result<&'a Path> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(Error::new(op, Errno::EINVAL).noting("the path is empty"));
    }
    if bytes.contains(&0) {
        let error = Error::new(op, Errno::EINVAL).on(path.display());
        return Err(error.noting("the path contains NUL"));
    }
    Ok(path)
}

/// A request on one path.
fn request<T: Send + 'static>(
    event_loop: &LoopHandle,
    op: &'static str,
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, Errno> + Send + 'static,
    after: impl FnOnce(Result<T>) + 'static,
) -> Result<Work> {
    let path = checked(op, path)?.to_owned();
    let known = path.clone();
    Ok(event_loop.queue_work(move || work(&path), move |result| after(completed(op, &known, result))))
}

/// Asks for kind, length and times of a file (`uv_fs_stat`); symbolic links are followed.
///
/// # Errors
/// `EINVAL` for a path that is empty or contains NUL.
pub fn stat(
    event_loop: &LoopHandle,
    path: impl AsRef<Path>,
    after: impl FnOnce(Result<Metadata>) + 'static,
) -> Result<Work> {
    let stat = |path: &Path| on_path("stat", || fs::metadata(path));
    request(event_loop, "stat", path.as_ref(), stat, after)
}

/// Lists a folder, sorted by name (`uv_fs_scandir`), without `.` and `..`. `after` gets `EOVERFLOW` for a folder with more
/// than a million entries.
///
/// # Errors
/// `EINVAL` for a path that is empty or contains NUL.
pub fn scandir(
    event_loop: &LoopHandle,
    path: impl AsRef<Path>,
    after: impl FnOnce(Result<Vec<DirEntry>>) + 'static,
) -> Result<Work> {
    request(event_loop, "scandir", path.as_ref(), list, after)
}

fn list(path: &Path) -> Result<Vec<DirEntry>, Errno> {
    let mut entries = Vec::new();
    for entry in on_path("scandir", || fs::read_dir(path))? {
        if entries.len() == ENTRIES {
            return Err(Errno::EOVERFLOW);
        }
        let entry = entry?;
        entries.push(DirEntry { name: entry.file_name(), kind: entry.file_type()? });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

/// Renames a file or folder, and replaces a file of the new name (`uv_fs_rename`). An error names both.
///
/// # Errors
/// `EINVAL` for a path that is empty or contains NUL.
pub fn rename(
    event_loop: &LoopHandle,
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    after: impl FnOnce(Result<()>) + 'static,
) -> Result<Work> {
    let from = checked("rename", from.as_ref())?.to_owned();
    let to = checked("rename", to.as_ref())?.to_owned();
    let both = format!("{} -> {}", from.display(), to.display());
    let rename = move || on_path("rename", || fs::rename(from, to));
    Ok(event_loop.queue_work(rename, move |renamed| after(completed("rename", Path::new(&both), renamed))))
}

/// Removes a file (`uv_fs_unlink`).
///
/// # Errors
/// `EINVAL` for a path that is empty or contains NUL.
pub fn unlink(
    event_loop: &LoopHandle,
    path: impl AsRef<Path>,
    after: impl FnOnce(Result<()>) + 'static,
) -> Result<Work> {
    let unlink = |path: &Path| on_path("unlink", || fs::remove_file(path));
    request(event_loop, "unlink", path.as_ref(), unlink, after)
}

/// Makes a folder with these permissions, less the process's umask (`uv_fs_mkdir`).
///
/// # Errors
/// `EINVAL` for a path that is empty or contains NUL.
pub fn mkdir(
    event_loop: &LoopHandle,
    path: impl AsRef<Path>,
    mode: u32,
    after: impl FnOnce(Result<()>) + 'static,
) -> Result<Work> {
    let mkdir = move |path: &Path| on_path("mkdir", || fs::DirBuilder::new().mode(mode).create(path));
    request(event_loop, "mkdir", path.as_ref(), mkdir, after)
}

/// Removes an empty folder (`uv_fs_rmdir`).
///
/// # Errors
/// `EINVAL` for a path that is empty or contains NUL.
pub fn rmdir(
    event_loop: &LoopHandle,
    path: impl AsRef<Path>,
    after: impl FnOnce(Result<()>) + 'static,
) -> Result<Work> {
    let rmdir = |path: &Path| on_path("rmdir", || fs::remove_dir(path));
    request(event_loop, "rmdir", path.as_ref(), rmdir, after)
}
