//! A thousand pings and pongs over every kind of stream, each ping in one write or in one of many buffers.

mod common;

use bytes::Bytes;
use common::*;
use std::cell::Cell;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use uv_core::{BindOptions, Errno, Pipe, Stream, Tcp};

const PINGS: usize = 1000;
const PING: &[u8] = b"PING\n";

/// How a ping is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    OneBuffer,
    BufferPerByte,
}

impl Way {
    fn ping(self, stream: &Stream) {
        match self {
            Self::OneBuffer => stream.write(PING),
            Self::BufferPerByte => stream.writev(PING.chunks(1).map(Bytes::from_static)),
        }
        .expect("write");
    }
}

/// Counts the pongs that come back on a stream, byte by byte, and sends the next ping behind each. Closes the stream after
/// the last one.
struct Pinger {
    way: Way,
    pongs: Rc<Cell<usize>>,
}

impl Pinger {
    fn new(way: Way) -> Self {
        Self { way, pongs: Rc::default() }
    }

    /// The upcalls of the stream on which pongs arrive; `write` is where pings are written.
    fn tower(&self, log: &Log, read: &Stream, write: &Stream) -> Tower {
        let (way, pongs, next) = (self.way, Rc::clone(&self.pongs), Cell::new(0));
        let (read, write) = (read.clone(), write.clone());
        Tower::new(log, "pinger").on_read(move |data| {
            for byte in data {
                assert_eq!(*byte, PING[next.get()], "in order");
                next.set((next.get() + 1) % PING.len());
                if next.get() > 0 {
                    continue;
                }
                pongs.set(pongs.get() + 1);
                if pongs.get() == PINGS {
                    read.close();
                    write.close();
                    break;
                }
                way.ping(&write);
            }
        })
    }

    /// Connects, pings until the last pong and closes.
    fn connects(&self, log: &Log, client: &Stream) {
        let (way, pinger) = (self.way, client.clone());
        client.set_upcall(self.tower(log, client, client).on_connect(move |_| {
            assert!(pinger.is_readable() && pinger.is_writable() && !pinger.is_closing());
            way.ping(&pinger);
            pinger.read_start().expect("read_start");
        }));
    }

    fn finish(&self, event_loop: TestLoop, log: &Log) {
        event_loop.finish();
        assert_eq!(self.pongs.get(), PINGS);
        assert_eq!(log.count("pinger write ok"), PINGS);
        assert_eq!(log.lines().last().map(String::as_str), Some("pinger close"));
    }
}

/// Sends back what it reads, and closes at the end.
fn echo(stream: &Stream) {
    let (reply, ended) = (stream.clone(), stream.clone());
    stream.set_upcall(
        Tower::new(&Log::new(), "echo")
            .on_read(move |data| reply.write(data.to_vec()).expect("write"))
            .on_end(move || ended.close()),
    );
    stream.read_start().expect("read_start");
}

/// Over TCP to a server on `addr`. Returns whether this machine has that family.
fn over_tcp(way: Way, addr: SocketAddr) -> bool {
    let (event_loop, log, pinger) = (test_loop(), Log::new(), Pinger::new(way));
    let server = Tcp::new(&event_loop);
    match server.bind(addr, BindOptions::default()) {
        Err(error) if error.errno().is_no_ipv6() => {
            event_loop.close_and_finish();
            return false;
        }
        bound => bound.expect("bind"),
    }
    server
        .listen_with(128, |server, _| {
            echo(&server.accept().expect("accept"));
            server.close();
        })
        .expect("listen");
    let client = Tcp::new(&event_loop);
    pinger.connects(&log, &client);
    client.connect(server.local_addr().expect("an address")).expect("connect");
    assert!(log.lines().is_empty(), "never from inside the call");
    pinger.finish(event_loop, &log);
    true
}

/// Over two connected sockets that were made outside of the loop, of TCP or not.
fn over_adopted_sockets(way: Way) {
    let (ours, theirs) = sockets();
    let pair = UnixStream::pair().expect("socketpair");
    for (ours, theirs) in [(OwnedFd::from(ours), OwnedFd::from(theirs)), (pair.0.into(), pair.1.into())] {
        let (event_loop, log, pinger) = (test_loop(), Log::new(), Pinger::new(way));
        let (client, server) = (Tcp::new(&event_loop), Tcp::new(&event_loop));
        client.open(ours).expect("open");
        server.open(theirs).expect("open");
        echo(&server);
        client.set_upcall(pinger.tower(&log, &client, &client));
        client.read_start().expect("read_start");
        way.ping(&client);
        pinger.finish(event_loop, &log);
    }
}

fn over_a_named_pipe(way: Way) {
    let (event_loop, log, pinger) = (test_loop(), Log::new(), Pinger::new(way));
    let path = socket_path();
    let server = Pipe::new(&event_loop);
    server.bind(path.path()).expect("bind");
    server
        .listen_with(128, |server, _| {
            echo(&server.accept().expect("accept"));
            server.close();
        })
        .expect("listen");
    let client = Pipe::new(&event_loop);
    pinger.connects(&log, &client);
    client.connect(path.path()).expect("connect");
    assert!(log.lines().is_empty(), "never from inside the call");
    pinger.finish(event_loop, &log);
}

/// From the writing end of a pipe to its reading end, which are two handles.
fn over_both_ends_of_a_pipe(way: Way) {
    let (event_loop, log, pinger) = (test_loop(), Log::new(), Pinger::new(way));
    let (reader, writer) = std::io::pipe().expect("pipe");
    let (read, write) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    read.open(reader.into()).expect("open");
    write.open(writer.into()).expect("open");
    assert_eq!(errno(write.read_start()), Errno::ENOTCONN, "one direction each");
    read.set_upcall(pinger.tower(&Log::new(), &read, &write));
    write.set_upcall(Tower::new(&log, "pinger"));
    read.read_start().expect("read_start");
    way.ping(&write);
    pinger.finish(event_loop, &log);
}

// libuv: tcp_ping_pong
#[test]
fn pings_in_one_buffer_come_back_over_tcp() {
    assert!(over_tcp(Way::OneBuffer, localhost()));
    over_adopted_sockets(Way::OneBuffer);
}

// libuv: tcp_ping_pong_vec
#[test]
fn pings_in_many_buffers_come_back_over_tcp() {
    assert!(over_tcp(Way::BufferPerByte, localhost()));
    over_adopted_sockets(Way::BufferPerByte);
}

// libuv: tcp6_ping_pong, tcp6_ping_pong_vec
#[test]
fn pings_come_back_over_tcp_of_ipv6() {
    for way in [Way::OneBuffer, Way::BufferPerByte] {
        if !over_tcp(way, SocketAddr::from((Ipv6Addr::LOCALHOST, 0))) {
            println!("skipped: this machine has no IPv6");
        }
    }
}

// libuv: pipe_ping_pong
#[test]
fn pings_in_one_buffer_come_back_over_pipes() {
    over_a_named_pipe(Way::OneBuffer);
    over_both_ends_of_a_pipe(Way::OneBuffer);
}

// libuv: pipe_ping_pong_vec
#[test]
fn pings_in_many_buffers_come_back_over_pipes() {
    over_a_named_pipe(Way::BufferPerByte);
    over_both_ends_of_a_pipe(Way::BufferPerByte);
}
