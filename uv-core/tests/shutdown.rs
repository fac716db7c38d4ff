//! Finishing the writing side.

mod common;

use common::*;
use std::io::{Read, Write};
use uv_core::{Errno, Pipe, Tcp};

// libuv: tcp_shutdown_after_write
#[test]
fn the_fin_comes_after_everything_that_was_written() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    tcp.set_send_buffer_size(128 * 1024).expect("option");
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.write(vec![1; 1 << 22]).expect("write");
    tcp.shutdown().expect("shutdown");
    assert!(log.lines().is_empty());
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).expect("read");
        all.len()
    });
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!(log.take(), ["tcp write ok", "tcp shutdown ok"]);
    assert_eq!(reader.join().expect("join"), 1 << 22);
    event_loop.close_and_finish();
}

// libuv: shutdown_close_tcp, shutdown_close_pipe
#[test]
fn a_shutdown_and_a_close_at_once_give_one_report_each() {
    let event_loop = test_loop();
    let (tcp, _peer) = connected(&event_loop);
    let pipe = Pipe::new(&event_loop);
    let _theirs = pipe.open_pair().expect("a pair");
    let log = Log::new();
    for stream in [&*tcp, &*pipe] {
        stream.set_upcall(Tower::new(&log, "stream"));
        stream.shutdown().expect("shutdown");
        assert!(!stream.is_closing());
        stream.close();
        assert!(stream.is_closing());
        event_loop.turn();
        assert_eq!(log.take(), ["stream shutdown ok", "stream close"]);
    }
    event_loop.finish();
}

// libuv: shutdown_twice, not_writable_after_shutdown
#[test]
fn a_second_shutdown_is_an_error_and_so_is_a_write_after_the_first() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, _peer) = connected(&event_loop);
    tcp.set_upcall(Tower::new(&log, "tcp"));
    tcp.shutdown().expect("shutdown");
    assert!(!tcp.is_writable() && tcp.is_readable());
    assert_eq!(errno(tcp.shutdown()), Errno::ENOTCONN);
    assert_eq!(errno(tcp.write("x")), Errno::EPIPE);
    assert_eq!(errno(tcp.try_write(b"x")), Errno::EPIPE);
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!(errno(tcp.shutdown()), Errno::ENOTCONN, "also once it is done");
    event_loop.close_and_finish();
}

// libuv: shutdown_eof, shutdown_simultaneous
#[test]
fn a_shutdown_completes_even_if_the_peer_closed_first() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let this = tcp.clone();
    tcp.set_upcall(Tower::new(&log, "tcp").on_end(move || this.shutdown().expect("shutdown")));
    tcp.read_start().expect("read_start");
    peer.write_all(b"bye").expect("write");
    drop(peer);
    event_loop.until(|| log.has("tcp shutdown ok"));
    assert_eq!(log.take(), ["tcp read 3", "tcp end", "tcp shutdown ok"]);
    event_loop.close_and_finish();
}

// libuv: tcp_bind_writable_flags
#[test]
fn a_bound_or_listening_handle_neither_reads_nor_writes() {
    let event_loop = test_loop();
    let (server, _) = bound(&event_loop);
    for _ in 0..2 {
        assert_eq!(errno(server.write("x")), Errno::EPIPE);
        assert_eq!(errno(server.try_write(b"x")), Errno::EPIPE);
        assert_eq!(errno(server.shutdown()), Errno::ENOTCONN);
        assert_eq!(errno(server.read_start()), Errno::ENOTCONN);
        assert!(!server.is_readable() && !server.is_writable());
        server.listen_with(1, |_, _| {}).expect("listen");
    }
    event_loop.close_and_finish();
}

#[test]
fn a_shutdown_without_a_connection_is_an_error() {
    let event_loop = test_loop();
    assert_eq!(errno(Tcp::new(&event_loop).shutdown()), Errno::ENOTCONN);
    event_loop.close_and_finish();
}

#[test]
fn a_write_and_a_shutdown_in_on_end_reach_the_peer() {
    let event_loop = test_loop();
    let log = Log::new();
    let (tcp, mut peer) = connected(&event_loop);
    let this = tcp.clone();
    tcp.set_upcall(
        Tower::new(&log, "tcp")
            .on_end({
                let this = this.clone();
                move || {
                    this.write("goodbye").expect("write");
                    this.shutdown().expect("shutdown");
                }
            })
            .on_shutdown(move |_| this.close()),
    );
    tcp.read_start().expect("read_start");
    peer.shutdown(std::net::Shutdown::Write).expect("shutdown");
    event_loop.finish();
    let mut all = String::new();
    peer.read_to_string(&mut all).expect("read");
    assert_eq!(all, "goodbye");
    assert_eq!(log.take(), ["tcp end", "tcp write ok", "tcp shutdown ok", "tcp close"]);
}
