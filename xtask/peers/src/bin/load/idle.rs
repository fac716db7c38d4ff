//! The idle load: many connections that each had one answer and are then held open, for memory per
//! connection.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use peers::sockets::{self, Transfer};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_socket_linger;

use crate::ask;
use crate::decode::Decoder;
use crate::engine::Round;
use crate::expect::Expect;
use crate::http;
use crate::tally::Tally;

/// Connections from one source address; the kernel's usual range has 28 000 ports.
const PER_SOURCE: usize = 20_000;

/// The connections of an idle load.
pub(crate) struct Held(Vec<OwnedFd>);

/// Opens the connections one after the other; each sends `message` and waits for its answer.
pub(crate) fn open(
    addr: SocketAddr,
    connections: usize,
    message: &[u8],
    expect: &Expect,
    tally: &mut Tally,
) -> Held {
    let mut held = Vec::with_capacity(connections);
    for index in 0..connections {
        if tally.is_hopeless() {
            break;
        }
        match ask_once(addr, source(addr, index), message, expect, tally) {
            Ok(socket) => held.push(socket),
            Err(error) => tally.error("idle", format_args!("connection {index}: {error}")),
        }
    }
    Held(held)
}

/// The source of the `index`-th connection: what the kernel chooses, and when that has no port left 127.0.0.2
/// and so on.
fn source(addr: SocketAddr, index: usize) -> Option<IpAddr> {
    let neighbour = u8::try_from(1 + index / PER_SOURCE).ok()?;
    let loopback = addr.is_ipv4() && addr.ip().is_loopback();
    (loopback && neighbour > 1).then_some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, neighbour)))
}

fn ask_once(
    addr: SocketAddr,
    source: Option<IpAddr>,
    message: &[u8],
    expect: &Expect,
    tally: &mut Tally,
) -> io::Result<OwnedFd> {
    let began = Instant::now();
    let socket = ask::open(addr, source, message)?;
    // Closing resets: no port is left in TIME_WAIT, or the next load would find none.
    set_socket_linger(&socket, Some(Duration::ZERO))?;
    let (mut decoder, mut buffer) = (Decoder::new(), [0; 4096]);
    loop {
        ask::wait(&socket, PollFlags::IN)?;
        let Transfer::Bytes(count) = sockets::recv(&socket, &mut buffer)? else { continue };
        tally.received(count);
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = &buffer[..count];
        let answer = decoder.step(&mut bytes, expect);
        if let Some(done) = answer.map_err(|malformed| io::Error::other(malformed.0))? {
            http::count(done, &mut Round { tally, latency: began.elapsed() });
            return Ok(socket);
        }
    }
}

impl Held {
    /// Waits for the end of standard input, then returns how many connections the server had ended by then.
    pub(crate) fn hold(&self) -> io::Result<usize> {
        io::stdin().read_to_end(&mut Vec::new())?;
        let open = |socket: &&OwnedFd| matches!(sockets::recv(socket, &mut [0]), Ok(Transfer::NotReady));
        Ok(self.0.len() - self.0.iter().filter(open).count())
    }
}

#[cfg(test)]
mod tests {
    use super::{PER_SOURCE, source};

    #[test]
    fn a_new_source_begins_when_the_ports_of_the_last_are_used_up() {
        let loopback = ([127, 0, 0, 1], 80).into();
        assert_eq!(source(loopback, PER_SOURCE - 1), None);
        assert_eq!(source(loopback, PER_SOURCE), Some([127, 0, 0, 2].into()));
        assert_eq!(source(loopback, 3 * PER_SOURCE - 1), Some([127, 0, 0, 3].into()));
        assert_eq!(source(([10, 0, 0, 1], 80).into(), PER_SOURCE), None);
    }
}
