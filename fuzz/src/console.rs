//! A master's console as its peers see it, over sockets and a loop of this thread.

use async_wrap::Environment;
use async_wrap::uv_core::{Loop, RunMode};
use http::net::ListenOptions;
use pomelo::admin::{Credentials, MasterAgent, MasterOptions, Reply, ServerClaim, Session, Times, md5_hex};
use pomelo::upcall::{MasterHandler, Module};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::rc::Rc;
use std::time::Duration;

/// Turns of the loop in which a master that is closed, and all of whose peers are, ends.
const TURNS: usize = 64;

/// Peers of one input.
const PEERS: usize = 4;

const CONNECT: &[u8] = b"\x10\x0f\0\x04MQTT\x04\x02\0\0\0\x03abc";

/// A loop, on which each input has a master of its own.
pub struct Console {
    env: Environment,
    /// Of a socket that is no file.
    name: String,
    event_loop: Loop,
}

/// What the master told of its servers, and what was asked of them.
#[derive(Clone, Default)]
struct Told {
    servers: Rc<RefCell<BTreeSet<String>>>,
    unanswered: Rc<Cell<usize>>,
    late: Rc<RefCell<Vec<Reply>>>,
}

impl MasterHandler for Told {
    fn on_register(&mut self, _: &MasterAgent, server: &ServerClaim) {
        assert!(self.servers.borrow_mut().insert(server.id.clone()), "{} came twice", server.id);
    }

    fn on_reconnect(&mut self, agent: &MasterAgent, server: &ServerClaim) {
        MasterHandler::on_register(self, agent, server);
    }

    fn on_disconnect(&mut self, _: &MasterAgent, server: &ServerClaim) {
        assert!(self.servers.borrow_mut().remove(&server.id), "{} left and was not there", server.id);
    }
}

impl Module for Told {
    fn on_master(&mut self, _: &MasterAgent, message: Option<Value>, reply: Reply) {
        reply.ok(message.unwrap_or_default());
    }

    /// `null` asks all servers, `true` waits for the end, and everything else is the answer.
    fn on_client(&mut self, agent: &MasterAgent, _: &Session, message: Value, reply: Reply) {
        match message {
            Value::Null => {
                for id in agent.server_ids() {
                    self.unanswered.set(self.unanswered.get() + 1);
                    let unanswered = Rc::clone(&self.unanswered);
                    agent.request(&id, "m", Value::Null, move |_| unanswered.set(unanswered.get() - 1));
                }
                reply.single(1);
            }
            Value::Bool(true) => self.late.borrow_mut().push(reply),
            other => reply.ok(other),
        }
    }
}

/// One peer, and what it was sent.
#[derive(Default)]
struct Peer {
    socket: Option<UnixStream>,
    input: Vec<u8>,
}

impl Console {
    /// The loop.
    pub fn new() -> Self {
        let event_loop = Loop::new().expect("a loop");
        let name = format!("upcall-fuzz-console-{}", std::process::id());
        Self { env: Environment::new(&event_loop), name, event_loop }
    }

    /// Has peers say what the bytes spell to a master, and checks what the master makes of it.
    pub fn hear(&self, bytes: &[u8]) {
        let (told, times) = (Told::default(), Times::default().refuse_after(Duration::ZERO));
        let credentials = Credentials::new().user("a", "a", 1).user("g", "g", 2);
        let options = MasterOptions::new(credentials).times(times).admits_any_reconnect(true);
        let agent = MasterAgent::new(&self.env, options, told.clone()).expect("an agent");
        agent.register("m", told.clone());
        agent.listen(ListenOptions::path(format!("\0{}", self.name))).expect("to listen");

        let mut peers: [Peer; PEERS] = Default::default();
        self.converse(bytes, &mut peers);
        drop(peers);
        let has_left = (0..TURNS).any(|_| self.turn() && told.servers.borrow().is_empty());
        assert!(has_left, "all have closed, but not {:?}", told.servers.borrow());
        agent.close();
        told.late.borrow_mut().clear();
        let is_alive = (0..TURNS).all(|_| self.turn());
        assert!(!is_alive, "alive: {:?}", self.event_loop.handles());
        assert_eq!(told.unanswered.get(), 0, "a request was not completed");
    }

    fn converse(&self, bytes: &[u8], peers: &mut [Peer; PEERS]) {
        let (mut at, mut rest) = (0, bytes);
        while let Some((&first, after)) = rest.split_first() {
            if first == b'~' {
                let (&letter, after) = after.split_first().unwrap_or((&b'x', after));
                let end = after.iter().position(|&byte| byte == b'~').unwrap_or(after.len());
                let (text, after) = after.split_at(end);
                match letter {
                    b'0'..=b'3' => at = usize::from(letter - b'0'),
                    b'x' => peers[at] = Peer::default(),
                    _ => peers[at].send(&self.name, &spell(letter, text)),
                }
                rest = after;
            } else {
                let end = rest.iter().position(|&byte| byte == b'~').unwrap_or(rest.len());
                peers[at].send(&self.name, &rest[..end]);
                rest = &rest[end..];
            }
            self.turn();
            peers.iter_mut().for_each(Peer::receive);
        }
    }

    /// Whether something is alive after it.
    fn turn(&self) -> bool {
        self.env.run(RunMode::NoWait).expect("the loop runs")
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

/// The packet for which a letter stands; `text` is its own part.
fn spell(letter: u8, text: &[u8]) -> Vec<u8> {
    let id = String::from_utf8_lossy(text);
    let server = json!({"id": id, "type": "monitor", "serverType": "t", "pid": 4711, "info": {}});
    let login = |name: &str| json!({"type": "client", "id": id, "username": name, "password": md5_hex(name), "md5": true});
    match letter {
        b'c' => CONNECT.to_vec(),
        b'p' => vec![0xc0, 0],
        b'd' => vec![0xe0, 0],
        b's' => publish("register", server.to_string().as_bytes()),
        b'r' => publish("reconnect", server.to_string().as_bytes()),
        b'u' => publish("register", login("a").to_string().as_bytes()),
        b'g' => publish("register", login("g").to_string().as_bytes()),
        b'R' => publish("register", text),
        b'm' => publish("monitor", text),
        b'n' => publish("client", text),
        // An answer to the request with this number.
        b'a' => publish("monitor", format!("{{\"respId\":{id},\"error\":null,\"body\":1}}").as_bytes()),
        _ => text.to_vec(),
    }
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let (mut packet, mut length) = (vec![0x30], 2 + topic.len() + payload.len());
    while length > 127 {
        packet.push((length % 128) as u8 | 0x80);
        length /= 128;
    }
    packet.push(length as u8);
    packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    packet.extend_from_slice(topic.as_bytes());
    packet.extend_from_slice(payload);
    packet
}

impl Peer {
    fn send(&mut self, name: &str, bytes: &[u8]) {
        if self.socket.is_none() {
            let address = SocketAddr::from_abstract_name(name).expect("a name");
            let socket = UnixStream::connect_addr(&address).expect("to connect");
            socket.set_nonblocking(true).expect("not to block");
            *self = Self { socket: Some(socket), input: Vec::new() };
        }
        // Fails once the master has closed its end.
        let _ = self.socket.as_mut().map(|socket| socket.write(bytes));
    }

    /// Takes what the master sent, which are whole packets of its kinds.
    fn receive(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        let mut buffer = [0; 4096];
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => break self.socket = None,
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break self.socket = None,
            }
        }
        while let Some(len) = packet_len(&self.input) {
            assert!([0x20, 0x30, 0xc0, 0xd0, 0xe0].contains(&self.input[0]), "{:?}", self.input);
            self.input.drain(..len);
        }
        assert!(self.socket.is_some() || self.input.is_empty(), "half a packet: {:?}", self.input);
    }
}

/// The length of the packet at the start, if it is whole.
fn packet_len(input: &[u8]) -> Option<usize> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *input.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            return (input.len() >= at + length).then_some(at + length);
        }
    }
}
