//! As much of an HTTP client as these tests need: one request for each connection, read to its end.

use crate::site::Outcome;
use std::io::{Read, Write};
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

pub(crate) fn parse(bytes: &[u8]) -> Outcome<Answer> {
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
