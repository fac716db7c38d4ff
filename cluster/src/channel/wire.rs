//! Numbers, addresses and strings of the message format, written and read. The input is not trusted: a value outside of
//! its range is [`ProtocolError::Malformed`].

use super::ids::SocketId;
use super::message::{PATH_BYTES, ProtocolError, Reply};
use net::Address;
use net::source::{ListenQuery, ListenTarget};
use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

const IPV6_ONLY: u8 = 1;
const REUSE_PORT: u8 = 1 << 1;
const READABLE_BY_ALL: u8 = 1 << 2;
const WRITABLE_BY_ALL: u8 = 1 << 3;
const NO_DELAY: u8 = 1 << 4;
const ALL_FLAGS: u8 = (1 << 5) - 1;

/// Writes a frame.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// The frame, with its length in front.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - size_of::<u32>()) as u32;
        self.0[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
        self.0
    }

    pub(super) fn head(&mut self, kind: u8, fds: u8) -> &mut Self {
        self.raw(&[kind, fds])
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Writes the name of a socket or the target of an error. Longer ones than the format can hold are truncated.
    fn string(&mut self, bytes: &[u8]) -> &mut Self {
        let len = bytes.len().min(usize::from(u16::MAX));
        self.u16(len as u16).raw(&bytes[..len])
    }

    fn socket_addr(&mut self, addr: SocketAddr) -> &mut Self {
        match addr {
            SocketAddr::V4(addr) => self.u8(4).raw(&addr.ip().octets()).u16(addr.port()),
            SocketAddr::V6(addr) => {
                self.u8(6).raw(&addr.ip().octets()).u16(addr.port()).u32(addr.flowinfo()).u32(addr.scope_id())
            }
        }
    }

    fn address(&mut self, address: &Address) -> &mut Self {
        match address {
            Address::Tcp(addr) => self.u8(0).socket_addr(*addr),
            Address::Path(path) => self.u8(1).string(path.as_os_str().as_bytes()),
            Address::Abstract(name) => self.u8(2).string(name),
            Address::Unnamed => self.u8(3),
        }
    }

    pub(super) fn query(&mut self, index: u32, query: &ListenQuery) -> &mut Self {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let flags = flag(query.ipv6_only, IPV6_ONLY)
            | flag(query.reuse_port, REUSE_PORT)
            | flag(query.readable_by_all, READABLE_BY_ALL)
            | flag(query.writable_by_all, WRITABLE_BY_ALL)
            | flag(query.no_delay, NO_DELAY);
        match &query.target {
            ListenTarget::Port(port) => self.u8(0).u16(*port),
            ListenTarget::Addr(addr) => self.u8(1).socket_addr(*addr),
            ListenTarget::Path(path) => self.u8(2).string(path.as_os_str().as_bytes()),
        };
        self.u32(index).u32(query.backlog).u8(flags).u32(query.keep_alive.map_or(0, seconds))
    }

    pub(super) fn reply(&mut self, reply: &Reply) -> &mut Self {
        match reply {
            Reply::Distributed { socket, address, prepared } => {
                self.u8(0).u32(socket.0).address(address).u8(u8::from(*prepared))
            }
            Reply::Shared { socket, address } => self.u8(1).u32(socket.0).address(address),
            Reply::Failed { errno, target } => self.u8(2).raw(&errno.to_le_bytes()).string(target.as_bytes()),
        }
    }
}

/// 0 stands for no probes, so the shortest time is a second.
fn seconds(idle: Duration) -> u32 {
    u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// Reads the body of a frame.
pub(super) struct Reader<'a>(&'a [u8]);

type Read<T> = Result<T, ProtocolError>;

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Refuses a body with trailing bytes.
    pub(super) fn finish(self) -> Read<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ProtocolError::Malformed) }
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or(ProtocolError::Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Read<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn string(&mut self) -> Read<&'a [u8]> {
        let len = usize::from(self.u16()?);
        let (string, rest) = self.0.split_at_checked(len).ok_or(ProtocolError::Malformed)?;
        self.0 = rest;
        Ok(string)
    }

    fn path(&mut self) -> Read<PathBuf> {
        let path = self.string()?;
        if path.is_empty() {
            Err(ProtocolError::Malformed)
        } else {
            Ok(PathBuf::from(OsStr::from_bytes(path)))
        }
    }

    /// The path of a socket that is to be bound: absolute, so that it names the same file in every working directory.
    fn socket_path(&mut self) -> Read<PathBuf> {
        let path = self.path()?;
        match path.as_os_str().as_bytes() {
            bytes if bytes.len() > PATH_BYTES => Err(ProtocolError::Malformed),
            [0, ..] => Ok(path),
            [b'/', rest @ ..] if !rest.contains(&0) => Ok(path),
            _ => Err(ProtocolError::Malformed),
        }
    }

    fn socket_addr(&mut self) -> Read<SocketAddr> {
        match self.u8()? {
            4 => {
                let ip = Ipv4Addr::from(self.array::<4>()?);
                Ok(SocketAddrV4::new(ip, self.u16()?).into())
            }
            6 => {
                let ip = Ipv6Addr::from(self.array::<16>()?);
                Ok(SocketAddrV6::new(ip, self.u16()?, self.u32()?, self.u32()?).into())
            }
            _ => Err(ProtocolError::Malformed),
        }
    }

    fn address(&mut self) -> Read<Address> {
        match self.u8()? {
            0 => self.socket_addr().map(Address::Tcp),
            1 => self.path().map(Address::Path),
            2 => self.string().map(|name| Address::Abstract(name.to_vec())),
            3 => Ok(Address::Unnamed),
            _ => Err(ProtocolError::Malformed),
        }
    }

    /// The index of a key, and the query.
    pub(super) fn query(&mut self) -> Read<(u32, ListenQuery)> {
        let target = match self.u8()? {
            0 => ListenTarget::Port(self.u16()?),
            1 => ListenTarget::Addr(self.socket_addr()?),
            2 => ListenTarget::Path(self.socket_path()?),
            _ => return Err(ProtocolError::Malformed),
        };
        let (index, backlog, flags, keep_alive) = (self.u32()?, self.u32()?, self.u8()?, self.u32()?);
        if flags & !ALL_FLAGS != 0 {
            return Err(ProtocolError::Malformed);
        }
        let query = ListenQuery {
            target,
            backlog,
            ipv6_only: flags & IPV6_ONLY != 0,
            reuse_port: flags & REUSE_PORT != 0,
            readable_by_all: flags & READABLE_BY_ALL != 0,
            writable_by_all: flags & WRITABLE_BY_ALL != 0,
            no_delay: flags & NO_DELAY != 0,
            keep_alive: (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into())),
        };
        Ok((index, query))
    }

    pub(super) fn reply(&mut self) -> Read<Reply> {
        match self.u8()? {
            0 => {
                let (socket, address) = (SocketId(self.u32()?), self.address()?);
                let prepared = match self.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(ProtocolError::Malformed),
                };
                Ok(Reply::Distributed { socket, address, prepared })
            }
            1 => Ok(Reply::Shared { socket: SocketId(self.u32()?), address: self.address()? }),
            2 => {
                let errno = self.array().map(i32::from_le_bytes)?;
                let target = OsString::from_vec(self.string()?.to_vec()).to_string_lossy().into_owned();
                Ok(Reply::Failed { errno, target })
            }
            _ => Err(ProtocolError::Malformed),
        }
    }
}
