//! A request in the steady state allocates nothing, alone or pipelined, in any layer beneath the handler.

use async_wrap::Environment;
use http::{Request, Response, Server, ServerOptions};
use net::ListenOptions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
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

#[test]
fn requests_in_the_steady_state_allocate_nothing() {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    // The look at all connections that comes every second is none of a request's.
    let options = ServerOptions::default().checking_interval(Duration::from_secs(3600));
    let server = Server::new(&env, options).expect("a server");
    let (closing, mut seen) = (server.clone(), 0);
    let all = (1 + WARM_UP + ROUNDS) * (1 + 16 + 1 + 2);
    let handler = move |request: &Request<'_>, response: Response| {
        seen += 1;
        let kind = if request.path() == "/other" { "text/other" } else { "text/plain" };
        response.set_header("Content-Type", kind).expect("to set");
        if seen == all {
            closing.close().expect("to close");
            response.set_header("Connection", "close").expect("to set");
        }
        response.end(b"hello").expect("to end");
    };
    server.listen(ListenOptions::addr(SocketAddr::from(([127, 0, 0, 1], 0))), handler).expect("to listen");
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
    assert_eq!(counts, [0; 4], "alone, pipelined, with a body, with another head each");
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
