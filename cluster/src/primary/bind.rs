//! The primary's sockets, for both policies. Mirrors what the constructors of `RoundRobinHandle` and `SharedHandle` bind.

use crate::channel::message::{Query, Target};
use net::Address;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use uv_core::socket::KeepAlive;
use uv_core::{BindOptions, Error, LoopHandle, Pipe, Result, Stream, Tcp};

/// A bound socket of the loop, for a primary that accepts.
pub(crate) struct Bound {
    pub(crate) stream: Stream,
    pub(crate) address: Address,
}

/// A bound socket for workers that accept. Closed when dropped.
pub(crate) struct Shareable {
    /// What the workers get.
    pub(crate) fd: Rc<OwnedFd>,
    pub(crate) address: Address,
    stream: Stream,
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
        Ok(Bound { stream: (*pipe).clone(), address: query.key.target.address() })
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

/// Binds a socket for workers to share. It listens as soon as the first of them does, and for as long as the primary
/// has it.
pub(crate) fn share(lp: &LoopHandle, query: &Query) -> Result<Shareable> {
    let Bound { stream, address } = bind(lp, query)?;
    let fd = stream.try_clone_fd().inspect_err(|_| stream.close())?;
    Ok(Shareable { fd: Rc::new(fd), address, stream })
}

/// The path as seen from this process's folder if that is shorter: the kernel takes 107 bytes.
fn short(path: &Path) -> PathBuf {
    let folder = std::env::current_dir().ok();
    let relative = folder.and_then(|folder| path.strip_prefix(folder).ok());
    relative.filter(|relative| *relative != OsStr::new("")).unwrap_or(path).to_owned()
}

impl Drop for Shareable {
    fn drop(&mut self) {
        // This also removes the file of a Unix socket.
        self.stream.close();
    }
}
