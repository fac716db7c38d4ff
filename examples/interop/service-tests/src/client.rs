//! A client that writes requests as bytes, and reads answers as far as a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer as it was received.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub fields: Vec<(String, String)>,
    /// The content, without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("it listens"))
    }

    /// Takes a connection over.
    ///
    /// # Panics
    /// If its options cannot be set.
    #[must_use]
    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection is lost.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the peer is there");
    }

    /// Sends what the peer may refuse to take.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a request with a body and reads the answer. `fields` are whole lines.
    pub fn ask(&mut self, request: &str, fields: &str, body: &str) -> Answer {
        self.send_request(request, fields, body);
        self.answer(request.starts_with("HEAD "))
    }

    /// Sends a request with a body, if it has one.
    pub fn send_request(&mut self, request: &str, fields: &str, body: &str) {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(format!("{request} HTTP/1.1\r\nHost: h\r\n{fields}{length}\r\n{body}"));
    }

    /// Reads an answer.
    ///
    /// # Panics
    /// If it is malformed or cut.
    pub fn answer(&mut self, is_of_head: bool) -> Answer {
        self.try_answer(is_of_head).expect("an answer")
    }

    /// Reads an answer; `None` if the connection ends before its first byte.
    ///
    /// # Panics
    /// If it is malformed or cut.
    pub fn try_answer(&mut self, is_of_head: bool) -> Option<Answer> {
        if self.read.is_empty() && !self.fill() {
            return None;
        }
        let mut answer = self.head();
        if is_of_head || matches!(answer.status, 204 | 304) {
            return Some(answer);
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.chunk();
                if chunk.is_empty() {
                    break;
                }
                answer.body.extend(chunk);
            }
        } else {
            let length = answer.field("content-length").expect("a length").parse().expect("a number");
            answer.body = self.take(length);
        }
        Some(answer)
    }

    /// Reads a head, and no body.
    ///
    /// # Panics
    /// If it is malformed or cut.
    pub fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.take_through(b"\r\n\r\n")).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        let fields = lines.filter_map(|line| line.split_once(": "));
        Answer {
            status: status[..3].parse().expect("a status"),
            fields: fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
            body: Vec::new(),
        }
    }

    /// Reads a chunk; the last one is empty.
    ///
    /// # Panics
    /// If it is malformed or cut.
    pub fn chunk(&mut self) -> Vec<u8> {
        let line = String::from_utf8(self.take_through(b"\r\n")).expect("text");
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
        let chunk = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        chunk
    }

    /// Whether the connection ends, and nothing comes before that.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            self.demand();
        }
        self.read.drain(..len).collect()
    }

    fn take_through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            self.demand();
        }
    }

    fn demand(&mut self) {
        assert!(self.fill(), "the answer is cut after {:?}", String::from_utf8_lossy(&self.read));
    }

    /// Reads more; `false` at the end, which may be a reset.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing comes: {error}"),
        }
    }
}
