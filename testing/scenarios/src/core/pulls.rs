//! Streams whose program pulls: it reads when and as much as it wants, stops, leaves input, and reads by the loop for a while.
//! What was written comes in order, whole if nothing broke; and what is left is reported again.

use super::{bytes_at, dice, one_in, some_len};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use testing::{Fault, Kind, World};
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, LoopHandle, Pipe, Result, Stream, Tcp};

/// The number of the writer, which its bytes begin with.
const WRITER: usize = 3;

/// How the reading side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Stopped,
    Pulled,
    /// For one report.
    Once,
    /// By the loop.
    Read,
}

struct Reader {
    stream: Stream,
    mode: Cell<Mode>,
    received: Cell<u64>,
    /// Bytes that were accepted for sending, and descriptors.
    sent: Rc<Cell<u64>>,
    descriptors: Cell<u64>,
    has_ended: Cell<bool>,
    has_failed: Cell<bool>,
    /// A write to a pipe of the kernel has failed, which takes later writes nevertheless.
    has_holes: Cell<bool>,
    is_closed: Cell<bool>,
    /// It pulls everything, at once.
    is_over: Cell<bool>,
}

impl Reader {
    fn take(&self, data: &[u8]) {
        assert!(!self.has_ended.get(), "bytes behind the end");
        let expected = bytes_at(WRITER, self.received.get(), data.len() as u64);
        assert!(self.has_holes.get() || expected == data, "other bytes");
        self.received.set(self.received.get() + data.len() as u64);
        assert!(self.received.get() <= self.sent.get(), "more than was sent");
        let pipe = Pipe::from_stream(&self.stream);
        let taken = std::iter::from_fn(|| pipe.as_ref()?.take_received_fd());
        self.descriptors.set(self.descriptors.get() + taken.count() as u64);
    }

    fn fail(&self) {
        self.has_failed.set(true);
        self.mode.set(Mode::Stopped);
        self.stream.close();
    }

    /// Pulls once. Returns whether there may be more.
    fn pull(&self, room: usize) -> bool {
        let mut buffer = vec![0; room];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => {
                self.has_ended.set(true);
                self.mode.set(Mode::Stopped);
                false
            }
            Ok(count) => {
                self.take(&buffer[..count]);
                true
            }
            Err(error) => {
                let expected = match () {
                    () if self.stream.is_closing() => Some(Errno::EBADF),
                    () if self.mode.get() == Mode::Read => Some(Errno::EALREADY),
                    () => None,
                };
                match expected {
                    Some(expected) => assert_eq!(error.errno(), expected, "{error}"),
                    None if error.errno() == Errno::EAGAIN => {}
                    None => {
                        assert!(is_broken(error.errno()), "{error}");
                        self.fail();
                    }
                }
                false
            }
        }
    }

    /// Something that the program does, in a callback or not.
    fn act(&self) {
        match dice(8) {
            0 => {
                self.stream.read_stop();
                self.mode.set(Mode::Stopped);
            }
            1 | 2 => self.start(),
            3 => self.read(),
            4 => while self.pull(1 + dice(100_000) as usize) {},
            _ => drop(self.pull(1 + dice(30) as usize)),
        }
    }

    fn start(&self) {
        let once = one_in(2);
        let started = if once { self.stream.readable_once() } else { self.stream.readable_start() };
        if self.stream.is_closing() {
            assert!(started.is_err(), "a closing stream starts");
        } else if self.mode.get() == Mode::Stopped {
            // A shortage is waited for.
            assert_eq!(started, Ok(()));
            self.mode.set(if once { Mode::Once } else { Mode::Pulled });
        } else {
            assert_eq!(started.map_err(|error| error.errno()), Err(Errno::EALREADY));
        }
    }

    /// Pulls on, unless it has come to the end.
    fn go_on(&self) {
        if !self.stream.is_closing() && !self.has_ended.get() && self.mode.get() == Mode::Stopped {
            self.start();
        }
    }

    fn read(&self) {
        let started = self.stream.read_start();
        if self.stream.is_closing() {
            assert!(started.is_err(), "a closing stream starts");
        } else if self.mode.get() == Mode::Stopped {
            assert_eq!(started, Ok(()));
            self.mode.set(Mode::Read);
        } else {
            assert_eq!(started.map_err(|error| error.errno()), Err(Errno::EALREADY));
        }
    }
}

/// What breaks a connection, by a fault.
fn is_broken(errno: Errno) -> bool {
    matches!(errno, Errno::ECONNRESET | Errno::EPIPE | Errno::ETIMEDOUT)
}

struct Tower(Rc<Reader>);

impl StreamUpcall for Tower {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        assert_eq!(self.0.mode.get(), Mode::Read, "the loop reads");
        self.0.take(data);
        if !self.0.is_over.get() && one_in(3) {
            self.0.act();
        }
    }

    fn on_readable(&mut self, _: &Stream) {
        match self.0.mode.get() {
            Mode::Pulled => {}
            Mode::Once => self.0.mode.set(Mode::Stopped),
            other => panic!("it is not pulled: {other:?}"),
        }
        match dice(8) {
            _ if self.0.is_over.get() => {
                while self.0.pull(1 << 16) {}
                self.0.go_on();
            }
            // Left for the next turn.
            0 => {}
            1 | 2 => self.0.act(),
            _ => drop(self.0.pull(1 + dice(300) as usize)),
        }
    }

    fn on_end(&mut self, _: &Stream) {
        assert_eq!(self.0.mode.replace(Mode::Stopped), Mode::Read, "the loop reads");
        self.0.has_ended.set(true);
    }

    fn on_unread_end(&mut self, _: &Stream) {
        assert_eq!(self.0.mode.get(), Mode::Stopped, "the end is told to a stream that is read or pulled");
    }

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        let is_pulled = matches!(self.0.mode.get(), Mode::Pulled | Mode::Once);
        assert!(!is_pulled && is_broken(error.errno()), "{error}, pulled: {is_pulled}");
        self.0.fail();
    }

    fn on_close(&mut self, _: &Stream) {
        assert!(!self.0.is_closed.replace(true), "on_close twice");
    }
}

/// Whether a fault loses the bytes of a write to a pipe of the kernel.
fn is_hole(fault: &Fault) -> bool {
    matches!(fault.call, "write(2)" | "writev(2)")
        && matches!(fault.kind, Kind::Refused(errno) if is_broken(errno))
}

/// The writing side: results in order, each once.
struct Writes {
    open: Cell<u64>,
    has_failed: Cell<bool>,
}

struct WriteTower(Rc<Writes>);

impl StreamUpcall for WriteTower {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        self.0.has_failed.set(true);
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        assert!(self.0.open.get() > 0, "on_write without a write");
        self.0.open.set(self.0.open.get() - 1);
        if result.is_err() {
            self.0.has_failed.set(true);
            stream.close();
        }
    }
}

/// Over Unix sockets, with and without descriptors, and pipes of the kernel.
pub(crate) fn pulls(world: &World) -> std::result::Result<(), String> {
    let kind = dice(3);
    converse(world, kind == 1, |left, right| {
        if kind == 2 {
            let (reader, writer) = std::io::pipe().ok()?;
            let (from, to) = (Pipe::new(left), Pipe::new(right));
            return opened(&from, from.open(writer.into()), &to, to.open(reader.into()));
        }
        let new = |event_loop| if kind == 1 { Pipe::new_ipc(event_loop) } else { Pipe::new(event_loop) };
        let (from, to) = (new(left), new(right));
        let open = from.open_pair().and_then(|theirs| to.open(theirs));
        opened(&from, Ok(()), &to, open)
    })
}

/// Over TCP, whose segments another thread of the kernel may deliver.
pub(crate) fn pulls_tcp(world: &World) -> std::result::Result<(), String> {
    let loopback = world.loopback();
    converse(world, false, |left, right| {
        let listener = TcpListener::bind((loopback, 0)).ok()?;
        let client = TcpStream::connect(listener.local_addr().ok()?).ok()?;
        let (accepted, _) = listener.accept().ok()?;
        let (from, to) = (Tcp::new(left), Tcp::new(right));
        opened(&from, from.open(client.into()), &to, to.open(accepted.into()))
    })
}

/// Both sides, if both could be opened.
fn opened(from: &Stream, left: Result<()>, to: &Stream, right: Result<()>) -> Option<(Stream, Stream)> {
    // A socket whose peer is unknown, by a fault, is not connected.
    if left.and(right).is_ok() && from.is_writable() && to.is_readable() {
        return Some((from.clone(), to.clone()));
    }
    from.close();
    to.close();
    None
}

fn converse(
    world: &World,
    passes: bool,
    open: impl Fn(&LoopHandle, &LoopHandle) -> Option<(Stream, Stream)>,
) -> std::result::Result<(), String> {
    let (Ok(left), Ok(right)) = (world.event_loop("writer"), world.event_loop("reader")) else {
        return Ok(());
    };
    let Some((from, to)) = open(&left, &right) else { return Ok(()) };
    let writes = Rc::new(Writes { open: Cell::new(0), has_failed: Cell::new(false) });
    from.set_upcall(WriteTower(Rc::clone(&writes)));
    let sent = Rc::new(Cell::new(0));
    let reader = Rc::new(Reader {
        stream: to.clone(),
        mode: Cell::new(Mode::Stopped),
        received: Cell::new(0),
        sent: Rc::clone(&sent),
        descriptors: Cell::new(0),
        has_ended: Cell::new(false),
        has_failed: Cell::new(false),
        has_holes: Cell::new(false),
        is_closed: Cell::new(false),
        is_over: Cell::new(false),
    });
    to.set_upcall(Tower(Rc::clone(&reader)));
    let passed = RefCell::new(VecDeque::new());
    for _ in 0..dice(40) {
        if one_in(2) {
            write(&from, &writes, &sent, passes.then_some(&passed));
            reader.has_holes.set(world.has_met(is_hole));
        } else {
            reader.act();
        }
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
        if one_in(120) {
            to.close();
        }
    }
    finish(world, &from, &writes, &reader)?;
    let is_whole = !writes.has_failed.get() && reader.has_ended.get();
    if is_whole {
        assert_eq!(reader.received.get(), sent.get(), "bytes are lost");
        // Without room for a descriptor it is missing.
        if !world.has_met(|fault| fault.call == "recvmsg(2) descriptors") {
            assert_eq!(reader.descriptors.get(), passed.borrow().len() as u64, "descriptors are lost");
        }
    }
    Ok(())
}

/// Writes something, with a descriptor if they pass.
fn write(from: &Stream, writes: &Writes, sent: &Cell<u64>, passed: Option<&RefCell<VecDeque<()>>>) {
    let data = bytes_at(WRITER, sent.get(), some_len().max(1));
    let len = data.len() as u64;
    let pipe = Pipe::from_stream(from).filter(|_| one_in(3));
    let written = match (passed, pipe) {
        (Some(passed), Some(pipe)) => {
            let Ok(file) = File::open("/dev/null") else { return };
            let written = pipe.write_fds(data, vec![Rc::new(OwnedFd::from(file))]);
            if written.is_ok() {
                passed.borrow_mut().push_back(());
            }
            written
        }
        _ => from.write(data),
    };
    if written.is_ok() {
        sent.set(sent.get() + len);
        writes.open.set(writes.open.get() + 1);
    }
}

/// The writer ends, and the reader pulls everything up to the end.
fn finish(world: &World, from: &Stream, writes: &Writes, reader: &Reader) -> std::result::Result<(), String> {
    reader.is_over.set(true);
    let to = &reader.stream;
    // A stream that is pulled stays so: what it was told of and has left is told again.
    if !to.is_closing() && reader.mode.get() == Mode::Read {
        to.read_stop();
        reader.mode.set(Mode::Stopped);
    }
    reader.go_on();
    let is_read = || reader.has_ended.get() || to.is_closing();
    world.run_until(|| writes.open.get() == 0 || from.is_closing() || is_read())?;
    from.close();
    world.run_until(is_read)?;
    assert!(reader.has_ended.get() || to.is_closing());
    to.close();
    world.run_until(|| reader.is_closed.get() && writes.open.get() == 0)
}
