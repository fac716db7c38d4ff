//! Sockets of datagrams. Mirrors `dgram.Socket`, Node's `lib/dgram.js`.

mod hosts;
mod options;
mod pull;
mod settings;
mod tower;

use crate::upcall::UdpHandler;
use crate::{Error, ErrorCode, LAYER, Result};
use async_wrap::layer::trace::Facts;
use async_wrap::layer::{ColdCell, FlagCell, FlagKind, Flags};
use async_wrap::{AsyncId, AsyncUdp, Environment};
use bytes::Bytes;
use hosts::Hosts;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tower::Tower;

pub use crate::uv_core::udp::{Ecn, Envelope, Interface, SendOptions};
pub use options::UdpSocketOptions;

/// A socket of datagrams (`dgram.Socket`). Clones share it. It belongs to the loop until it is closed.
///
/// As in Node, it receives from `bind` on; a send or a connect of an unbound socket binds it. A host's name is for
/// [`send_to_host`](Self::send_to_host); the other calls take addresses.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::udp::{Envelope, UdpSocket, UdpSocketOptions};
///
/// let env = Environment::with_new_loop()?;
/// let server = UdpSocket::new_with(&env, UdpSocketOptions::v4(), |server, data, envelope: &Envelope| {
///     server.send_to(data.to_vec(), envelope.from).expect("it is open");
/// });
/// server.bind(([127, 0, 0, 1], 0).into())?;
/// let echo = server.clone();
/// let client = UdpSocket::new_with(&env, UdpSocketOptions::v4(), move |client, data, _: &Envelope| {
///     assert_eq!(data, b"hello");
///     let _ = (client.close(), echo.close());
/// });
/// client.send_to("hello", server.address()?)?;
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
#[derive(Clone)]
pub struct UdpSocket(Rc<Inner>);

struct Inner {
    udp: AsyncUdp,
    options: UdpSocketOptions,
    flags: FlagCell<Kind>,
    /// The callbacks of the sends that are not reported yet, oldest first.
    sends: RefCell<VecDeque<Option<OnSent>>>,
    hosts: ColdCell<Hosts>,
}

type OnSent = Box<dyn FnOnce(&UdpSocket, Result<()>)>;

#[derive(Clone, Copy, Debug)]
struct Kind;

impl FlagKind for Kind {
    type Bits = u8;
}

const BOUND: Flags<Kind> = Flags::bit(0);
const CONNECTED: Flags<Kind> = Flags::bit(1);
const CLOSED: Flags<Kind> = Flags::bit(2);
/// An `on_listening` is pending.
const LISTENING_DUE: Flags<Kind> = Flags::bit(3);
/// An `on_connect` is pending.
const CONNECT_DUE: Flags<Kind> = Flags::bit(4);
/// The peer is being looked up.
const CONNECTING: Flags<Kind> = Flags::bit(5);
/// The program asks for each datagram.
const PULLED: Flags<Kind> = Flags::bit(6);

impl UdpSocket {
    /// Creates a socket (`dgram.createSocket`). It has no descriptor yet.
    #[must_use]
    #[track_caller]
    pub fn new(env: &Environment, options: UdpSocketOptions, handler: impl UdpHandler + 'static) -> Self {
        let socket = Self::create(env, options);
        socket.0.udp.set_handler(Tower::new(socket.clone(), handler));
        socket
    }

    #[track_caller]
    fn create(env: &Environment, options: UdpSocketOptions) -> Self {
        let udp = AsyncUdp::new(env);
        udp.handle().set_batch(options.batch);
        let flags = FlagCell::new(Flags::NONE);
        Self(Rc::new(Inner { udp, options, flags, sends: RefCell::default(), hosts: ColdCell::empty() }))
    }

    /// Like [`new`](Self::new), with a closure for [`UdpHandler::on_message`].
    #[must_use]
    #[track_caller]
    pub fn new_with(
        env: &Environment,
        options: UdpSocketOptions,
        on_message: impl FnMut(&Self, &[u8], &Envelope) + 'static,
    ) -> Self {
        Self::new(env, options, on_message)
    }

    /// Creates a socket over a UDP socket that is bound already (`bind({ fd })`). It receives; `on_listening` follows.
    ///
    /// # Errors
    /// `ENOTSOCK` or `EPROTOTYPE` if `fd` is not a UDP socket, [`ErrorCode::InvalidArgument`] if it is not of the family of
    /// `options`. An error closes the descriptor, and the handler is dropped without a call.
    #[track_caller]
    pub fn from_fd(
        env: &Environment,
        fd: OwnedFd,
        options: UdpSocketOptions,
        handler: impl UdpHandler + 'static,
    ) -> Result<Self> {
        let socket = Self::create(env, options);
        let opened = socket.0.udp.open(fd).and_then(|()| socket.0.udp.local_addr());
        let opened = opened.map_err(Error::from).and_then(|addr| socket.check_family(addr));
        if let Err(error) = opened.and_then(|()| socket.listen()) {
            socket.0.udp.close();
            return Err(error);
        }
        socket.0.udp.set_handler(Tower::new(socket.clone(), handler));
        if socket.0.udp.peer_addr().is_ok() {
            socket.0.flags.set(CONNECTED);
        }
        Ok(socket)
    }

    /// Binds the socket and starts to receive; `on_listening` follows. With port 0 the kernel chooses a port.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyBound`], [`ErrorCode::NotRunning`] after `close`, [`ErrorCode::InvalidArgument`] for an address of
    /// the other family, [`ErrorCode::BufferSize`] for a size of the options that does not fit into an `int`; any error of the
    /// system. After an error the socket may be bound again.
    pub fn bind(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("UdpSocket::bind", || self.facts());
        self.check_running()?;
        if self.0.flags.has(BOUND) {
            return Err(Error::about(ErrorCode::AlreadyBound, "bind: the socket is bound already", addr));
        }
        self.check_family(addr)?;
        self.0.options.check()?;
        self.0.udp.bind(addr, &self.0.options.to_bind())?;
        self.listen()
    }

    /// Receives from now on, unless it is pulled.
    fn listen(&self) -> Result<()> {
        self.0.options.apply(self.0.udp.handle())?;
        if self.receives_by_itself() {
            self.0.udp.receive_start()?;
        }
        self.0.flags.set(BOUND | LISTENING_DUE);
        self.0.udp.notify();
        Ok(())
    }

    /// Binds an unbound socket to a port of the kernel's choice.
    fn bind_if_unbound(&self) -> Result<()> {
        if self.0.flags.has(BOUND) {
            return Ok(());
        }
        let any = if self.0.options.is_ipv6 {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        };
        self.bind(any)
    }

    /// Sets the peer: the socket sends to it and receives from it alone, after what had arrived from others before.
    /// `on_connect` follows.
    ///
    /// # Errors
    /// [`ErrorCode::IsConnected`] with a peer, also if it is being looked up; [`ErrorCode::BadPort`] for port 0,
    /// [`ErrorCode::NotRunning`] after `close`, [`ErrorCode::InvalidArgument`] for an address that the socket cannot reach;
    /// any error of the system.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _down = LAYER.down("UdpSocket::connect", || self.facts());
        self.check_running()?;
        self.check_destination(addr)?;
        self.check_free()?;
        self.bind_if_unbound()?;
        self.set_peer(addr)
    }

    fn set_peer(&self, addr: SocketAddr) -> Result<()> {
        self.0.udp.connect(addr)?;
        self.0.flags.set(CONNECTED | CONNECT_DUE);
        self.0.udp.notify();
        Ok(())
    }

    /// Removes the peer.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] without a peer, [`ErrorCode::NotRunning`] after `close`; the errors of
    /// [`Udp::disconnect`](crate::uv_core::udp::Udp::disconnect).
    pub fn disconnect(&self) -> Result<()> {
        let _down = LAYER.down("UdpSocket::disconnect", || self.facts());
        self.check_connected()?;
        let disconnected = self.0.udp.disconnect();
        // An error may come behind the end of the peer, and before it.
        if disconnected.is_ok() || self.0.udp.peer_addr().is_err() {
            self.0.flags.clear(CONNECTED | CONNECT_DUE);
        }
        Ok(disconnected?)
    }

    /// Sends a datagram to the peer. An error that is known later is lost, as in Node without a callback.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] without a peer, [`ErrorCode::NotRunning`] after `close`.
    pub fn send(&self, data: impl Into<Bytes>) -> Result<()> {
        self.send_bytes(data.into(), &SendOptions::default(), None)
    }

    /// Sends a datagram to `addr`. An error that is known later is lost, as in Node without a callback.
    ///
    /// # Errors
    /// [`ErrorCode::IsConnected`] with a peer, [`ErrorCode::BadPort`] for port 0, [`ErrorCode::NotRunning`] after
    /// `close`, [`ErrorCode::InvalidArgument`] for an address that the socket cannot reach; any error of binding the socket.
    pub fn send_to(&self, data: impl Into<Bytes>, addr: SocketAddr) -> Result<()> {
        self.send_bytes(data.into(), &SendOptions::to(addr), None)
    }

    /// Sends a datagram, or several of one buffer, and calls `on_sent` with the result, never inside this call: whether the
    /// kernel took it, not whether it arrived.
    ///
    /// # Errors
    /// As for `send` and `send_to`. `on_sent` is not called then.
    pub fn send_with(
        &self,
        data: impl Into<Bytes>,
        options: &SendOptions,
        on_sent: impl FnOnce(&Self, Result<()>) + 'static,
    ) -> Result<()> {
        self.send_bytes(data.into(), options, Some(Box::new(on_sent)))
    }

    /// Sends a copy of `data`, gathered from several buffers, without an allocation in the steady state. An error that is
    /// known later is lost.
    ///
    /// # Errors
    /// As for `send` and `send_to`.
    pub fn send_copy(&self, data: &[IoSlice<'_>], options: &SendOptions) -> Result<()> {
        let _down = LAYER.down("UdpSocket::send_copy", || self.facts());
        self.check_send(options)?;
        self.0.udp.send_copy(data, options)?;
        self.0.sends.borrow_mut().push_back(None);
        Ok(())
    }

    fn send_bytes(&self, data: Bytes, options: &SendOptions, on_sent: Option<OnSent>) -> Result<()> {
        let _down = LAYER.down("UdpSocket::send_bytes", || self.facts().bytes(data.len()));
        self.check_send(options)?;
        self.0.udp.send(data, options)?;
        self.0.sends.borrow_mut().push_back(on_sent);
        Ok(())
    }

    fn check_send(&self, options: &SendOptions) -> Result<()> {
        self.check_running()?;
        match (options.to, self.0.flags.has(CONNECTED)) {
            (Some(_), true) => return Err(is_connected()),
            (None, false) => return Err(not_connected()),
            (Some(to), _) => self.check_destination(to)?,
            (None, true) => {}
        }
        self.bind_if_unbound()
    }

    fn check_port(&self, port: u16) -> Result<()> {
        if port == 0 { Err(Error::new(ErrorCode::BadPort, "port 0 is no destination")) } else { Ok(()) }
    }

    fn check_destination(&self, addr: SocketAddr) -> Result<()> {
        self.check_port(addr.port())?;
        let UdpSocketOptions { is_ipv6, ipv6_only, .. } = self.0.options;
        if addr.is_ipv6() && !is_ipv6 {
            let message = "an IPv6 address, and a socket of IPv4 (UdpSocketOptions::v4)";
            return Err(Error::about(ErrorCode::InvalidArgument, message, addr));
        }
        if ipv6_only && addr.ip().to_canonical().is_ipv4() {
            let message = "an IPv4 address, and a socket of IPv6 only";
            return Err(Error::about(ErrorCode::InvalidArgument, message, addr));
        }
        Ok(())
    }

    fn check_family(&self, own: SocketAddr) -> Result<()> {
        if own.is_ipv6() == self.0.options.is_ipv6 {
            return Ok(());
        }
        Err(Error::about(ErrorCode::InvalidArgument, "the address is not of the socket's family", own))
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// [`ErrorCode::NotRunning`] after `close`, `EBADF` before the socket is bound.
    pub fn address(&self) -> Result<SocketAddr> {
        self.check_running()?;
        Ok(self.0.udp.local_addr()?)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// [`ErrorCode::NotConnected`] without a peer, [`ErrorCode::NotRunning`] after `close`.
    pub fn remote_address(&self) -> Result<SocketAddr> {
        self.check_connected()?;
        Ok(self.0.udp.peer_addr()?)
    }

    /// Closes the socket: what is queued is sent, or reported as cancelled, as what waits for a look-up is, and `on_close`
    /// follows.
    ///
    /// # Errors
    /// [`ErrorCode::NotRunning`] after `close`.
    pub fn close(&self) -> Result<()> {
        let _down = LAYER.down("UdpSocket::close", || self.facts());
        self.check_running()?;
        self.0.flags.set(CLOSED);
        self.cancel_look_ups();
        self.0.udp.close();
        Ok(())
    }

    /// Whether `close` was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.flags.has(CLOSED)
    }

    /// Lets the socket keep its loop alive (`ref`). Default.
    pub fn ref_(&self) {
        self.0.udp.ref_();
    }

    /// Lets the loop end although the socket is bound (`unref`).
    pub fn unref(&self) {
        self.0.udp.unref();
    }

    /// Datagrams that the kernel has not taken yet (`getSendQueueCount`), with those that wait for the address of a host.
    #[must_use]
    pub fn send_queue_count(&self) -> usize {
        self.0.udp.handle().send_queue_count() + self.size_of_waiting().0
    }

    /// Their bytes (`getSendQueueSize`).
    #[must_use]
    pub fn send_queue_size(&self) -> usize {
        self.0.udp.handle().send_queue_size() + self.size_of_waiting().1
    }

    /// The environment.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        self.0.udp.environment()
    }

    /// The async id of the socket (`UDPWRAP`).
    #[must_use]
    pub fn async_id(&self) -> AsyncId {
        self.0.udp.async_id()
    }

    fn check_running(&self) -> Result<()> {
        if self.0.flags.has(CLOSED) || self.0.udp.is_closing() {
            return Err(Error::new(ErrorCode::NotRunning, "the socket is closed"));
        }
        Ok(())
    }

    /// Checks that the socket may get a peer.
    fn check_free(&self) -> Result<()> {
        if self.0.flags.has(CONNECTED | CONNECTING) { Err(is_connected()) } else { Ok(()) }
    }

    fn check_connected(&self) -> Result<()> {
        self.check_running()?;
        if self.0.flags.has(CONNECTED) { Ok(()) } else { Err(not_connected()) }
    }

    /// The socket's facts for a trace record.
    fn facts(&self) -> Facts {
        self.0.udp.context().facts()
    }
}

const fn is_connected() -> Error {
    Error::new(ErrorCode::IsConnected, "the socket has a peer")
}

const fn not_connected() -> Error {
    Error::new(ErrorCode::NotConnected, "the socket has no peer")
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("udp", &self.0.udp)
            .field("bound", &self.0.flags.has(BOUND))
            .field("connected", &self.0.flags.has(CONNECTED))
            .finish_non_exhaustive()
    }
}
