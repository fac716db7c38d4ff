//! The pump: a few connections send as fast as the server reads, and at the end wait until it has read all.

use super::engine::{GRACE, Plan};
use super::tally::{Report, Tally};
use crate::poller::{EventFlags, Poller};
use crate::sockets;
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_tcp_congestion;
use rustix::net::{Shutdown, shutdown};
use std::io;
use std::time::{Duration, Instant};

/// The congestion control that every kernel has, and allows every user. BBR, the default of some systems, tries one pace
/// after the other, and the cost of the same bytes changes with it.
const UNPACED: &str = "reno";

/// A connection of the pump.
struct Hose {
    socket: OwnedFd,
    /// Everything is sent, and the FIN as well.
    ended: bool,
}

/// Sends until the time is over, ends each connection and waits for the server to close it too: then it has read all. One
/// operation is `chunk` bytes, which is also the size of one send.
pub(crate) fn run(plan: &Plan<'_>, chunk: usize, duration: Duration) -> crate::Result<Report> {
    let (mut tally, mut poller, mut hoses) = (Tally::new()?, Poller::new()?, Vec::new());
    for index in 0..plan.connections {
        let socket = sockets::connect(plan.addr, None)?;
        // Refused by Unix sockets, which have no pace.
        let _ = set_tcp_congestion(&socket, UNPACED);
        poller.add(&socket, index as u64, EventFlags::IN | EventFlags::OUT)?;
        hoses.push(Some(Hose { socket, ended: false }));
    }
    let bytes = vec![b'x'; chunk];
    let (mut limit, mut stopping, mut sent) = (Instant::now() + duration, false, 0);
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
            let Some(hose) = &mut hoses[slot as usize] else { continue };
            match hose.advance(ready, &bytes, stopping) {
                Ok(Some(count)) => sent += count,
                Ok(None) => hoses[slot as usize] = None,
                Err(error) => {
                    tally.error("pump", error);
                    hoses[slot as usize] = None;
                }
            }
        }
        if stopping {
            for (key, hose) in hoses.iter_mut().enumerate() {
                if let Some(Err(error)) = hose.as_mut().map(|hose| hose.end(&poller, key as u64)) {
                    tally.error("pump", error);
                    *hose = None;
                }
            }
        }
    }
    tally.done((sent / chunk) as u64);
    Ok(tally.report())
}

impl Hose {
    /// Sends one chunk if there is room. Returns how many bytes were sent, `None` once the server has closed.
    fn advance(&self, ready: EventFlags, chunk: &[u8], stopping: bool) -> io::Result<Option<usize>> {
        if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return match sockets::recv(&self.socket, &mut [0; 64])? {
                Some(0) if self.ended => Ok(None),
                Some(0) => Err(io::Error::other("the server closed before it had read all")),
                Some(_) => Err(io::Error::other("the server sent bytes that no request asked for")),
                None => Ok(Some(0)),
            };
        }
        if stopping {
            return Ok(Some(0));
        }
        Ok(Some(sockets::send(&self.socket, chunk)?.unwrap_or(0)))
    }

    /// Sends the FIN, once. From here on only the server's end is waited for.
    fn end(&mut self, poller: &Poller, key: u64) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        poller.modify(&self.socket, key, EventFlags::IN)?;
        Ok(shutdown(&self.socket, Shutdown::Write)?)
    }
}
