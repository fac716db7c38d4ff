//! Compromised workers, which send their primary bytes of their own.

use super::PATIENCE;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::rc::Rc;
use tcp_wrap::upcall::OnStream;
use tcp_wrap::{PipeWrap, StreamWrap};
use uv_core::{Loop, RunMode, Timer};

const ONLINE: u8 = 0;
const QUERY: u8 = 1;
const LISTENING: u8 = 2;
const CLOSE: u8 = 5;
const USER: u8 = 11;

fn frame(kind: u8, fds: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 2).expect("a short body");
    [&length.to_le_bytes()[..], &[kind, fds], body].concat()
}

fn keyed(kind: u8, key: usize) -> Vec<u8> {
    frame(kind, 0, &u32::try_from(key).expect("a number").to_le_bytes())
}

/// A query: `target` in bytes, and the index among queries for the same target.
fn query(target: &[u8], index: usize) -> Vec<u8> {
    let index = u32::try_from(index).expect("a number").to_le_bytes();
    let options = [255, 1, 0, 0, 0, 0, 0, 0, 0];
    frame(QUERY, 0, &[&index[..], target, &index, &options].concat())
}

/// 127.0.0.1, and a port that the kernel chooses.
const ANY_PORT: [u8; 8] = [1, 4, 127, 0, 0, 1, 0, 0];

fn path(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).expect("a short path");
    [&[2][..], &length.to_le_bytes(), name.as_bytes()].concat()
}

/// Sends what its arguments name, then `done`, and stays until it is killed.
///
/// `ports COUNT` and `heard COUNT` ask for as many ports, and the latter reports that it listens on all; `churn COUNT` closes
/// each at once, and reads nothing; `path NAME` asks for a path; `repeat` sends everything twice; `close KEY` closes a socket
/// that may be another worker's; `half COUNT` sends descriptors with an incomplete message, `many COUNT` with a complete
/// message; `misplaced` sends a descriptor with a message that takes none; `text WORDS` is an ordinary message; `heir` passes
/// its channel to a child and ends.
pub(crate) fn rogue(args: &[&str]) {
    let [what, argument] = *args else { panic!("two words") };
    let count = argument.parse().unwrap_or(0);
    let mut bytes = Vec::new();
    let mut fds = 0;
    match what {
        "ports" => (0..count).for_each(|index| bytes.extend(query(&ANY_PORT, index))),
        "heard" => {
            (0..count).for_each(|index| bytes.extend(query(&ANY_PORT, index)));
            // Its own, and those of others.
            (0..2 * count).for_each(|key| bytes.extend(keyed(LISTENING, key)));
        }
        "churn" => {
            for key in 1..=count {
                bytes.extend(query(&ANY_PORT, 0));
                bytes.extend(keyed(CLOSE, key));
            }
        }
        "path" => bytes.extend(query(&path(argument), 0)),
        "repeat" => {
            for word in [frame(ONLINE, 0, &[]), query(&ANY_PORT, 0), keyed(LISTENING, 1)] {
                bytes.extend(word.repeat(2));
            }
        }
        "close" => bytes.extend(keyed(CLOSE, count)),
        "half" | "many" => {
            fds = count;
            bytes.extend(frame(USER, u8::try_from(count).expect("few"), &[b'x'; 1000]));
        }
        "misplaced" => {
            fds = 1;
            bytes.extend(frame(ONLINE, 1, &[]));
        }
        "heir" => {}
        "text" => bytes.extend(frame(USER, 0, argument.as_bytes())),
        other => panic!("there is no {other}"),
    }
    if what == "half" {
        bytes.truncate(500);
    } else {
        bytes.extend(frame(USER, 0, b"done"));
    }
    let event_loop = Loop::new().expect("a loop");
    let stdin = PipeWrap::new_ipc(&event_loop);
    stdin.open(std::io::stdin().as_fd().try_clone_to_owned().expect("a copy")).expect("a socket");
    let channel = PipeWrap::new_ipc(&event_loop);
    channel.set_handler(Deaf);
    let (reads, bequeaths) = (what != "churn", what == "heir");
    stdin.set_handler(Rogue { stdin: stdin.clone(), channel, bytes, fds, reads, bequeaths });
    stdin.read_start().expect("a socket");
    event_loop.run(RunMode::Default).expect("the loop runs");
    unreachable!("a rogue is killed");
}

struct Rogue {
    stdin: PipeWrap,
    channel: PipeWrap,
    bytes: Vec<u8>,
    fds: usize,
    /// Whether it reads the answers.
    reads: bool,
    /// Whether a child gets its channel.
    bequeaths: bool,
}

impl OnStream for Rogue {
    fn on_read(&mut self, _: &StreamWrap, _: &[u8]) {
        let Some(channel) = self.stdin.take_received_fd() else { return };
        if self.bequeaths {
            // The child ends with the channel.
            Command::new("cat").stdin(channel).stdout(Stdio::null()).spawn().expect("a child");
            std::process::exit(0);
        }
        self.channel.open(channel).expect("a channel");
        if self.reads {
            self.channel.read_start().expect("a channel");
        }
        let null = Rc::new(OwnedFd::from(File::open("/dev/null").expect("a file")));
        let fds = (0..self.fds).map(|_| Rc::clone(&null)).collect();
        self.channel.write_fds(std::mem::take(&mut self.bytes).into(), fds).expect("room");
        self.stdin.read_stop();
        let patience = Timer::new(self.stdin.loop_handle());
        // Until it is killed, or its test was.
        patience.start(PATIENCE, PATIENCE, |_: &Timer| std::process::exit(0)).expect("a timer");
    }
    fn on_end(&mut self, _: &StreamWrap) {}
    fn on_error(&mut self, _: &StreamWrap, _: uv_core::Error) {}
}

struct Deaf;

impl OnStream for Deaf {
    fn on_read(&mut self, _: &StreamWrap, _: &[u8]) {}
    fn on_end(&mut self, _: &StreamWrap) {}
    fn on_error(&mut self, _: &StreamWrap, _: uv_core::Error) {}
}
