//! The entry points of the fuzz targets of this crate, whose formats are private. Not part of an ordinary build.

use crate::channel::bootstrap;
use crate::channel::message::{Decoder, Frame, Message, ProtocolError, VERSION};
use crate::channel::{Channel, OnChannel};
use crate::{Error, InvitationError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use uv_core::{Loop, Pipe, RunMode};

/// Turns of the loop in which everything that was sent has arrived: a turn reads sixteen times, and no input has more
/// pieces than bytes.
const TURNS: usize = 1024;

/// Decodes frames whole and in pieces, and encodes them again.
///
/// # Panics
/// If the results differ.
pub fn frames(bytes: &[u8], pieces: &[&[u8]]) {
    let (whole, fault) = decode(&[bytes]);
    assert_eq!(decode(pieces), decode(&[bytes]));
    assert!(fault.is_none() || whole.len() <= bytes.len() / 6, "a frame has six bytes at least");
    let mut written = Vec::new();
    for frame in &whole {
        written.extend_from_slice(&frame.message.encode(frame.fds as u8));
    }
    assert_eq!(decode(&[&written]), (whole, None));
}

fn decode(pieces: &[&[u8]]) -> (VecDeque<Frame>, Option<ProtocolError>) {
    let (mut decoder, mut frames) = (Decoder::default(), VecDeque::new());
    for piece in pieces {
        if let Err(fault) = decoder.feed(piece, &mut frames) {
            return (frames, Some(fault));
        }
    }
    (frames, None)
}

/// Descriptors that are counted: each is a copy of one end of a pair, whose other end is at its end once all are closed.
struct Counted {
    reader: UnixStream,
    writer: UnixStream,
}

impl Counted {
    fn new() -> Self {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        reader.set_nonblocking(true).expect("not to block");
        Self { reader, writer }
    }

    fn descriptors(&self, count: usize) -> Vec<BorrowedFd<'_>> {
        vec![self.writer.as_fd(); count]
    }

    /// Fails if a copy is open.
    fn check_closed(mut self) {
        drop(self.writer);
        assert_eq!(self.reader.read(&mut [0]).expect("all are closed"), 0);
    }
}

/// What came out of a channel.
#[derive(Default)]
struct Received {
    /// Each message with the number of its descriptors, and how many were announced.
    messages: Vec<(Message, usize, usize)>,
    is_broken: bool,
    is_closed: bool,
}

struct Receiver(Rc<RefCell<Received>>);

impl OnChannel for Receiver {
    fn on_message(&mut self, message: Message, fds: Vec<OwnedFd>) -> Result<(), ProtocolError> {
        self.0.borrow_mut().messages.push((message, fds.len(), fds.len()));
        Ok(())
    }

    fn on_message_cut(
        &mut self,
        message: Message,
        fds: Vec<OwnedFd>,
        announced: usize,
    ) -> Result<(), ProtocolError> {
        assert!(fds.len() < announced);
        self.0.borrow_mut().messages.push((message, fds.len(), announced));
        Ok(())
    }

    fn on_notify(&mut self) {}

    fn on_sent(&mut self) {}

    fn on_unsent(&mut self, error: Error) {
        panic!("nothing was sent: {error}");
    }

    fn on_broken(&mut self, _: Error) {
        let mut received = self.0.borrow_mut();
        assert!(!received.is_broken && !received.is_closed);
        received.is_broken = true;
    }

    fn on_close(&mut self) {
        let mut received = self.0.borrow_mut();
        assert!(!received.is_closed, "closed twice");
        received.is_closed = true;
    }
}

thread_local! {
    static LOOP: Loop = Loop::new().expect("a loop");
}

/// Sends pieces, each with a number of descriptors, into a channel.
///
/// # Panics
/// A message is not what its bytes say, comes with more descriptors than were sent, or a descriptor stays open.
pub fn channel(pieces: &[(&[u8], usize)]) {
    let received = receive(pieces);
    let bytes: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
    let (frames, _) = decode(&[&bytes]);
    let sent: usize = pieces.iter().map(|(_, fds)| fds).sum();
    assert!(received.messages.iter().map(|(_, fds, _)| fds).sum::<usize>() <= sent);
    assert!(received.messages.len() <= frames.len());
    for ((message, _, announced), frame) in received.messages.iter().zip(&frames) {
        assert_eq!((message, *announced), (&frame.message, frame.fds));
    }
}

/// Sends the frames that the bytes are, each in pieces and its descriptors with its first byte, through a channel.
///
/// # Panics
/// As [`channel`]; or a frame does not arrive, or not with its descriptors.
pub fn whole_frames(bytes: &[u8], cut: impl Fn(&[u8]) -> Vec<&[u8]>) {
    let (mut frames, _) = decode(&[bytes]);
    frames.iter_mut().for_each(|frame| frame.fds %= 4);
    let encoded: Vec<_> = frames.iter().map(|frame| frame.message.encode(frame.fds as u8)).collect();
    let mut pieces = Vec::new();
    for (frame, encoded) in frames.iter().zip(&encoded) {
        let first = std::iter::once(frame.fds).chain(std::iter::repeat(0));
        pieces.extend(cut(encoded).into_iter().zip(first));
    }
    let received = receive(&pieces);
    let expected: Vec<_> = frames.into_iter().map(|Frame { message, fds }| (message, fds, fds)).collect();
    assert_eq!(received.messages, expected);
    assert!(!received.is_broken);
}

fn receive(pieces: &[(&[u8], usize)]) -> Received {
    LOOP.with(|event_loop| {
        let (counted, received) = (Counted::new(), Rc::<RefCell<Received>>::default());
        let sender = Pipe::new_ipc(event_loop);
        let channel = Channel::new(event_loop, |_| Box::new(Receiver(Rc::clone(&received))));
        sender.open(channel.open_pair().expect("a pair")).expect("to open");
        let turn = || event_loop.run(RunMode::NoWait).expect("the loop runs");
        for (bytes, fds) in pieces {
            let sent = sender.try_write_fds(bytes, &counted.descriptors(*fds));
            // The channel is broken and has closed its end.
            if sent.is_err() {
                break;
            }
            turn();
        }
        sender.close();
        let turns = (0..TURNS).take_while(|_| !received.borrow().is_closed && turn()).count();
        assert!(received.borrow().is_closed, "not closed after {turns} turns");
        drop(channel);
        while turn() {}
        counted.check_closed();
        received.take()
    })
}

/// Becomes a worker by an invitation of these bytes with so many descriptors.
///
/// # Panics
/// The invitation is taken for what it is not, or a descriptor stays open.
pub fn invitation(bytes: &[u8], fds: usize) {
    let counted = Counted::new();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    LOOP.with(|event_loop| {
        let pipe = Pipe::new_ipc(event_loop);
        pipe.open(ours.into()).expect("to open");
        if !bytes.is_empty() {
            pipe.try_write_fds(bytes, &counted.descriptors(fds)).expect("room");
        }
        pipe.close();
        while event_loop.run(RunMode::NoWait).expect("the loop runs") {}
    });
    match (bootstrap::receive(theirs.into()), bytes.first(), fds) {
        (Ok(_), Some(&VERSION), 1..) => {}
        (Err(Error::Invitation(InvitationError::NoChannel)), Some(&VERSION), 0) => {}
        (Err(Error::Invitation(InvitationError::Empty)), None, _) => {}
        (Err(Error::Version { primary }), Some(first), _) if primary == *first && primary != VERSION => {}
        (outcome, first, _) => panic!("{outcome:?} of {first:?} with {fds} descriptors"),
    }
    counted.check_closed();
}
