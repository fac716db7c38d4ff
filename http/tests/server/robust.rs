//! Bytes from outside, whatever they are: an answer or a close, never a panic and never a hang. The seed is fixed.

use crate::harness::{Client, Count, new_server, serve};
use async_wrap::Environment;
use http::proto::Fields;
use http::upcall::BodyHandler;
use http::{Body, Request, Response, ServerOptions};
use net::upcall::SocketHandler;
use net::{ConnectOptions, ListenOptions, Socket};
use std::net::SocketAddr;
use uv_core::{Loop, RunMode};

/// xorshift64*: enough to be different each time and the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

const REQUESTS: [&str; 6] = [
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST /later HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
];

struct Echo(Response);

impl BodyHandler for Echo {
    fn on_data(&mut self, _: &Body, data: &[u8]) {
        let _ = self.0.write(data);
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        let _ = self.0.end(b"");
    }
}

/// Answers at once, by and by, or from a timer.
fn app(request: &Request<'_>, response: Response) {
    match request.path() {
        "/echo" => request.body().set_handler(Echo(response)),
        "/later" => response.socket().environment().clone().next_tick(move || drop(response.end(b"later"))),
        _ => drop(response.end(b"hello")),
    }
}

/// Some requests in a row, with faults.
fn conversation(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(4) {
        bytes.extend_from_slice(REQUESTS[random.below(REQUESTS.len())].as_bytes());
    }
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.below(256) as u8,
            1 if bytes.len() > 1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, random.below(256) as u8),
            _ => bytes.truncate(at.max(1)),
        }
    }
    if random.below(50) == 0 {
        bytes.splice(0..0, vec![b'x'; 100_000]);
    }
    bytes
}

#[test]
fn mutated_conversations_end_in_an_answer_or_a_close() {
    serve(app, |address| {
        let mut random = Random(0x5eed);
        for _ in 0..1500 {
            let bytes = conversation(&mut random);
            let mut client = Client::connect(address);
            let cut = random.below(bytes.len());
            client.try_send(&bytes[..cut]);
            if random.below(4) == 0 {
                continue;
            }
            client.try_send(&bytes[cut..]);
            client.try_end_sending();
            // The end comes: reading would fail otherwise.
            client.rest();
        }
        assert_eq!(Client::connect(address).ask("/").text(), "hello");
    });
}

/// Resets the connection once it stands and the server had its turn.
struct Resetting;

impl SocketHandler for Resetting {
    fn on_connect(&mut self, socket: &Socket) {
        socket.notify();
    }

    fn on_notify(&mut self, socket: &Socket) {
        socket.reset_and_destroy().expect("to reset");
    }

    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

// Node: test-http-abort-before-end and the like
#[test]
fn a_reset_after_any_byte_is_the_end_of_one_connection() {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let server = new_server(&env, ServerOptions::default());
    let any = ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0)));
    let count = Count::default();
    let counted = count.clone();
    let handler = move |request: &Request<'_>, response: Response| {
        counted.add(1);
        app(request, response);
    };
    server.listen(any, handler).expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let conversation: Vec<u8> = REQUESTS.iter().flat_map(|request| request.bytes()).collect();
    for len in 1..=conversation.len() {
        let client = Socket::connect(&env, ConnectOptions::addr(address), Resetting);
        let client = client.expect("to connect");
        client.write(&conversation[..len]).expect("to write");
        if len % 16 == 0 {
            for _ in 0..8 {
                env.run(RunMode::NoWait).expect("the loop runs");
            }
        }
    }
    while server.connections() > 0 {
        env.run(RunMode::Once).expect("the loop runs");
    }
    server.close().expect("to close");
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert!(count.get() > 0);
}
