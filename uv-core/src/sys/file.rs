//! Files: one safe function for each call of the requests on files, and `sendfile(2)`.
//!
//! Threads of the pool make these calls, except [`send`]. They go through `std` where that has them.

use super::fd::{check, check_len, own};
use super::signal::without_sigpipe;
use super::transfer;
use crate::Errno;
use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Write;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

/// Interrupted calls in a row: beyond that the request fails with `EINTR`.
const INTERRUPTIONS: u32 = 16;

/// Attempts to open beneath a folder while other processes rename its subfolders, which openat2(2) reports by `EAGAIN`.
const RENAMES: u32 = 16;

/// How files beneath a folder are opened: a FIFO without a writer must not block a thread of the pool.
const BENEATH: libc::c_int = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

const OUTSIDE: Errno = Errno::EXDEV;

/// Asks for a fault, in a test's world.
fn may_fail(call: &'static str) -> Result<(), Errno> {
    #[cfg(upcall_faults)]
    crate::faults::refuse(call)?;
    let _ = call;
    Ok(())
}

fn retrying<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..INTERRUPTIONS {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
    call()
}

pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<File, Errno> {
    may_fail("openat(2)")?;
    Ok(options.open(path)?)
}

/// Opens a file or a folder beneath `folder` for reading. The path cannot leave it, by `..`, by a symbolic link, or by
/// what other processes change meanwhile.
pub(crate) fn open_beneath(folder: BorrowedFd<'_>, path: &Path) -> Result<File, Errno> {
    let opened = retrying(|| open_resolving(folder, path, 0));
    match opened {
        // A kernel before 5.6, or a filter that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::BeneathByWalk);
            open_walking(folder, path)
        }
        opened => opened,
    }
}

/// Opens as [`open_beneath`] does if the kernel knows every part of the path already, which takes no disk.
///
/// # Errors
/// `EAGAIN` if it does not, or if it is older than Linux 5.12.
pub(crate) fn try_open_beneath(folder: BorrowedFd<'_>, path: &Path) -> Result<File, Errno> {
    match open_resolving(folder, path, libc::RESOLVE_CACHED) {
        Err(Errno::EINTR | Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => Err(Errno::EAGAIN),
        opened => opened,
    }
}

/// Lets the kernel keep the path inside (`RESOLVE_BENEATH`). Symbolic links that stay inside are followed.
fn open_resolving(folder: BorrowedFd<'_>, path: &Path, resolve: u64) -> Result<File, Errno> {
    let path = c_string(path)?;
    // SAFETY: all fields are numbers, and zero is a valid value for each.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = BENEATH as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | resolve;
    let mut result = Err(Errno::EAGAIN);
    let attempts = if resolve == 0 { RENAMES } else { 1 };
    for _ in 0..attempts {
        may_fail("openat2(2)")?;
        // SAFETY: path and structure outlive the call, and the length is the structure's. A descriptor that it returns is
        // new.
        result = unsafe {
            let (at, how) = (folder.as_raw_fd(), &raw mut how);
            let opened =
                libc::syscall(libc::SYS_openat2, at, path.as_ptr(), how, size_of::<libc::open_how>());
            own(opened as libc::c_int)
        };
        if result.as_ref().err() != Some(&Errno::EAGAIN) {
            break;
        }
    }
    result.map(File::from)
}

/// Opens each folder on the way by itself, and follows no symbolic link at all.
fn open_walking(folder: BorrowedFd<'_>, path: &Path) -> Result<File, Errno> {
    // The kernel refuses a path of PATH_MAX bytes: that bounds the walk.
    if path.as_os_str().len() >= libc::PATH_MAX as usize {
        return Err(Errno::ENAMETOOLONG);
    }
    let mut at = super::fd::duplicate(folder)?;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let name = match component {
            Component::Normal(name) => Path::new(name),
            Component::CurDir => Path::new("."),
            _ => return Err(OUTSIDE),
        };
        let folder = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let flags = if components.peek().is_some() { folder } else { BENEATH };
        let name = c_string(name)?;
        may_fail("openat(2)")?;
        // SAFETY: the path outlives the call. A descriptor that it returns is new.
        at = unsafe { own(libc::openat(at.as_raw_fd(), name.as_ptr(), flags | libc::O_NOFOLLOW)) }?;
    }
    Ok(File::from(at))
}

fn c_string(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

pub(crate) fn metadata(file: &File) -> Result<Metadata, Errno> {
    may_fail("fstat")?;
    Ok(file.metadata()?)
}

/// Reads up to `len` bytes at the offset: fewer at the end of the file.
pub(crate) fn read_at(file: &File, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let mut data = Vec::new();
    data.try_reserve_exact(len).map_err(|_| Errno::ENOMEM)?;
    data.resize(len, 0);
    let count = retrying(|| {
        may_fail("pread")?;
        #[cfg(upcall_faults)]
        let len = crate::faults::shorten("pread length", len);
        Ok(file.read_at(&mut data[..len], offset)?)
    })?;
    data.truncate(count);
    Ok(data)
}

/// Writes all of `data`, at the offset or at the position of the open file.
pub(crate) fn write_all(file: &File, offset: Option<u64>, mut data: &[u8]) -> Result<(), Errno> {
    let mut at = offset;
    while !data.is_empty() {
        let count = retrying(|| {
            may_fail("pwrite")?;
            #[cfg(upcall_faults)]
            let data = &data[..crate::faults::shorten("pwrite length", data.len())];
            match at {
                Some(at) => Ok(file.write_at(data, at)?),
                None => Ok((&*file).write(data)?),
            }
        })?;
        if count == 0 {
            return Err(Errno::EIO);
        }
        data = &data[count..];
        at = at.map(|at| at + count as u64);
    }
    Ok(())
}

pub(crate) fn sync(file: &File) -> Result<(), Errno> {
    may_fail("fsync")?;
    Ok(file.sync_all()?)
}

/// Closes the descriptor, and returns what the file system could not write before, which a drop ignores.
pub(crate) fn close(file: File) -> Result<(), Errno> {
    // SAFETY: the descriptor has no other owner from here on, also if the call fails: Linux frees the number always.
    check(unsafe { libc::close(OwnedFd::from(file).into_raw_fd()) }).map(drop)
}

/// Makes a call on a path.
pub(crate) fn on_path<T>(call: &'static str, work: impl FnOnce() -> std::io::Result<T>) -> Result<T, Errno> {
    may_fail(call)?;
    Ok(work()?)
}

/// Sends up to `len` bytes of the file from the offset to a stream. Returns zero only at the end of the file. The kernel
/// reads from the disk what it does not have in memory, which blocks.
///
/// The stream is in the mode of its open file: unlike `send(2)`, this call has no flags.
pub(crate) fn send(
    to: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> Result<usize, Errno> {
    #[cfg(upcall_faults)]
    let len = crate::faults::send_file_len(to, len)?;
    let mut at = libc::off_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    let send = || {
        // SAFETY: the kernel reads and writes the one offset, which outlives the call.
        check_len(unsafe { libc::sendfile(to.as_raw_fd(), file.as_raw_fd(), &raw mut at, len) })
    };
    transfer("sendfile(2)", || without_sigpipe(send))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    type Way = fn(BorrowedFd<'_>, &Path) -> Result<File, Errno>;

    const WAYS: [Way; 2] = [|folder, path| open_resolving(folder, path, 0), open_walking];

    /// A folder with files, links inside and links outside.
    fn folder(name: &str) -> (std::path::PathBuf, File) {
        let path = std::env::temp_dir().join(format!("uv-core-beneath-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("root/sub")).expect("folders");
        fs::write(path.join("root/sub/file"), "inside").expect("a file");
        fs::write(path.join("secret"), "outside").expect("a file");
        symlink("../../secret", path.join("root/sub/out")).expect("a link");
        symlink(path.join("secret"), path.join("root/absolute")).expect("a link");
        symlink("sub/file", path.join("root/in")).expect("a link");
        symlink("..", path.join("root/up")).expect("a link");
        let root = File::open(path.join("root")).expect("a folder");
        (path, root)
    }

    fn text(opened: Result<File, Errno>) -> Result<String, Errno> {
        let mut text = String::new();
        opened?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn no_path_leads_out_of_the_folder_however_it_is_opened() {
        let (path, root) = folder("ways");
        for open in WAYS {
            let open = |path: &str| text(open(root.as_fd(), Path::new(path)));
            assert_eq!(open("sub/file").as_deref(), Ok("inside"));
            assert_eq!(open("./sub/./file").as_deref(), Ok("inside"));
            for way in
                ["../secret", "sub/../../secret", "sub/out", "absolute", "up/secret", "/etc/passwd", ".."]
            {
                let failed = open(way).expect_err(way);
                assert!(matches!(failed, Errno::EXDEV | Errno::ELOOP | Errno::ENOTDIR), "{way}: {failed}");
            }
            assert_eq!(open("sub/missing"), Err(Errno::ENOENT));
        }
        // A link that stays inside is followed where the kernel can tell, and refused where it cannot.
        assert_eq!(text(open_resolving(root.as_fd(), Path::new("in"), 0)).as_deref(), Ok("inside"));
        assert_eq!(text(open_walking(root.as_fd(), Path::new("in"))), Err(Errno::ELOOP));
        // What was just opened is known to the kernel, unless it is too old to tell.
        let known = text(try_open_beneath(root.as_fd(), Path::new("sub/file")));
        assert!(known.as_deref() == Ok("inside") || known == Err(Errno::EAGAIN), "{known:?}");
        let out = text(try_open_beneath(root.as_fd(), Path::new("sub/out")));
        assert!(matches!(out, Err(Errno::EXDEV | Errno::EAGAIN)), "{out:?}");
        fs::remove_dir_all(path).expect("removed");
    }

    #[test]
    fn a_path_that_is_too_long_is_refused_by_both_ways() {
        let (path, root) = folder("long");
        let long = "a/".repeat(3000);
        for open in WAYS {
            assert_eq!(text(open(root.as_fd(), Path::new(&long))), Err(Errno::ENAMETOOLONG));
        }
        fs::remove_dir_all(path).expect("removed");
    }
}
