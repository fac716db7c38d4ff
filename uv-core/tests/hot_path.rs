//! The cost of one exchange on a connection: no allocation, and no system calls except `recv`, `send` and the wait.

mod common;

use common::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use uv_core::Stream;
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Loop, RunMode, Tcp};

/// Answers with the same static bytes, in one of two ways.
struct Answer {
    at_once: bool,
}

impl StreamUpcall for Answer {
    fn on_read(&mut self, stream: &Stream, _: &[u8]) {
        if self.at_once {
            assert_eq!(stream.try_write(b"answer"), Ok(6));
        } else {
            stream.write("answer").expect("write");
        }
    }

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }
}

fn answering(event_loop: &Loop, at_once: bool) -> TcpStream {
    let (ours, peer) = sockets();
    let connection = Tcp::new(event_loop);
    connection.open(ours.into()).expect("open");
    connection.set_upcall(Answer { at_once });
    connection.read_start().expect("read_start");
    peer
}

fn exchange(event_loop: &Loop, peer: &mut TcpStream) {
    peer.write_all(b"request").expect("write");
    assert_eq!(event_loop.run(RunMode::Once), Ok(true));
    let mut answer = [0; 6];
    peer.read_exact(&mut answer).expect("read");
    assert_eq!(&answer, b"answer");
}

#[test]
fn an_exchange_allocates_nothing() {
    for at_once in [true, false] {
        let event_loop = test_loop();
        let mut peer = answering(&event_loop, at_once);
        for _ in 0..10 {
            exchange(&event_loop, &mut peer);
        }
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                exchange(&event_loop, &mut peer);
            }
        });
        assert_eq!(counted.count_total, 0, "at once: {at_once}");
        event_loop.close_and_finish();
    }
}
