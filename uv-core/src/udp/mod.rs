//! Datagrams. Mirrors `uv_udp_t`, libuv's `src/unix/udp.c`.
//!
//! A socket's state is its flags and its tower, and a queue while there is something to send. The buffers that receive
//! belong to the loop, so an idle socket holds no memory for datagrams.

mod about;
mod arrivals;
mod datagram;
mod errors;
mod flags;
mod inner;
mod lent;
mod options;
mod outgoing;
mod pull;
mod receive;
mod send;

use crate::handle::{Handle, HandleKind};
use crate::layer::trace::Facts;
use crate::sys;
use crate::sys::addr::SockAddr;
use crate::upcall::UdpUpcall;
use crate::{Errno, Error, LAYER, LoopHandle, Result};
use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;

pub use datagram::{Ecn, Envelope, Interface, SendOptions};
pub use options::UdpOptions;

use flags::{BOUND, CONNECTED, ERROR_QUEUE, RECEIVING, SHARED};
use inner::UdpInner;
pub(crate) use lent::Lent;

/// Notes of errors.
const CLOSING: &str = "the handle is closing";
const OTHER_FAMILY: &str = "the socket is of the other family";

/// A socket of datagrams (`uv_udp_t`).
///
/// A program that has a name instead of an address looks it up: [`LoopHandle::getaddrinfo`].
///
/// ```
/// use uv_core::udp::{Envelope, Udp, UdpOptions};
/// use uv_core::{Loop, RunMode};
///
/// let event_loop = Loop::new()?;
/// let server = Udp::new(&event_loop);
/// server.bind(([127, 0, 0, 1], 0).into(), &UdpOptions::default())?;
/// server.receive_start_with(|server: &Udp, data: &[u8], envelope: &Envelope| {
///     server.send_to(data.to_vec(), envelope.from).expect("it is open");
/// })?;
/// let client = Udp::new(&event_loop);
/// client.send_to("hello", server.local_addr()?)?;
/// let echo = server.clone();
/// client.receive_start_with(move |client: &Udp, data: &[u8], _: &Envelope| {
///     assert_eq!(data, b"hello");
///     client.close();
///     echo.close();
/// })?;
/// assert!(!event_loop.run(RunMode::Default)?);
/// # Ok::<(), uv_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Udp(Rc<UdpInner>);

impl Udp {
    /// Creates a handle without a socket, which `bind`, `connect`, `open`, and the first send or receive provide
    /// (`uv_udp_init`).
    #[must_use]
    #[track_caller]
    pub fn new(event_loop: &LoopHandle) -> Self {
        Self(event_loop.add(HandleKind::Udp, UdpInner::new))
    }

    /// Creates a handle with a socket of IPv4, so that options can be set before `bind` (`uv_udp_init_ex`).
    ///
    /// # Errors
    /// Any error of the system call, such as `EMFILE`.
    #[track_caller]
    pub fn new_v4(event_loop: &LoopHandle) -> Result<Self> {
        Self::with_socket(event_loop, libc::AF_INET)
    }

    /// Creates a handle with a socket of IPv6, so that options can be set before `bind` (`uv_udp_init_ex`).
    ///
    /// # Errors
    /// Any error of the system call, such as `EAFNOSUPPORT`.
    #[track_caller]
    pub fn new_v6(event_loop: &LoopHandle) -> Result<Self> {
        Self::with_socket(event_loop, libc::AF_INET6)
    }

    #[track_caller]
    fn with_socket(event_loop: &LoopHandle, family: libc::c_int) -> Result<Self> {
        let udp = Self::new(event_loop);
        match udp.0.socket(family).map(drop) {
            Ok(()) => Ok(udp),
            Err(errno) => {
                udp.close();
                Err(Error::new("socket", errno))
            }
        }
    }

    /// Adopts a UDP socket, which may be bound and have a peer (`uv_udp_open`). Its mode stays as it is.
    ///
    /// # Errors
    /// `EINVAL` if the handle is closing, `EBUSY` if it has a socket already, `ENOTSOCK` if `fd` is not a socket,
    /// `EPROTOTYPE` if it is not one of UDP. An error closes the descriptor.
    pub fn open(&self, fd: OwnedFd) -> Result<()> {
        let _down = LAYER.down("Udp::open", || Facts::of(self));
        let failed = |errno| Error::new("open", errno);
        match self.0.fd.number() {
            _ if self.is_closing() => Err(failed(Errno::EINVAL).noting(CLOSING)),
            Some(_) => Err(failed(Errno::EBUSY).noting("the handle has a socket")),
            None => self.0.adopt(fd).map_err(failed),
        }
    }

    /// Binds the socket to `addr` (`uv_udp_bind`); with port 0 the kernel chooses a port. It receives once
    /// [`receive_start`](Self::receive_start) is called, and keeps no loop alive before.
    ///
    /// # Errors
    /// `EINVAL` if the handle is closing or bound, has a socket of the other family, or if `ipv6_only` is set for an IPv4
    /// address; any error of the system calls, such as `EADDRINUSE`.
    pub fn bind(&self, addr: SocketAddr, options: &UdpOptions) -> Result<()> {
        let _down = LAYER.down("Udp::bind", || Facts::of(self));
        let failed = |errno| Error::new("bind", errno).on(addr);
        let mistake = match () {
            () if self.is_closing() => Some(CLOSING),
            () if self.0.has(BOUND) => Some("the socket is bound already"),
            () if options.ipv6_only && addr.is_ipv4() => Some("ipv6_only is for IPv6 addresses"),
            () => None,
        };
        if let Some(note) = mistake {
            return Err(failed(Errno::EINVAL).noting(note));
        }
        let sockaddr = SockAddr::inet(addr);
        let (fd, is_new) = self.0.socket(sockaddr.family()).map_err(failed)?;
        let bound = options.apply(fd, addr.is_ipv6()).and_then(|()| sys::socket::bind(fd, &sockaddr));
        if let Err(errno) = bound {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::DatagramBindFails);
            if is_new {
                // The next attempt may be for the other family.
                self.0.fd.close();
            }
            return Err(match errno.raw() {
                libc::EAFNOSUPPORT => failed(Errno::EINVAL).noting(OTHER_FAMILY),
                _ => failed(errno),
            });
        }
        self.0.set(BOUND | ERROR_QUEUE.when(options.error_queue));
        Ok(())
    }

    /// Sets the peer (`uv_udp_connect`): the socket sends to it and receives from it alone. A handle without a socket is
    /// bound to a port of the kernel's choice. Datagrams of others that had arrived before are still received.
    ///
    /// # Errors
    /// `EISCONN` if it has a peer, `EINVAL` if it is closing; any error of the system calls, such as `ENETUNREACH`.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("Udp::connect", || Facts::of(self));
        let failed = |errno| Error::new("connect", errno).on(addr);
        if self.is_closing() {
            return Err(failed(Errno::EINVAL).noting(CLOSING));
        }
        if self.0.has(CONNECTED) {
            return Err(failed(Errno::EISCONN));
        }
        self.0.bind_if_new(addr.is_ipv6(), false).map_err(failed)?;
        // What was sent before goes to where it was sent.
        self.0.flush_now();
        let fd = self.0.opened("connect")?;
        sys::datagram::connect(fd, &SockAddr::inet(addr)).map_err(failed)?;
        self.0.note_peer(addr);
        Ok(())
    }

    /// Removes the peer (`uv_udp_connect` without an address).
    ///
    /// # Errors
    /// `ENOTCONN` without a peer. `EADDRINUSE` if the kernel had chosen the port and another socket has got it meanwhile:
    /// then the peer is removed, and the kernel chooses another port.
    pub fn disconnect(&self) -> Result<()> {
        let _down = LAYER.down("Udp::disconnect", || Facts::of(self));
        let failed = |errno| Error::new("disconnect", errno);
        if self.is_closing() || !self.0.has(CONNECTED) {
            return Err(failed(Errno::ENOTCONN));
        }
        self.0.flush_now();
        self.0.disconnect().map_err(failed)
    }

    /// Sets the socket's tower. During an upcall the change takes effect when the upcall returns.
    ///
    /// A closing socket takes a tower too, because its `on_close` is still to come; a closed socket does not.
    pub fn set_upcall(&self, upcall: impl UdpUpcall + 'static) {
        self.0.set_upcall(Box::new(upcall));
    }

    /// Starts receiving (`uv_udp_recv_start`). A handle without a socket is bound to a port of the kernel's choice, of
    /// IPv4.
    ///
    /// # Errors
    /// `EALREADY` while receiving, `EINVAL` if the handle is closing; any error of creating and binding the socket.
    pub fn receive_start(&self) -> Result<()> {
        let _down = LAYER.down("Udp::receive_start", || Facts::of(self));
        self.0.receive_start()
    }

    /// Starts receiving, with a closure for [`UdpUpcall::on_receive`] as the socket's tower.
    ///
    /// # Errors
    /// As for `receive_start`.
    pub fn receive_start_with(
        &self,
        on_receive: impl FnMut(&Self, &[u8], &Envelope) + 'static,
    ) -> Result<()> {
        self.set_upcall(on_receive);
        self.receive_start()
    }

    /// Stops receiving (`uv_udp_recv_stop`). No `on_receive` follows, not even if called in `on_receive`: what was received
    /// already waits for the next start, and a close drops it. Idempotent.
    pub fn receive_stop(&self) {
        let _down = LAYER.down("Udp::receive_stop", || Facts::of(self));
        self.0.receive_stop();
    }

    /// Whether the socket receives.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.0.has(RECEIVING)
    }

    /// Sends a datagram to the peer (`uv_udp_send`). It leaves at the end of the loop's phase, together with what else was
    /// sent meanwhile; `on_send` reports the result.
    ///
    /// # Errors
    /// `EDESTADDRREQ` without a peer, `EBADF` if the handle is closing.
    pub fn send(&self, data: impl Into<bytes::Bytes>) -> Result<()> {
        self.send_with(data, &SendOptions::default())
    }

    /// Sends a datagram to `to`, as [`send`](Self::send) does. A handle without a socket is bound to a port of the kernel's
    /// choice.
    ///
    /// # Errors
    /// `EISCONN` if the socket has a peer, `EINVAL` for port 0, `EBADF` if the handle is closing; any error of creating
    /// and binding the socket.
    pub fn send_to(&self, data: impl Into<bytes::Bytes>, to: SocketAddr) -> Result<()> {
        self.send_with(data, &SendOptions::to(to))
    }

    /// Sends a datagram, or several of one buffer, as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As for `send` and `send_to`; `EINVAL` for a segment size of 0, for more than 64 segments, and for a source of another
    /// family than the destination.
    pub fn send_with(&self, data: impl Into<bytes::Bytes>, options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("Udp::send_with", || Facts::of(self));
        self.0.send(data.into(), options)
    }

    /// Sends a copy of `data`, gathered from several buffers, as [`send`](Self::send) does. The memory for it is the
    /// loop's: this allocates nothing in the steady state.
    ///
    /// # Errors
    /// As for `send_with`; `EINVAL` for no buffers and for more than 1024.
    pub fn send_copy(&self, data: &[IoSlice<'_>], options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("Udp::send_copy", || Facts::of(self));
        self.0.send_copy(data, options)
    }

    /// Sends a datagram at once (`uv_udp_try_send`), behind what is queued. Returns the number of bytes.
    ///
    /// # Errors
    /// `EAGAIN` if the kernel has no room, or the queue waits for room; otherwise as for `send_copy`, and any error of the
    /// system call, such as `EMSGSIZE`.
    pub fn try_send(&self, data: &[u8], options: &SendOptions) -> Result<usize> {
        self.try_sendv(&[IoSlice::new(data)], options)
    }

    /// Like [`try_send`](Self::try_send), gathered from several buffers.
    ///
    /// # Errors
    /// As for `try_send`.
    pub fn try_sendv(&self, data: &[IoSlice<'_>], options: &SendOptions) -> Result<usize> {
        let _down = LAYER.down("Udp::try_sendv", || Facts::of(self));
        self.0.try_send(data, options)
    }

    /// Sends several datagrams at once (`uv_udp_try_send2`). Returns the number of those sent: the first datagram that is not
    /// sent ends the call, and a further call with the rest returns its error. A buffer of segments is sent if all of them are.
    ///
    /// # Errors
    /// As for `try_send`, if not one was sent.
    pub fn try_send_many(&self, datagrams: &[(&[u8], SendOptions)]) -> Result<usize> {
        let _down = LAYER.down("Udp::try_send_many", || Facts::of(self));
        self.0.try_send_many(datagrams)
    }

    /// Datagrams in the queue, which the kernel has not taken yet (`uv_udp_get_send_queue_count`).
    #[must_use]
    pub fn send_queue_count(&self) -> usize {
        self.0.queue_size().0
    }

    /// Bytes in the queue (`uv_udp_get_send_queue_size`).
    #[must_use]
    pub fn send_queue_size(&self) -> usize {
        self.0.queue_size().1
    }

    /// Requests an `on_notify` in the next pending phase: see [`Stream::notify`](crate::Stream::notify).
    pub fn notify(&self) {
        let _down = LAYER.down("Udp::notify", || Facts::of(self));
        self.0.notify();
    }

    /// The socket's own address (`uv_udp_getsockname`).
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let addr = sys::socket::local_addr(self.0.opened("getsockname")?);
        addr_of("getsockname", addr)
    }

    /// The peer's address (`uv_udp_getpeername`).
    ///
    /// # Errors
    /// `EBADF` without a socket, `ENOTCONN` without a peer.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        let addr = sys::socket::peer_addr(self.0.opened("getpeername")?);
        addr_of("getpeername", addr)
    }

    /// The descriptor (`uv_fileno`). The handle still owns it: do not close it.
    ///
    /// # Errors
    /// `EBADF` without a socket.
    pub fn fileno(&self) -> Result<RawFd> {
        // The caller may duplicate the descriptor.
        self.0.set(SHARED);
        self.0.fd.number().ok_or(Error::new("fileno", Errno::EBADF))
    }

    /// Duplicates the socket's descriptor, for another process for example.
    ///
    /// # Errors
    /// `EBADF` without a socket; any error of the system call.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        self.0.set(SHARED);
        sys::fd::duplicate(self.0.opened("dup")?).map_err(|errno| Error::new("dup", errno))
    }
}

fn addr_of(op: &'static str, addr: Result<SockAddr, Errno>) -> Result<SocketAddr> {
    let failed = |errno| Error::new(op, errno);
    addr.map_err(failed)?.as_inet().ok_or_else(|| failed(Errno::EINVAL))
}

impl Deref for Udp {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0.handle
    }
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udp")
            .field("fd", &self.0.fd.number())
            .field("receiving", &self.is_receiving())
            .field("queued", &self.send_queue_count())
            .finish_non_exhaustive()
    }
}
