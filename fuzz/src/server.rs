//! A server as its client sees it, over sockets and a loop of this thread: what it answers to bytes that come in pieces.

use http::proto::{Fields, RequestHead};
use http::serve::{BodyReader, Failure, OwnedRequest};
use http::upcall::BodyHandler;
use http::{Body, Request, Response, Server, ServerOptions};
use http::net::ListenOptions;
use futures_core::Stream;
use futures_io::AsyncRead;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use async_wrap::Environment;
use async_wrap::uv_core::{Loop, RunMode};

/// Turns of the loop after which a server that has not ended is left: each serves everything that has come.
const TURNS: usize = 64;

/// Responses that are ended between two turns of the loop.
type Late = Rc<RefCell<Vec<Response>>>;

/// A server, and what it needs to be asked.
pub struct Asked {
    env: Environment,
    late: Late,
    path: PathBuf,
}

/// What a client saw.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The bytes, with the dates blanked out.
    pub bytes: Vec<u8>,
    /// Whether the server ended the connection.
    pub has_ended: bool,
}

/// Takes a body, and answers with it.
struct Echo {
    response: Response,
    body: Vec<u8>,
}

impl BodyHandler for Echo {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        self.body.extend_from_slice(data);
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        let _ = self.response.end(&self.body);
    }
}

/// What the first letter of the path asks for; most letters ask for a whole response, as most programs write.
fn answer(request: &Request<'_>, response: Response, late: &Late) -> http::Result<()> {
    let path = request.path().as_bytes();
    match path.get(1) {
        Some(b'a') => response.set_header("X-A", path)?.end(path),
        Some(b'b') => response.set_status(404)?.end(b"no"),
        Some(b'c') => response.set_header("Connection", "close")?.end(b"last"),
        Some(b'd') => Ok(()),
        Some(b'e') => {
            request.body().set_handler(Echo { response, body: Vec::new() });
            Ok(())
        }
        Some(b'h') => response.end(described(request).as_bytes()),
        Some(b'l') => {
            late.borrow_mut().push(response);
            Ok(())
        }
        Some(b'n') => response.set_status(204)?.end(b"dropped"),
        Some(b'r') => response.set_reason("Fine")?.append_header("X-A", "1")?.end(b""),
        Some(b't') => {
            response.add_trailer("X-T", "1")?;
            response.end(b"trailed")
        }
        Some(b'w') => response.write(b"in ").and_then(|_| response.end(b"parts")),
        _ => response.set_header("Content-Type", "text/plain")?.end(b"hello"),
    }
}

/// The same as [`answer`], as an async function.
async fn serve(mut request: OwnedRequest, response: Response, late: Late) -> Result<(), Failure> {
    let path = request.path().to_owned();
    let path = path.as_bytes();
    match path.get(1) {
        Some(b'a') => response.set_header("X-A", path)?.end(path)?,
        Some(b'b') => response.set_status(404)?.end(b"no")?,
        Some(b'c') => response.set_header("Connection", "close")?.end(b"last")?,
        Some(b'd') if path.len() > 2 => return Err("it has failed".into()),
        Some(b'd') => {}
        Some(b'e') => {
            let body = whole(request.body(), path.len()).await?;
            response.end(&body)?;
        }
        Some(b'h') => response.end(described(&request.head()).as_bytes())?,
        Some(b'l') => late.borrow_mut().push(response),
        Some(b'n') => response.set_status(204)?.end(b"dropped")?,
        Some(b'r') => response.set_reason("Fine")?.append_header("X-A", "1")?.end(b"")?,
        Some(b't') => {
            response.add_trailer("X-T", "1")?;
            response.end(b"trailed")?;
        }
        Some(b'w') => {
            response.write(b"in ")?;
            response.end(b"parts")?;
        }
        _ => response.set_header("Content-Type", "text/plain")?.end(b"hello")?,
    }
    Ok(())
}

/// All of a body, read in one of four ways.
async fn whole(body: &mut BodyReader, how: usize) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    let mut buffer = [0; 7];
    loop {
        match how % 4 {
            0 => return Ok(body.bytes(usize::MAX).await?.to_vec()),
            1 => match body.next().await.transpose()? {
                Some(data) => all.extend_from_slice(&data),
                None => return Ok(all),
            },
            2 => match poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await.transpose()? {
                Some(data) => all.extend_from_slice(&data),
                None => return Ok(all),
            },
            _ => match poll_fn(|context| Pin::new(&mut *body).poll_read(context, &mut buffer)).await? {
                0 => return Ok(all),
                count => all.extend_from_slice(&buffer[..count]),
            },
        }
    }
}

/// What a head says.
fn described(head: &RequestHead<'_>) -> String {
    let RequestHead { method, target, version, form, framing, keep_alive, expect, upgrade, .. } = head;
    let (path, query) = (head.path(), head.query());
    let fields = crate::fields(&head.fields);
    format!("{method} {target} {version:?} {form:?} {framing:?} {keep_alive} {expect:?} {upgrade} {path} {query:?} {fields}")
}

/// Bytes as a client sends them: `~` stands for a request whose path is the letter behind it, so that the fuzzer finds the usual
/// ones soon.
pub fn spell(bytes: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::new();
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        if byte == b'~' {
            let letter = rest.next().copied().unwrap_or(b'x');
            spelled.extend_from_slice(b"GET /");
            spelled.push(letter);
            spelled.extend_from_slice(b" HTTP/1.1\r\nHost: a\r\n\r\n");
        } else {
            spelled.push(byte);
        }
    }
    spelled
}

/// Whether the bytes may name `Expect`: whether a client waits for `100 Continue` depends on how much of its body has come with
/// the head.
pub fn names_expect(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window.eq_ignore_ascii_case(b"expect"))
}

impl Asked {
    /// A server with callbacks, on a socket file of its own.
    pub fn new(env: &Environment, options: ServerOptions, name: &str) -> Self {
        Self::listening(env, options, name, |server, options, late| {
            server.listen(options, move |request: &Request<'_>, response: Response| {
                let _ = answer(request, response, &late);
            })
        })
    }

    /// The same with an async function.
    pub fn serving(env: &Environment, options: ServerOptions, name: &str) -> Self {
        Self::listening(env, options, name, |server, options, late| {
            server.serve(options, move |request, response| serve(request, response, Rc::clone(&late)))
        })
    }

    fn listening(
        env: &Environment,
        options: ServerOptions,
        name: &str,
        listen: impl FnOnce(&Server, ListenOptions, Late) -> http::Result<()>,
    ) -> Self {
        let path = std::env::temp_dir().join(format!("upcall-fuzz-{}-{name}", std::process::id()));
        let late = Late::default();
        let server = Server::new(env, options).expect("a server");
        listen(&server, ListenOptions::path(&path), Rc::clone(&late)).expect("to listen");
        Self { env: env.clone(), late, path }
    }

    /// Sends the pieces, each when the last one is served, then the client's end; returns what came back.
    pub fn ask(&self, pieces: &[&[u8]]) -> Seen {
        let mut client = UnixStream::connect(&self.path).expect("to connect");
        client.set_nonblocking(true).expect("not to block");
        let mut seen = Seen { bytes: Vec::new(), has_ended: false };
        for piece in pieces {
            if seen.has_ended || client.write_all(piece).is_err() {
                break;
            }
            self.turn();
            seen.read(&mut client);
        }
        let _ = client.shutdown(Shutdown::Write);
        for _ in 0..TURNS {
            self.turn();
            seen.read(&mut client);
            if seen.has_ended {
                break;
            }
        }
        drop(client);
        self.turn();
        self.late.borrow_mut().clear();
        self.turn();
        seen.blank_dates();
        seen
    }

    /// Lets the server take what has come, and ends a response that waits.
    fn turn(&self) {
        self.env.run(RunMode::NoWait).expect("the loop runs");
        let late = self.late.borrow_mut().pop();
        if let Some(response) = late {
            let _ = response.end(b"late");
            self.env.run(RunMode::NoWait).expect("the loop runs");
        }
    }
}

impl Seen {
    fn read(&mut self, client: &mut UnixStream) {
        let mut buffer = [0; 4096];
        loop {
            match client.read(&mut buffer) {
                Ok(0) => return self.has_ended = true,
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.has_ended = true,
            }
        }
    }

    /// Blanks out the dates, which a new second changes.
    fn blank_dates(&mut self) {
        const DATE: &[u8] = b"Date: ";
        const LEN: usize = 29;
        let mut at = 0;
        while let Some(found) = self.bytes[at..].windows(DATE.len()).position(|window| window == DATE) {
            at += found + DATE.len();
            let end = (at + LEN).min(self.bytes.len());
            self.bytes[at..end].fill(b'-');
        }
    }
}

/// Two servers that differ in their path alone.
pub struct Pair {
    /// Serves on the fast path what may be.
    pub fast: Asked,
    /// Serves everything on the slow path.
    pub slow: Asked,
    /// Lasts as long as they do.
    _event_loop: Loop,
}

impl Pair {
    /// The servers, on a loop of their own.
    pub fn new() -> Self {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let options = ServerOptions::default().limits(crate::limits());
        let fast = Asked::new(&env, options.clone(), "fast");
        let slow = Asked::new(&env, options.slow_path_only(true), "slow");
        Self { fast, slow, _event_loop: event_loop }
    }
}

/// Two servers that differ in their handlers alone.
pub struct Handlers {
    /// Its handler is a callback.
    pub callback: Asked,
    /// Its handler is an async function.
    pub future: Asked,
    /// Lasts as long as they do.
    _event_loop: Loop,
}

impl Handlers {
    /// The servers, on a loop of their own.
    pub fn new() -> Self {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let options = ServerOptions::default().limits(crate::limits());
        let callback = Asked::new(&env, options.clone(), "callback");
        let future = Asked::serving(&env, options, "future");
        Self { callback, future, _event_loop: event_loop }
    }
}

impl Default for Handlers {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}
