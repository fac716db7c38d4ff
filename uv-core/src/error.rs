//! The error type of this crate: the operation, its target and the errno.

use crate::Errno;
use std::fmt;
use std::io;

/// The result of a fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation: its name, the address or path that it was applied to, and the errno.
///
/// Mirrors the `code`, `syscall`, `address` and `port` of Node's errors.
///
/// ```
/// use uv_core::{Errno, Error};
///
/// let error = Error::new("listen", Errno::EADDRINUSE).on("127.0.0.1:80");
/// assert_eq!(error.to_string(), "listen 127.0.0.1:80: Address already in use (EADDRINUSE)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    op: &'static str,
    errno: Errno,
    about: Option<Box<About>>,
}

/// The parts that only some errors have.
#[derive(Clone, Default, PartialEq, Eq)]
struct About {
    target: Option<Box<str>>,
    note: Option<&'static str>,
}

impl Error {
    /// An error of the operation `op`.
    #[must_use]
    pub const fn new(op: &'static str, errno: Errno) -> Self {
        Self { op, errno, about: None }
    }

    /// Adds the address, path or program that the operation was applied to.
    #[must_use]
    pub fn on(mut self, target: impl fmt::Display) -> Self {
        self.about.get_or_insert_default().target = Some(target.to_string().into_boxed_str());
        self
    }

    /// Adds what is known of the cause beyond the errno.
    #[must_use]
    pub fn noting(mut self, note: &'static str) -> Self {
        self.about.get_or_insert_default().note = Some(note);
        self
    }

    /// The operation that failed, by the name of its system call or function: `"bind"`, `"read"`, `"spawn"`.
    #[must_use]
    pub const fn op(&self) -> &'static str {
        self.op
    }

    /// The errno.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        self.errno
    }

    /// The address, path or program that the operation was applied to, if any.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.about.as_ref()?.target.as_deref()
    }

    /// What is known of the cause beyond the errno, if anything: for example that the socket file in the way is left
    /// over.
    #[must_use]
    pub fn note(&self) -> Option<&'static str> {
        self.about.as_ref()?.note
    }
}

/// Text from an untrusted source, for display: control characters are shown as Rust escapes, so that it stays on one
/// line and a terminal does not interpret it.
///
/// ```
/// use uv_core::layer::Printable;
///
/// assert_eq!(Printable("/tmp/\x1b[2J\n").to_string(), r"/tmp/\u{1b}[2J\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(char::is_control) {
            let (plain, from) = rest.split_at(at);
            let mut chars = from.chars();
            f.write_str(plain)?;
            chars.next().map_or(Ok(()), |control| write!(f, "{}", control.escape_default()))?;
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op)?;
        if let Some(target) = self.target() {
            write!(f, " {}", Printable(target))?;
        }
        if let Some(note) = self.note() {
            write!(f, " ({note})")?;
        }
        write!(f, ": {}", self.errno)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.errno.io_kind(), error)
    }
}
