//! What a peer has sent before it broke the connection is read although a write has failed, if the program wants that.

mod common;

use common::{Log, Peer, new_loop, run_to_the_end};
use net::uv_core::Errno;
use net::{ConnectOptions, Socket};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// More than the kernel takes at once between two sockets of one machine.
const A_LOT: usize = 16 * 1024 * 1024;

/// A connection: the peer's end of it, and what the program connects to.
fn listener() -> (TcpListener, ConnectOptions) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let options = ConnectOptions::addr(listener.local_addr().expect("it has an address"));
    (listener, options)
}

/// Answers without having read, and closes: the kernel makes that a reset.
fn answer_unread(mut peer: TcpStream, answer: &[u8]) {
    // Something has come.
    peer.peek(&mut [0]).expect("the other side has written");
    peer.write_all(answer).expect("to write");
}

/// Waits until the kernel has something of the peer.
fn await_input(socket: &Socket) {
    let start = Instant::now();
    while !socket.may_have_input() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing comes");
        std::thread::yield_now();
    }
}

/// Writes to a connection that its peer breaks behind an answer.
fn write_to_broken(options: ConnectOptions, listener: TcpListener, amount: usize) -> Vec<String> {
    let (event_loop, env) = new_loop();
    let log = Log::default();
    let noted = log.clone();
    Peer::new("here", &log)
        .on("connect", move |socket| {
            let (peer, _) = listener.accept().expect("it connects");
            socket.write(b"request").expect("it is open");
            answer_unread(peer, b"answer");
            await_input(socket);
            // The reset has come too: it follows the answer at once, and the peer is closed.
            let written = socket.write(&vec![0; amount]);
            let errno = written.expect_err("the connection is broken").errno();
            noted.push(format!("failed {}", errno == Some(Errno::ECONNRESET)));
            assert_eq!(
                socket.write(b"more").expect_err("nor now").errno(),
                errno.filter(|_| !socket.is_destroyed())
            );
        })
        .connect(&env, options);
    run_to_the_end(&event_loop, &env);
    log.take()
}

#[test]
fn a_socket_that_reads_on_gets_what_came_before_its_write_failed() {
    let (listener, options) = listener();
    let log = write_to_broken(options.read_after_failed_write(true), listener, 100);
    assert_eq!(log, ["here connect", "failed true", "here data answer", "here end", "here close"]);
}

// Node: a failed write destroys the socket.
#[test]
fn another_socket_is_destroyed_by_a_failed_write() {
    let (listener, options) = listener();
    let log = write_to_broken(options, listener, 100);
    assert_eq!(log[..2], ["here connect", "failed true"]);
    assert_eq!(log.len(), 4, "{log:?}");
    assert!(log[2].starts_with("here error write") && log[3] == "here close after an error", "{log:?}");
}

/// A handler that notes what few peers are told.
struct Queueing(Log);

impl net::upcall::SocketHandler for Queueing {
    fn on_connect(&mut self, socket: &Socket) {
        // If the peer is fast the connection breaks within this call.
        let _ = socket.write(&vec![0; A_LOT]);
    }

    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.0.push(format!("data {}", String::from_utf8_lossy(data)));
    }

    fn on_write_failed(&mut self, socket: &Socket, error: &net::Error) {
        assert_eq!(socket.write(b"more").as_ref(), Err(error));
        self.0.push("write failed");
    }

    fn on_drain(&mut self, _: &Socket) {
        self.0.push("drain");
    }

    fn on_close(&mut self, _: &Socket, _: bool) {
        self.0.push("close");
    }
}

#[test]
fn the_failure_of_queued_output_is_told_and_the_answer_comes() {
    let (event_loop, env) = new_loop();
    let (listener, options) = listener();
    let peer = std::thread::spawn(move || {
        let (peer, _) = listener.accept().expect("it connects");
        answer_unread(peer, b"answer");
    });
    let log = Log::default();
    Socket::connect(&env, options.read_after_failed_write(true), Queueing(log.clone())).expect("to connect");
    run_to_the_end(&event_loop, &env);
    peer.join().expect("no panic");
    let log = log.take();
    // Whether the loop hears of the answer or of the failure first is the kernel's affair.
    assert_eq!(log.iter().filter(|entry| *entry == "data answer").count(), 1, "{log:?}");
    assert!(log.iter().filter(|entry| *entry == "write failed").count() <= 1, "{log:?}");
    assert_eq!(log.last().map(String::as_str), Some("close"));
    assert!(!log.contains(&"drain".to_owned()), "{log:?}");
}

#[test]
fn a_drain_can_be_requested_below_the_high_water_mark() {
    let (event_loop, env) = new_loop();
    let (listener, options) = listener();
    let peer = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("it connects");
        let mut all = Vec::new();
        peer.read_to_end(&mut all).expect("to read");
        all.len()
    });
    let log = Log::default();
    Peer::new("here", &log)
        .on("connect", |socket| {
            socket.request_drain();
            assert_eq!(socket.write(&vec![0; A_LOT]), Ok(true), "the mark is above that");
            assert!(socket.buffered() > 0, "the kernel does not take so much");
            socket.request_drain();
        })
        .on("drain", |socket| {
            assert_eq!(socket.buffered(), 0);
            socket.end();
        })
        .connect(&env, options.high_water_mark(2 * A_LOT));
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["here connect", "here drain", "here finish", "here end", "here close"]);
    assert_eq!(peer.join().expect("no panic"), A_LOT);
}
