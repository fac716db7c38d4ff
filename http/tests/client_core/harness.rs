//! A server that is a script on a thread, and a handler that writes down each of its calls.

use http::client::{Client, ClientRequest, Error, ErrorKind};
use http::proto::{Fields, IncomingResponse};
use http::upcall::ClientHandler;
use net::Socket;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::JoinHandle;

pub(crate) use async_wrap::Environment;

/// A server on a thread: each connection, in order, is given to the next script.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Scripted {
    pub(crate) fn new(script: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        Self { address, thread: std::thread::spawn(move || script(&listener)) }
    }

    /// Serves one connection.
    pub(crate) fn once(script: impl FnOnce(Peer) + Send + 'static) -> Self {
        Self::new(|listener| script(Peer::accept(listener)))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn join(self) {
        self.thread.join().expect("the server's script ends");
    }
}

/// One connection of a scripted server.
pub(crate) struct Peer(pub(crate) TcpStream);

impl Peer {
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a client comes");
        stream.set_nodelay(true).expect("to set");
        Self(stream)
    }

    /// Reads up to and with a text. Returns all of it.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let mut byte = [0];
        while !all.ends_with(end.as_bytes()) && self.0.read(&mut byte).expect("to read") > 0 {
            all.push(byte[0]);
        }
        String::from_utf8(all).expect("it is text")
    }

    pub(crate) fn read_head(&mut self) -> String {
        self.read_until("\r\n\r\n")
    }

    /// Reads to the end; a reset is one.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = self.0.read_to_end(&mut all);
        all
    }

    /// Nothing has come that was not read. What comes later is the next read's.
    pub(crate) fn assert_silent(&self) {
        self.0.set_nonblocking(true).expect("to set");
        let came = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).expect("to set");
        assert!(came.is_err(), "{came:?}");
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("to write");
    }
}

/// What has been called, in order.
#[derive(Clone, Default)]
pub(crate) struct Calls(Rc<RefCell<Vec<String>>>);

impl Calls {
    pub(crate) fn push(&self, call: impl Into<String>) {
        self.0.borrow_mut().push(call.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn has(&self, start: &str) -> bool {
        self.0.borrow().iter().any(|call| call.starts_with(start))
    }
}

/// Writes down each call. Pieces of a body that follow each other are one.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    pub(crate) calls: Calls,
    pub(crate) errors: Rc<RefCell<Vec<Error>>>,
    pub(crate) body: Rc<RefCell<Vec<u8>>>,
}

impl Recorder {
    pub(crate) fn take(&self) -> Vec<String> {
        self.calls.take()
    }

    pub(crate) fn error(&self) -> Error {
        self.errors.borrow().last().cloned().expect("the request has failed")
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.error().kind()
    }

    fn end_body(&self) {
        let body = self.body.take();
        if !body.is_empty() {
            self.calls.push(format!("data {}", String::from_utf8_lossy(&body)));
        }
    }
}

impl ClientHandler for Recorder {
    fn on_continue(&mut self, _: &ClientRequest) {
        self.calls.push("continue");
    }

    fn on_information(&mut self, _: &ClientRequest, response: &IncomingResponse<'_>) {
        self.calls.push(format!("information {}", response.status));
    }

    fn on_response(&mut self, _: &ClientRequest, response: &IncomingResponse<'_>) {
        self.calls.push(format!("response {}", response.status));
    }

    fn on_data(&mut self, _: &ClientRequest, data: &[u8]) {
        self.body.borrow_mut().extend_from_slice(data);
    }

    fn on_end(&mut self, _: &ClientRequest, trailers: &Fields<'_>) {
        self.end_body();
        let trailers: String = trailers
            .iter()
            .map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value)))
            .collect();
        self.calls.push(format!("end{trailers}"));
    }

    fn on_upgrade(&mut self, _: &ClientRequest, _: Socket, head: &[u8]) {
        self.calls.push(format!("upgrade {}", String::from_utf8_lossy(head)));
    }

    fn on_drain(&mut self, _: &ClientRequest) {
        self.calls.push("drain");
    }

    fn on_finish(&mut self, _: &ClientRequest) {
        self.calls.push("finish");
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        self.end_body();
        self.calls.push(format!("error {}", error.kind()));
        self.errors.borrow_mut().push(error);
    }

    fn on_close(&mut self, _: &ClientRequest) {
        self.calls.push("close");
    }
}

/// Makes requests and runs the loop until nothing is alive.
pub(crate) fn run(work: impl FnOnce(&Client)) {
    let env = Environment::with_new_loop().expect("a loop");
    let client = Client::new(&env).expect("a client");
    work(&client);
    env.run_to_end().expect("the loop runs");
    drop(client);
    env.run_to_end().expect("the loop runs");
    env.close();
    env.run_to_end().expect("the loop runs");
    env.event_loop().close().expect("nothing is alive");
}

/// A recorder that does something in one of its calls.
pub(crate) struct Acting {
    pub(crate) recorder: Recorder,
    pub(crate) at: &'static str,
    pub(crate) act: fn(&ClientRequest),
}

impl Acting {
    fn follow(&self, at: &str, request: &ClientRequest) {
        if at == self.at {
            (self.act)(request);
        }
    }
}

impl ClientHandler for Acting {
    fn on_continue(&mut self, request: &ClientRequest) {
        self.recorder.on_continue(request);
        self.follow("continue", request);
    }

    fn on_information(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        self.recorder.on_information(request, response);
        self.follow("information", request);
    }

    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        self.recorder.on_response(request, response);
        self.follow("response", request);
    }

    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {
        self.recorder.on_data(request, data);
        self.follow("data", request);
    }

    fn on_end(&mut self, request: &ClientRequest, trailers: &Fields<'_>) {
        self.recorder.on_end(request, trailers);
        self.follow("end", request);
    }

    fn on_upgrade(&mut self, request: &ClientRequest, socket: Socket, head: &[u8]) {
        self.recorder.on_upgrade(request, socket, head);
        self.follow("upgrade", request);
    }

    fn on_drain(&mut self, request: &ClientRequest) {
        self.recorder.on_drain(request);
        self.follow("drain", request);
    }

    fn on_finish(&mut self, request: &ClientRequest) {
        self.recorder.on_finish(request);
        self.follow("finish", request);
    }

    fn on_error(&mut self, request: &ClientRequest, error: Error) {
        self.recorder.on_error(request, error);
        self.follow("error", request);
    }

    fn on_close(&mut self, request: &ClientRequest) {
        self.recorder.on_close(request);
        self.follow("close", request);
    }
}
