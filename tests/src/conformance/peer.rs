//! The client's side of one connection, with deadlines that no server can outlast.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::case::RequestKind;
use super::response::{self, Progress, Response};

/// Blocks up to this size fit into the socket's buffers; a larger one is written by a thread of its own, so that the
/// server's answers are read meanwhile and neither side waits for the other.
const WRITTEN_AT_ONCE: usize = 16 * 1024;

/// How much is read at a time.
const READ_SIZE: usize = 64 * 1024;

/// How many times its patience one connection may last, so that a server that trickles without end ends as well.
const MAX_PATIENCES: u32 = 12;

/// The most bytes that one connection may receive: more than any case asks for.
const MAX_RECEIVED: usize = 64 * 1024 * 1024;

/// What comes where a response is expected.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A whole response.
    Whole(Response),
    /// The connection ended within this response.
    BrokenOff(Response),
    /// The connection ended before a response.
    Closed,
}

/// A connection to the server under test.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    /// Where the next response begins in `received`.
    at: usize,
    ended: bool,
    patience: Duration,
    /// When the wait that is under way ends, unless bytes come.
    deadline: Instant,
    /// When every wait ends.
    last_deadline: Instant,
    writer: Option<JoinHandle<()>>,
}

impl Peer {
    /// Connects; every wait for the server lasts `patience` at most.
    pub(crate) fn connect(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience))?;
        let now = Instant::now();
        Ok(Self {
            stream,
            received: Vec::new(),
            at: 0,
            ended: false,
            patience,
            deadline: now + patience,
            last_deadline: now + patience * MAX_PATIENCES,
            writer: None,
        })
    }

    /// Writes the pieces one by one. A failure is not reported: a server may answer and close before it has read
    /// everything, and what it answered is what matters.
    pub(crate) fn send(&mut self, pieces: Vec<Vec<u8>>) -> io::Result<()> {
        self.finish_writing();
        let mut stream = self.stream.try_clone()?;
        let length: usize = pieces.iter().map(Vec::len).sum();
        let write = move || {
            for piece in pieces {
                if stream.write_all(&piece).is_err() {
                    return;
                }
            }
        };
        if length <= WRITTEN_AT_ONCE {
            write();
        } else {
            self.writer = Some(thread::spawn(write));
        }
        Ok(())
    }

    /// Ends the client's side.
    pub(crate) fn shutdown(&mut self) {
        self.finish_writing();
        // The server may have closed already; what it answered is judged all the same.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn finish_writing(&mut self) {
        if let Some(writer) = self.writer.take() {
            // The thread holds no lock and only writes: if it panicked, the expected answers will be missing.
            let _ = writer.join();
        }
    }

    /// Reads the next response and passes over it.
    pub(crate) fn take(&mut self, request: RequestKind) -> Result<Incoming, String> {
        let (incoming, used) = self.wait(request, |_| false)?;
        self.at += used;
        Ok(incoming)
    }

    /// Reads the next response without passing over it, until it is whole or `enough` of it is there.
    pub(crate) fn peek(
        &mut self,
        request: RequestKind,
        enough: impl Fn(&Response) -> bool,
    ) -> Result<Incoming, String> {
        self.wait(request, enough).map(|(incoming, _)| incoming)
    }

    fn wait(
        &mut self,
        request: RequestKind,
        enough: impl Fn(&Response) -> bool,
    ) -> Result<(Incoming, usize), String> {
        self.deadline = Instant::now() + self.patience;
        loop {
            let pending = &self.received[self.at..];
            match response::parse(pending, self.ended, request)? {
                Progress::Complete(response, used) => return Ok((Incoming::Whole(response), used)),
                Progress::Body(response) if enough(&response) => return Ok((Incoming::Whole(response), 0)),
                Progress::Body(response) if self.ended => {
                    return Ok((Incoming::BrokenOff(response), pending.len()));
                }
                Progress::Head if self.ended && pending.is_empty() => return Ok((Incoming::Closed, 0)),
                Progress::Head if self.ended => return Err("the connection ended within a head".into()),
                Progress::Head | Progress::Body(_) => {}
            }
            if self.receive()? {
                self.deadline = Instant::now() + self.patience;
            }
        }
    }

    /// Waits for the server to close; anything that it sends before is a fault.
    pub(crate) fn expect_end(&mut self) -> Result<(), String> {
        self.deadline = Instant::now() + self.patience;
        while !self.ended && self.at == self.received.len() {
            self.receive()?;
        }
        match self.received.len() - self.at {
            0 => Ok(()),
            more => Err(format!("{more} bytes after the final response")),
        }
    }

    /// Reads once. Whether bytes came; a reset counts as an end.
    fn receive(&mut self) -> Result<bool, String> {
        let silent = || format!("no more bytes and no close within {:?}", self.patience);
        let deadline = self.deadline.min(self.last_deadline);
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(silent)?;
        self.stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        let old = self.received.len();
        if old > MAX_RECEIVED {
            return Err(format!("more than {MAX_RECEIVED} bytes came"));
        }
        self.received.resize(old + READ_SIZE, 0);
        let result = self.stream.read(&mut self.received[old..]);
        self.received.truncate(old + result.as_ref().map_or(0, |count| *count));
        match result {
            Ok(0) => self.ended = true,
            Ok(_) => return Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(silent()),
                ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                    self.ended = true;
                }
                _ => return Err(format!("reading failed: {error}")),
            },
        }
        Ok(false)
    }

    /// Everything that came.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Wakes a writer that waits for the server. It fails if the connection is closed, which wakes the writer too.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.finish_writing();
    }
}
