//! Operating-system error numbers under their stable names, as `uv_err_name` and `uv_strerror` give them.

use crate::sys;
use std::fmt;
use std::io;

/// An operating-system error number.
///
/// Mirrors libuv's error codes. Node and its users match errors by these names (`ECONNRESET`), so the name is part of
/// the interface; the message is for people.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

/// The errors that libuv names on Linux (`UV_ERRNO_MAP`), and those that a network program meets besides.
const NAMES: &[(i32, &str)] = &[
    (libc::E2BIG, "E2BIG"),
    (libc::EACCES, "EACCES"),
    (libc::EADDRINUSE, "EADDRINUSE"),
    (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
    (libc::EAGAIN, "EAGAIN"),
    (libc::EALREADY, "EALREADY"),
    (libc::EBADF, "EBADF"),
    (libc::EBUSY, "EBUSY"),
    (libc::ECANCELED, "ECANCELED"),
    (libc::ECHILD, "ECHILD"),
    (libc::ECONNABORTED, "ECONNABORTED"),
    (libc::ECONNREFUSED, "ECONNREFUSED"),
    (libc::ECONNRESET, "ECONNRESET"),
    (libc::EDEADLK, "EDEADLK"),
    (libc::EDESTADDRREQ, "EDESTADDRREQ"),
    (libc::EEXIST, "EEXIST"),
    (libc::EFAULT, "EFAULT"),
    (libc::EFBIG, "EFBIG"),
    (libc::EHOSTDOWN, "EHOSTDOWN"),
    (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    (libc::EILSEQ, "EILSEQ"),
    (libc::EINPROGRESS, "EINPROGRESS"),
    (libc::EINTR, "EINTR"),
    (libc::EINVAL, "EINVAL"),
    (libc::EIO, "EIO"),
    (libc::EISCONN, "EISCONN"),
    (libc::EISDIR, "EISDIR"),
    (libc::ELOOP, "ELOOP"),
    (libc::EMFILE, "EMFILE"),
    (libc::EMLINK, "EMLINK"),
    (libc::EMSGSIZE, "EMSGSIZE"),
    (libc::ENAMETOOLONG, "ENAMETOOLONG"),
    (libc::ENETDOWN, "ENETDOWN"),
    (libc::ENETUNREACH, "ENETUNREACH"),
    (libc::ENFILE, "ENFILE"),
    (libc::ENOBUFS, "ENOBUFS"),
    (libc::ENODATA, "ENODATA"),
    (libc::ENODEV, "ENODEV"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENOEXEC, "ENOEXEC"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::ENONET, "ENONET"),
    (libc::ENOPROTOOPT, "ENOPROTOOPT"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::ENOSYS, "ENOSYS"),
    (libc::ENOTCONN, "ENOTCONN"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::ENOTEMPTY, "ENOTEMPTY"),
    (libc::ENOTSOCK, "ENOTSOCK"),
    (libc::ENOTSUP, "ENOTSUP"),
    (libc::ENOTTY, "ENOTTY"),
    (libc::ENXIO, "ENXIO"),
    (libc::EOVERFLOW, "EOVERFLOW"),
    (libc::EPERM, "EPERM"),
    (libc::EPIPE, "EPIPE"),
    (libc::EPROTO, "EPROTO"),
    (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
    (libc::EPROTOTYPE, "EPROTOTYPE"),
    (libc::ERANGE, "ERANGE"),
    (libc::EREMOTEIO, "EREMOTEIO"),
    (libc::EROFS, "EROFS"),
    (libc::ESHUTDOWN, "ESHUTDOWN"),
    (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
    (libc::ESPIPE, "ESPIPE"),
    (libc::ESRCH, "ESRCH"),
    (libc::ETIMEDOUT, "ETIMEDOUT"),
    (libc::ETOOMANYREFS, "ETOOMANYREFS"),
    (libc::ETXTBSY, "ETXTBSY"),
    (libc::EUNATCH, "EUNATCH"),
    (libc::EXDEV, "EXDEV"),
    // libuv's numbers.
    (3000, "EAI_ADDRFAMILY"),
    (3001, "EAI_AGAIN"),
    (3002, "EAI_BADFLAGS"),
    (3003, "EAI_CANCELED"),
    (3004, "EAI_FAIL"),
    (3005, "EAI_FAMILY"),
    (3006, "EAI_MEMORY"),
    (3007, "EAI_NODATA"),
    (3008, "EAI_NONAME"),
    (3009, "EAI_OVERFLOW"),
    (3010, "EAI_SERVICE"),
    (3011, "EAI_SOCKTYPE"),
];

#[allow(missing_docs, reason = "each is the error of its name in errno(3)")]
impl Errno {
    pub const EACCES: Self = Self(libc::EACCES);
    pub const EADDRINUSE: Self = Self(libc::EADDRINUSE);
    pub const EADDRNOTAVAIL: Self = Self(libc::EADDRNOTAVAIL);
    pub const EAFNOSUPPORT: Self = Self(libc::EAFNOSUPPORT);
    pub const EAGAIN: Self = Self(libc::EAGAIN);
    pub const EALREADY: Self = Self(libc::EALREADY);
    pub const EBADF: Self = Self(libc::EBADF);
    pub const EBUSY: Self = Self(libc::EBUSY);
    pub const ECANCELED: Self = Self(libc::ECANCELED);
    pub const ECHILD: Self = Self(libc::ECHILD);
    pub const ECONNABORTED: Self = Self(libc::ECONNABORTED);
    pub const ECONNREFUSED: Self = Self(libc::ECONNREFUSED);
    pub const ECONNRESET: Self = Self(libc::ECONNRESET);
    pub const EDEADLK: Self = Self(libc::EDEADLK);
    pub const EDESTADDRREQ: Self = Self(libc::EDESTADDRREQ);
    pub const EEXIST: Self = Self(libc::EEXIST);
    pub const EINPROGRESS: Self = Self(libc::EINPROGRESS);
    pub const EINTR: Self = Self(libc::EINTR);
    pub const EINVAL: Self = Self(libc::EINVAL);
    pub const EISCONN: Self = Self(libc::EISCONN);
    pub const EIO: Self = Self(libc::EIO);
    pub const EISDIR: Self = Self(libc::EISDIR);
    pub const ELOOP: Self = Self(libc::ELOOP);
    pub const EMFILE: Self = Self(libc::EMFILE);
    pub const EMSGSIZE: Self = Self(libc::EMSGSIZE);
    pub const ENAMETOOLONG: Self = Self(libc::ENAMETOOLONG);
    pub const ENFILE: Self = Self(libc::ENFILE);
    pub const ENOBUFS: Self = Self(libc::ENOBUFS);
    pub const ENODEV: Self = Self(libc::ENODEV);
    pub const ENODATA: Self = Self(libc::ENODATA);
    pub const ENOENT: Self = Self(libc::ENOENT);
    pub const ENOMEM: Self = Self(libc::ENOMEM);
    pub const ENOSPC: Self = Self(libc::ENOSPC);
    pub const ENOSYS: Self = Self(libc::ENOSYS);
    pub const ENOTCONN: Self = Self(libc::ENOTCONN);
    pub const ENOTDIR: Self = Self(libc::ENOTDIR);
    pub const ENOTEMPTY: Self = Self(libc::ENOTEMPTY);
    pub const ENOTSOCK: Self = Self(libc::ENOTSOCK);
    pub const ENOTSUP: Self = Self(libc::ENOTSUP);
    pub const ENXIO: Self = Self(libc::ENXIO);
    pub const EOVERFLOW: Self = Self(libc::EOVERFLOW);
    pub const EPERM: Self = Self(libc::EPERM);
    pub const EPIPE: Self = Self(libc::EPIPE);
    pub const EPROTO: Self = Self(libc::EPROTO);
    pub const EPROTOTYPE: Self = Self(libc::EPROTOTYPE);
    pub const ESRCH: Self = Self(libc::ESRCH);
    pub const ETIMEDOUT: Self = Self(libc::ETIMEDOUT);
    pub const ETOOMANYREFS: Self = Self(libc::ETOOMANYREFS);
    pub const ETXTBSY: Self = Self(libc::ETXTBSY);
    pub const EXDEV: Self = Self(libc::EXDEV);
}

/// The errors of look-ups, `getaddrinfo(3)`, with libuv's numbers, which no errno has.
#[allow(missing_docs, reason = "each is the error of its name in getaddrinfo(3)")]
impl Errno {
    pub const EAI_ADDRFAMILY: Self = Self(3000);
    pub const EAI_AGAIN: Self = Self(3001);
    pub const EAI_BADFLAGS: Self = Self(3002);
    pub const EAI_CANCELED: Self = Self(3003);
    pub const EAI_FAIL: Self = Self(3004);
    pub const EAI_FAMILY: Self = Self(3005);
    pub const EAI_MEMORY: Self = Self(3006);
    pub const EAI_NODATA: Self = Self(3007);
    pub const EAI_NONAME: Self = Self(3008);
    pub const EAI_OVERFLOW: Self = Self(3009);
    pub const EAI_SERVICE: Self = Self(3010);
    pub const EAI_SOCKTYPE: Self = Self(3011);
}

impl Errno {
    /// The error of this number, as in `errno(3)`.
    #[must_use]
    pub const fn from_raw(code: i32) -> Self {
        Self(code)
    }

    /// The number, as in `errno(3)`: positive.
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.0
    }

    /// The symbolic name, such as `"ECONNRESET"`; `"EUNKNOWN"` for a number without one (`uv_err_name`).
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(code, _)| *code == self.0).map_or("EUNKNOWN", |(_, name)| name)
    }

    /// The name as in Node's `error.code`: [`name`](Self::name), but `"ENOTFOUND"` for a host without an address
    /// (`EAI_NONAME`, `EAI_NODATA`).
    ///
    /// ```
    /// use uv_core::Errno;
    ///
    /// assert_eq!((Errno::EAI_NONAME.code(), Errno::EAI_AGAIN.code()), ("ENOTFOUND", "EAI_AGAIN"));
    /// assert_eq!(Errno::EAI_NODATA.to_string(), "No address associated with hostname (ENOTFOUND, EAI_NODATA)");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        if self.is_not_found() { "ENOTFOUND" } else { self.name() }
    }

    /// Whether a look-up has found no address.
    fn is_not_found(self) -> bool {
        matches!(self, Self::EAI_NONAME | Self::EAI_NODATA)
    }

    /// The kind of an `io::Error` for it.
    pub(crate) fn io_kind(self) -> io::ErrorKind {
        if self.is_not_found() {
            io::ErrorKind::NotFound
        } else {
            io::Error::from_raw_os_error(self.0).kind()
        }
    }

    /// Whether binding an IPv6 socket failed because the machine lacks IPv6: the kernel does not support it
    /// (`EAFNOSUPPORT`), no interface has an IPv6 address (`EADDRNOTAVAIL`), or it is disabled for dual-stack sockets
    /// (`EINVAL`).
    #[must_use]
    pub fn is_no_ipv6(self) -> bool {
        matches!(self, Self::EAFNOSUPPORT | Self::EADDRNOTAVAIL | Self::EINVAL)
    }

    /// Whether the operation would block: `EAGAIN`, which equals `EWOULDBLOCK` on Linux.
    pub(crate) fn would_block(self) -> bool {
        self.0 == libc::EAGAIN || self.0 == libc::EWOULDBLOCK
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            sys::names::text(*self).unwrap_or_else(|| io::Error::from_raw_os_error(self.0).to_string());
        let text = text.split(" (os error").next().unwrap_or_default();
        if self.is_not_found() {
            return write!(f, "{text} ({}, {})", self.code(), self.name());
        }
        write!(f, "{text} ({})", self.name())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Errno({} {})", self.0, self.name())
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Self {
        // Options that the standard library refuses before any call have a kind only.
        let refused = error.kind() == io::ErrorKind::InvalidInput;
        Self(error.raw_os_error().unwrap_or(if refused { libc::EINVAL } else { libc::EIO }))
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}
