//! The pump: a few connections send as fast as the server takes it, and at the end wait until it has taken all.

use std::io;
use std::time::{Duration, Instant};

use crate::poller::{EventFlags, Poller};
use crate::sockets::{self, Address, Transfer};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_tcp_congestion;
use rustix::net::{Shutdown, shutdown};

use super::tally::Tally;

/// How long the server may take to read what is under way and to close, after the deadline.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes asked for by one receive: nothing is to come but the end.
const READ_BUFFER: usize = 64;

/// The congestion control that every kernel has, and allows everybody.
const UNPACED: &str = "reno";

/// What to send.
pub(crate) struct Plan<'a> {
    pub(crate) addr: &'a Address,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// So many bytes are one operation, and one call to send.
    pub(crate) chunk: usize,
}

/// A connection of the pump.
struct Hose {
    socket: OwnedFd,
    /// Whether everything is sent, and the server was told so.
    ended: bool,
}

/// Sends until the time is over, ends each connection and waits for the server to close it too: then it has read all.
pub(crate) fn run(plan: &Plan<'_>, tally: &mut Tally) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut hoses = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        let socket = sockets::connect(plan.addr, None)?;
        send_unpaced(&socket);
        poller.add(&socket, index as u64, EventFlags::IN | EventFlags::OUT)?;
        hoses.push(Some(Hose { socket, ended: false }));
    }
    let chunk = vec![b'x'; plan.chunk];
    let (mut limit, mut stopping, mut sent) = (Instant::now() + plan.duration, false, 0u64);
    while hoses.iter().any(Option::is_some) {
        let now = Instant::now();
        if now >= limit && stopping {
            for _ in hoses.iter().flatten() {
                tally.error("unread", format_args!("the server did not read to the end in {GRACE:?}"));
            }
            break;
        }
        if now >= limit {
            (stopping, limit) = (true, now + GRACE);
        }
        for index in 0..poller.wait(Some(limit - now.min(limit)))? {
            let (slot, ready) = poller.event(index);
            let Some(hose) = &hoses[slot as usize] else { continue };
            match hose.advance(ready, &chunk, stopping) {
                Ok(Some(count)) => sent += count as u64,
                Ok(None) => hoses[slot as usize] = None,
                Err(error) => {
                    tally.error("pump", error);
                    hoses[slot as usize] = None;
                }
            }
        }
        if stopping {
            end_all(&mut hoses, &poller, tally);
        }
    }
    tally.done(sent / plan.chunk as u64);
    Ok(())
}

/// Has the kernel send as fast as the server reads. BBR, the default of some systems, would try out one pace after the
/// other, and the cost of the same bytes would change with it. Refused where there is no pace: on a Unix socket.
fn send_unpaced(socket: &OwnedFd) {
    let _ = set_tcp_congestion(socket, UNPACED);
}

fn end_all(hoses: &mut [Option<Hose>], poller: &Poller, tally: &mut Tally) {
    for (key, slot) in hoses.iter_mut().enumerate() {
        let Some(hose) = slot.as_mut().filter(|hose| !hose.ended) else { continue };
        if let Err(error) = hose.end(poller, key as u64) {
            tally.error("pump", error);
            *slot = None;
        }
    }
}

impl Hose {
    /// Sends one chunk if there is room. How many bytes were sent; nothing once the server has closed.
    fn advance(&self, ready: EventFlags, chunk: &[u8], stopping: bool) -> io::Result<Option<usize>> {
        if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return match sockets::recv(&self.socket, &mut [0; READ_BUFFER])? {
                Transfer::Bytes(0) if self.ended => Ok(None),
                Transfer::Bytes(0) => Err(io::Error::other("the server closed before it had all")),
                Transfer::Bytes(_) => Err(io::Error::other("the server answered, unasked")),
                Transfer::NotReady => Ok(Some(0)),
            };
        }
        if stopping {
            return Ok(Some(0));
        }
        match sockets::send(&self.socket, chunk)? {
            Transfer::Bytes(count) => Ok(Some(count)),
            Transfer::NotReady => Ok(Some(0)),
        }
    }

    /// Says that nothing more comes. From here on only the end is waited for.
    fn end(&mut self, poller: &Poller, key: u64) -> io::Result<()> {
        self.ended = true;
        poller.modify(&self.socket, key, EventFlags::IN)?;
        Ok(shutdown(&self.socket, Shutdown::Write)?)
    }
}
