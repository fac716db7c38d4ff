//! Pipes that carry descriptors: they arrive with the first byte of their message, in order, and none is left open.

use super::{dice, one_in};
use crate::{is_passing, is_repeated};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::handle::HandleKind;
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, Pipe, Result, Stream};

/// The number of the rest of a message.
const REST: u8 = u8::MAX;

/// A message as it is on the wire: its number, the number of its descriptors, its length, and that many bytes.
struct Message {
    number: u8,
    fds: u8,
    len: u8,
}

/// What has become of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Sent,
    Failed,
}

#[derive(Default)]
struct Sender {
    /// The messages that were taken, in order.
    taken: RefCell<Vec<(Message, Fate)>>,
    next: Cell<u8>,
    closes: Cell<bool>,
    has_failed: Cell<bool>,
    has_shut_down: Cell<bool>,
}

#[derive(Default)]
struct Receiver {
    bytes: RefCell<Vec<u8>>,
    /// Whole messages, and how many of their descriptors had come by then; `None` if some were left.
    messages: RefCell<Vec<(Message, Option<usize>)>>,
    /// What the descriptors that were taken say: the number of their message, and their own in it.
    tags: RefCell<Vec<[u8; 2]>>,
    has_ended: Cell<bool>,
    has_failed: Cell<bool>,
    is_closed: Cell<bool>,
    /// A descriptor was of another kind, or of none.
    has_other_kind: Cell<bool>,
    /// Descriptors were left for the next read.
    leaves_some: Cell<bool>,
}

/// One loop sends descriptors, another receives them.
pub(crate) fn passing(world: &World) -> Result<(), String> {
    let (Ok(left), Ok(right)) = (world.event_loop("sender"), world.event_loop("receiver")) else {
        return Ok(());
    };
    let (from, to) = (Pipe::new_ipc(&left), Pipe::new_ipc(&right));
    let (sender, receiver) = (Rc::new(Sender::default()), Rc::new(Receiver::default()));
    from.set_upcall(Sending(Rc::clone(&sender)));
    to.set_upcall(Receiving(Rc::clone(&receiver)));
    let opened = from.open_pair().and_then(|theirs| to.open(theirs)).and_then(|()| to.read_start());
    if opened.is_err() {
        from.close();
        to.close();
        return Ok(());
    }
    let mut cuts = false;
    for _ in 0..dice(40) {
        sender.send(&from);
        match dice(60) {
            0 => sender.close(&from),
            1 => {
                cuts = true;
                to.close();
            }
            2..6 => to.read_stop(),
            // Fails if it reads already, or is closed.
            6..12 => drop(to.read_start()),
            _ => {}
        }
        if one_in(3) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    // Fails if it is closed.
    sender.has_shut_down.set(from.shutdown().is_ok());
    let _ = to.read_start();
    world.run_until(|| {
        if receiver.has_ended.get() {
            to.close();
        }
        to.is_closing() && (from.is_closing() || !sender.is_open())
    })?;
    from.close();
    world.run()?;
    check(world, &sender, &receiver, cuts);
    Ok(())
}

/// What was received is what was sent, up to the end or to a failure; `cuts`: the receiver has closed in the middle.
fn check(world: &World, sender: &Sender, receiver: &Receiver, cuts: bool) {
    assert!(!sender.is_open(), "a write is not reported");
    assert!(receiver.is_closed.get(), "on_close is missing");
    let has_failed = sender.has_failed.get() || receiver.has_failed.get();
    let is_excused = cuts || sender.closes.get() || world.has_met(|fault| !is_passing(fault));
    assert!(!has_failed || is_excused, "a pipe has failed without a cause");
    let is_unknown = world.has_met(|fault| fault.call == "getsockname(2)");
    assert!(is_unknown || !receiver.has_other_kind.get(), "another kind");
    let taken = sender.taken.borrow();
    let is_sent = |(message, fate): &&(Message, Fate)| *fate == Fate::Sent && message.number != REST;
    let sent: Vec<_> = taken.iter().filter(is_sent).map(|(message, _)| message).collect();
    let messages = receiver.messages.borrow();
    for ((received, _), sent) in messages.iter().zip(sent.iter()) {
        assert_eq!((received.number, received.fds), (sent.number, sent.fds), "another message");
    }
    if receiver.has_ended.get() && sender.has_shut_down.get() && !has_failed && !sender.closes.get() {
        assert_eq!(messages.len(), sent.len(), "messages are lost");
    }
    check_fds(receiver, limits(world));
}

/// How often not all descriptors of a message had room.
fn limits(world: &World) -> usize {
    let count = Cell::new(0);
    let _ = world.has_met(|fault| {
        count.set(count.get() + usize::from(fault.call == "recvmsg(2) descriptors"));
        false
    });
    count.get()
}

/// All descriptors came, in order, but for the last ones of as many messages as met a limit, and for those that were not taken.
fn check_fds(receiver: &Receiver, limits: usize) {
    let (messages, tags) = (receiver.messages.borrow(), receiver.tags.borrow());
    let mut left = &tags[..];
    let mut cut = 0;
    for (message, by_then) in messages.iter() {
        let own = left.iter().take_while(|tag| tag[0] == message.number).count();
        let (own, rest) = left.split_at(own);
        left = rest;
        assert!(
            own.iter().map(|tag| tag[1]).eq(0..own.len() as u8),
            "message {} has {own:?}",
            message.number
        );
        assert!(own.len() <= usize::from(message.fds), "message {} has too many", message.number);
        assert!(by_then.is_none_or(|count| count == own.len()), "a descriptor came behind its message");
        // What was not taken before the close.
        let is_left = receiver.leaves_some.get() && left.is_empty();
        cut += usize::from(own.len() < usize::from(message.fds) && !is_left);
    }
    assert!(cut <= limits, "descriptors of {cut} messages are lost, by {limits} limits");
    // Those of a message that is not whole.
    let next = left.first().map(|tag| tag[0]);
    assert!(left.iter().all(|tag| Some(tag[0]) == next), "descriptors of no message: {left:?}");
}

impl Sender {
    fn is_open(&self) -> bool {
        self.taken.borrow().iter().any(|(_, fate)| *fate == Fate::Open)
    }

    fn take(&self, message: Message, fate: Fate) {
        if message.number != REST {
            self.next.set(self.next.get() + 1);
        }
        self.taken.borrow_mut().push((message, fate));
    }

    fn send(&self, pipe: &Pipe) {
        let message = Message { number: self.next.get(), fds: dice(5) as u8, len: dice(200) as u8 };
        let mut kept = Vec::new();
        for index in 0..message.fds {
            // The descriptors of this process are the test's own business here.
            let Ok((mut ours, theirs)) = UnixStream::pair() else { return };
            if ours.write_all(&[message.number, index]).is_err() {
                return;
            }
            kept.push(theirs);
        }
        let mut data = vec![message.number, message.fds, message.len];
        data.resize(3 + usize::from(message.len), message.number);
        let is_possible = !self.closes.get() && !pipe.is_closing() && pipe.is_writable();
        if one_in(6) {
            let is_free = is_possible && pipe.write_queue_size() == 0;
            let fds: Vec<_> = kept.iter().map(AsFd::as_fd).collect();
            match pipe.try_write_fds(&data, &fds) {
                Ok(taken) => {
                    assert!(is_free, "a try overtook a write, or a close");
                    self.take(message, Fate::Sent);
                    // The rest goes without descriptors.
                    if taken < data.len() && pipe.write(data.split_off(taken)).is_ok() {
                        self.take(Message { number: REST, fds: 0, len: 0 }, Fate::Open);
                    }
                }
                // Each error is returned here, and nothing is queued for a repetition.
                Err(error) if error.errno() == Errno::EPIPE => self.has_failed.set(true),
                Err(_) => {}
            }
            return;
        }
        let fds = kept.into_iter().map(|fd| Rc::new(OwnedFd::from(fd))).collect();
        match pipe.write_fds(data, fds) {
            Ok(()) => {
                assert!(is_possible, "a write to a closed pipe was taken");
                self.take(message, Fate::Open);
            }
            Err(_) => assert!(!is_possible, "a write was refused"),
        }
    }

    fn close(&self, pipe: &Pipe) {
        self.closes.set(true);
        pipe.close();
    }
}

struct Sending(Rc<Sender>);

impl StreamUpcall for Sending {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {
        panic!("nothing was sent to the sender");
    }

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, stream: &Stream, error: Error) {
        assert!(!is_repeated(error.errno()), "{error} reached the program");
        self.0.has_failed.set(true);
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        let mut taken = self.0.taken.borrow_mut();
        let Some((_, fate)) = taken.iter_mut().find(|(_, fate)| *fate == Fate::Open) else {
            panic!("on_write without a write")
        };
        *fate = if result.is_ok() { Fate::Sent } else { Fate::Failed };
        if let Err(error) = result {
            assert!(!is_repeated(error.errno()), "{error} reached the program");
            // A part of it may have been sent.
            self.0.has_failed.set(true);
            stream.close();
        }
    }

    fn on_shutdown(&mut self, stream: &Stream, result: Result<()>) {
        self.0.has_failed.set(self.0.has_failed.get() || result.is_err());
        stream.close();
    }
}

struct Receiving(Rc<Receiver>);

impl Receiving {
    fn take_fds(&self, pipe: &Pipe) {
        while pipe.pending_count() > 0 {
            if one_in(64) {
                self.0.leaves_some.set(true);
                return;
            }
            let fd = if one_in(3) {
                pipe.take_received().map(|received| {
                    let is_other = received.kind != Some(HandleKind::Pipe);
                    self.0.has_other_kind.set(is_other || self.0.has_other_kind.get());
                    received.fd
                })
            } else {
                pipe.take_received_fd()
            };
            let Some(fd) = fd else { panic!("a descriptor was counted and is not there") };
            let mut tag = [0; 2];
            assert!(UnixStream::from(fd).read_exact(&mut tag).is_ok(), "the descriptor is not the one sent");
            self.0.tags.borrow_mut().push(tag);
        }
        self.0.leaves_some.set(false);
        assert!(pipe.take_received_fd().is_none(), "a descriptor was not counted");
    }
}

impl StreamUpcall for Receiving {
    fn on_read(&mut self, stream: &Stream, data: &[u8]) {
        if let Some(pipe) = Pipe::from_stream(stream) {
            self.take_fds(&pipe);
        }
        let mut bytes = self.0.bytes.borrow_mut();
        bytes.extend_from_slice(data);
        while let [number, fds, len, rest @ ..] = &bytes[..]
            && rest.len() >= usize::from(*len)
        {
            let message = Message { number: *number, fds: *fds, len: *len };
            assert!(rest[..usize::from(message.len)].iter().all(|byte| *byte == message.number));
            let whole = 3 + usize::from(message.len);
            bytes.drain(..whole);
            let own = self.0.tags.borrow().iter().filter(|tag| tag[0] == message.number).count();
            let own = (!self.0.leaves_some.get()).then_some(own);
            self.0.messages.borrow_mut().push((message, own));
        }
    }

    fn on_end(&mut self, _: &Stream) {
        self.0.has_ended.set(true);
    }

    fn on_read_error(&mut self, stream: &Stream, error: Error) {
        assert!(!is_repeated(error.errno()), "{error} reached the program");
        self.0.has_failed.set(true);
        stream.close();
    }

    fn on_close(&mut self, _: &Stream) {
        assert!(!self.0.is_closed.replace(true), "on_close twice");
    }
}
