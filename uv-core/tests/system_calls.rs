//! The system calls that the loop makes, by its trace records.

mod common;

use common::*;
use log::{LevelFilter, Log as Logger, Metadata, Record};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Mutex;
use uv_core::udp::{Udp, UdpOptions};
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Pipe, Stream};

const CALLS_RECORDED: &[&str] =
    &["accept4(2)", "poll(2)", "recv(2)", "recvmsg(2)", "epoll_ctl(2)", "recvmmsg(2)", "sendmmsg(2)"];

static CALLS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Recorder;

/// Its peer sends nothing.
struct Silent;

impl StreamUpcall for Silent {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        panic!("{data:?}");
    }

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, _: &Stream, _: Error) {}
}

impl Logger for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "uv_core"
    }

    fn log(&self, record: &Record<'_>) {
        let said = record.args().to_string();
        if CALLS_RECORDED.iter().any(|call| said.contains(call)) {
            CALLS.lock().expect("no thread panics with it").push(said);
        }
    }

    fn flush(&self) {}
}

/// Starts recording system calls; [`end`] returns them.
fn begin() {
    log::set_max_level(LevelFilter::Trace);
}

fn end() -> Vec<String> {
    log::set_max_level(LevelFilter::Off);
    std::mem::take(&mut *CALLS.lock().expect("no thread panics with it"))
}

fn count(said: &[String], what: &str) -> usize {
    said.iter().filter(|line| line.starts_with(what)).count()
}

/// The cases run in one test, because a process has one logger.
#[test]
fn listeners_pipes_and_sockets_of_datagrams_make_no_call_in_vain() {
    log::set_logger(&Recorder).expect("the first logger");
    for is_ipc in [false, true] {
        a_short_read_of_a_pipe_is_the_last(is_ipc);
    }
    for batch in [1, 3, 64] {
        it_asks_for_more_connections_instead_of_accepting_until_that_fails(batch);
        a_connection_that_comes_alone_is_registered_and_not_read(batch);
    }
    for gro in [false, true] {
        a_datagram_that_comes_alone_is_one_call(gro);
    }
    a_batch_of_datagrams_is_one_call_and_so_is_its_answer();
    many_destinations_share_few_calls();
}

fn it_asks_for_more_connections_instead_of_accepting_until_that_fails(batch: u32) {
    const CONNECTIONS: usize = 8;
    let event_loop = test_loop();
    let accepted = Rc::new(Cell::new(0));
    let (server, addr) = bound(&event_loop);
    server.set_accept_batch(batch);
    let (listener, counted) = (server.clone(), Rc::clone(&accepted));
    server
        .listen_with(64, move |_, _| {
            listener.accept().expect("announced").close();
            counted.set(counted.get() + 1);
        })
        .expect("listen");
    begin();
    // All of them wait before the loop polls, so no event reports a connection that is accepted with others.
    let peers: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(addr).expect("connect")).collect();
    event_loop.until(|| accepted.get() == CONNECTIONS);
    // Another connection arrives alone.
    let last = TcpStream::connect(addr).expect("connect");
    event_loop.until(|| accepted.get() == CONNECTIONS + 1);
    let said = end();
    assert_eq!(count(&said, "down accept4(2)"), CONNECTIONS + 1, "batch {batch}: {said:?}");
    assert_eq!(count(&said, "down poll(2)"), CONNECTIONS + 1, "batch {batch}: {said:?}");
    drop((peers, last));
    event_loop.close_and_finish();
}

fn a_connection_that_comes_alone_is_registered_and_not_read(batch: u32) {
    const CONNECTIONS: usize = 3;
    let event_loop = test_loop();
    let accepted = Rc::new(RefCell::new(Vec::new()));
    let (server, addr) = bound(&event_loop);
    server.set_accept_batch(batch);
    let (listener, kept) = (server.clone(), Rc::clone(&accepted));
    server
        .listen_with(64, move |_, _| {
            let connection = listener.accept().expect("announced");
            connection.set_upcall(Silent);
            connection.read_start().expect("read");
            kept.borrow_mut().push(connection);
        })
        .expect("listen");
    begin();
    let mut peers = Vec::new();
    for number in 1..=CONNECTIONS {
        peers.push(TcpStream::connect(addr).expect("connect"));
        event_loop.until(|| accepted.borrow().len() == number);
        event_loop.turn();
    }
    let said = end();
    assert_eq!(count(&said, "down epoll_ctl(2)"), CONNECTIONS, "batch {batch}: {said:?}");
    assert_eq!(count(&said, "down recv(2)"), 0, "batch {batch}: {said:?}");
    accepted.borrow_mut().clear();
    drop(peers);
    event_loop.close_and_finish();
}

fn a_short_read_of_a_pipe_is_the_last(is_ipc: bool) {
    let event_loop = test_loop();
    let log = Log::new();
    let pipe = if is_ipc { Pipe::new_ipc(&event_loop) } else { Pipe::new(&event_loop) };
    let mut peer = UnixStream::from(pipe.open_pair().expect("a pair"));
    pipe.set_upcall(Tower::new(&log, "pipe"));
    pipe.read_start().expect("read_start");
    event_loop.turn();
    begin();
    peer.write_all(b"hello").expect("write");
    event_loop.until(|| log.has("pipe read 5"));
    event_loop.turn();
    let said = end();
    assert_eq!(count(&said, "down recvmsg(2)"), 1, "IPC {is_ipc}: {said:?}");
    event_loop.close_and_finish();
}

fn a_datagram_that_comes_alone_is_one_call(gro: bool) {
    const DATAGRAMS: usize = 5;
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.bind(localhost(), &UdpOptions::default()).expect("bind");
    udp.set_gro(gro).expect("an option");
    let received = Rc::new(Cell::new(0));
    let counted = Rc::clone(&received);
    udp.receive_start_with(move |_, _, _| counted.set(counted.get() + 1)).expect("receive_start");
    event_loop.turn();
    let client = UdpSocket::bind(LOCALHOST).expect("bind");
    begin();
    for number in 1..=DATAGRAMS {
        client.send_to(b"alone", udp.local_addr().expect("an address")).expect("send");
        event_loop.until(|| received.get() == number);
        event_loop.turn();
    }
    let said = end();
    assert_eq!(count(&said, "down recvmmsg(2)"), DATAGRAMS, "GRO {gro}: {said:?}");
    event_loop.close_and_finish();
}

fn a_batch_of_datagrams_is_one_call_and_so_is_its_answer() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    udp.bind(localhost(), &UdpOptions::default()).expect("bind");
    udp.receive_start_with(|udp, data, envelope| {
        udp.send_to(data.to_vec(), envelope.from).expect("send");
    })
    .expect("receive_start");
    event_loop.turn();
    let client = UdpSocket::bind(LOCALHOST).expect("bind");
    for _ in 0..20 {
        client.send_to(b"question", udp.local_addr().expect("an address")).expect("send");
    }
    begin();
    event_loop.turn();
    event_loop.turn();
    let said = end();
    for call in ["down recvmmsg(2)", "down sendmmsg(2)"] {
        assert_eq!(count(&said, call), 1, "{said:?}");
    }
    assert_eq!(count(&said, "down epoll_ctl(2)"), 0, "{said:?}");
    event_loop.close_and_finish();
}

fn many_destinations_share_few_calls() {
    let event_loop = test_loop();
    let udp = Udp::new(&event_loop);
    let peers: Vec<_> = (0..10).map(|_| UdpSocket::bind(LOCALHOST).expect("bind")).collect();
    let addrs: Vec<_> = peers.iter().map(|peer| peer.local_addr().expect("an address")).collect();
    begin();
    for addr in addrs.iter().cycle().take(1000) {
        udp.send_to("hello", *addr).expect("send");
    }
    event_loop.turn();
    let said = end();
    assert_eq!(count(&said, "down sendmmsg(2)"), 1000_usize.div_ceil(64), "{said:?}");
    event_loop.close_and_finish();
}
