//! A socket of datagrams to await. What no task waits for stays in the kernel.

use super::share::{Share, Turn};
use crate::names::Host;
use crate::udp::{Envelope, SendOptions, UdpSocket, UdpSocketOptions};
use crate::upcall::UdpHandler;
use crate::{Error, ErrorCode, Result};
use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use async_wrap::task::{Wait, Waiters};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A socket of datagrams whose calls are awaited. It takes `&self`, so that several tasks can share it, in an `Rc`.
///
/// A datagram is received only for a call that waits: the others stay in the kernel, up to its buffer, except for one. A datagram
/// is sent at once if the kernel has room, else it waits: at most one of a socket is queued.
///
/// Dropping a future of it loses no datagram. Dropping the socket closes it.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::futures::AsyncUdpSocket;
///
/// let env = Environment::with_new_loop()?;
/// let server = AsyncUdpSocket::bind(&env, ([127, 0, 0, 1], 0).into())?;
/// let port = server.address()?.port();
/// env.spawn_local(async move {
///     let mut buffer = [0; 1500];
///     let (count, from) = server.recv_from(&mut buffer).await.expect("it is open");
///     server.send_to(&buffer[..count], from).await.expect("it is open");
/// });
/// let client = AsyncUdpSocket::bind(&env, ([127, 0, 0, 1], 0).into())?;
/// let echo = env.block_on(async move {
///     client.connect("localhost", port).await?;
///     client.send(b"hello").await?;
///     let mut buffer = [0; 1500];
///     let count = client.recv(&mut buffer).await?;
///     Ok::<_, net::Error>(buffer[..count].to_vec())
/// })??;
/// assert_eq!(echo, b"hello");
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
pub struct AsyncUdpSocket {
    socket: UdpSocket,
    state: Rc<State>,
}

/// What the socket's events have brought, and what waits for them.
#[derive(Default)]
struct State {
    /// The datagram that has ended the wait for it.
    next: RefCell<Option<(Box<[u8]>, Envelope)>>,
    error: Cell<Option<Error>>,
    is_closed: Cell<bool>,
    /// A datagram of a future is in the queue.
    is_queued: Cell<bool>,
    received: Share,
    sent: Share,
    readers: Waiters,
    writers: Waiters,
}

impl AsyncUdpSocket {
    /// Creates a socket that is bound to `addr`; with port 0 the kernel chooses a port.
    ///
    /// # Errors
    /// As for [`UdpSocket::bind`].
    #[track_caller]
    pub fn bind(env: &Environment, addr: SocketAddr) -> Result<Self> {
        let options = if addr.is_ipv6() { UdpSocketOptions::v6() } else { UdpSocketOptions::v4() };
        let this = Self::new(env, options);
        this.socket.bind(addr).map(|()| this)
    }

    /// Creates a socket that is not bound yet: [`UdpSocket::bind`] binds it, or the first call of another kind, to a port of the
    /// kernel's choice. The option `batch` has no effect.
    #[must_use]
    #[track_caller]
    pub fn new(env: &Environment, options: UdpSocketOptions) -> Self {
        let state = Rc::<State>::default();
        let socket = UdpSocket::new_pulled(env, options, Handler(Rc::clone(&state)));
        Self { socket, state }
    }

    /// The socket beneath: for its options and addresses.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The socket's own address.
    ///
    /// # Errors
    /// As for [`UdpSocket::address`].
    pub fn address(&self) -> Result<SocketAddr> {
        self.socket.address()
    }

    /// Looks a host up, unless it is an address, and makes the first of its addresses in the socket's family the peer: the
    /// socket sends to it and receives from it alone. Dropping the future cancels the look-up.
    ///
    /// # Errors
    /// As for [`UdpSocket::connect`]; any error of the look-up.
    pub async fn connect(&self, host: impl Into<Host>, port: u16) -> Result<()> {
        let addr = self.socket.find(host.into(), port).await?;
        self.socket.connect(addr)
    }

    /// Receives a datagram, of a longer one the begin. Returns its number of bytes, and the sender.
    ///
    /// Dropping the future loses no datagram.
    ///
    /// # Errors
    /// What the system tells of an earlier datagram, such as `ECONNREFUSED`, after which the socket works on; any error of
    /// binding it; `NotRunning` once it is closed.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        let (count, envelope) = self.receive(buffer).await?;
        Ok((count, envelope.from))
    }

    /// Likewise, without the sender, which is the peer.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from); `NotConnected` without a peer.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.socket.remote_address()?;
        Ok(self.receive(buffer).await?.0)
    }

    /// Likewise, with all that is known of the datagram: whether it was longer, its destination, its mark of ECN.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub async fn receive(&self, buffer: &mut [u8]) -> Result<(usize, Envelope)> {
        let (readers, wait) = (&self.state.readers, Wait::default());
        let _left = OnDrop::new(|| {
            readers.leave(&wait);
            if readers.is_empty() {
                self.socket.receive_stop();
            }
        });
        poll_fn(|context| self.poll_receive(&wait, context, buffer)).await
    }

    /// Sends a datagram to the peer. Waits for room in the kernel, and until the kernel has it.
    ///
    /// Dropping the future before room is there sends nothing, unless it was queued as the next: then it is still sent.
    ///
    /// # Errors
    /// `NotConnected` without a peer, `NotRunning` once the socket is closed; any error of the system call, such as `EMSGSIZE`.
    pub async fn send(&self, data: &[u8]) -> Result<()> {
        self.send_with(data, &SendOptions::default()).await
    }

    /// Sends a datagram to `addr`, as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As for [`UdpSocket::send_to`]; any error of the system call, such as `EMSGSIZE`.
    pub async fn send_to(&self, data: &[u8], addr: SocketAddr) -> Result<()> {
        self.send_with(data, &SendOptions::to(addr)).await
    }

    /// Looks a host up, unless it is an address, and sends a datagram to the first of its addresses in the socket's family, as
    /// [`send`](Self::send) does. Dropping the future cancels the look-up.
    ///
    /// # Errors
    /// As for [`UdpSocket::send_to_host`]; any error of the look-up or of the system call.
    pub async fn send_to_host(&self, data: &[u8], host: impl Into<Host>, port: u16) -> Result<()> {
        let addr = self.socket.find(host.into(), port).await?;
        self.send_to(data, addr).await
    }

    /// Sends a datagram, or several of one buffer, with options, as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As for [`UdpSocket::send_with`]; any error of the system call, such as `EMSGSIZE`.
    pub async fn send_with(&self, data: &[u8], options: &SendOptions) -> Result<()> {
        let (writers, wait) = (&self.state.writers, Wait::default());
        let _left = OnDrop::new(|| writers.leave(&wait));
        let mut sending = Sending::default();
        poll_fn(|context| {
            let polled = self.poll_send(context, data, options, &mut sending);
            if polled.is_pending() {
                writers.wait(&wait, context);
            }
            polled
        })
        .await
    }

    fn poll_receive(
        &self,
        wait: &Wait,
        context: &Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<(usize, Envelope)>> {
        let State { next, error, is_closed, received, readers, .. } = &*self.state;
        if let Some((data, envelope)) = next.take() {
            let count = data.len().min(buffer.len());
            buffer[..count].copy_from_slice(&data[..count]);
            let is_truncated = envelope.is_truncated || count < data.len();
            let mut envelope = envelope;
            envelope.is_truncated = is_truncated;
            return Poll::Ready(Ok((count, envelope)));
        }
        if let Some(error) = error.take() {
            return Poll::Ready(Err(error));
        }
        if is_closed.get() {
            return Poll::Ready(Err(closed()));
        }
        if received.take() {
            let tried = self.socket.try_receive(buffer);
            // Others wait on, which the call has ended.
            if !readers.is_empty() && self.socket.receive_next().is_err() {
                readers.wake();
            }
            if let Some(datagram) = tried? {
                return Poll::Ready(Ok(datagram));
            }
        }
        received.renew();
        self.socket.receive_next()?;
        readers.wait(wait, context);
        Poll::Pending
    }

    fn poll_send(
        &self,
        context: &Context<'_>,
        data: &[u8],
        options: &SendOptions,
        sending: &mut Sending,
    ) -> Poll<Result<()>> {
        let State { is_queued, sent, .. } = &*self.state;
        if let Some(result) = &sending.queued {
            if let Some(result) = result.take() {
                return Poll::Ready(result);
            }
        } else if !sent.take() {
            sent.renew();
            return sending.turn.wait(self.socket.environment(), context);
        } else if !is_queued.get() {
            if self.socket.try_send(data, options)? {
                return Poll::Ready(Ok(()));
            }
            sending.queued = Some(self.queue(data, options)?);
        }
        Poll::Pending
    }

    /// Queues a datagram until there is room. Returns where its result will be.
    fn queue(&self, data: &[u8], options: &SendOptions) -> Result<Outcome> {
        let outcome = Outcome::default();
        let (told, state) = (Rc::clone(&outcome), Rc::clone(&self.state));
        self.socket.send_with(Bytes::copy_from_slice(data), options, move |_, result| {
            told.set(Some(result));
            state.is_queued.set(false);
            state.writers.wake();
        })?;
        self.state.is_queued.set(true);
        Ok(outcome)
    }
}

/// A send that is awaited.
#[derive(Default)]
struct Sending {
    /// Where the datagram's result will be, once it is in the queue.
    queued: Option<Outcome>,
    turn: Turn,
}

type Outcome = Rc<Cell<Option<Result<()>>>>;

fn closed() -> Error {
    Error::new(ErrorCode::NotRunning, "the socket is closed")
}

impl Drop for AsyncUdpSocket {
    fn drop(&mut self) {
        // Refused if the program has closed it.
        let _ = self.socket.close();
    }
}

impl fmt::Debug for AsyncUdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncUdpSocket").field(&self.socket).finish()
    }
}

struct Handler(Rc<State>);

impl UdpHandler for Handler {
    fn on_message(&mut self, socket: &UdpSocket, data: &[u8], envelope: &Envelope) {
        // Until something waits again.
        socket.receive_stop();
        self.0.next.replace(Some((data.into(), *envelope)));
        self.0.readers.wake();
    }

    fn on_error(&mut self, _: &UdpSocket, error: Error) {
        self.0.error.set(Some(error));
        self.0.readers.wake();
    }

    fn on_close(&mut self, _: &UdpSocket) {
        self.0.is_closed.set(true);
        self.0.readers.wake();
        self.0.writers.wake();
    }
}
