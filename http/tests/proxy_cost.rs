//! What a proxied request costs this process in memory: nothing in the steady state, and little for a body of any size or for a
//! client that is idle. The upstream and the clients are on threads of their own.

use allocation_counter::AllocationInfo;
use async_wrap::{Environment, OwnedEnvironment};
use http::proxy::{Proxy, ProxyOptions};
use http::{Server, ServerOptions};
use net::ListenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;
use uv_core::RunMode;

const WARM_UP: usize = 100;
const ROUNDS: usize = 1000;

/// More than any buffer on the way.
const MUCH: usize = 64 * 1024 * 1024;

/// A proxy in a loop on this thread.
struct Site {
    env: OwnedEnvironment,
    server: Server,
    address: SocketAddr,
}

impl Site {
    fn new(upstreams: &[SocketAddr]) -> Self {
        let env = Environment::with_new_loop().expect("a loop");
        // The look at all connections that comes every second is none of a request's.
        let options = ServerOptions::default().checking_interval(Duration::from_secs(3600));
        let server = Server::new(&env, options).expect("a server");
        let urls = upstreams.iter().map(|address| format!("http://{address}").parse().expect("a URL"));
        let proxy = Proxy::new(&env, ProxyOptions::default(), urls).expect("a proxy");
        server.listen(ListenOptions::addr(([127, 0, 0, 1], 0).into()), proxy).expect("to listen");
        let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
        Self { env, server, address }
    }

    /// Runs the loop until the other side tells.
    fn run_until_told(&self, told: &Receiver<()>) {
        while let Err(empty) = told.try_recv() {
            assert_eq!(empty, TryRecvError::Empty, "the client has panicked");
            self.env.run(RunMode::NoWait).expect("the loop runs");
        }
    }

    /// Runs until `client` is warm, and counts what is allocated until it is done.
    fn count(self, client: impl FnOnce(SocketAddr, Talk) + Send + 'static) -> AllocationInfo {
        let ((tell, told), (go, went)) = (channel(), channel());
        let address = self.address;
        let client = thread::spawn(move || client(address, Talk { tell, went }));
        self.run_until_told(&told);
        go.send(()).expect("the client waits");
        let counted = allocation_counter::measure(|| self.run_until_told(&told));
        go.send(()).expect("the client waits");
        self.server.close().expect("it listens");
        self.server.close_all_connections();
        assert!(!self.env.run(RunMode::Default).expect("the loop runs"));
        client.join().expect("no panic");
        counted
    }
}

/// The client's side of the counting.
struct Talk {
    tell: Sender<()>,
    went: Receiver<()>,
}

impl Talk {
    /// What follows is counted, or is not any more.
    fn turn(&self) {
        self.tell.send(()).expect("the loop waits");
        self.went.recv().expect("the loop goes on");
    }
}

/// An upstream that answers each request on each connection with the same, once it has read so many bytes behind its head.
fn upstream(body: usize, answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("to listen");
    let address = listener.local_addr().expect("an address");
    // Each thread ends with its connection, and this one with the process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.expect("a connection"), answer.clone());
            stream.set_nodelay(true).expect("no delay");
            thread::spawn(move || while serve_one(&mut stream, body, &answer).is_some() {});
        }
    });
    address
}

fn serve_one(stream: &mut TcpStream, body: usize, answer: &[u8]) -> Option<()> {
    let (mut buffer, mut read) = (vec![0; 64 * 1024], Vec::new());
    let head = loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&buffer[..count]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let mut left = body - (read.len() - head).min(body);
    while left > 0 {
        left -= stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
    }
    stream.write_all(answer).ok()
}

/// Asks so often, and reads answers of so many bytes.
fn converse(client: &mut TcpStream, request: &[u8], answer_len: usize, rounds: usize) {
    let mut answer = vec![0; answer_len];
    for round in 0..rounds {
        client.write_all(request).expect("to send");
        let mut read = 0;
        while read < answer_len {
            let count = client.read(&mut answer[read..]).expect("an answer");
            let so_far = String::from_utf8_lossy(&answer[..read]);
            assert!(count > 0, "round {round} ends after {so_far:?}, which answers {request:?}");
            read += count;
        }
    }
}

/// The blocks that a thousand of these requests allocate.
fn blocks(upstreams: usize, request: &'static [u8], body: usize, answer: &'static [u8]) -> u64 {
    let upstreams: Vec<_> = (0..upstreams).map(|_| upstream(body, answer.to_vec())).collect();
    let counted = Site::new(&upstreams).count(move |address, talk| {
        let mut client = TcpStream::connect(address).expect("to connect");
        client.set_nodelay(true).expect("no delay");
        client.write_all(request).expect("to send");
        let (mut first, mut buffer) = (Vec::new(), [0; 4096]);
        // The answers end with the same two bytes, and have them nowhere else.
        while !first.ends_with(b"!\n") && !first.ends_with(b"!\n\r\n0\r\n\r\n") {
            let count = client.read(&mut buffer).expect("an answer");
            first.extend_from_slice(&buffer[..count]);
        }
        converse(&mut client, request, first.len(), WARM_UP);
        talk.turn();
        converse(&mut client, request, first.len(), ROUNDS);
        talk.turn();
    });
    counted.count_total
}

const GET: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: h\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b\r\n\r\n";
const POST: &[u8] =
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nbody";
const LENGTH: &[u8] =
    b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\na!\n";
const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na!\n\r\n0\r\n\r\n";

#[test]
fn a_proxied_request_in_the_steady_state_allocates_nothing() {
    for (upstreams, request, body, answer) in
        [(1, GET, 0, LENGTH), (2, GET, 0, LENGTH), (1, GET, 0, CHUNKED), (2, POST, 4, LENGTH)]
    {
        let blocks = blocks(upstreams, request, body, answer);
        let what = String::from_utf8_lossy(request);
        // A buffer may grow once more.
        assert!(blocks < ROUNDS as u64 / 100, "{blocks} blocks, {upstreams} upstreams: {what}");
    }
}

/// Reads so many bytes behind a head, a piece at a time.
fn read_much(stream: &mut TcpStream, mut left: usize) {
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let count = stream.read(&mut buffer).expect("more");
        assert!(count > 0, "the end comes {left} bytes too early");
        left = left.saturating_sub(count);
    }
}

#[test]
fn a_long_body_is_never_held_whole() {
    let down =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n").as_bytes(), &vec![b'x'; MUCH]].concat();
    let upstream =
        [upstream(0, down), upstream(MUCH, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())];
    let counted = Site::new(&upstream[..1]).count(|address, talk| {
        let mut client = TcpStream::connect(address).expect("to connect");
        talk.turn();
        client.write_all(GET).expect("to send");
        read_much(&mut client, MUCH);
        talk.turn();
    });
    assert!(counted.bytes_max < 4 << 20, "down: {counted:?}");
    let counted = Site::new(&upstream[1..]).count(|address, talk| {
        let mut client = TcpStream::connect(address).expect("to connect");
        talk.turn();
        client
            .write_all(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {MUCH}\r\n\r\n").as_bytes())
            .expect("to send");
        client.write_all(&vec![b'y'; MUCH]).expect("to send");
        read_much(&mut client, 1);
        talk.turn();
    });
    assert!(counted.bytes_max < 4 << 20, "up: {counted:?}");
}

#[test]
fn an_idle_client_in_front_costs_less_than_a_kibibyte() {
    const CLIENTS: usize = 500;
    let site = Site::new(&[upstream(0, LENGTH.to_vec())]);
    let counted = site.count(|address, talk| {
        let connect = || {
            let mut client = TcpStream::connect(address).expect("to connect");
            converse(&mut client, GET, 1, 1);
            client
        };
        // What all of them share is there by now.
        let warm: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
        talk.turn();
        let idle: Vec<TcpStream> = (0..CLIENTS).map(|_| connect()).collect();
        talk.turn();
        drop((warm, idle));
    });
    let each = counted.bytes_current / CLIENTS as i64;
    assert!(each < 1024, "{each} bytes: {counted:?}");
}
