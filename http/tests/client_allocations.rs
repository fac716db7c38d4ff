//! A request of a client in the steady state, on a connection that is used again, allocates nothing in any layer beneath the
//! handler.

use async_wrap::Environment;
use http::agent::{Agent, AgentOptions};
use http::client::{Client, ClientRequest, Error};
use http::proto::IncomingResponse;
use http::upcall::ClientHandler;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread::JoinHandle;
use uv_core::RunMode;

/// Requests before the counting begins: every buffer has its size by then.
const WARM_UP: usize = 100;
const ROUNDS: usize = 1000;

/// A server that answers every request on one connection alike, to its end.
fn serve(answer: &'static [u8]) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let server = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("a client comes");
        peer.set_nodelay(true).expect("to set");
        let (mut request, mut requests) = ([0; 4096], 0);
        while peer.read(&mut request).expect("to read") > 0 {
            peer.write_all(answer).expect("to answer");
            requests += 1;
        }
        requests
    });
    (address, server)
}

/// Makes a request behind each response, as long as some are left.
#[derive(Clone)]
struct Next(Rc<State>);

struct State {
    client: Client,
    url: String,
    body: &'static str,
    left: Cell<usize>,
    received: Cell<usize>,
}

impl Next {
    fn send(&self) {
        let State { client, url, body, left, .. } = &*self.0;
        if left.get() > 0 {
            left.set(left.get() - 1);
            let request = match *body {
                "" => client.get(url),
                body => client.post(url).body(body),
            };
            request.field("Accept", "*/*").send(self.clone()).expect("to send");
        }
    }
}

impl ClientHandler for Next {
    fn on_response(&mut self, _: &ClientRequest, response: &IncomingResponse<'_>) {
        assert_eq!(response.status, 200);
    }

    fn on_data(&mut self, _: &ClientRequest, data: &[u8]) {
        self.0.received.set(self.0.received.get() + data.len());
    }

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        panic!("{error}");
    }

    fn on_close(&mut self, _: &ClientRequest) {
        self.send();
    }
}

/// How many blocks a thousand requests allocate.
fn count(body: &'static str, answer: &'static [u8]) -> u64 {
    let env = Environment::with_new_loop().expect("a loop");
    let (address, server) = serve(answer);
    let client = Client::new(&env).expect("a client");
    let url = format!("http://{address}/");
    let left = Cell::new(WARM_UP + ROUNDS);
    let state = Rc::new(State { client, url, body, left, received: Cell::new(0) });
    Next(Rc::clone(&state)).send();
    let run_to = |left: usize| {
        while state.left.get() > left {
            env.run(RunMode::Once).expect("the loop runs");
        }
    };
    run_to(ROUNDS);
    let counted = allocation_counter::measure(|| run_to(0));
    env.run_to_end().expect("the loop runs");
    assert_eq!(state.received.get(), 5 * (WARM_UP + ROUNDS));
    drop(state);
    env.run_to_end().expect("the loop runs");
    assert_eq!(server.join().expect("no panic"), WARM_UP + ROUNDS, "one connection has carried all");
    counted.count_total
}

// HC87
#[test]
fn requests_in_the_steady_state_allocate_nothing() {
    let whole = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!([count("", whole), count("", chunked), count("a body", whole)], [0; 3]);
}

/// Ignores what comes.
struct Ignore;

impl ClientHandler for Ignore {
    fn on_response(&mut self, _: &ClientRequest, _: &IncomingResponse<'_>) {}

    fn on_error(&mut self, _: &ClientRequest, error: Error) {
        panic!("{error}");
    }
}

/// A server that answers when as many connections have a request as a phase has.
fn serve_phases(phases: &'static [usize]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let server = std::thread::spawn(move || {
        let mut peers = Vec::new();
        for phase in phases {
            peers.resize_with(*phase, || listener.accept().expect("a client comes").0);
            let mut request = [0; 4096];
            for peer in &mut peers {
                assert!(peer.read(&mut request).expect("to read") > 0);
            }
            for peer in &mut peers {
                peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("to answer");
            }
        }
        for peer in &mut peers {
            assert_eq!(peer.read(&mut [0]).expect("to read"), 0);
        }
    });
    (address, server)
}

// HC88
#[test]
fn an_idle_connection_holds_at_most_512_bytes() {
    // The first phase makes what all connections share, such as spare records of requests.
    const PHASES: [usize; 2] = [300, 900];
    let env = Environment::with_new_loop().expect("a loop");
    let (address, server) = serve_phases(&PHASES);
    let options = AgentOptions::default().max_idle_per_origin(PHASES[1]);
    let client = Client::with_agent(&Agent::new(&env, options).expect("an agent"));
    let url = format!("http://{address}/");
    let idle = |count: usize| {
        for _ in 0..count {
            client.get(&url).send(Ignore).expect("to send");
        }
        env.run_to_end().expect("the loop runs");
    };
    idle(PHASES[0]);
    let counted = allocation_counter::measure(|| idle(PHASES[1]));
    let each = counted.bytes_current / (PHASES[1] - PHASES[0]) as i64;
    assert!((1..=512).contains(&each), "{each} bytes for each connection");
    drop(client);
    env.run_to_end().expect("the loop runs");
    server.join().expect("no panic");
}
