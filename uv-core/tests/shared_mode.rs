//! Blocking mode belongs to the open file, which processes share: neither a child nor a stream of the loop changes it
//! for the other.

mod child;
mod common;

use child::{Folder, exit_into, shell};
use common::*;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::rc::Rc;
use uv_core::process::{Process, Stdio};
use uv_core::{Errno, Pipe, Stream};

/// More bytes than any pipe or socket holds.
const MUCH: usize = 8 << 20;

fn flags(info: &str) -> i32 {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("the flags");
    i32::from_str_radix(flags.trim(), 8).expect("an octal number")
}

fn is_nonblocking(fd: &impl AsRawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).expect("a descriptor");
    flags(&info) & libc::O_NONBLOCK != 0
}

/// Starts a child that inherits a descriptor in a slot, and waits for its end. Returns whether the child finds the
/// descriptor non-blocking.
fn child_with(event_loop: &TestLoop, slot: usize, inherited: Stdio) -> bool {
    let folder = Folder::new(&format!("mode-{slot}-{:?}", std::thread::current().id()));
    let (path, info) = folder.file("info");
    let mut slots = vec![Stdio::Ignore; slot.max(2) + 2];
    slots[slot] = inherited;
    // A shell names descriptors up to 9.
    let into = slots.len() - 1;
    slots[into] = Stdio::InheritFd(info.as_raw_fd());
    let status = Rc::default();
    let options = shell(&format!("cat /proc/self/fdinfo/{slot} >&{into}")).stdio(slots);
    Process::spawn(event_loop, &options, exit_into(&status)).expect("a child");
    event_loop.until(|| status.get().is_some());
    flags(&fs::read_to_string(path).expect("what the child wrote")) & libc::O_NONBLOCK != 0
}

/// Writes more than fits without a reader: the test hangs if that blocks.
fn assert_writes_do_not_wait(event_loop: &TestLoop, stream: &Stream) {
    stream.write(vec![0; MUCH]).expect("an open stream takes a write");
    assert!(stream.write_queue_size() > 0, "the peer does not read");
    event_loop.turn();
}

fn adopted(event_loop: &TestLoop, fd: impl Into<OwnedFd>) -> Pipe {
    let pipe = Pipe::new(event_loop);
    pipe.open(fd.into()).expect("open");
    pipe
}

#[test]
fn a_connection_that_a_child_inherits_does_not_wait_and_the_childs_does() {
    for slot in 0..3 {
        let event_loop = test_loop();
        let (tcp, _peer) = connected(&event_loop);
        assert!(!child_with(&event_loop, slot, Stdio::InheritStream((*tcp).clone())));
        assert_writes_do_not_wait(&event_loop, &tcp);
        tcp.read_start().expect("read_start");
        event_loop.turn();
        event_loop.close_and_finish();
    }
}

#[test]
fn an_accepted_connection_that_a_child_inherits_by_its_number_does_not_wait() {
    let event_loop = test_loop();
    let log = Log::new();
    let seen = log.clone();
    let accepted: Rc<std::cell::RefCell<Option<uv_core::Tcp>>> = Rc::default();
    let into = Rc::clone(&accepted);
    let (_server, addr) = serve(&event_loop, move |tcp| {
        seen.add("accepted");
        into.replace(Some(tcp));
    });
    let _peer = std::net::TcpStream::connect(addr).expect("connect");
    event_loop.until(|| log.has("accepted"));
    let tcp = accepted.take().expect("a connection");
    assert!(!child_with(&event_loop, 1, Stdio::InheritFd(tcp.fileno().expect("a descriptor"))));
    assert_writes_do_not_wait(&event_loop, &tcp);
    let several: Vec<_> = (0..4).map(|_| vec![0; MUCH].into()).collect();
    tcp.writev(several).expect("writev");
    event_loop.turn();
    event_loop.close_and_finish();
}

#[test]
fn a_pipe_that_a_child_inherits_does_not_wait_and_the_childs_does() {
    for by_number in [false, true] {
        let event_loop = test_loop();
        let (_reader, writer) = std::io::pipe().expect("pipe");
        let pipe = adopted(&event_loop, writer);
        let inherited = if by_number {
            Stdio::InheritFd(pipe.fileno().expect("a descriptor"))
        } else {
            Stdio::InheritStream((*pipe).clone())
        };
        assert!(!child_with(&event_loop, 1, inherited));
        assert!(is_nonblocking(&pipe.fileno().expect("a descriptor")));
        assert_writes_do_not_wait(&event_loop, &pipe);
        event_loop.close_and_finish();
    }
}

#[test]
fn a_named_pipe_that_a_child_inherits_does_not_wait_and_the_childs_does() {
    let event_loop = test_loop();
    let path = socket_path();
    let made = Command::new("mkfifo").arg(path.path()).status().expect("mkfifo runs");
    assert!(made.success());
    let both = File::options().read(true).write(true).open(path.path()).expect("a named pipe");
    let writer = File::options().write(true).open(path.path()).expect("a named pipe");
    let pipe = adopted(&event_loop, writer);
    assert!(!child_with(&event_loop, 1, Stdio::InheritStream((*pipe).clone())));
    assert_writes_do_not_wait(&event_loop, &pipe);
    drop(both);
    event_loop.close_and_finish();
}

#[test]
fn a_pipe_that_a_child_inherits_in_a_slot_above_two_has_its_own_mode_there() {
    let event_loop = test_loop();
    let (_reader, writer) = std::io::pipe().expect("pipe");
    let pipe = adopted(&event_loop, writer);
    assert!(child_with(&event_loop, 3, Stdio::InheritStream((*pipe).clone())), "as the stream's");
    // Changes that the child makes to it do not matter.
    let fd: RawFd = pipe.fileno().expect("a descriptor");
    let path = format!("/proc/self/fd/{fd}");
    let before = fs::read_link(&path).expect("a descriptor");
    let status = Rc::default();
    let script = "import os; os.set_blocking(3, True)";
    let slots = [Stdio::Ignore, Stdio::Ignore, Stdio::Ignore, Stdio::InheritStream((*pipe).clone())];
    let options = uv_core::process::SpawnOptions::new("python3").args(["-c", script]).stdio(slots);
    Process::spawn(&event_loop, &options, exit_into(&status)).expect("a child");
    event_loop.until(|| status.get().is_some());
    assert!(status.get().is_some_and(uv_core::process::ExitStatus::success));
    assert_eq!(fs::read_link(&path).expect("a descriptor"), before);
    assert_writes_do_not_wait(&event_loop, &pipe);
    event_loop.close_and_finish();
}

#[test]
fn an_adopted_pipe_leaves_the_mode_to_those_who_share_it() {
    let event_loop = test_loop();
    let (reader, writer) = std::io::pipe().expect("pipe");
    let (others_reader, others) = (reader.try_clone().expect("dup"), writer.try_clone().expect("dup"));
    let (number, out) = (writer.as_raw_fd(), adopted(&event_loop, writer));
    let input = adopted(&event_loop, reader);
    assert_eq!(out.fileno(), Ok(number), "it keeps its number");
    assert!(!is_nonblocking(&others) && !is_nonblocking(&others_reader));
    input.read_start().expect("read_start");
    event_loop.turn();
    input.read_stop();
    assert_writes_do_not_wait(&event_loop, &out);
    event_loop.close_all();
    event_loop.turn();
    assert!(!is_nonblocking(&others) && !is_nonblocking(&others_reader));
    // The stream's own open files are closed, so the peer reads the end.
    drop(others);
    let mut rest = Vec::new();
    let mut others_reader = others_reader;
    others_reader.read_to_end(&mut rest).expect("read");
    assert!(!rest.is_empty());
    event_loop.finish();
}

#[test]
fn an_adopted_connection_leaves_the_mode_to_those_who_share_it() {
    let event_loop = test_loop();
    let (ours, _peer) = UnixStream::pair().expect("a pair");
    let others = ours.try_clone().expect("dup");
    let pipe = adopted(&event_loop, ours);
    assert!(!is_nonblocking(&others));
    pipe.read_start().expect("read_start");
    event_loop.turn();
    assert_writes_do_not_wait(&event_loop, &pipe);
    let (ours, _peer) = sockets();
    let others_tcp = ours.try_clone().expect("dup");
    let tcp = uv_core::Tcp::new(&event_loop);
    tcp.open(ours.into()).expect("open");
    assert!(!is_nonblocking(&others_tcp));
    tcp.read_start().expect("read_start");
    event_loop.turn();
    assert_writes_do_not_wait(&event_loop, &tcp);
    event_loop.close_and_finish();
    assert!(!is_nonblocking(&others) && !is_nonblocking(&others_tcp));
}

/// The master side of a pseudo terminal: opening it again would create another terminal.
fn cannot_be_reopened() -> File {
    File::options().read(true).write(true).open("/dev/ptmx").expect("a pseudo terminal")
}

#[test]
fn a_mode_that_could_not_be_kept_apart_is_restored_by_the_last_stream() {
    let event_loop = test_loop();
    let others = cannot_be_reopened();
    let first = adopted(&event_loop, others.try_clone().expect("dup"));
    assert!(is_nonblocking(&others));
    let second = adopted(&event_loop, others.try_clone().expect("dup"));
    first.close();
    assert!(is_nonblocking(&others), "the second one relies on it");
    second.close();
    assert!(!is_nonblocking(&others));
    let third = adopted(&event_loop, others.try_clone().expect("dup"));
    assert!(is_nonblocking(&others));
    drop((third, event_loop));
    assert!(!is_nonblocking(&others), "a loop that is dropped restores it too");
}

#[test]
fn a_stream_whose_mode_cannot_be_kept_apart_is_refused_as_a_childs_standard_stream() {
    let event_loop = test_loop();
    let others = cannot_be_reopened();
    let pipe = adopted(&event_loop, others.try_clone().expect("dup"));
    for inherited in [Stdio::InheritStream((*pipe).clone()), Stdio::InheritFd(others.as_raw_fd())] {
        let options = shell("exit 0").stdio([Stdio::Ignore, inherited]);
        let refused = Process::spawn(&event_loop, &options, exit_into(&Rc::default()));
        assert_eq!(refused.expect_err("it would wait").errno(), Errno::EBUSY);
    }
    assert!(is_nonblocking(&others));
    event_loop.close_and_finish();
}

#[test]
fn a_listener_does_not_wait_although_a_child_inherited_it() {
    let event_loop = test_loop();
    let path = socket_path();
    // Adopted in blocking mode, and listened on only after a child had it.
    let listener = UnixListener::bind(path.path()).expect("the path is free");
    let pipe = adopted(&event_loop, listener);
    child_with(&event_loop, 0, Stdio::InheritStream((*pipe).clone()));
    pipe.listen_with(1, |_, _| {}).expect("listen");
    assert!(is_nonblocking(&pipe.fileno().expect("a descriptor")));
    child_with(&event_loop, 0, Stdio::InheritStream((*pipe).clone()));
    assert!(is_nonblocking(&pipe.fileno().expect("a descriptor")));
    event_loop.close_and_finish();
}

#[test]
fn a_connect_does_not_wait_although_a_child_made_the_socket_blocking() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let server = Pipe::new(&event_loop);
    server.bind(path.path()).expect("bind");
    // Accepts no connection.
    server.listen_with(0, |_, _| {}).expect("listen");
    let client = Pipe::new(&event_loop);
    client.bind(path.folder().join("client")).expect("bind");
    child_with(&event_loop, 0, Stdio::InheritStream((*client).clone()));
    loop {
        let (probe, seen) = (Pipe::new(&event_loop), Log::new());
        probe.set_upcall(Tower::new(&seen, "probe"));
        probe.connect(path.path()).expect("connect");
        event_loop.until(|| !seen.lines().is_empty());
        if seen.has("probe connect EAGAIN") {
            break;
        }
    }
    client.set_upcall(Tower::new(&log, "client"));
    client.connect(path.path()).expect("connect");
    event_loop.until(|| !log.lines().is_empty());
    assert_eq!(log.take(), ["client connect EAGAIN"]);
    event_loop.close_and_finish();
}

#[test]
fn a_terminal_is_never_made_non_blocking() {
    let name = "a_terminal_is_never_made_non_blocking";
    const MARK: &str = "UV_CORE_TEST_TERMINAL";
    if std::env::var_os(MARK).is_none() {
        let itself = std::env::current_exe().expect("its own path");
        let command = format!("'{}' --exact --nocapture --test-threads=1 {name}", itself.display());
        let script = Command::new("script").args(["-qefc", &command, "/dev/null"]).env(MARK, "1").output();
        let output = script.expect("script runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("from the loop"), "{said}");
        return;
    }
    let event_loop = test_loop();
    let log = Log::new();
    let terminal = std::io::stdout();
    let out = adopted(&event_loop, terminal.as_fd().try_clone_to_owned().expect("dup"));
    out.set_upcall(Tower::new(&log, "out"));
    out.write("from the loop\n").expect("a terminal takes a write");
    assert!(!is_nonblocking(&terminal) && !is_nonblocking(&std::io::stdin()));
    assert!(is_nonblocking(&out.fileno().expect("a descriptor")));
    event_loop.until(|| log.has("out write ok"));
    assert!(!child_with(&event_loop, 1, Stdio::InheritStream((*out).clone())));
    assert!(is_nonblocking(&out.fileno().expect("a descriptor")));
    event_loop.close_and_finish();
    assert!(!is_nonblocking(&terminal));
}
