//! The primary's sockets, for both policies. Mirrors what the constructors of `RoundRobinHandle` and `SharedHandle` bind.

use crate::message::{Query, Target};
use net::Address;
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{BindOptions, Errno, Error, KeepAlive, LoopHandle, Pipe, Result, Stream, Tcp};

/// A bound socket of the loop, for a primary that accepts.
pub(crate) struct Bound {
    pub(crate) stream: Stream,
    pub(crate) address: Address,
}

/// A socket without a handle, for workers that accept.
pub(crate) struct Shareable {
    pub(crate) fd: Rc<OwnedFd>,
    pub(crate) address: Address,
    /// The file to remove at the end.
    path: Option<PathBuf>,
}

/// Binds a socket on which the primary is to listen.
pub(crate) fn bind(lp: &LoopHandle, query: &Query) -> Result<Bound> {
    let path = match &query.key.target {
        Target::Port(port) => return on_any(*port, |addr| bind_tcp(lp, addr, query)),
        Target::Addr(addr) => return bind_tcp(lp, *addr, query),
        Target::Path(path) => path,
    };
    let pipe = Pipe::new(lp);
    let bound = pipe.bind(short(path)).and_then(|()| {
        if query.readable_by_all || query.writable_by_all {
            pipe.chmod(query.readable_by_all, query.writable_by_all)?;
        }
        Ok(Bound { stream: (*pipe).clone(), address: named(path) })
    });
    bound.inspect_err(|_| pipe.close())
}

fn bind_tcp(lp: &LoopHandle, addr: SocketAddr, query: &Query) -> Result<Bound> {
    let tcp = Tcp::new(lp);
    let options = BindOptions { ipv6_only: query.ipv6_only, reuse_port: query.reuse_port };
    let bound = tcp.bind(addr, options).and_then(|()| {
        // Connections inherit these on Linux: no system call for each of them.
        if query.no_delay {
            tcp.set_nodelay(true)?;
        }
        if query.keep_alive > 0 {
            tcp.set_keepalive(Some(KeepAlive::after(Duration::from_secs(query.keep_alive.into()))))?;
        }
        // This also says whether the port was in use, which `bind` did not.
        let address = tcp.local_addr().map_err(|error| Error::new("bind", error.errno()).on(addr))?;
        Ok(Bound { stream: (*tcp).clone(), address: Address::Tcp(address) })
    });
    bound.inspect_err(|_| tcp.close())
}

/// As Node: every address through one IPv6 socket, unless there is no IPv6.
fn on_any<T>(port: u16, bind: impl Fn(SocketAddr) -> Result<T>) -> Result<T> {
    match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if matches!(error.errno().name(), "EAFNOSUPPORT" | "EADDRNOTAVAIL" | "EINVAL") => {
            bind((Ipv4Addr::UNSPECIFIED, port).into())
        }
        result => result,
    }
}

/// Makes a socket for workers to share. It listens already: until the first worker accepts, connections wait.
pub(crate) fn share(query: &Query) -> Result<Shareable> {
    let path = match &query.key.target {
        Target::Port(port) => return on_any(*port, |addr| share_tcp(addr, query)),
        Target::Addr(addr) => return share_tcp(*addr, query),
        Target::Path(path) => path,
    };
    let failed = |error: io::Error| match Errno::from(error) {
        // As the loop's pipes report a missing folder.
        Errno::ENOENT => Error::new("bind", Errno::EACCES).on(path.display()),
        errno => Error::new("bind", errno).on(path.display()),
    };
    let address = named(path);
    if let Address::Abstract(name) = &address {
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(name).map_err(failed)?;
        let fd = UnixListener::bind_addr(&addr).map_err(failed)?;
        return Ok(Shareable::new(fd, address, None));
    }
    let short = short(path);
    let fd = UnixListener::bind(&short).map_err(failed)?;
    let more = if query.readable_by_all { 0o444 } else { 0 } | if query.writable_by_all { 0o222 } else { 0 };
    let shareable = Shareable::new(fd, address, Some(short.clone()));
    if more != 0 {
        let mode = std::fs::metadata(&short).map_err(failed)?.permissions().mode();
        std::fs::set_permissions(&short, Permissions::from_mode(mode | more)).map_err(failed)?;
    }
    Ok(shareable)
}

fn share_tcp(addr: SocketAddr, query: &Query) -> Result<Shareable> {
    let failed = |errno| Error::new("bind", errno).on(addr);
    if query.ipv6_only || query.reuse_port {
        // The standard library's sockets know neither.
        return Err(failed(Errno::ENOTSUP));
    }
    let listener = TcpListener::bind(addr).map_err(|error| failed(error.into()))?;
    let address = listener.local_addr().map_err(|error| failed(error.into()))?;
    Ok(Shareable::new(listener, Address::Tcp(address), None))
}

fn named(path: &Path) -> Address {
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => Address::Abstract(name.to_vec()),
        _ => Address::Path(path.to_owned()),
    }
}

/// The path as seen from this process's folder if that is shorter: the kernel takes 107 bytes.
fn short(path: &Path) -> PathBuf {
    let folder = std::env::current_dir().ok();
    let relative = folder.and_then(|folder| path.strip_prefix(folder).ok());
    relative.filter(|relative| *relative != OsStr::new("")).unwrap_or(path).to_owned()
}

impl Shareable {
    fn new(fd: impl Into<OwnedFd>, address: Address, path: Option<PathBuf>) -> Self {
        Self { fd: Rc::new(fd.into()), address, path }
    }
}

impl Drop for Shareable {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Gone already is fine.
            let _ = std::fs::remove_file(path);
        }
    }
}
