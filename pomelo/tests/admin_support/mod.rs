//! A peer of a master or of a monitor that speaks in bytes, and what tests of the admin side share.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod fleet;
pub(crate) mod node;

use async_wrap::Environment;
use pomelo::admin::{
    Credentials, MasterAgent, MasterOptions, MonitorAgent, MonitorOptions, ServerClaim, Target,
};
use pomelo::upcall::MasterHandler;
use pomelo::{Completion, ServerInfo};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use uv_core::{Loop, RunMode};

/// No test waits so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(40);

/// Sent by Node's clients, but for their number of milliseconds.
pub(crate) const CONNECT: &[u8] = b"\x10\x24\x00\x04MQTT\x04\x02\x00\x00\x00\x18MQTT_ADMIN_1763726400000";

pub(crate) fn new_loop() -> (Loop, Environment) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    (event_loop, env)
}

/// How often a test looks at what other processes and threads have done.
const LOOK: Duration = Duration::from_millis(1);

/// Turns the loop until something holds.
pub(crate) fn until(env: &Environment, what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    let look = env.set_interval(LOOK, || {});
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        env.run(RunMode::Once).expect("the loop runs");
    }
    look.clear();
}

/// Turns the loop until nothing is alive in it.
pub(crate) fn run_to_the_end(env: &Environment) {
    let begin = Instant::now();
    let look = env.set_interval(LOOK, || {});
    look.unref();
    while env.run(RunMode::Once).expect("the loop runs") {
        assert!(begin.elapsed() < PATIENCE, "something stays alive");
    }
    look.clear();
    env.run(RunMode::Default).expect("the loop runs");
}

/// A port that was free a moment ago, out of the range from which the kernel takes ports for connections.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id() * 61 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (offset % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A value that a callback brings.
pub(crate) struct Later<T>(Rc<RefCell<Option<T>>>);

impl<T: 'static> Later<T> {
    pub(crate) fn new() -> Self {
        Self(Rc::default())
    }

    pub(crate) fn setter(&self) -> impl FnOnce(T) + 'static {
        let slot = Rc::clone(&self.0);
        move |value| drop(slot.replace(Some(value)))
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn wait(&self, env: &Environment) -> T {
        until(env, "a callback", || self.is_there());
        self.0.take().expect("it is there")
    }
}

pub(crate) fn done(env: &Environment, later: &Later<Result<(), String>>) -> Completion {
    let set = later.setter();
    Completion::new(env, move |result: Result<(), pomelo::Failure>| {
        set(result.map_err(|error| error.to_string()))
    })
}

/// What a master hears of its servers.
#[derive(Clone, Default)]
pub(crate) struct Heard(Rc<RefCell<Vec<String>>>);

impl Heard {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.0.borrow().iter().any(|other| other == line)
    }

    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }
}

impl MasterHandler for Heard {
    fn on_register(&mut self, _: &MasterAgent, server: &ServerClaim) {
        self.add(format!("register {}", server.id));
    }
    fn on_reconnect(&mut self, _: &MasterAgent, server: &ServerClaim) {
        self.add(format!("reconnect {}", server.id));
    }
    fn on_disconnect(&mut self, _: &MasterAgent, server: &ServerClaim) {
        self.add(format!("disconnect {}", server.id));
    }
}

/// A master's agent on a port of its own.
pub(crate) fn master(env: &Environment, options: MasterOptions, heard: &Heard) -> (MasterAgent, SocketAddr) {
    let agent = MasterAgent::new(env, options, heard.clone()).expect("an agent");
    let address = listen(&agent);
    (agent, address)
}

pub(crate) fn listen(agent: &MasterAgent) -> SocketAddr {
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    agent.listen(net::ListenOptions::addr(anywhere)).expect("it listens");
    agent.address().and_then(|address| address.as_tcp()).expect("an address")
}

/// One user of each level, and no tokens.
pub(crate) fn credentials() -> Credentials {
    Credentials::new().user("admin", "admin", 1).user("guest", "guest", 2)
}

pub(crate) fn open_master(env: &Environment) -> (MasterAgent, SocketAddr) {
    master(env, MasterOptions::new(credentials()), &Heard::default())
}

pub(crate) fn info(value: Value) -> ServerInfo {
    value.as_object().expect("an object").clone()
}

/// What a server of the type `chat` says about itself.
pub(crate) fn claim(id: &str) -> ServerClaim {
    ServerClaim {
        id: id.into(),
        server_type: "chat".into(),
        pid: 4711,
        info: info(json!({"id": id, "host": "127.0.0.1", "port": 6050, "serverType": "chat"})),
        token: Some("ok".into()),
    }
}

/// The options of a monitor that loses no time.
pub(crate) fn monitor_options(address: SocketAddr, id: &str) -> MonitorOptions {
    let target = Target::new(address.ip().to_string(), address.port());
    let mut options = MonitorOptions::new(target, claim(id));
    options.first_pause = Duration::from_millis(10);
    options.longest_pause = Duration::from_millis(40);
    options
}

/// A monitor that has registered.
pub(crate) fn monitor(env: &Environment, address: SocketAddr, id: &str) -> MonitorAgent {
    let agent = MonitorAgent::new(env, monitor_options(address, id));
    connect(env, &agent).expect("it registers");
    agent
}

pub(crate) fn connect(env: &Environment, agent: &MonitorAgent) -> Result<(), String> {
    let later = Later::new();
    agent.connect(done(env, &later));
    later.wait(env)
}

/// A packet, byte for byte.
pub(crate) fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let mut packet = vec![0x30];
    let mut length = 2 + topic.len() + payload.len();
    while length > 127 {
        packet.push((length % 128) as u8 | 0x80);
        length /= 128;
    }
    packet.push(length as u8);
    packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(payload.as_bytes());
    packet
}

/// The double encoding.
pub(crate) fn twice(value: &Value) -> String {
    Value::from(value.to_string()).to_string()
}

/// Opens the double encoding; panics where there is none.
pub(crate) fn open_twice(payload: &str) -> Value {
    let Ok(Value::String(inner)) = serde_json::from_str(payload) else {
        panic!("not encoded twice: {payload}");
    };
    serde_json::from_str(&inner).expect("JSON inside of the string")
}

/// The other end of a connection, without the loop.
pub(crate) struct Raw {
    stream: TcpStream,
    env: Environment,
    input: Vec<u8>,
    is_at_end: bool,
}

impl Raw {
    pub(crate) fn new(env: &Environment, stream: TcpStream) -> Self {
        stream.set_nonblocking(true).expect("it does not block");
        stream.set_nodelay(true).expect("it does not wait");
        Self { stream, env: env.clone(), input: Vec::new(), is_at_end: false }
    }

    /// Connected, and nothing said.
    pub(crate) fn connected(env: &Environment, address: SocketAddr) -> Self {
        Self::new(env, TcpStream::connect(address).expect("the kernel accepts"))
    }

    /// Greeted by the master.
    pub(crate) fn greeted(env: &Environment, address: SocketAddr) -> Self {
        let mut raw = Self::connected(env, address);
        raw.send(CONNECT);
        assert_eq!(raw.packet(), [0x20, 2, 0, 0]);
        raw
    }

    /// Registered as a server; the answer must be yes.
    pub(crate) fn server(env: &Environment, address: SocketAddr, id: &str) -> Self {
        let mut raw = Self::greeted(env, address);
        raw.publish("register", &registration(id).to_string());
        assert_eq!(raw.message(), ("register".into(), r#"{"code":1,"msg":"ok"}"#.into()));
        raw
    }

    /// Logged in as a user; the answer must be yes.
    pub(crate) fn user(env: &Environment, address: SocketAddr, id: &str, name: &str) -> Self {
        let mut raw = Self::greeted(env, address);
        raw.publish("register", &login(id, name, name).to_string());
        assert_eq!(raw.message(), ("register".into(), r#"{"code":1,"msg":"ok"}"#.into()));
        raw
    }

    pub(crate) fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.turn(),
                // The other side has closed already: it has seen what it needs.
                Err(_) => return,
            }
        }
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str) {
        self.send(&publish(topic, payload));
    }

    fn turn(&self) {
        let look = self.env.set_timeout(LOOK, || {});
        self.env.run(RunMode::Once).expect("the loop runs");
        look.clear();
    }

    /// Takes what is there; whether something may follow.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_at_end = true,
            Ok(read) => self.input.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.turn(),
            Err(_) => self.is_at_end = true,
        }
        !self.is_at_end
    }

    /// A whole packet, if there is one.
    fn take_packet(&mut self) -> Option<Vec<u8>> {
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = *self.input.get(at)?;
            length |= usize::from(byte & 0x7F) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.input.len() < at + length {
            return None;
        }
        Some(self.input.drain(..at + length).collect())
    }

    /// The next packet; nothing when the connection has ended.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let begin = Instant::now();
        loop {
            if let Some(packet) = self.take_packet() {
                return Some(packet);
            }
            assert!(begin.elapsed() < PATIENCE, "no packet comes");
            if !self.fill() && self.input.is_empty() {
                return None;
            }
            assert!(!self.is_at_end || self.input.len() > 1, "half a packet at the end");
        }
    }

    pub(crate) fn packet(&mut self) -> Vec<u8> {
        self.next().expect("the connection has ended")
    }

    /// The next packet is a message: its topic and its payload.
    pub(crate) fn message(&mut self) -> (String, String) {
        let packet = self.packet();
        assert_eq!(packet[0], 0x30, "a PUBLISH without flags: {packet:02x?}");
        let head = 1 + packet[1..].iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
        let topic_length = usize::from(u16::from_be_bytes([packet[head], packet[head + 1]]));
        let (topic, payload) = packet[head + 2..].split_at(topic_length);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        (text(topic), text(payload))
    }

    /// The next message, on this topic, opened whatever its encoding.
    pub(crate) fn value(&mut self, topic: &str) -> Value {
        let (on, payload) = self.message();
        assert_eq!(on, topic, "{payload}");
        match serde_json::from_str(&payload).expect("JSON") {
            Value::String(inner) => serde_json::from_str(&inner).expect("JSON inside of the string"),
            value => value,
        }
    }

    /// Sends a request as Node does and returns what comes back.
    pub(crate) fn ask(&mut self, topic: &str, id: u64, module: &str, body: Value) -> Value {
        self.publish(topic, &twice(&json!({"reqId": id, "moduleId": module, "body": body})));
        self.value(topic)
    }

    /// Everything up to the end of the connection.
    pub(crate) fn everything(&mut self) -> Vec<Vec<u8>> {
        let packets = std::iter::from_fn(|| self.next()).collect();
        // So that the master need not wait for it.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        packets
    }

    /// What a peer is sent away with: `answer` first, if it says something, then DISCONNECT, then the end.
    pub(crate) fn is_dismissed(&mut self) {
        assert_eq!(self.everything(), [vec![0xE0, 0]]);
    }
}

/// What a server of the type `chat` registers with.
pub(crate) fn registration(id: &str) -> Value {
    json!({
        "id": id, "type": "monitor", "serverType": "chat", "pid": 4711,
        "info": {"id": id, "host": "127.0.0.1", "port": 6050, "serverType": "chat"}, "token": "ok"
    })
}

pub(crate) fn login(id: &str, name: &str, password: &str) -> Value {
    let password = pomelo::admin::md5_hex(password);
    json!({"type": "client", "id": id, "username": name, "password": password, "md5": true})
}

/// A master without a loop, for monitors and clients of ours.
pub(crate) struct RawMaster(TcpListener);

impl RawMaster {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("it does not block");
        Self(listener)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    pub(crate) fn accept(&self, env: &Environment) -> Raw {
        let mut accepted = None;
        until(env, "a connection", || match self.0.accept() {
            Ok((stream, _)) => {
                accepted = Some(stream);
                true
            }
            Err(_) => false,
        });
        Raw::new(env, accepted.expect("it was accepted"))
    }

    /// Accepts and greets.
    pub(crate) fn greet(&self, env: &Environment) -> Raw {
        let mut raw = self.accept(env);
        let connect = raw.packet();
        assert_eq!((connect[0], connect.len()), (0x10, CONNECT.len()));
        raw.send(&[0x20, 2, 0, 0]);
        raw
    }

    /// Accepts, greets and registers.
    pub(crate) fn register(&self, env: &Environment) -> (Raw, Value) {
        let mut raw = self.greet(env);
        let registration = raw.value("register");
        raw.publish("register", r#"{"code":1,"msg":"ok"}"#);
        (raw, registration)
    }
}
