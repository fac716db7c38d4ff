//! Clients that a server would do better without: they reset, dawdle, flood, and speak no HTTP. A thread for each kind, with
//! pauses, so that the load beside them gets through.

use crate::sockets::Address;
use rustix::net::sockopt::set_socket_linger;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a connect or a blocking write may take: a worker may be stopped.
const PATIENCE: Duration = Duration::from_secs(2);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: soak\r\n\r\n";

/// What resets say before they reset.
const BEGUN: &[&[u8]] = &[
    b"",
    b"GET / HT",
    GET,
    b"POST /echo HTTP/1.1\r\nHost: soak\r\nContent-Length: 100000\r\n\r\nabc",
    b"GET /stream/2000 HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"POST /trailers HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
];

/// Pauses between two resets.
const RESET_PAUSE: Duration = Duration::from_millis(3);

/// Slow peers at a time, and how often each does a little.
const SLOW: usize = 24;
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// Connections of one burst, and what follows it.
const BURST: usize = 150;
const BURST_PAUSE: Duration = Duration::from_millis(150);

/// Requests of one flood, whose answers are not read.
const FLOOD: usize = 2000;

/// Bytes that are no request.
const GARBAGE: usize = 16 * 1024;

/// What the clients have done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) connections: u64,
    /// Connections that were refused, or not accepted in time.
    pub(super) refused: u64,
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.refused += other.refused;
    }
}

/// The clients, until they are ended.
pub(super) struct Trouble {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Done>>,
}

impl Trouble {
    pub(super) fn start(address: &Address) -> io::Result<Self> {
        let Address::Tcp(address) = *address else { return Err(ErrorKind::Unsupported.into()) };
        let ends = Arc::new(AtomicBool::new(false));
        let kinds: [fn(&mut Clients); 3] = [Clients::reset, Clients::dawdle, Clients::flood];
        let threads = kinds.into_iter().map(|kind| {
            let mut clients = Clients { address, ends: Arc::clone(&ends), done: Done::default() };
            thread::spawn(move || {
                kind(&mut clients);
                clients.done
            })
        });
        let threads = threads.collect();
        Ok(Self { ends, threads })
    }

    /// Ends them, and closes all their connections.
    pub(super) fn end(self) -> Done {
        self.ends.store(true, Ordering::Relaxed);
        let mut all = Done::default();
        self.threads.into_iter().for_each(|thread| all += thread.join().unwrap_or_default());
        all
    }
}

/// The clients of one thread.
struct Clients {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    done: Done,
}

impl Clients {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    fn connect(&mut self) -> Option<TcpStream> {
        self.done.connections += 1;
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE);
        let stream = stream.and_then(|stream| stream.set_write_timeout(Some(PATIENCE)).map(|()| stream));
        self.done.refused += u64::from(stream.is_err());
        stream.ok()
    }

    fn reset(&mut self) {
        for begun in BEGUN.iter().cycle() {
            thread::sleep(RESET_PAUSE);
            if !self.goes_on() {
                return;
            }
            let Some(mut stream) = self.connect() else { continue };
            let _ = stream.write_all(begun);
            // Some after the first bytes of the answer.
            if self.done.connections.is_multiple_of(3) && begun.starts_with(b"GET /stream") {
                let _ = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.read(&mut [0; 100]));
            }
            // Closing resets.
            let _ = set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }

    fn dawdle(&mut self) {
        let mut peers: Vec<Option<(TcpStream, usize)>> = (0..SLOW).map(|_| None).collect();
        while self.goes_on() {
            for (at, peer) in peers.iter_mut().enumerate() {
                match peer {
                    None => {
                        *peer = self.connect().map(|stream| (stream, 0));
                        let began = peer.as_mut().map(|(stream, _)| begin_slowly(stream, at));
                        if began.is_none_or(|began| began.is_err()) {
                            *peer = None;
                        }
                    }
                    Some((stream, turns)) => {
                        *turns += 1;
                        if !go_on_slowly(stream, at, *turns) {
                            *peer = None;
                        }
                    }
                }
            }
            thread::sleep(SLOW_PAUSE);
        }
    }

    fn flood(&mut self) {
        while self.goes_on() {
            let burst: Vec<_> = (0..BURST).filter_map(|_| self.connect()).collect();
            thread::sleep(BURST_PAUSE);
            drop(burst);
            if let Some(mut stream) = self.connect() {
                let _ = stream.write_all(&GET.repeat(FLOOD));
            }
            if let Some(mut stream) = self.connect() {
                let garbage: Vec<u8> = (0..GARBAGE).map(|at| (at * at / 7 + at) as u8).collect();
                let _ = stream.write_all(&garbage);
            }
            thread::sleep(BURST_PAUSE);
        }
    }
}

/// Begins with what a slow peer of this number does: it sends a head or a body in bytes, or reads an answer so.
fn begin_slowly(stream: &mut TcpStream, at: usize) -> io::Result<()> {
    let begun: &[u8] = match at % 3 {
        0 => b"GET /headers HTTP/1.1\r\nHost: soak\r\nX: ",
        1 => b"GET /stream/20000 HTTP/1.1\r\nHost: soak\r\n\r\n",
        _ => b"POST /echo HTTP/1.1\r\nHost: soak\r\nContent-Length: 100\r\n\r\n",
    };
    stream.write_all(begun)?;
    stream.set_nonblocking(true)
}

/// Whether the peer has more to do.
fn go_on_slowly(stream: &mut TcpStream, at: usize, turns: usize) -> bool {
    let is_there = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
    let is_open = match at % 3 {
        1 => stream.read(&mut [0; 512]).map_or_else(|error| is_there(&error), |count| count > 0),
        _ => stream.write(b"x").map_or_else(|error| is_there(&error), |count| count > 0),
    };
    // Each leaves at another time.
    is_open && turns < 40 + 7 * at
}
