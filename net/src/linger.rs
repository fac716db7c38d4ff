//! The wait of a side that has ended, so that its close does not cut data in flight. Mirrors nginx's `lingering_close`;
//! Node closes immediately.
//!
//! Data that the kernel has taken may not have reached the peer. If this side closes while the peer still sends, the
//! kernel answers with a reset, and a reset discards the data that the peer has not read yet (RFC 9112, section 9.6).
//! So this side keeps reading, and closes when the peer has acknowledged everything or has sent its FIN; and within
//! bounds, because a peer may do neither.

use crate::Socket;
use crate::state::{PAUSED, PULLED, SocketInner};
use async_wrap::{Heard, Timeout};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The longest time without input or acknowledgement from the peer: nginx's `lingering_timeout`. A close after that
/// leaves the data in flight to the kernel, which continues to send it.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest wait after the last acknowledgement: nginx's `lingering_time`.
const IN_ALL: Duration = Duration::from_secs(30);

/// The lowest rate, in bytes per second, at which a peer has to fetch data. A slower peer does not extend the wait.
const SLOWEST: u64 = 4096;

/// The interval between checks of a socket that is to be destroyed soon: no event reports an acknowledgement.
const LOOK: Duration = Duration::from_millis(100);

/// The progress of a peer since this side has ended: for a layer above that decides itself when to close.
/// [`Socket::destroy_soon`] does the same for a program.
///
/// ```
/// use net::async_wrap::Environment;
/// use net::{Linger, Socket};
/// use std::time::Duration;
///
/// /// Closes the socket once its peer has everything, and has sent nothing for 100 ms.
/// fn close_later(socket: Socket, mut linger: Linger) {
///     let env = socket.environment().clone();
///     env.set_deadline(Duration::from_millis(20), move |heard| {
///         if linger.is_over(&socket, heard.until(), Duration::from_millis(100)) {
///             socket.destroy();
///         } else {
///             close_later(socket, linger);
///         }
///     });
/// }
///
/// # use net::{ConnectOptions, ListenOptions, Server, ServerOptions};
/// # use net::upcall::SocketHandler;
/// # struct Ignore;
/// # impl SocketHandler for Ignore {
/// #     fn on_data(&mut self, _: &Socket, _: &[u8]) {}
/// # }
/// let env = Environment::with_new_loop()?;
/// # let server = Server::new(&env, ServerOptions::default().allow_half_open(true));
/// # server.listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), |server, socket| {
/// #     socket.set_handler(Ignore);
/// socket.end();
/// let now = socket.environment().loop_handle().now();
/// close_later(socket.clone(), Linger::new(&socket, now));
/// #     let _ = server.close();
/// # })?;
/// # let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
/// # Socket::connect(&env, ConnectOptions::addr(address), Ignore)?;
/// env.run_to_end()?;
/// # Ok::<(), net::Error>(())
/// ```
#[derive(Debug)]
pub struct Linger {
    /// When the wait ends in any case.
    end: Duration,
    /// When the peer last sent data, or when the wait began.
    sent_at: Duration,
    /// When the peer last acknowledged data, or when the wait began.
    fetched_at: Duration,
    read: u64,
    unacknowledged: usize,
}

impl Linger {
    /// Starts the wait at `now`, on the loop's clock.
    #[must_use]
    pub fn new(socket: &Socket, now: Duration) -> Self {
        let unacknowledged = socket.unacknowledged();
        let end = now + IN_ALL + Duration::from_secs(unacknowledged as u64 / SLOWEST);
        Self { end, sent_at: now, fetched_at: now, read: socket.bytes_read(), unacknowledged }
    }

    /// Whether the wait is over. `now` is the time up to which all input has been read. For a peer that has
    /// acknowledged everything, the wait continues while it sends, and for `quiet` longer. Costs a system call
    /// (`SIOCOUTQ`).
    #[must_use]
    pub fn is_over(&mut self, socket: &Socket, now: Duration, quiet: Duration) -> bool {
        let (read, unacknowledged) = (socket.bytes_read(), socket.unacknowledged());
        if unacknowledged < self.unacknowledged {
            self.fetched_at = now;
        }
        if read != self.read {
            self.sent_at = now;
        }
        (self.read, self.unacknowledged) = (read, unacknowledged);
        let patience = if unacknowledged == 0 { quiet } else { SILENCE };
        let passed_since = |moment: Duration| now.saturating_sub(moment);
        passed_since(self.sent_at.max(self.fetched_at)) >= patience
            || passed_since(self.fetched_at) >= IN_ALL
            || now >= self.end
    }
}

/// The wait of a socket that is to be destroyed soon.
pub(crate) struct Lingering {
    linger: Linger,
    timer: Timeout,
}

impl Lingering {
    /// Waits for a peer that has not sent its FIN, until it has acknowledged everything; then destroys the socket.
    pub(crate) fn begin(socket: &Socket) {
        if socket.unacknowledged() == 0 {
            return socket.destroy();
        }
        let cold = &socket.0.cold;
        if cold.peek(|cold| cold.lingering.is_some()) == Some(true) {
            return;
        }
        let timer = Self::look_later(&socket.0);
        let linger = Linger::new(socket, socket.0.stream.loop_handle().now());
        cold.with(|cold| cold.lingering = Some(Box::new(Self { linger, timer })));
        // Reads on, to see the peer's FIN, and because unread input would turn the close into a reset.
        socket.0.clear(PAUSED);
        if socket.0.take(PULLED) {
            socket.0.stream.read_stop();
        }
        socket.read_unless_paused();
    }

    /// Waits within the same bounds while output is still queued: for a socket that its program has dropped, which nothing else
    /// could end.
    pub(crate) fn begin_early(socket: &Socket) {
        if socket.buffered() > 0 && !socket.is_destroyed() {
            Self::begin(socket);
        }
    }

    /// Ends the wait of a destroyed socket.
    pub(crate) fn drop_of(socket: &SocketInner) {
        if let Some(lingering) = socket.cold.peek(|cold| cold.lingering.take()).flatten() {
            lingering.timer.clear();
        }
    }

    fn look_later(socket: &Rc<SocketInner>) -> Timeout {
        let weak: Weak<SocketInner> = Rc::downgrade(socket);
        let timer = socket.stream.environment().set_deadline(LOOK, move |heard| {
            if let Some(socket) = weak.upgrade() {
                Self::look(&Socket(socket), heard);
            }
        });
        timer.unref();
        timer
    }

    fn look(socket: &Socket, heard: Heard) {
        let cold = &socket.0.cold;
        let Some(mut lingering) = cold.peek(|cold| cold.lingering.take()).flatten() else { return };
        if lingering.linger.is_over(socket, heard.until(), Duration::ZERO) {
            // The peer must not take the end of what it got for the end of all; only TCP has a reset.
            if socket.buffered() == 0 || socket.reset_and_destroy().is_err() {
                socket.destroy();
            }
            return;
        }
        lingering.timer = Self::look_later(&socket.0);
        cold.with(|cold| cold.lingering = Some(lingering));
    }
}
