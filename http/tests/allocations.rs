//! A request in the steady state allocates nothing, alone or pipelined, in any layer beneath the handler; a request that an async
//! function handles allocates its future. A buffer that responses share is not copied.

use async_wrap::Environment;
use bytes::Bytes;
use http::serve::{Failure, OwnedRequest, Serving};
use http::upcall::RequestHandler;
use http::{Request, Response, Server, ServerOptions};
use net::ListenOptions;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Loop, RunMode};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const OTHER: &[u8] = b"GET /other HTTP/1.1\r\nHost: h\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

/// Exchanges before the counting begins: every buffer has its size by then.
const WARM_UP: usize = 100;
const ROUNDS: usize = 1000;

/// Sends `batch` so many times, each time reading an answer of so many bytes.
fn converse(client: &mut TcpStream, batch: &[u8], answer_len: usize, rounds: usize) {
    let mut answer = vec![0; answer_len];
    for _ in 0..rounds {
        client.write_all(batch).expect("to send");
        client.read_exact(&mut answer).expect("an answer");
    }
}

/// How many bytes answer `batch`.
fn answer_len(client: &mut TcpStream, batch: &[u8], answers: usize) -> usize {
    client.write_all(batch).expect("to send");
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while all.windows(9).filter(|window| window == b"\r\n\r\nhello").count() < answers {
        let count = client.read(&mut buffer).expect("an answer");
        all.extend_from_slice(&buffer[..count]);
    }
    all.len()
}

/// Answers `hello`, and closes the server with the last of so many answers.
struct Hello {
    server: Server,
    left: usize,
}

impl Hello {
    fn answer(&mut self, path: &str, response: &Response) {
        self.left -= 1;
        let kind = if path == "/other" { "text/other" } else { "text/plain" };
        response.set_header("Content-Type", kind).expect("to set");
        if self.left == 0 {
            self.server.close().expect("to close");
            response.set_header("Connection", "close").expect("to set");
        }
        response.end(b"hello").expect("to end");
    }
}

/// How many blocks a thousand requests of each kind allocate.
fn count<H: RequestHandler + 'static>(slow_path_only: bool, handler: impl FnOnce(Hello) -> H) -> Vec<u64> {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    // The look at all connections that comes every second is none of a request's.
    let options = ServerOptions::default().checking_interval(Duration::from_secs(3600));
    let server = Server::new(&env, options.slow_path_only(slow_path_only)).expect("a server");
    let hello = Hello { server: server.clone(), left: (1 + WARM_UP + ROUNDS) * (1 + 16 + 1 + 2) };
    server
        .listen(ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0))), handler(hello))
        .expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    // The counted part is run by one side only while the other tells when: the client's own allocations do not count.
    let (ready, counting) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let (tell_ready, tell_counting) = (ready.0, counting.0);
    let client = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).expect("to connect");
        let others = [OTHER, GET].concat();
        for (batch, answers) in [(GET.to_vec(), 1), (GET.repeat(16), 16), (POST.to_vec(), 1), (others, 2)] {
            let len = answer_len(&mut client, &batch, answers);
            converse(&mut client, &batch, len, WARM_UP);
            tell_ready.send(()).expect("the server waits");
            counting.1.recv().expect("the server counts");
            // The very last answer has other fields.
            converse(&mut client, &batch, len, ROUNDS - 1);
            tell_ready.send(()).expect("the server waits");
            counting.1.recv().expect("the server has counted");
            client.write_all(&batch).expect("to send");
            let mut rest = vec![0; len];
            let _ = client.read(&mut rest).expect("an answer");
        }
    });
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.push(count_until_told(&env, &ready.1, &tell_counting));
    }
    env.run(RunMode::Default).expect("the loop runs");
    client.join().expect("no panic");
    counts
}

#[test]
fn requests_in_the_steady_state_allocate_nothing() {
    let handler = |mut hello: Hello| {
        move |request: &Request<'_>, response: Response| hello.answer(request.path(), &response)
    };
    for slow_path_only in [false, true] {
        let counts = count(slow_path_only, handler);
        assert_eq!(counts, [0; 4], "alone, pipelined, with a body, with another head each");
    }
}

// AI18
#[test]
fn requests_that_an_async_function_handles_allocate_one_future_each() {
    async fn answer(
        hello: Rc<RefCell<Hello>>,
        request: OwnedRequest,
        response: Response,
    ) -> Result<(), Failure> {
        hello.borrow_mut().answer(request.path(), &response);
        Ok(())
    }
    let handler = |hello: Hello| {
        let hello = Rc::new(RefCell::new(hello));
        Serving::new(move |request, response| answer(Rc::clone(&hello), request, response))
    };
    for slow_path_only in [false, true] {
        let counts = count(slow_path_only, handler);
        let most = [1, 16, 1, 2].map(|requests| requests * ROUNDS as u64);
        let is_within = counts.iter().zip(most).all(|(count, most)| *count <= most);
        assert!(is_within, "{counts:?} blocks, at most {most:?} were expected");
    }
}

/// A thread of clients that ask, and read all of their answers once they are told to.
fn slow_clients(address: SocketAddr, clients: usize, told: std::sync::mpsc::Receiver<()>) -> Vec<usize> {
    let mut streams: Vec<_> =
        (0..clients).map(|_| TcpStream::connect(address).expect("to connect")).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(GET).expect("to send"));
    told.recv().expect("the server has written");
    let read = |stream: &mut TcpStream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("the answer");
        all.len()
    };
    streams.iter_mut().map(read).collect()
}

#[test]
fn a_buffer_that_many_responses_share_is_not_copied() {
    const CLIENTS: usize = 20;
    const PIECES: usize = 8;
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let server = Server::new(&env, ServerOptions::default()).expect("a server");
    let responses = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&responses);
    let handler = move |_: &Request<'_>, response: Response| {
        response.set_header("Connection", "close").expect("to set");
        kept.borrow_mut().push(response);
    };
    server.listen(ListenOptions::addr(([127, 0, 0, 1], 0).into()), handler).expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let (tell, told) = std::sync::mpsc::channel();
    let clients = std::thread::spawn(move || slow_clients(address, CLIENTS, told));
    while responses.borrow().len() < CLIENTS {
        env.run(RunMode::NoWait).expect("the loop runs");
    }
    let shared = Bytes::from(vec![b'x'; 1 << 20]);
    let counted = allocation_counter::measure(|| {
        for _ in 0..PIECES {
            for response in &*responses.borrow() {
                response.write_bytes(shared.clone()).expect("its client waits");
            }
        }
    });
    // Records of writes, and what stands around the chunks.
    assert!(counted.bytes_max < (CLIENTS * PIECES * 1024) as u64, "{counted:?}");
    let waiting: usize = responses.borrow().iter().map(|response| response.socket().buffered()).sum();
    assert!(waiting > CLIENTS << 20, "the clients are slow");
    for response in responses.take() {
        response.end(b"").expect("its client waits");
    }
    server.close().expect("it listens");
    tell.send(()).expect("the clients wait");
    env.run(RunMode::Default).expect("the loop runs");
    for len in clients.join().expect("no panic") {
        assert!(len > PIECES << 20, "{len} bytes");
    }
}

/// Runs the loop until the client is warm, and then counts until it is done.
fn count_until_told(
    env: &Environment,
    ready: &std::sync::mpsc::Receiver<()>,
    counting: &std::sync::mpsc::Sender<()>,
) -> u64 {
    while ready.try_recv().is_err() {
        env.run(RunMode::NoWait).expect("the loop runs");
    }
    counting.send(()).expect("the client waits");
    let counted = allocation_counter::measure(|| {
        while ready.try_recv().is_err() {
            env.run(RunMode::NoWait).expect("the loop runs");
        }
    });
    counting.send(()).expect("the client waits");
    counted.count_total
}
