//! Numbers, addresses and strings of the message format, written and read. Nothing that is read is trusted: a value
//! that does not fit is [`ProtocolError::Malformed`].

use crate::channel::message::{Key, PATH_BYTES, ProtocolError, Query, Reply, Target};
use net::Address;
use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

const IPV6_ONLY: u8 = 1;
const REUSE_PORT: u8 = 1 << 1;
const READABLE_BY_ALL: u8 = 1 << 2;
const WRITABLE_BY_ALL: u8 = 1 << 3;
const NO_DELAY: u8 = 1 << 4;
const ALL_FLAGS: u8 = (1 << 5) - 1;

/// A frame in the making.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// The frame, with its length in front.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - size_of::<u32>()) as u32;
        self.0[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
        self.0
    }

    pub(crate) fn head(&mut self, kind: u8, fds: u8) -> &mut Self {
        self.raw(&[kind, fds])
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Names of sockets and texts of errors, which are short; one beyond all measure is cut.
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

    fn key(&mut self, key: &Key) -> &mut Self {
        match &key.target {
            Target::Port(port) => self.u8(0).u16(*port),
            Target::Addr(addr) => self.u8(1).socket_addr(*addr),
            Target::Path(path) => self.u8(2).string(path.as_os_str().as_bytes()),
        };
        self.u32(key.index)
    }

    pub(crate) fn query(&mut self, query: &Query) -> &mut Self {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let flags = flag(query.ipv6_only, IPV6_ONLY)
            | flag(query.reuse_port, REUSE_PORT)
            | flag(query.readable_by_all, READABLE_BY_ALL)
            | flag(query.writable_by_all, WRITABLE_BY_ALL)
            | flag(query.no_delay, NO_DELAY);
        self.key(&query.key).u32(query.backlog).u8(flags).u32(query.keep_alive)
    }

    pub(crate) fn reply(&mut self, reply: &Reply) -> &mut Self {
        match reply {
            Reply::Distributed { key, address, prepared } => {
                self.u8(0).u32(*key).address(address).u8(u8::from(*prepared))
            }
            Reply::Shared { key, address } => self.u8(1).u32(*key).address(address),
            Reply::Failed { errno, target } => self.u8(2).raw(&errno.to_le_bytes()).string(target.as_bytes()),
        }
    }
}

/// A frame's body while it is read.
pub(crate) struct Reader<'a>(&'a [u8]);

type Read<T> = Result<T, ProtocolError>;

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Everything must have been read.
    pub(crate) fn finish(self) -> Read<()> {
        if self.0.is_empty() { Ok(()) } else { Err(ProtocolError::Malformed) }
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
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

    pub(crate) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
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

    /// The path of a socket that is to be made: absolute, so that it is one file whatever folder a process is in.
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

    fn key(&mut self) -> Read<Key> {
        let target = match self.u8()? {
            0 => Target::Port(self.u16()?),
            1 => Target::Addr(self.socket_addr()?),
            2 => Target::Path(self.socket_path()?),
            _ => return Err(ProtocolError::Malformed),
        };
        Ok(Key { target, index: self.u32()? })
    }

    pub(crate) fn query(&mut self) -> Read<Query> {
        let (key, backlog, flags) = (self.key()?, self.u32()?, self.u8()?);
        if flags & !ALL_FLAGS != 0 {
            return Err(ProtocolError::Malformed);
        }
        Ok(Query {
            key,
            backlog,
            ipv6_only: flags & IPV6_ONLY != 0,
            reuse_port: flags & REUSE_PORT != 0,
            readable_by_all: flags & READABLE_BY_ALL != 0,
            writable_by_all: flags & WRITABLE_BY_ALL != 0,
            no_delay: flags & NO_DELAY != 0,
            keep_alive: self.u32()?,
        })
    }

    pub(crate) fn reply(&mut self) -> Read<Reply> {
        match self.u8()? {
            0 => {
                let (key, address) = (self.u32()?, self.address()?);
                let prepared = match self.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(ProtocolError::Malformed),
                };
                Ok(Reply::Distributed { key, address, prepared })
            }
            1 => Ok(Reply::Shared { key: self.u32()?, address: self.address()? }),
            2 => {
                let errno = self.array().map(i32::from_le_bytes)?;
                let target = OsString::from_vec(self.string()?.to_vec()).to_string_lossy().into_owned();
                Ok(Reply::Failed { errno, target })
            }
            _ => Err(ProtocolError::Malformed),
        }
    }
}
