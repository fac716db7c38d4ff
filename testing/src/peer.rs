//! A peer that speaks bytes: it sends what it was given in pieces whose ends the seed decides, and keeps what it receives.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Errno, faults};

/// The bytes that a peer reads in one turn at most.
const PIECE: usize = 16 * 1024;

/// A client of a server under test. A cheap clone. It ends with its last clone, once it has sent everything.
#[derive(Clone, Debug)]
pub struct Peer(pub(crate) Rc<PeerInner>);

pub(crate) struct PeerInner {
    link: RefCell<Link>,
    output: RefCell<Vec<u8>>,
    /// The FIN is due behind the output.
    finishes: Cell<bool>,
    is_finished: Cell<bool>,
    input: RefCell<Vec<u8>>,
    end: RefCell<Option<Result<(), ErrorKind>>>,
    /// It does nothing before.
    pause: Cell<Duration>,
    /// Its last turn was before that.
    is_pausing: Cell<bool>,
    is_patient: Cell<bool>,
    reads: Cell<bool>,
}

enum Link {
    /// The backlog of the server at this path is full.
    Waiting(PathBuf),
    /// The handshake is not over.
    Connecting(TcpStream),
    Open(Stream),
    Closed,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Peer {
    /// Sends bytes behind those that wait.
    pub fn send(&self, data: impl AsRef<[u8]>) {
        self.0.output.borrow_mut().extend_from_slice(data.as_ref());
    }

    /// Sends a FIN behind everything.
    pub fn finish(&self) {
        self.0.finishes.set(true);
    }

    /// Closes the connection at once. What was not received makes it a reset.
    pub fn close(&self) {
        drop(self.0.link.replace(Link::Closed));
        self.0.end.borrow_mut().get_or_insert(Err(ErrorKind::NotConnected));
    }

    /// Reads nothing from now on, or goes on.
    pub fn set_reading(&self, on: bool) {
        self.0.reads.set(on);
    }

    /// Never pauses by itself: for clients whose time matters.
    pub fn hurry(&self) {
        self.0.is_patient.set(false);
    }

    /// All that was received.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.0.input.borrow().clone()
    }

    /// The number of bytes that were received.
    #[must_use]
    pub fn received_len(&self) -> usize {
        self.0.input.borrow().len()
    }

    /// Whether all that was given to [`send`](Self::send) is sent.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        self.0.output.borrow().is_empty()
    }

    /// How the connection ended: `Ok` for a FIN. `None` while it lasts.
    #[must_use]
    pub fn end(&self) -> Option<Result<(), ErrorKind>> {
        *self.0.end.borrow()
    }

    /// Whether nothing more will be received.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.end().is_some()
    }
}

impl PeerInner {
    pub(crate) fn tcp(address: net::SocketAddr, local: Option<net::SocketAddr>) -> io::Result<Rc<Self>> {
        let stream = faults::connect_tcp(address, local)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(Link::Connecting(stream).go_on()?))
    }

    pub(crate) fn unix(path: &Path) -> io::Result<Rc<Self>> {
        Ok(Self::new(Link::Waiting(path.to_owned()).go_on()?))
    }

    fn new(link: Link) -> Rc<Self> {
        Rc::new(Self {
            link: RefCell::new(link),
            output: RefCell::default(),
            finishes: Cell::new(false),
            is_finished: Cell::new(false),
            input: RefCell::default(),
            end: RefCell::default(),
            pause: Cell::new(Duration::ZERO),
            is_pausing: Cell::new(false),
            is_patient: Cell::new(true),
            reads: Cell::new(true),
        })
    }

    /// One piece out and one in. Returns whether anything happened.
    pub(crate) fn turn(&self) -> bool {
        let now = faults::now().unwrap_or_default();
        self.is_pausing.set(self.pause.get() > now);
        if self.is_pausing.get() {
            return false;
        }
        let mut link = self.link.borrow_mut();
        let stream = match &mut *link {
            Link::Waiting(_) | Link::Connecting(_) => return self.connect(&mut link),
            Link::Open(stream) => stream,
            Link::Closed => return false,
        };
        let wrote = self.write(stream);
        let read = self.reads.get() && self.end.borrow().is_none() && self.read(stream);
        let acted = wrote || read;
        if acted && self.is_patient.get() && faults::choose("pause of a peer", 16) == 0 {
            let longest = [100, 10_000, 1_000_000][faults::choose("length of a pause", 3) as usize];
            self.pause.set(now + Duration::from_micros(faults::choose("pause of a peer", longest)));
        }
        acted
    }

    /// Goes on to connect. Returns whether that is decided.
    fn connect(&self, link: &mut Link) -> bool {
        match std::mem::replace(link, Link::Closed).go_on() {
            Ok(next) => *link = next,
            Err(error) => {
                self.output.borrow_mut().clear();
                *self.end.borrow_mut() = Some(Err(error.kind()));
            }
        }
        link.is_decided()
    }

    fn write(&self, stream: &mut Stream) -> bool {
        let mut output = self.output.borrow_mut();
        if output.is_empty() {
            if self.finishes.get() && !self.is_finished.replace(true) {
                // Fails if the connection is reset.
                let _ = stream.finish();
                return true;
            }
            return false;
        }
        let bound = if faults::choose("cut", 2) == 0 { output.len() } else { output.len().min(8) };
        let len = 1 + faults::choose("cut", bound as u64) as usize;
        match stream.as_io().write(&output[..len.min(output.len())]) {
            Ok(sent) => {
                output.drain(..sent);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                // The server has closed: what it sent before is still to be read.
                output.clear();
                true
            }
        }
    }

    fn read(&self, stream: &mut Stream) -> bool {
        let mut buffer = [0; PIECE];
        let bound = 1 + faults::choose("cut", PIECE as u64) as usize;
        match stream.as_io().read(&mut buffer[..bound]) {
            Ok(0) => *self.end.borrow_mut() = Some(Ok(())),
            Ok(count) => self.input.borrow_mut().extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) => *self.end.borrow_mut() = Some(Err(error.kind())),
        }
        true
    }

    /// When the peer's pause is over, if it pauses.
    pub(crate) fn wakes_at(&self) -> Option<Duration> {
        let is_open = matches!(&*self.link.borrow(), Link::Open(_));
        Some(self.pause.get()).filter(|_| is_open && self.is_pausing.get())
    }

    /// Whether only the world has it and nothing is left to send.
    pub(crate) fn is_over(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) <= 2
            && self.link.borrow().is_decided()
            && self.output.borrow().is_empty()
            && self.finishes.get() == self.is_finished.get()
    }
}

impl fmt::Debug for PeerInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(end) = self.end.try_borrow() else { return f.write_str("Peer") };
        let is_connecting = self.link.try_borrow().is_ok_and(|link| !link.is_decided());
        f.debug_struct("Peer")
            .field("connects", &is_connecting)
            .field("to_send", &self.output.borrow().len())
            .field("finished", &self.is_finished.get())
            .field("received", &self.input.borrow().len())
            .field("end", &*end)
            .field("pauses", &self.is_pausing.get())
            .finish_non_exhaustive()
    }
}

trait Io: Read + Write {}
impl<T: Read + Write> Io for T {}

impl Link {
    /// Tries to connect, unless that is decided.
    fn go_on(self) -> io::Result<Self> {
        match self {
            Self::Waiting(path) => match faults::connect_unix(&path) {
                Ok(stream) => Ok(Self::Open(Stream::Unix(stream))),
                Err(error) if error.errno() == Errno::EAGAIN => Ok(Self::Waiting(path)),
                Err(error) => Err(error.into()),
            },
            Self::Connecting(stream) => {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                let is_open = stream.peer_addr().is_ok();
                Ok(if is_open { Self::Open(Stream::Tcp(stream)) } else { Self::Connecting(stream) })
            }
            Self::Open(_) | Self::Closed => Ok(self),
        }
    }

    fn is_decided(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Closed)
    }
}

impl Stream {
    fn as_io(&mut self) -> &mut dyn Io {
        match self {
            Self::Tcp(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    fn finish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}
