//! The client whose requests are traced: a thread with a plain socket, which notes when it does what.

use super::collector::now;
use super::story::{Mark, Story};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use uv_core::threads::AsyncSender;

/// The timeout of each step, reached only if something is wrong.
const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes of a line of a head, which this project's server sends: far more than there are.
const LINE_BYTES: u64 = 8192;

/// A client at work. It wakes the loop when it is done.
#[derive(Debug)]
pub(super) struct Client(JoinHandle<io::Result<Conversation>>);

#[derive(Debug, Default)]
pub(super) struct Conversation {
    marks: Vec<Mark>,
    /// When the connection was closed by both sides.
    end: u64,
}

impl Conversation {
    /// Puts the client's part into the servers' story.
    pub(super) fn told_with(self, story: Story) -> Story {
        story.until(self.end).with_marks(self.marks).since_first_mark("cluster")
    }
}

impl Client {
    /// Connects to `address` and sends `requests`, so many at once as `pipeline` says.
    pub(super) fn start(address: SocketAddr, requests: usize, pipeline: usize, done: AsyncSender) -> Self {
        Self(thread::spawn(move || {
            let result = converse(address, requests, pipeline);
            done.send();
            result
        }))
    }

    pub(super) fn conversation(self) -> io::Result<Conversation> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the client panicked")))
    }
}

fn converse(address: SocketAddr, requests: usize, pipeline: usize) -> io::Result<Conversation> {
    let mut marks = vec![mark("the client connects".to_owned())];
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for first in (1..=requests).step_by(pipeline) {
        let last = requests.min(first + pipeline - 1);
        let which =
            if first == last { format!("request {first}") } else { format!("requests {first} to {last}") };
        let request = "GET / HTTP/1.1\r\nHost: upcall\r\n\r\n".repeat(last + 1 - first);
        marks.push(mark(format!("the client sends {which}")));
        (&stream).write_all(request.as_bytes())?;
        for _ in first..=last {
            read_answer(&mut answers)?;
        }
        marks.push(mark(format!("the client has the answer to {which}")));
    }
    marks.push(mark("the client ends".to_owned()));
    stream.shutdown(Shutdown::Write)?;
    // Until the server has closed its side too.
    io::copy(&mut answers, &mut io::sink())?;
    Ok(Conversation { marks, end: now() })
}

fn mark(what: String) -> Mark {
    Mark { at: now(), what }
}

fn read_answer(from: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        from.by_ref().take(LINE_BYTES).read_line(&mut line)?;
        if !line.ends_with("\r\n") {
            return Err(io::Error::other("the server's answer ends in its head"));
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut from.by_ref().take(length), &mut io::sink()).map(drop)
}
