//! As much of an HTTP client as these tests need: one request for each connection, read to its end, or a plain one on a
//! connection that is kept alive.

use crate::site::Outcome;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use tests::running::DEADLINE;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of the field of this name, in the case in which it was sent.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> Outcome<&str> {
        Ok(str::from_utf8(&self.body)?)
    }
}

pub(crate) fn connect(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Sends a request line and fields (each with its line end), and a body; reads until the server closes.
pub(crate) fn ask(address: SocketAddr, head: &str, body: &[u8]) -> Outcome<Answer> {
    let mut stream = connect(address)?;
    stream.write_all(format!("{head}Host: here\r\nConnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// Asks for `/` on a connection that is kept alive.
pub(crate) fn ask_again(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")?;
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\nhello") {
        let mut piece = [0; 512];
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => received.extend_from_slice(&piece[..count]),
        }
    }
    Ok(())
}

/// A request of which the server has the first half, and has sent it back.
pub(crate) struct Halfway {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Halfway {
    pub(crate) fn begin(address: SocketAddr) -> Outcome<Self> {
        Self::begin_on(connect(address)?, "")
    }

    /// On a connection that there is already, with more fields, each with its line end.
    pub(crate) fn begin_on(mut stream: TcpStream, fields: &str) -> Outcome<Self> {
        let head = format!("POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 8\r\n{fields}\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"firs")?;
        let mut received = Vec::new();
        while !received.ends_with(b"firs") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            received.push(byte[0]);
        }
        Ok(Self { stream, received })
    }

    /// Sends the rest, and reads until the server closes.
    pub(crate) fn finish(mut self) -> Outcome<Answer> {
        self.stream.write_all(b"t2nd")?;
        self.stream.read_to_end(&mut self.received)?;
        parse(&self.received)
    }
}

fn parse(bytes: &[u8]) -> Outcome<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or("the head does not end")?;
    let head = String::from_utf8(bytes[..end].to_vec())?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    let mut answer = Answer { status, head, body: bytes[end + 4..].to_vec() };
    if answer.field("Transfer-Encoding").is_some() {
        answer.body = without_chunks(&answer.body)?;
    }
    Ok(answer)
}

fn without_chunks(mut rest: &[u8]) -> Outcome<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.iter().position(|byte| *byte == b'\r').ok_or("no chunk size")?;
        let size = usize::from_str_radix(str::from_utf8(&rest[..line])?, 16)?;
        let data = line + 2;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(data..data + size).ok_or("a chunk is cut")?);
        rest = rest.get(data + size + 2..).ok_or("a chunk does not end")?;
    }
}
