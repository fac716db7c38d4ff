//! Two processes with one listener, and a connection that one of them accepts and the other one serves.

mod common;
mod helper;

use common::*;
use helper::{Helper, is_helper_of};
use std::cell::Cell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use uv_core::process::Stdio;
use uv_core::socket::Received;
use uv_core::{LoopHandle, Stream, Tcp, os};

/// More than one process accepts while the other one is about to.
const CLIENTS: usize = 100;

/// A second descriptor of the handle, to be sent.
fn sendable(tcp: &Tcp) -> Vec<Rc<OwnedFd>> {
    vec![Rc::new(tcp.try_clone_fd().expect("a second descriptor"))]
}

fn adopt(event_loop: &LoopHandle, received: Received) -> Tcp {
    let tcp = Tcp::new(event_loop);
    tcp.open(received.fd).expect("open");
    tcp
}

/// Takes one connection, closes it and the listener, and calls `then`.
fn accept_one(server: &Tcp, then: impl FnOnce() + 'static) {
    let then = Cell::new(Some(then));
    server
        .listen_with(128, move |server, status| {
            status.expect("a connection");
            server.accept().expect("accept").close();
            server.close();
            if let Some(then) = then.take() {
                then();
            }
        })
        .expect("listen");
}

/// Clients that close when they know how their connect ended.
fn connect_many(event_loop: &LoopHandle, addr: SocketAddr) {
    for _ in 0..CLIENTS {
        let client = Tcp::new(event_loop);
        let connected = client.clone();
        client.set_upcall(Tower::new(&Log::new(), "client").on_connect(move |_| connected.close()));
        client.connect(addr).expect("connect");
    }
}

/// Sends a listener through the channel, before or after it listens; says when it has accepted a connection.
fn share_a_listener(event_loop: &TestLoop, listens_first: bool) {
    let channel = helper::channel(event_loop);
    let (server, _) = bound(event_loop);
    let told = channel.clone();
    let accepted = move || told.write("accepted").expect("write");
    if listens_first {
        accept_one(&server, accepted.clone());
    }
    channel.write_fds("hello", sendable(&server)).expect("write");
    if !listens_first {
        accept_one(&server, accepted);
    }
    // The report of the second write: the connection was accepted.
    let (this, writes) = (channel.clone(), Cell::new(0));
    channel.set_upcall(Tower::new(&Log::new(), "channel").on_write(move |result| {
        result.expect("the other end reads");
        writes.set(writes.get() + 1);
        if writes.get() == 2 {
            this.close();
        }
    }));
}

/// Listens to what the helper sends, and connects until both processes have accepted a connection.
fn both_accept(test: &str, listens_first: bool) {
    let event_loop = test_loop();
    if is_helper_of(test) {
        share_a_listener(&event_loop, listens_first);
        return event_loop.finish();
    }
    let (helper, channel) = Helper::with_channel(&event_loop, test);
    let log = Log::new();
    let (this, seen) = (channel.clone(), log.clone());
    channel.set_upcall(Tower::new(&Log::new(), "channel").on_read(move |data| {
        let Some(received) = this.take_received() else {
            assert_eq!(data, b"accepted");
            seen.add("there");
            return this.close();
        };
        assert_eq!((data, this.pending_count()), (&b"hello"[..], 0));
        let server = adopt(this.loop_handle(), received);
        let addr = server.local_addr().expect("an address");
        let here = seen.clone();
        accept_one(&server, move || here.add("here"));
        connect_many(this.loop_handle(), addr);
    }));
    channel.read_start().expect("read_start");
    event_loop.finish();
    assert!(log.has("here") && log.has("there") && helper.succeeded());
}

// libuv: ipc_listen_before_write
#[test]
fn a_listener_that_listens_already_accepts_in_both_processes() {
    both_accept("a_listener_that_listens_already_accepts_in_both_processes", true);
}

// libuv: ipc_listen_after_write
#[test]
fn a_listener_that_listens_later_accepts_in_both_processes() {
    both_accept("a_listener_that_listens_later_accepts_in_both_processes", false);
}

/// Connects to itself, sends the accepted end through the channel, and closes its own handle of it at once.
fn give_a_connection_away(event_loop: &TestLoop) {
    let channel = helper::channel(event_loop);
    let (server, addr) = bound(event_loop);
    let give = move |server: &Stream, _| {
        let accepted = Tcp::from_stream(&server.accept().expect("accept")).expect("it is TCP");
        channel.write_fds("hello", sendable(&accepted)).expect("write");
        accepted.close();
    };
    server.listen_with(1, give).expect("listen");
    let client = Tcp::new(event_loop);
    let (connected, answer, all) = (client.clone(), client.clone(), client.loop_handle().clone());
    client.set_upcall(
        Tower::new(&Log::new(), "client")
            .on_connect(move |_| connected.read_start().expect("read_start"))
            .on_read(move |data| {
                assert_eq!(data, b"world");
                answer.write("hello again").expect("write");
            })
            .on_write(move |result| {
                result.expect("the other end reads");
                all.close_all();
            }),
    );
    client.connect(addr).expect("connect");
}

// libuv: ipc_tcp_connection
#[test]
fn a_connection_that_another_process_accepted_carries_bytes_both_ways() {
    let test = "a_connection_that_another_process_accepted_carries_bytes_both_ways";
    let event_loop = test_loop();
    if is_helper_of(test) {
        give_a_connection_away(&event_loop);
        return event_loop.finish();
    }
    let (helper, channel) = Helper::with_channel(&event_loop, test);
    let log = Log::new();
    let (this, seen) = (channel.clone(), log.clone());
    channel.set_upcall(Tower::new(&log, "channel").on_read(move |data| {
        assert_eq!(data, b"hello");
        let connection = adopt(this.loop_handle(), this.take_received().expect("it comes with the message"));
        let (served, channel) = (connection.clone(), this.clone());
        connection.set_upcall(Tower::new(&seen, "connection").on_read(move |data| {
            assert_eq!(data, b"hello again");
            served.close();
            channel.close();
        }));
        connection.write("world").expect("write");
        connection.read_start().expect("read_start");
    }));
    channel.read_start().expect("read_start");
    event_loop.finish();
    let mut lines = log.take();
    // The two closes of one iteration.
    lines.sort_by_key(|line| line.ends_with("close"));
    assert_eq!(lines[..3], ["channel read 5", "connection write ok", "connection read 11"]);
    assert_eq!(lines.len(), 5);
    assert!(helper.succeeded());
}

// libuv: ipc_send_zero
#[test]
fn a_write_of_nothing_to_another_process_completes() {
    let test = "a_write_of_nothing_to_another_process_completes";
    let (event_loop, log) = (test_loop(), Log::new());
    if is_helper_of(test) {
        let channel = helper::channel(&event_loop);
        channel.set_upcall(Tower::new(&log, "channel"));
        channel.write("").expect("write");
        event_loop.until(|| log.has("channel write ok"));
        return event_loop.close_and_finish();
    }
    let (helper, channel) = Helper::with_channel(&event_loop, test);
    let this = channel.clone();
    channel.set_upcall(Tower::new(&log, "channel").on_end(move || this.close()));
    channel.read_start().expect("read_start");
    event_loop.finish();
    assert_eq!(log.take(), ["channel end", "channel close"]);
    assert!(helper.succeeded());
}

// libuv: spawn_tcp_server
#[test]
fn a_child_listens_on_a_socket_that_its_parent_has_bound() {
    let test = "a_child_listens_on_a_socket_that_its_parent_has_bound";
    let (event_loop, log) = (test_loop(), Log::new());
    if is_helper_of(test) {
        let server = Tcp::new(&event_loop);
        server.open(os::standard_input().expect("the socket")).expect("open");
        let accepted = log.clone();
        accept_one(&server, move || accepted.add("accepted"));
        let client = Tcp::new(&event_loop);
        client.set_upcall(Tower::new(&log, "client"));
        client.connect(server.local_addr().expect("an address")).expect("connect");
        event_loop.until(|| log.has("accepted") && log.has("client connect ok"));
        return event_loop.close_and_finish();
    }
    let (server, _) = bound(&event_loop);
    let slots = [Stdio::InheritFd(server.fileno().expect("a socket")), Stdio::Ignore];
    let helper = Helper::start(&event_loop, test, slots);
    event_loop.until(|| helper.succeeded());
    event_loop.close_and_finish();
}
