//! Passing descriptors through IPC pipes.

mod common;

use common::{Logger, new_loop, run_to_the_end};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tcp_wrap::{PipeWrap, StreamWrap};
use uv_core::handle::HandleKind;
use uv_core::{Errno, LoopHandle};

/// Both ends of an IPC pipe.
fn ipc_pair(event_loop: &LoopHandle) -> (PipeWrap, PipeWrap) {
    let (ours, theirs) = (PipeWrap::new_ipc(event_loop), PipeWrap::new_ipc(event_loop));
    theirs.open(ours.handle().open_pair().expect("descriptors are left")).expect("a socket");
    (ours, theirs)
}

/// A connection: the end to pass, and its peer.
fn connection() -> (Rc<OwnedFd>, TcpStream) {
    let listener = TcpListener::bind(common::loopback()).expect("a free port");
    let ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    let (theirs, _) = listener.accept().expect("it was connected to");
    (Rc::new(ours.into()), theirs)
}

// Node: sequential/test-cluster-send-handle-large-payload
#[test]
fn descriptors_come_no_later_than_their_messages_also_when_those_are_read_together() {
    let event_loop = new_loop();
    let (sender, receiver) = ipc_pair(&event_loop);
    let received: Rc<RefCell<Vec<StreamWrap>>> = Rc::default();
    let (slot, pipe) = (Rc::clone(&received), receiver.clone());
    let log = Logger::set_reading(&receiver, move |stream, _| {
        while let Some(handle) = pipe.take_received() {
            let is_tcp = handle.kind == Some(HandleKind::Tcp);
            slot.borrow_mut().push(StreamWrap::from_passed(stream.loop_handle(), handle.fd, is_tcp));
        }
        if stream.bytes_read() == 9 {
            assert_eq!(slot.borrow().len(), 3, "with their messages");
        }
    });
    let sent = Logger::set(&sender);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (fd, peer) = connection();
        peers.push(peer);
        sender.write_fds("abc".into(), vec![fd]).expect("an IPC pipe");
    }
    assert_eq!(sender.bytes_written(), 9);
    sender.shutdown().expect("connected");
    receiver.read_start().expect("connected");
    sender.read_start().expect("connected");
    assert!(!event_loop.run(uv_core::RunMode::Default).expect("the loop runs"));
    assert_eq!(log.bytes(), b"abcabcabc");
    assert_eq!(sent.take(), ["write", "write", "write", "shutdown", "end", "close"]);
    assert_eq!(receiver.pending_count(), 0);
    for (wrap, mut peer) in received.take().into_iter().zip(peers) {
        let log = Logger::set(&wrap);
        wrap.read_start().expect("connected");
        peer.write_all(b"to the new owner").expect("connected");
        peer.shutdown(std::net::Shutdown::Write).expect("connected");
        assert_eq!(wrap.write(b"from it").expect("connected").later, 0);
        assert!(!event_loop.run(uv_core::RunMode::Default).expect("the loop runs"));
        assert_eq!(log.bytes(), b"to the new owner");
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).expect("the connection lives");
        assert_eq!(answer, b"from it");
    }
    run_to_the_end(&event_loop);
}

#[test]
fn descriptors_are_refused_where_they_cannot_travel() {
    let event_loop = new_loop();
    let (sender, receiver) = ipc_pair(&event_loop);
    let (fd, _peer) = connection();
    assert_eq!(
        sender.write_fds("".into(), vec![Rc::clone(&fd)]).expect_err("no byte").errno(),
        Errno::EINVAL
    );
    let many = vec![Rc::clone(&fd); 254];
    assert_eq!(sender.write_fds("x".into(), many).expect_err("too many").errno(), Errno::EINVAL);
    let (plain, _other) = common::pipe_pair(&event_loop);
    assert_eq!(plain.write_fds("x".into(), vec![fd]).expect_err("no IPC pipe").errno(), Errno::EINVAL);
    assert_eq!(sender.bytes_written(), 0);
    for wrap in [sender, receiver, plain] {
        wrap.close();
    }
    run_to_the_end(&event_loop);
}

#[test]
fn a_descriptor_that_is_not_taken_is_closed_with_the_pipe() {
    let event_loop = new_loop();
    let (sender, receiver) = ipc_pair(&event_loop);
    let (fd, mut peer) = connection();
    let pipe = receiver.clone();
    Logger::set_reading(&receiver, move |_, _| assert_eq!(pipe.pending_count(), 1));
    sender.write_fds("x".into(), vec![fd]).expect("an IPC pipe");
    sender.close();
    receiver.read_start().expect("connected");
    run_to_the_end(&event_loop);
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).expect("every copy is closed, so this does not block");
    assert_eq!(rest, b"");
}
