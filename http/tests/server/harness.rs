//! A server on this thread, a client on another, and the proof that nothing is left of the server.

use async_wrap::Environment;
use http::upcall::{RequestHandler, ResponseHandler};
use http::{Request, Response, Server, ServerOptions};
use net::Dropped;
use net::{ListenOptions, Socket};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use std::{panic, thread};
use uv_core::threads::AsyncSender;
use uv_core::{Async, Loop, RunMode};

/// How long a client waits for the server: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server and its loop.
pub(crate) struct Site {
    pub(crate) event_loop: Loop,
    pub(crate) env: Environment,
    pub(crate) server: Server,
}

/// Options whose timeouts are looked at often.
pub(crate) fn impatient() -> ServerOptions {
    ServerOptions::default().checking_interval(Duration::from_millis(10))
}

/// A server of this binary's path: see `main.rs`.
pub(crate) fn new_server(env: &Environment, options: ServerOptions) -> Server {
    let slow_path_only = env!("CARGO_CRATE_NAME") == "server_slow_path";
    Server::new(env, options.slow_path_only(slow_path_only)).expect("a server")
}

/// Runs a server with default options until `client` has returned.
pub(crate) fn serve<T: Send + 'static>(
    handler: impl RequestHandler + 'static,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T {
    Site::new(ServerOptions::default()).run(handler, client)
}

impl Site {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let server = new_server(&env, options);
        Self { event_loop, env, server }
    }

    /// Listens on an ephemeral port.
    pub(crate) fn listen(&self, handler: impl RequestHandler + 'static) -> SocketAddr {
        let any = ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0)));
        self.server.listen(any, handler).expect("to listen");
        self.server.address().and_then(|address| address.as_tcp()).expect("an address")
    }

    /// Serves until `client`, on a thread of its own, has returned; then closes everything.
    pub(crate) fn run<T: Send + 'static>(
        self,
        handler: impl RequestHandler + 'static,
        client: impl FnOnce(SocketAddr) -> T + Send + 'static,
    ) -> T {
        let server = self.server.clone();
        self.run_until(handler, client, move || {
            // Refused if the test closed it.
            let _ = server.close();
            server.close_all_connections();
        })
    }

    /// The same, with another end.
    pub(crate) fn run_until<T: Send + 'static>(
        self,
        handler: impl RequestHandler + 'static,
        client: impl FnOnce(SocketAddr) -> T + Send + 'static,
        end: impl FnOnce() + 'static,
    ) -> T {
        let life = Rc::new(());
        let address = self.listen(Watched { handler, _life: Rc::clone(&life) });
        let mut end = Some(end);
        let stop = Async::new(&self.event_loop, move |stop: &Async| {
            if let Some(end) = end.take() {
                end();
            }
            stop.close();
        });
        let stopper = Stopper(stop.sender());
        let client = thread::spawn(move || {
            let _stopper = stopper;
            client(address)
        });
        let alive = self.env.run(RunMode::Default).expect("the loop runs");
        let result = client.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        assert!(!alive, "the loop ended with something alive: {:?}", self.event_loop.handles());
        assert_eq!(self.server.connections(), 0);
        assert_eq!(self.env.tasks(), 0, "{}", self.env.why_pending());
        assert_eq!(Rc::strong_count(&life), 1, "the handler is dropped");
        result
    }
}

/// Stops the server when the client is done, also by a panic.
struct Stopper(AsyncSender);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.send();
    }
}

struct Watched<H> {
    handler: H,
    _life: Rc<()>,
}

impl<H: RequestHandler> RequestHandler for Watched<H> {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.handler.on_request(request, response);
    }

    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        self.handler.accepts_upgrade(request)
    }

    fn accepts_method(&mut self, method: &str) -> bool {
        self.handler.accepts_method(method)
    }

    fn accepts_overload(&mut self, request: &Request<'_>) -> bool {
        self.handler.accepts_overload(request)
    }

    fn accepts_silence(&mut self, socket: &Socket) -> bool {
        self.handler.accepts_silence(socket)
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        self.handler.on_upgrade(request, socket, head);
    }

    fn on_client_error(&mut self, error: http::proto::ParseError, socket: &Socket) {
        self.handler.on_client_error(error, socket);
    }

    fn on_listening(&mut self, server: &Server) {
        self.handler.on_listening(server);
    }

    fn on_drop(&mut self, server: &Server, dropped: Dropped) {
        self.handler.on_drop(server, dropped);
    }

    fn on_error(&mut self, server: &Server, error: net::Error) {
        self.handler.on_error(server, error);
    }

    fn on_close(&mut self, server: &Server) {
        self.handler.on_close(server);
    }
}

/// Responses that are kept to be finished later, the oldest first.
#[derive(Clone, Default)]
pub(crate) struct Kept(Rc<RefCell<VecDeque<Response>>>);

impl Kept {
    pub(crate) fn keep(&self, response: Response) {
        self.0.borrow_mut().push_back(response);
    }

    pub(crate) fn take_oldest(&self) -> Option<Response> {
        self.0.borrow_mut().pop_front()
    }

    pub(crate) fn take_newest(&self) -> Option<Response> {
        self.0.borrow_mut().pop_back()
    }
}

/// What was seen, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn joined(&self) -> String {
        self.0.borrow().join(" ")
    }
}

/// A number that handlers count up.
#[derive(Clone, Default)]
pub(crate) struct Count(Rc<Cell<usize>>);

impl Count {
    pub(crate) fn add(&self, more: usize) {
        self.0.set(self.0.get() + more);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.get()
    }
}

/// An answer as it was received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

/// A client that writes bytes and reads answers.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("to connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, read: Vec::new() }
    }

    /// The same connection, for another thread.
    pub(crate) fn another_handle(&self) -> Self {
        Self { stream: self.stream.try_clone().expect("a descriptor"), read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("to send");
    }

    /// Sends what the server may refuse to take.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Whether the server still takes what is sent.
    pub(crate) fn has_sent(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Asks for a path.
    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }

    /// Ends what the server may have ended.
    pub(crate) fn try_end_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub(crate) fn end_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("to shut down");
    }

    /// Ends the connection with a reset, which takes an answer that was not read.
    pub(crate) fn reset(self) {
        assert_eq!(self.stream.peek(&mut [0]).expect("an answer"), 1);
    }

    /// Asks, and reads the answer.
    pub(crate) fn ask(&mut self, path: &str) -> Answer {
        self.get(path);
        self.answer()
    }

    /// Reads an answer with its body.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        if answer.field("Transfer-Encoding").is_some() {
            answer.body = self.chunks();
        } else if let Some(length) = answer.field("Content-Length") {
            let length = length.parse().expect("a length");
            answer.body = self.take(length);
        } else if !matches!(answer.status, 100..=199 | 204 | 304) {
            answer.body = self.rest();
        }
        answer
    }

    /// Reads a head, and no body.
    pub(crate) fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.take_through(b"\r\n\r\n")).expect("text");
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
        Answer { status: status.parse().expect("a status"), body: Vec::new(), head }
    }

    /// Reads one chunk; an empty one is the last, without its trailers.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line = String::from_utf8(self.take_through(b"\r\n")).expect("text");
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
        let data = self.take(size);
        if size > 0 {
            assert_eq!(self.take(2), b"\r\n");
        }
        data
    }

    /// Reads chunks and trailers; returns the data.
    pub(crate) fn chunks(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                break;
            }
            all.extend(chunk);
        }
        while self.take_through(b"\r\n") != b"\r\n" {}
        all
    }

    /// Reads so many bytes.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            self.fill();
        }
        self.read.drain(..len).collect()
    }

    fn take_through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).expect("more to read");
        assert!(count > 0, "the connection ended after {:?}", String::from_utf8_lossy(&self.read));
        self.read.extend_from_slice(&buffer[..count]);
    }

    /// Reads until the server ends; a reset ends too.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the server does not end: {error}"),
            }
        }
        std::mem::take(&mut self.read)
    }

    /// Reads until the server ends; whether that was a reset.
    pub(crate) fn ends_with_a_reset(&mut self) -> bool {
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::ConnectionReset,
            }
        }
    }

    /// Demands that nothing but the end comes.
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more than the end: {:?}", String::from_utf8_lossy(&rest));
    }
}

/// One end of the talk between a handler that holds up the loop and the test's client.
pub(crate) struct Side {
    tell: SyncSender<()>,
    heard: Receiver<()>,
}

impl Side {
    pub(crate) fn pair() -> (Self, Self) {
        let ((tell, heard), (answer, answered)) = (sync_channel(8), sync_channel(8));
        (Self { tell, heard: answered }, Self { tell: answer, heard })
    }

    pub(crate) fn tell(&self) {
        self.tell.send(()).expect("the other side is there");
    }

    pub(crate) fn wait(&self) {
        self.heard.recv().expect("the other side is there");
    }
}

/// Far more than the kernel holds for one connection.
pub(crate) const MUCH: usize = 24 * 1024 * 1024;

/// Writes `MUCH` at the client's pace.
struct Stream {
    left: usize,
}

impl ResponseHandler for Stream {
    fn on_drain(&mut self, response: &Response) {
        while self.left > 0 {
            let len = self.left.min(64 * 1024);
            self.left -= len;
            match response.write(&[b'x'; 64 * 1024][..len]) {
                Ok(true) => {}
                Ok(false) => return,
                // The client has closed.
                Err(_) => self.left = 0,
            }
        }
        let _ = response.end(b"");
    }
}

/// Answers with `MUCH`.
pub(crate) fn streaming(_: &Request<'_>, response: Response) {
    let mut stream = Stream { left: MUCH };
    stream.on_drain(&response);
    response.set_handler(stream);
}
