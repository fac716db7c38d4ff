//! A server that does to its clients what no server should: it plays a script on each connection, and records what the client has
//! sent. The tests of several crates include this file.
//!
//! It runs on the test's own loop, so that nothing depends on the pace of a thread: a pause lasts until the client has done
//! something, or for a number of turns of the loop. It does not keep that loop alive; [`Evil::finish`] waits for the rest.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use net::async_wrap::{Environment, Timeout};
use net::upcall::SocketHandler;
use net::uv_core::RunMode;
use net::{Error, ListenOptions, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

/// A line of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// Waits for a head: for an empty line behind what was waited for before.
    Head,
    /// Waits for so many bytes behind what was waited for before.
    Bytes(usize),
    /// Waits for this text behind what was waited for before.
    Until(&'static str),
    /// Waits for the client's end.
    End,
    /// Waits for [`Evil::tell`].
    Told,
    /// Waits for so many turns of the loop.
    Turns(u32),
    /// Notes how much has come: see [`Seen::marks`].
    Mark,
    /// Sends: see [`say`].
    Say(Vec<u8>),
    /// Sends a byte in each turn of the loop: see [`drip`].
    Drip(VecDeque<u8>),
    /// Sends the same as often as this, at the client's pace: see [`pour`].
    Pour(Vec<u8>, usize),
    /// Reads no more, so that what the client sends fills the kernel's buffers.
    Deaf,
    /// Reads again.
    Listen,
    /// Ends its side.
    Fin,
    /// Closes as close(2) does: with a FIN, or with a reset if there is input that was not read.
    Close,
    /// Ends with a reset.
    Reset,
}

/// What a connection plays. Behind its last line the client is read until it ends; then the server ends too.
pub type Script = Vec<Step>;

/// Sends all at once.
pub fn say(bytes: impl AsRef<[u8]>) -> Step {
    Step::Say(bytes.as_ref().to_vec())
}

/// Sends a byte in each turn of the loop.
pub fn drip(bytes: impl AsRef<[u8]>) -> Step {
    Step::Drip(bytes.as_ref().iter().copied().collect())
}

/// Sends the same as often as this, at the client's pace. Each time is a system call.
pub fn pour(bytes: impl AsRef<[u8]>, times: usize) -> Step {
    Step::Pour(bytes.as_ref().to_vec(), times)
}

/// How a client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It had not when the server closed.
    No,
    ByFin,
    ByReset,
}

/// What was seen of a connection.
#[derive(Clone, Debug)]
pub struct Seen {
    pub received: Vec<u8>,
    pub left: Left,
    /// The lines of its script that were not played.
    pub unplayed: usize,
    /// The bytes that had come at each [`Step::Mark`].
    pub marks: Vec<usize>,
}

impl Seen {
    /// What was received, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// The number of requests without a body.
    pub fn heads(&self) -> usize {
        self.received.windows(4).filter(|window| window == b"\r\n\r\n").count()
    }
}

/// A listening server.
pub struct Evil {
    stage: Rc<Stage>,
    address: SocketAddr,
}

struct Stage {
    env: Environment,
    server: Server,
    scripts: RefCell<VecDeque<Script>>,
    /// For the connections behind those that have one of their own.
    usual: Option<Script>,
    connections: RefCell<Vec<Rc<Connection>>>,
    told: Cell<usize>,
}

impl Evil {
    /// Plays the n-th script on the n-th connection, and resets those that come later.
    pub fn new(env: &Environment, scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::listen(env, scripts.into_iter().collect(), None)
    }

    /// Plays the same on each connection.
    pub fn always(env: &Environment, script: impl Into<Script>) -> Self {
        Self::listen(env, VecDeque::new(), Some(script.into()))
    }

    fn listen(env: &Environment, scripts: VecDeque<Script>, usual: Option<Script>) -> Self {
        let server = Server::new(env, ServerOptions::default().allow_half_open(true).no_delay(true));
        let stage = Rc::new(Stage {
            env: env.clone(),
            server: server.clone(),
            scripts: RefCell::new(scripts),
            usual,
            connections: RefCell::default(),
            told: Cell::new(0),
        });
        let inner = Rc::downgrade(&stage);
        let anywhere = ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0)));
        let accept = move |_: &Server, socket: Socket| match inner.upgrade() {
            Some(stage) => stage.begin(&socket),
            None => socket.destroy(),
        };
        server.listen_with(anywhere, accept).expect("to listen");
        server.unref();
        let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
        Self { stage, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Lets one connection, the first that waits for it or will, go on behind its [`Step::Told`].
    pub fn tell(&self) {
        self.stage.told.set(self.stage.told.get() + 1);
        let all = self.stage.connections.borrow().clone();
        // From the loop, as all that comes from a server.
        self.stage.env.set_immediate(move || all.iter().for_each(|connection| connection.play()));
    }

    /// The number of connections until now.
    pub fn connections(&self) -> usize {
        self.stage.connections.borrow().len()
    }

    /// The lines that are not played yet, of each connection.
    pub fn unplayed(&self) -> Vec<usize> {
        self.stage.connections.borrow().iter().map(|connection| connection.steps.borrow().len()).collect()
    }

    /// What was received on all connections until now, in the order of the connections.
    pub fn received(&self) -> Vec<u8> {
        let all = self.stage.connections.borrow();
        all.iter().flat_map(|connection| connection.received.borrow().clone()).collect()
    }

    /// Runs the loop until each connection is closed. To be called when the client is closed; returns what was seen of each
    /// connection.
    pub fn finish(self) -> Vec<Seen> {
        let Stage { env, server, connections, .. } = &*self.stage;
        server.close().expect("it listens");
        let all = connections.take();
        for connection in &all {
            connection.socket.ref_();
        }
        let watched = watch(env, "the server");
        env.run(RunMode::Default).expect("the loop runs");
        watched.clear();
        all.iter().map(|connection| connection.seen()).collect()
    }
}

/// Ends everything at once, for a test that gives up.
impl Drop for Evil {
    fn drop(&mut self) {
        // Refused if it has finished.
        let _ = self.stage.server.close();
        for connection in self.stage.connections.take() {
            connection.close(false);
        }
    }
}

/// Ends a test in which `who` waits without an end. Does not keep the loop alive.
pub fn watch(env: &Environment, who: &'static str) -> Timeout {
    let why = env.clone();
    let timeout = env.set_timeout(PATIENCE, move || panic!("{who} waits: {}", why.loop_handle().why_alive()));
    timeout.unref();
    timeout
}

/// How long a test may take: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

impl Stage {
    fn begin(self: &Rc<Self>, socket: &Socket) {
        let Some(steps) = self.scripts.borrow_mut().pop_front().or_else(|| self.usual.clone()) else {
            return socket.reset_and_destroy().unwrap_or_default();
        };
        let connection = Rc::new(Connection {
            stage: Rc::clone(self),
            socket: socket.clone(),
            steps: RefCell::new(steps.into()),
            received: RefCell::default(),
            marks: RefCell::default(),
            passed: Cell::new(0),
            turns: Cell::new(0),
            has_room: Cell::new(true),
            left: Cell::new(Left::No),
            is_closed: Cell::new(false),
        });
        self.connections.borrow_mut().push(Rc::clone(&connection));
        socket.unref();
        socket.set_handler(Player(Rc::clone(&connection)));
        connection.play();
    }
}

/// A connection and what is left of its script.
struct Connection {
    stage: Rc<Stage>,
    socket: Socket,
    steps: RefCell<VecDeque<Step>>,
    received: RefCell<Vec<u8>>,
    marks: RefCell<Vec<usize>>,
    /// The bytes that were waited for.
    passed: Cell<usize>,
    /// The turns of the loop that [`Step::Turns`] has still to wait for.
    turns: Cell<u32>,
    has_room: Cell<bool>,
    left: Cell<Left>,
    is_closed: Cell<bool>,
}

impl Connection {
    /// Plays on until a line has to wait.
    fn play(self: &Rc<Self>) {
        while !self.is_closed.get() {
            let Some(mut step) = self.steps.borrow_mut().pop_front() else {
                if self.left.get() != Left::No {
                    self.socket.end();
                }
                return;
            };
            if !self.take(&mut step) {
                return self.steps.borrow_mut().push_front(step);
            }
        }
    }

    /// Plays one line; whether that is over.
    fn take(self: &Rc<Self>, step: &mut Step) -> bool {
        match step {
            Step::Head => return self.pass_text(b"\r\n\r\n"),
            Step::Until(text) => return self.pass_text(text.as_bytes()),
            Step::Bytes(count) => return self.pass(*count),
            Step::End => return self.left.get() != Left::No,
            Step::Told => match self.stage.told.get().checked_sub(1) {
                Some(left) => self.stage.told.set(left),
                None => return false,
            },
            Step::Turns(count) => {
                let turns = std::mem::take(count);
                if turns > 0 {
                    self.turns.set(turns);
                    self.wait_a_turn();
                }
                return self.turns.get() == 0;
            }
            Step::Mark => self.marks.borrow_mut().push(self.received.borrow().len()),
            Step::Say(bytes) => self.write(bytes),
            Step::Drip(bytes) => return self.take_drop(bytes),
            Step::Pour(bytes, times) => {
                while *times > 0 && self.has_room.get() && !self.is_closed.get() {
                    *times -= 1;
                    self.write(bytes);
                }
                return *times == 0;
            }
            Step::Deaf => self.socket.pause(),
            Step::Listen => self.socket.resume(),
            Step::Fin => self.socket.end(),
            Step::Close => self.close(false),
            Step::Reset => self.close(true),
        }
        true
    }

    fn take_drop(self: &Rc<Self>, bytes: &mut VecDeque<u8>) -> bool {
        if self.turns.get() == 0
            && let Some(byte) = bytes.pop_front()
        {
            self.write(&[byte]);
            self.turns.set(1);
            self.wait_a_turn();
        }
        bytes.is_empty() && self.turns.get() == 0
    }

    fn wait_a_turn(self: &Rc<Self>) {
        let connection = Rc::clone(self);
        self.stage.env.set_immediate(move || {
            let left = connection.turns.get().saturating_sub(1);
            connection.turns.set(left);
            if left > 0 { connection.wait_a_turn() } else { connection.play() }
        });
    }

    /// Passes over what was received up to the end of a text, if that is there.
    fn pass_text(&self, text: &[u8]) -> bool {
        let received = self.received.borrow();
        let at = received[self.passed.get()..].windows(text.len()).position(|window| window == text);
        at.inspect(|at| self.passed.set(self.passed.get() + at + text.len())).is_some()
    }

    fn pass(&self, count: usize) -> bool {
        let end = self.passed.get() + count;
        let is_there = self.received.borrow().len() >= end;
        if is_there {
            self.passed.set(end);
        }
        is_there
    }

    fn write(&self, bytes: &[u8]) {
        // Fails if the client is closed, which the records tell.
        self.has_room.set(self.socket.write(bytes).unwrap_or(true));
    }

    fn close(&self, by_reset: bool) {
        if by_reset {
            // Fails if the client has done it before.
            let _ = self.socket.reset_and_destroy();
        }
        self.socket.destroy();
        self.is_closed.set(true);
    }

    fn seen(&self) -> Seen {
        let (received, marks) = (self.received.borrow().clone(), self.marks.borrow().clone());
        Seen { received, left: self.left.get(), unplayed: self.steps.borrow().len(), marks }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} left {:?} and {:?}", self.steps.borrow(), self.left.get(), self.seen().text())
    }
}

struct Player(Rc<Connection>);

impl SocketHandler for Player {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.0.received.borrow_mut().extend_from_slice(data);
        self.0.play();
    }

    fn on_end(&mut self, _: &Socket) {
        self.0.left.set(Left::ByFin);
        self.0.play();
    }

    fn on_drain(&mut self, _: &Socket) {
        self.0.has_room.set(true);
        self.0.play();
    }

    fn on_error(&mut self, _: &Socket, _: Error) {
        self.0.left.set(Left::ByReset);
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.play();
        self.0.is_closed.set(true);
    }
}

/// A server that takes no connection: connects to it wait without an end.
pub struct Silent {
    server: Server,
    address: SocketAddr,
    _in_queue: Vec<TcpStream>,
}

impl Silent {
    pub fn new(env: &Environment) -> Self {
        let server = Server::new(env, ServerOptions::default());
        let one = ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0))).backlog(1);
        server.listen_with(one, |_, _| {}).expect("to listen");
        server.pause();
        server.unref();
        let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
        let mut in_queue = Vec::new();
        while let Ok(client) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            in_queue.push(client);
        }
        Self { server, address, _in_queue: in_queue }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Closed with its loop otherwise.
        let _ = self.server.close();
    }
}
