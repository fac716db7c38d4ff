//! How a side that has ended waits for its peer, so that its close does not cut what is on its way. Mirrors nginx's
//! `lingering_close`; Node closes at once.
//!
//! That the kernel has taken everything does not mean that the peer has it. A close while it still sends makes the kernel
//! answer with a reset, and that throws away what the peer has not fetched yet (RFC 9112, 9.6). So this side reads on, and
//! closes when the peer has acknowledged everything or has ended too; and within bounds, as a peer may do neither.

use crate::Socket;
use crate::state::{DESTROY_SOON, FINISHED, PAUSED, PEER_ENDED, SocketState};
use async_wrap::{Heard, Timeout};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How long a peer may send nothing and acknowledge nothing: nginx's `lingering_timeout`. A close after such a silence
/// leaves what is on its way to the kernel, which goes on sending it.
const SILENCE: Duration = Duration::from_secs(5);

/// How long all of it may take, behind the last acknowledgement: nginx's `lingering_time`.
const IN_ALL: Duration = Duration::from_secs(30);

/// Bytes in a second that a peer fetches at least. One that is slower does not hold the connection by that.
const SLOWEST: u64 = 4096;

/// How often a socket that is to be destroyed soon is looked at: no event tells of an acknowledgement.
const LOOK: Duration = Duration::from_millis(100);

/// What is known of a peer since this side has ended.
#[derive(Debug)]
pub struct Linger {
    /// When it has to be over in any case.
    end: Duration,
    /// When it sent something last, or this began.
    sent_at: Duration,
    /// When it acknowledged something last, or this began.
    fetched_at: Duration,
    read: u64,
    unacknowledged: usize,
}

impl Linger {
    /// The wait begins `now`, on the loop's clock.
    #[must_use]
    pub fn new(socket: &Socket, now: Duration) -> Self {
        let unacknowledged = socket.unacknowledged();
        let end = now + IN_ALL + Duration::from_secs(unacknowledged as u64 / SLOWEST);
        Self { end, sent_at: now, fetched_at: now, read: socket.bytes_read(), unacknowledged }
    }

    /// Whether to wait no longer, `now` being the moment up to which everything was heard; a peer that has everything is
    /// waited for while it sends, and for `quiet` longer. Costs a system call (`SIOCOUTQ`).
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

impl Socket {
    /// Destroys the socket if nothing more can happen; if only the peer is waited for, once it has everything.
    pub(crate) fn destroy_if_done(&self) {
        let state = &self.0;
        if !state.has(FINISHED) {
            return;
        }
        if state.has(PEER_ENDED) {
            self.destroy();
        } else if state.has(DESTROY_SOON) {
            self.linger();
        }
    }

    fn linger(&self) {
        if self.unacknowledged() == 0 {
            return self.destroy();
        }
        if self.0.cold.peek(|cold| cold.lingering.is_some()) == Some(true) {
            return;
        }
        let timer = Self::look_later(&self.0);
        let linger = Linger::new(self, self.0.stream.loop_handle().now());
        self.0.cold.with(|cold| cold.lingering = Some(Box::new(Lingering { linger, timer })));
        // To hear of the peer's end, and so that no unread input makes a reset of the close.
        self.0.clear(PAUSED);
        self.read_unless_paused();
    }

    fn look_later(state: &Rc<SocketState>) -> Timeout {
        let weak: Weak<SocketState> = Rc::downgrade(state);
        let timer = state.stream.environment().set_deadline(LOOK, move |heard| {
            if let Some(state) = weak.upgrade() {
                Self(state).look(heard);
            }
        });
        timer.unref();
        timer
    }

    fn look(&self, heard: Heard) {
        let Some(mut lingering) = self.0.cold.peek(|cold| cold.lingering.take()).flatten() else { return };
        if lingering.linger.is_over(self, heard.until(), Duration::ZERO) {
            return self.destroy();
        }
        lingering.timer = Self::look_later(&self.0);
        self.0.cold.with(|cold| cold.lingering = Some(lingering));
    }
}

impl SocketState {
    /// Whether only the peer is waited for: its handler has heard everything that it is to hear before the close.
    pub(crate) fn is_lingering(&self) -> bool {
        self.has(DESTROY_SOON) && self.has(FINISHED)
    }

    pub(crate) fn drop_lingering(&self) {
        if let Some(lingering) = self.cold.peek(|cold| cold.lingering.take()).flatten() {
            lingering.timer.clear();
        }
    }
}
