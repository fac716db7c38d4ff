//! Passing handles through pipes.

mod common;

use common::*;
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use uv_core::handle::HandleKind;
use uv_core::socket::Received;
use uv_core::{Errno, Pipe, Tcp};

/// Two IPC pipes of one loop, connected with each other.
fn ipc_pair(event_loop: &TestLoop) -> (Pipe, Pipe) {
    let (a, b) = (Pipe::new_ipc(event_loop), Pipe::new_ipc(event_loop));
    let theirs = a.open_pair().expect("a pair");
    b.open(theirs).expect("open");
    (a, b)
}

/// Sets a tower that takes every received descriptor, and logs each message.
fn receiver(pipe: &Pipe, log: &Log) -> Rc<RefCell<Vec<Received>>> {
    let received: Rc<RefCell<Vec<Received>>> = Rc::default();
    let (kept, this) = (Rc::clone(&received), pipe.clone());
    pipe.set_upcall(Tower::new(log, "receiver").on_read(move |_| {
        while let Some(item) = this.take_received() {
            kept.borrow_mut().push(item);
        }
        assert_eq!(this.pending_count(), 0);
    }));
    pipe.read_start().expect("read_start");
    received
}

fn dup(fd: impl AsFd) -> Rc<OwnedFd> {
    Rc::new(fd.as_fd().try_clone_to_owned().expect("dup"))
}

// libuv: pipe_sendmsg
#[test]
fn many_descriptors_of_a_message_are_queued_and_counted_down() {
    // As many as the kernel allows.
    const FDS: usize = 253;
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = ipc_pair(&event_loop);
    a.set_upcall(Tower::new(&log, "sender"));
    let this = b.clone();
    b.set_upcall(Tower::new(&log, "receiver").on_read(move |_| {
        for left in (0..FDS).rev() {
            assert!(this.take_received().is_some());
            assert_eq!(this.pending_count(), left);
        }
        assert!(this.take_received().is_none());
    }));
    b.read_start().expect("read_start");
    let null = File::open("/dev/null").expect("open");
    a.write_fds("x", (0..FDS).map(|_| dup(&null)).collect()).expect("write");
    event_loop.until(|| log.has("receiver read 1") && log.has("sender write ok"));
    event_loop.close_and_finish();
}

// libuv: what `uv_pipe_pending_type` tells. The rest of `test-ipc.c`: see `ipc_sharing.rs`
#[test]
fn what_arrives_is_identified_and_comes_with_its_own_message() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = ipc_pair(&event_loop);
    let received = receiver(&b, &log);
    let path = socket_path();
    let listener = TcpListener::bind(LOCALHOST).expect("bind");
    let (connection, _peer) = sockets();
    let unix = UnixListener::bind(path.path()).expect("bind");
    let udp = UdpSocket::bind(LOCALHOST).expect("bind");
    let file = File::open("/dev/null").expect("open");
    let fds = [dup(&listener), dup(&connection), dup(&unix), dup(&udp), dup(&file)];
    for fd in fds {
        a.write("plain").expect("write");
        a.write_fds("with", vec![fd]).expect("write");
    }
    event_loop.until(|| received.borrow().len() == 5);
    let kinds: Vec<_> = received.borrow().iter().map(|item| item.kind).collect();
    let tcp = Some(HandleKind::Tcp);
    assert_eq!(kinds, [tcp, tcp, Some(HandleKind::Pipe), None, None]);
    // The first message is not merged with later bytes that follow a descriptor.
    assert_eq!(log.lines()[0], "receiver read 9");
    event_loop.close_and_finish();
}

// libuv: ipc_listen_after_write
#[test]
fn a_listener_sent_before_it_listens_accepts_on_both_sides() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = ipc_pair(&event_loop);
    let received = receiver(&b, &log);
    let listener = TcpListener::bind(LOCALHOST).expect("bind");
    let addr = listener.local_addr().expect("an address");
    let ours = Tcp::new(&event_loop);
    ours.open(listener.as_fd().try_clone_to_owned().expect("dup")).expect("open");
    a.write_fds("x", vec![dup(&listener)]).expect("write");
    event_loop.until(|| received.borrow().len() == 1);
    let theirs = Tcp::new(&event_loop);
    theirs.open(received.borrow_mut().remove(0).fd).expect("open");
    let count = Rc::new(RefCell::new([0, 0]));
    for (index, server) in [&ours, &theirs].into_iter().enumerate() {
        let (listener, count) = (server.clone(), Rc::clone(&count));
        server
            .listen_with(16, move |_, _| {
                listener.accept().expect("accept").close();
                count.borrow_mut()[index] += 1;
            })
            .expect("listen");
    }
    let _peer = TcpStream::connect(addr).expect("connect");
    event_loop.until(|| count.borrow().iter().sum::<u32>() == 1);
    ours.close();
    let _peer = TcpStream::connect(addr).expect("connect");
    event_loop.until(|| count.borrow().iter().sum::<u32>() == 2);
    assert!(count.borrow()[1] >= 1, "it outlives the sender's");
    event_loop.close_and_finish();
}

// libuv: ipc_tcp_connection
#[test]
fn the_sender_may_let_go_right_after_the_write() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = ipc_pair(&event_loop);
    let received = receiver(&b, &log);
    let (connection, mut peer) = sockets();
    a.write_fds("x", vec![Rc::new(connection.into())]).expect("write");
    event_loop.until(|| received.borrow().len() == 1);
    let mut theirs = TcpStream::from(received.borrow_mut().remove(0).fd);
    theirs.write_all(b"hello").expect("write");
    let mut data = [0; 5];
    peer.read_exact(&mut data).expect("read");
    assert_eq!(&data, b"hello");
    event_loop.close_and_finish();
}

// libuv: ipc_send_zero
#[test]
fn a_zero_length_write_completes_and_one_with_descriptors_is_refused() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, _b) = ipc_pair(&event_loop);
    a.set_upcall(Tower::new(&log, "sender"));
    a.write("").expect("write");
    let null = dup(File::open("/dev/null").expect("open"));
    assert_eq!(errno(a.write_fds("", vec![Rc::clone(&null)])), Errno::EINVAL);
    assert_eq!(errno(a.write_fds("x", vec![null; 254])), Errno::EINVAL, "more than a message carries");
    event_loop.turn();
    assert_eq!(log.take(), ["sender write ok"]);
    event_loop.close_and_finish();
}

#[test]
fn descriptors_travel_through_ipc_pipes_only() {
    let event_loop = test_loop();
    let (ours, _theirs) = UnixStream::pair().expect("socketpair");
    let plain = Pipe::new(&event_loop);
    plain.open(ours.into()).expect("open");
    let null = dup(File::open("/dev/null").expect("open"));
    assert_eq!(errno(plain.write_fds("x", vec![null])), Errno::EINVAL);
    let (reader, _writer) = std::io::pipe().expect("pipe");
    assert_eq!(errno(Pipe::new_ipc(&event_loop).open(reader.into())), Errno::EINVAL);
    event_loop.close_and_finish();
}

// libuv: ipc_heavy_traffic_deadlock_bug
#[test]
fn heavy_traffic_both_ways_does_not_deadlock() {
    const BYTES: usize = 4 << 20;
    let event_loop = test_loop();
    let (a, b) = ipc_pair(&event_loop);
    let totals: Rc<RefCell<[usize; 2]>> = Rc::default();
    for (index, pipe) in [&a, &b].into_iter().enumerate() {
        let totals = Rc::clone(&totals);
        pipe.set_upcall(
            Tower::new(&Log::new(), "pipe").on_read(move |data| totals.borrow_mut()[index] += data.len()),
        );
        pipe.read_start().expect("read_start");
        for _ in 0..64 {
            pipe.write(vec![7; BYTES / 64]).expect("write");
        }
    }
    event_loop.until(|| *totals.borrow() == [BYTES, BYTES]);
    event_loop.close_and_finish();
}

// unpinned in libuv, issue 2086
#[test]
fn a_partial_write_sends_its_descriptors_exactly_once() {
    const BYTES: usize = 4 << 20;
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = ipc_pair(&event_loop);
    a.set_upcall(Tower::new(&log, "sender"));
    let total = Rc::new(RefCell::new((0, Vec::new())));
    let null = dup(File::open("/dev/null").expect("open"));
    // Behind a full kernel buffer, partially written themselves, and two in a row.
    a.write(vec![0; BYTES]).expect("write");
    a.write_fds(vec![1; BYTES], vec![Rc::clone(&null), Rc::clone(&null)]).expect("write");
    a.write_fds("2", vec![Rc::clone(&null)]).expect("write");
    a.write_fds(vec![3; BYTES], vec![Rc::clone(&null)]).expect("write");
    assert!(a.write_queue_size() > 2 * BYTES);
    let (sums, this) = (Rc::clone(&total), b.clone());
    b.set_upcall(Tower::new(&log, "receiver").on_read(move |data| {
        let mut sums = sums.borrow_mut();
        sums.0 += data.len();
        let read = sums.0;
        while this.take_received().is_some() {
            sums.1.push(read);
        }
    }));
    b.read_start().expect("read_start");
    event_loop.until(|| total.borrow().0 == 3 * BYTES + 1 && log.count("sender write ok") == 4);
    let arrivals = total.borrow().1.clone();
    assert_eq!(arrivals.len(), 4);
    // Each arrived with the first byte of its message: not before it, and in order.
    assert!(arrivals[0] > BYTES && arrivals[0] == arrivals[1]);
    assert!(arrivals[2] > 2 * BYTES && arrivals[3] > 2 * BYTES + 1);
    assert_eq!(Rc::strong_count(&null), 1, "none is held any longer");
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn descriptors_never_taken_are_closed_with_the_pipe() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = ipc_pair(&event_loop);
    b.set_upcall(Tower::new(&log, "receiver"));
    b.read_start().expect("read_start");
    let (connection, mut peer) = sockets();
    a.write_fds("x", vec![Rc::new(connection.into())]).expect("write");
    event_loop.until(|| b.pending_count() == 1);
    b.close();
    event_loop.turn();
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0);
    event_loop.close_and_finish();
}

#[test]
fn a_connection_accepted_by_an_ipc_listener_carries_handles() {
    let event_loop = test_loop();
    let log = Log::new();
    let path = socket_path();
    let server = Pipe::new_ipc(&event_loop);
    server.bind(path.path()).expect("bind");
    let (listener, seen) = (server.clone(), log.clone());
    let received: Rc<RefCell<Vec<Received>>> = Rc::default();
    let kept = Rc::clone(&received);
    server
        .listen_with(1, move |_, _| {
            let connection = listener.accept().expect("accept");
            let (this, kept) = (connection.clone(), Rc::clone(&kept));
            connection.set_upcall(
                Tower::new(&seen, "server").on_read(move |_| kept.borrow_mut().extend(this.take_received())),
            );
            connection.read_start().expect("read_start");
        })
        .expect("listen");
    let client = Pipe::new_ipc(&event_loop);
    let sender = client.clone();
    client.set_upcall(Tower::new(&log, "client").on_connect(move |_| {
        let null = dup(File::open("/dev/null").expect("open"));
        sender.write_fds("x", vec![null]).expect("write");
    }));
    client.connect(path.path()).expect("connect");
    event_loop.until(|| received.borrow().len() == 1);
    received.borrow_mut().clear();
    event_loop.close_and_finish();
}

#[test]
fn a_plain_pipe_reads_on_behind_a_message_with_descriptors() {
    let event_loop = test_loop();
    let log = Log::new();
    let sender = Pipe::new_ipc(&event_loop);
    let plain = Pipe::new(&event_loop);
    plain.open(sender.open_pair().expect("a pair")).expect("open");
    plain.set_upcall(Tower::new(&log, "plain"));
    plain.read_start().expect("read_start");
    event_loop.turn();
    let (connection, mut peer) = sockets();
    sender.write_fds("a", vec![Rc::new(connection.into())]).expect("write");
    sender.write("b").expect("write");
    event_loop.until(|| log.count("plain read 1") == 2);
    assert_eq!(peer.read(&mut [0]).expect("the end"), 0, "the descriptor was not asked for");
    event_loop.close_and_finish();
}
