//! What streams meet beside connected sockets: pipes and files that were opened elsewhere, descriptors that they inherit or
//! cannot take, names that are taken, and a socket that finds itself.

use super::{bytes_at, dice, one_in};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use testing::{Fault, Kind, World};
use uv_core::process::{Process, SpawnOptions, Stdio};
use uv_core::upcall::StreamUpcall;
use uv_core::{BindOptions, Errno, Error, LoopHandle, Pipe, Result, Stream, Tcp};

/// What one side has seen.
#[derive(Default)]
struct Seen {
    received: RefCell<Vec<u8>>,
    has_ended: Cell<bool>,
    has_failed: Cell<bool>,
    completed: Cell<u64>,
    connected: Cell<Option<std::result::Result<(), Errno>>>,
    /// Descriptors of a known kind, and of none.
    kinds: RefCell<Vec<bool>>,
}

struct Watching(Rc<Seen>);

impl StreamUpcall for Watching {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        let seen = &self.0;
        seen.received.borrow_mut().extend_from_slice(data);
        let Some(pipe) = Pipe::from_stream(stream) else { return };
        while let Some(received) = pipe.take_received() {
            seen.kinds.borrow_mut().push(received.kind.is_some());
        }
    }

    fn on_end(&mut self, _: &Stream) {
        assert!(!self.0.has_ended.replace(true), "on_end twice");
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        self.0.has_failed.set(true);
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        self.0.completed.set(self.0.completed.get() + 1);
        if result.is_err() {
            // The writes behind it wait for the close.
            self.0.has_failed.set(true);
            stream.close();
        }
    }

    fn on_connect(&mut self, _: &Stream, result: Result<()>) {
        let before = self.0.connected.replace(Some(result.map_err(|error| error.errno())));
        assert!(before.is_none(), "on_connect twice");
    }
}

/// Two pipes, of which one writes what the other reads.
struct Way {
    from: Pipe,
    to: Pipe,
    writes: Rc<Seen>,
    reads: Rc<Seen>,
}

impl Way {
    fn new(from: Pipe, to: Pipe) -> Self {
        let (writes, reads) = (Rc::new(Seen::default()), Rc::new(Seen::default()));
        from.set_upcall(Watching(Rc::clone(&writes)));
        to.set_upcall(Watching(Rc::clone(&reads)));
        Self { from, to, writes, reads }
    }

    /// Reads, if both were opened, or closes both.
    fn is_open(&self, opened: Result<()>) -> bool {
        let reads = opened.and_then(|()| self.to.read_start());
        if reads.is_err() {
            self.from.close();
            self.to.close();
        }
        reads.is_ok()
    }

    /// Closes both behind what was asked for, and holds that each write is reported.
    fn finish(&self, world: &World, asked: u64) -> std::result::Result<(), String> {
        world.run_until(|| self.writes.completed.get() == asked || self.from.is_closing())?;
        self.from.close();
        world.run_until(|| self.reads.has_ended.get() || self.to.is_closing())?;
        self.to.close();
        world.run_until(|| self.writes.completed.get() == asked)
    }
}

/// A pipe of the kernel between two loops, whose ends children inherit: all bytes come, or its side has failed.
pub(crate) fn pipes(world: &World) -> std::result::Result<(), String> {
    let (Ok(left), Ok(right)) = (world.event_loop("writer"), world.event_loop("reader")) else {
        return Ok(());
    };
    world.play_children(|_| {});
    let Ok((reader, writer)) = std::io::pipe() else { return Ok(()) };
    let way = Way::new(Pipe::new(&left), Pipe::new(&right));
    let Way { from, to, writes, reads } = &way;
    if !way.is_open(from.open(writer.into()).and_then(|()| to.open(reader.into()))) {
        return Ok(());
    }
    let mut children = Vec::new();
    let (mut sent, mut asked) = (0, 0);
    for _ in 0..dice(30) {
        let data = bytes_at(1, sent, 1 + dice(if one_in(8) { 100_000 } else { 200 }));
        match dice(4) {
            0 => sent += from.try_write(&data).unwrap_or(0) as u64,
            1 => {
                let (first, rest) = data.split_at(data.len() / 2);
                let written = from.writev([first.to_vec().into(), rest.to_vec().into()]);
                (sent, asked) = count(written, &data, sent, asked);
            }
            2 => (sent, asked) = count(from.write(data.clone()), &data, sent, asked),
            _ => children.extend(inherit(&left, if one_in(2) { from } else { to })),
        }
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    way.finish(world, asked)?;
    children.iter().for_each(|child: &Process| child.close());
    world.run()?;
    // A pipe of the kernel stays open behind a failure that was injected.
    if !world.has_met(is_lost) {
        check_bytes(reads, sent, reads.has_ended.get() && !writes.has_failed.get());
    }
    Ok(())
}

/// Whether a write that fails like this loses its bytes.
fn is_lost(fault: &Fault) -> bool {
    let is_write = matches!(fault.call, "write(2)" | "writev(2)");
    is_write && matches!(fault.kind, Kind::Refused(Errno::EPIPE | Errno::ECONNRESET))
}

fn check_bytes(seen: &Seen, sent: u64, are_whole: bool) {
    let received = seen.received.borrow();
    let len = received.len() as u64;
    assert!(len <= sent, "more than was sent");
    assert!(*received == bytes_at(1, 0, len), "other bytes");
    assert!(!are_whole || len == sent, "bytes are lost");
}

/// The bytes that were sent and the writes that were asked for, after another write.
fn count(written: Result<()>, data: &[u8], sent: u64, asked: u64) -> (u64, u64) {
    if written.is_ok() { (sent + data.len() as u64, asked + 1) } else { (sent, asked) }
}

/// Starts a child that has the stream as one of its standard descriptors, or as another.
fn inherit(event_loop: &LoopHandle, pipe: &Pipe) -> Option<Process> {
    let stdio = match pipe.fileno() {
        Ok(fd) if one_in(2) => Stdio::InheritFd(fd),
        _ => Stdio::InheritStream(Stream::clone(pipe)),
    };
    let mut slots = vec![Stdio::Ignore, Stdio::Ignore, Stdio::Ignore];
    if one_in(2) {
        slots.push(stdio)
    } else {
        slots[1] = stdio
    }
    let mut options = SpawnOptions::new("child").env_clear().stdio(slots);
    if one_in(2) {
        options = options.cwd("/");
    }
    Process::spawn(event_loop, &options, |_: &Process, _| {}).ok()
}

/// Descriptors for a pipe that takes none, which are lost without the bytes, and of every kind for a pipe that takes them.
pub(crate) fn strange_descriptors(world: &World) -> std::result::Result<(), String> {
    let (Ok(left), Ok(right)) = (world.event_loop("sender"), world.event_loop("receiver")) else {
        return Ok(());
    };
    let takes = one_in(2);
    let to = if takes { Pipe::new_ipc(&right) } else { Pipe::new(&right) };
    let way = Way::new(Pipe::new_ipc(&left), to);
    let Way { from, to, writes, reads } = &way;
    if !way.is_open(from.open_pair().and_then(|theirs| to.open(theirs))) {
        return Ok(());
    }
    let (mut sent, mut asked, mut kinds) = (0, 0, Vec::new());
    for _ in 0..dice(12) {
        let is_socket = one_in(2);
        let fd = match is_socket {
            true => UnixStream::pair().map(|(ours, _)| OwnedFd::from(ours)),
            false => File::open("/dev/null").map(OwnedFd::from),
        };
        let (Ok(fd), data) = (fd, bytes_at(1, sent, 1 + dice(40))) else { break };
        if from.write_fds(data.clone(), vec![Rc::new(fd)]).is_ok() {
            (sent, asked) = (sent + data.len() as u64, asked + 1);
            kinds.push(is_socket);
        }
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    way.finish(world, asked)?;
    world.run()?;
    let has_failed = writes.has_failed.get() || reads.has_failed.get();
    check_bytes(reads, sent, !has_failed);
    let received = reads.kinds.borrow();
    assert!(takes || received.is_empty(), "a pipe that takes no descriptors has some");
    // Without room for a descriptor, or its address, that is missing.
    let is_known = |fault: &Fault| matches!(fault.call, "recvmsg(2) descriptors" | "getsockname(2)");
    if takes && !has_failed && !world.has_met(is_known) {
        assert_eq!(*received, kinds, "other descriptors");
    }
    Ok(())
}

/// Names of Unix sockets that are left over, or are in no folder; and a TCP socket that connects to itself.
pub(crate) fn names(world: &World) -> std::result::Result<(), String> {
    let Ok(event_loop) = world.event_loop("names") else { return Ok(()) };
    let file = SocketName::new(world);
    let has_met = |call: &str| world.has_met(|fault| fault.call == call);
    let is_left_over = one_in(2) && UnixListener::bind(&file.0).is_ok();
    let pipe = Pipe::new(&event_loop);
    match pipe.bind(&file.0) {
        Ok(()) => assert!(!is_left_over && file.0.exists(), "a name that is taken was bound"),
        Err(error) => {
            let is_told = error.errno() == Errno::EADDRINUSE && error.note().is_some();
            let is_lacking = matches!(error.errno(), Errno::EMFILE | Errno::ENFILE);
            let is_refused = is_lacking || ["bind(2)", "socket(2)", "connect(2)"].into_iter().any(has_met);
            assert!(is_refused || (is_left_over && is_told), "{error}");
        }
    }
    pipe.close();
    let missing = Pipe::new(&event_loop);
    let bound = missing.bind(file.0.join("missing/name"));
    assert!(bound.is_err(), "bound in a folder that does not exist");
    missing.close();
    let tcp = Tcp::new(&event_loop);
    let seen = Rc::new(Seen::default());
    tcp.set_upcall(Watching(Rc::clone(&seen)));
    // A port that is in use is told when the socket connects.
    let user = if one_in(2) { TcpListener::bind((world.loopback(), 0)).ok() } else { None };
    let used = user.as_ref().and_then(|user| user.local_addr().ok());
    let bound = tcp.bind(used.unwrap_or_else(|| (world.loopback(), 0).into()), BindOptions::default());
    let address = bound.and_then(|()| used.map_or_else(|| tcp.local_addr(), Ok));
    let connected = address.and_then(|address| tcp.connect(address));
    if connected.is_ok() {
        world.run_until(|| seen.connected.get().is_some())?;
        // It finds itself by its addresses.
        let is_unknown = ["getsockname(2)", "getpeername(2)"].into_iter().any(has_met);
        match seen.connected.get() {
            Some(Ok(())) => assert!(used.is_none() && is_unknown, "connected to itself, or from a used port"),
            Some(Err(errno)) => {
                assert!(used.is_none() || errno == Errno::EADDRINUSE, "a used port is told as {errno}");
            }
            None => {}
        }
    }
    tcp.close();
    world.run()?;
    assert!(is_left_over || !file.0.exists(), "the file of a closed socket is left");
    Ok(())
}

/// The path of a socket file, which is removed on drop.
struct SocketName(PathBuf);

impl SocketName {
    fn new(world: &World) -> Self {
        let name = world.path().into_os_string().into_encoded_bytes();
        let name = String::from_utf8_lossy(&name).replace('\0', "");
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for SocketName {
    fn drop(&mut self) {
        // Fails if there is none.
        let _ = std::fs::remove_file(&self.0);
    }
}
