//! A name server of the tests' own, asked through a `resolv.conf` of its own: it answers, delays, lies and truncates. The
//! tests of several crates include this file.
//!
//! Only root may mount that file, and listen on port 53: [`in_namespace`] skips the test otherwise.
#![allow(dead_code, reason = "each test file uses its share")]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, process, thread};

/// The type of a question about IPv4 addresses.
pub(crate) const A: u16 = 1;
/// The type of a question about the name of an address.
pub(crate) const PTR: u16 = 12;
/// The type of a question about IPv6 addresses.
pub(crate) const AAAA: u16 = 28;

const NO_SUCH_NAME: u8 = 3;
const SERVER_FAILURE: u8 = 2;

/// Marks a process that is in its namespace.
const MARK: &str = "UPCALL_TEST_NAMESPACE";

/// How the server answers a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These addresses, of which the resolver gets those of the family that it asks for.
    Addresses(Vec<IpAddr>),
    /// The name of an address.
    Name(&'static str),
    /// There is no such name.
    Missing,
    /// The server has failed.
    Fails,
    /// None at all.
    Silence,
    /// The reply after this time.
    Late(Duration, Box<Self>),
    /// The reply once the test releases this lock.
    Held(Arc<Mutex<()>>, Box<Self>),
    /// First replies to other questions, with other addresses, then this reply.
    Lie(Box<Self>),
    /// An empty reply that says that it is cut off; over TCP these addresses.
    Truncated(Vec<IpAddr>),
    /// Bytes that are no message.
    Garbage,
}

/// Runs `test`, the calling test, in a process of its own that asks [`serve`]'s server and has this hosts file. Does
/// nothing where no such process can be made.
pub(crate) fn in_namespace(test: &str, hosts: &str, body: impl FnOnce()) {
    if env::var_os(MARK).is_some_and(|mark| mark == test) {
        return body();
    }
    // Under another name no test would run, and none would fail. A single test thread is the main thread.
    let thread = thread::current();
    assert!(matches!(thread.name(), Some(name) if name == test || name == "main"), "{test} is another test");
    if !can_mount() {
        eprintln!("{test} is skipped: it needs root, unshare(1) and mount(8)");
        return;
    }
    // The address is made of the process's id, which the programs hand on to each other.
    let script = r#"
        mount -t tmpfs tmpfs /mnt && cd /mnt || exit 99
        printf 'nameserver 127.%d.%d.%d\noptions timeout:1 attempts:1\n' $(($$>>16&255)) $(($$>>8&255)) $(($$&255)) > resolv.conf
        printf "$UPCALL_TEST_HOSTS" > hosts; echo 'hosts: files dns' > nsswitch.conf
        for file in resolv.conf hosts nsswitch.conf; do
            [ ! -e /etc/$file ] || mount --bind $file /etc/$file || exit 99
        done
        exec "$0" "$@""#;
    let status = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(env::current_exe().expect("a test binary has a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, test)
        .env("UPCALL_TEST_HOSTS", hosts)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("unshare(1) runs").success(), "{test} fails in its namespace");
}

fn can_mount() -> bool {
    let tries = ["--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"];
    let status = Command::new("unshare").args(tries).stderr(Stdio::null()).status();
    status.as_ref().is_ok_and(ExitStatus::success) && UdpSocket::bind((own_address(), 53)).is_ok()
}

/// The address of this process's server.
fn own_address() -> Ipv4Addr {
    let [_, first, second, third] = process::id().to_be_bytes();
    Ipv4Addr::new(127, first, second, third)
}

/// Starts the server, which answers each question, a name and a type, with what `answer` returns for it.
pub(crate) fn serve(answer: impl Fn(&str, u16) -> Reply + Send + Sync + 'static) {
    let answer: Answer = Arc::new(answer);
    let udp = Arc::new(UdpSocket::bind((own_address(), 53)).expect("port 53"));
    let tcp = TcpListener::bind((own_address(), 53)).expect("port 53");
    let over_tcp = Arc::clone(&answer);
    thread::spawn(move || {
        tcp.incoming().flatten().for_each(|stream| answer_stream(stream, &over_tcp).unwrap_or_default());
    });
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((len, from)) = udp.recv_from(&mut buffer) {
            let Some(question) = Question::read(&buffer[..len]) else { continue };
            let reply = answer(&question.name, question.kind);
            let udp = Arc::clone(&udp);
            // A late reply holds up no other.
            thread::spawn(move || {
                question.replies(reply).iter().for_each(|bytes| drop(udp.send_to(bytes, from)));
            });
        }
    });
}

type Answer = Arc<dyn Fn(&str, u16) -> Reply + Send + Sync>;

fn answer_stream(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut len = [0; 2];
    // A resolver may ask both of its questions.
    while stream.read_exact(&mut len).is_ok() {
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut bytes)?;
        let Some(question) = Question::read(&bytes) else { return Ok(()) };
        let reply = match answer(&question.name, question.kind) {
            Reply::Truncated(addresses) => Reply::Addresses(addresses),
            reply => reply,
        };
        for reply in question.replies(reply) {
            stream.write_all(&(reply.len() as u16).to_be_bytes())?;
            stream.write_all(&reply)?;
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Question {
    id: [u8; 2],
    /// In small letters, without the last dot.
    name: String,
    kind: u16,
    /// As in the message.
    bytes: Vec<u8>,
}

impl Question {
    /// Reads the question of a message (RFC 1035, section 4.1).
    fn read(message: &[u8]) -> Option<Self> {
        let (mut labels, mut at) = (Vec::new(), 12);
        loop {
            let len = usize::from(*message.get(at)?);
            let label = message.get(at + 1..at + 1 + len)?;
            at += 1 + len;
            if len == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(label).to_lowercase());
        }
        let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
        let (id, bytes) = ([message[0], message[1]], message.get(12..at + 4)?.to_vec());
        Some(Self { id, name: labels.join("."), kind, bytes })
    }

    /// The messages of a reply.
    fn replies(&self, reply: Reply) -> Vec<Vec<u8>> {
        match reply {
            Reply::Addresses(addresses) => {
                let is_wanted = |address: &&IpAddr| address.is_ipv4() == (self.kind == A);
                let asked = matches!(self.kind, A | AAAA);
                let wanted = addresses.iter().filter(|address| asked && is_wanted(address));
                let records: Vec<Vec<u8>> = wanted
                    .map(|address| match address {
                        IpAddr::V4(address) => address.octets().to_vec(),
                        IpAddr::V6(address) => address.octets().to_vec(),
                    })
                    .collect();
                vec![self.message(0, false, &records)]
            }
            Reply::Name(name) => {
                let labels = name.split('.').flat_map(|label| {
                    std::iter::once(label.len() as u8).chain(label.bytes()).collect::<Vec<_>>()
                });
                vec![self.message(0, false, &[labels.chain([0]).collect()])]
            }
            Reply::Missing => vec![self.message(NO_SUCH_NAME, false, &[])],
            Reply::Fails => vec![self.message(SERVER_FAILURE, false, &[])],
            Reply::Silence => Vec::new(),
            Reply::Late(time, reply) => {
                // The time of a slow server, which a test measures nothing against.
                thread::park_timeout(time);
                self.replies(*reply)
            }
            Reply::Held(lock, reply) => {
                drop(lock.lock());
                self.replies(*reply)
            }
            Reply::Lie(reply) => {
                let lies = vec![vec![10, 6, 6, 6]; 2];
                let other_id = Self { id: [self.id[0] ^ 1, self.id[1]], ..self.clone() };
                let mut other = self.clone();
                other.bytes[1] ^= 1;
                let lies = [other_id, other].map(|other| other.message(0, false, &lies));
                lies.into_iter().chain(self.replies(*reply)).collect()
            }
            Reply::Truncated(_) => vec![self.message(0, true, &[])],
            Reply::Garbage => vec![vec![0xff; 7], [&self.id[..], &[0x81; 40]].concat()],
        }
    }

    /// A message with these answers (RFC 1035, sections 4.1.1 and 4.1.3).
    fn message(&self, code: u8, is_truncated: bool, records: &[Vec<u8>]) -> Vec<u8> {
        let mut message = self.id.to_vec();
        message.extend([0x81 | if is_truncated { 2 } else { 0 }, 0x80 | code, 0, 1]);
        message.extend((records.len() as u16).to_be_bytes());
        message.extend([0; 4]);
        message.extend(&self.bytes);
        for record in records {
            // The question's name, type and class; a minute; the data.
            message.extend([0xc0, 12]);
            message.extend(self.kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60]);
            message.extend((record.len() as u16).to_be_bytes());
            message.extend(record);
        }
        message
    }
}
