//! Limits of time: each phase has its own, and the error names it.

use crate::harness::{Recorder, Scripted, run};
use http::client::{ClientRequest, Error, ErrorKind, Phase, TimeLimits};
use http::proto::{Fields, IncomingResponse};
use http::upcall::ClientHandler;
use std::net::TcpListener;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(30);

/// A server that answers with a text, and then waits for the client's end.
fn stuck(answer: &'static str) -> Scripted {
    Scripted::once(move |mut peer| {
        peer.read_head();
        peer.write(answer);
        peer.read_to_end();
    })
}

fn fails(server: Scripted, limits: TimeLimits) -> Error {
    let recorder = Recorder::default();
    run(|client| {
        let get = client.get(server.url("/")).time_limits(limits);
        get.send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take().last().map(String::as_str), Some("close"));
    server.join();
    recorder.error()
}

// HC65; Node: test-http-client-response-timeout, test-http-client-timeout
#[test]
fn the_error_names_the_phase_whose_limit_has_passed() {
    let head = fails(stuck(""), TimeLimits::default().head(SHORT));
    assert_eq!((head.kind(), head.phase()), (ErrorKind::Timeout, Some(Phase::Head)));
    assert!(head.elapsed(Phase::Head) >= SHORT && head.is_timeout(), "{head}");
    assert!(head.to_string().contains("waiting for the response took"), "{head}");
    let body = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel";
    let body = fails(stuck(body), TimeLimits::default().between_bytes(SHORT));
    assert_eq!((body.kind(), body.phase()), (ErrorKind::Timeout, Some(Phase::Body)));
    let whole = fails(stuck("HTTP/1.1 100 Continue\r\n\r\n"), TimeLimits::default().whole(20 * SHORT));
    assert_eq!((whole.kind(), whole.phase()), (ErrorKind::WholeTimeout, Some(Phase::Head)));
}

// HC66
#[test]
fn the_defaults_bound_every_phase_of_a_server() {
    let TimeLimits { queue, resolve, connect, send, await_continue, head, between_bytes, whole, .. } =
        TimeLimits::default();
    let secs = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
    assert_eq!([queue, whole].map(secs), [None; 2]);
    assert_eq!([resolve, connect].map(secs), [Some(10); 2]);
    assert_eq!([send, head, between_bytes].map(secs), [Some(300); 3]);
    assert_eq!(secs(await_continue), Some(1));
}

// HC65, HC66; Node: test-http-client-timeout-on-connect
#[test]
fn a_connect_that_takes_too_long_ends_in_its_phase() {
    // A backlog that is full: the kernel answers no further handshake.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let waiting: Vec<_> = (0..10_000)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok())
        .collect();
    let recorder = Recorder::default();
    run(|client| {
        let get = client.get(format!("http://{address}/"));
        get.time_limits(TimeLimits::default().connect(SHORT)).send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take(), ["error the request took too long", "close"]);
    assert_eq!(recorder.error().phase(), Some(Phase::Connect));
    drop(waiting);
}

/// Reads at its own pace: pauses with the head, and goes on later than the limit.
struct Slow(Recorder);

impl ClientHandler for Slow {
    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        self.0.on_response(request, response);
        request.pause();
        let (request, env) = (request.clone(), request.environment().clone());
        env.set_timeout(3 * SHORT, move || request.resume());
    }

    fn on_data(&mut self, request: &ClientRequest, data: &[u8]) {
        self.0.on_data(request, data);
    }

    fn on_end(&mut self, request: &ClientRequest, trailers: &Fields<'_>) {
        self.0.on_end(request, trailers);
    }

    fn on_error(&mut self, request: &ClientRequest, error: Error) {
        self.0.on_error(request, error);
    }
}

// HC69
#[test]
fn a_paused_body_does_not_run_into_the_limit_between_bytes() {
    let server = stuck("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let recorder = Recorder::default();
    run(|client| {
        let get = client.get(server.url("/")).time_limits(TimeLimits::default().between_bytes(SHORT));
        get.send(Slow(recorder.clone())).expect("to send");
    });
    assert_eq!(recorder.take(), ["response 200", "data hello", "end"]);
    server.join();
}

// HC68
#[test]
fn an_upload_that_makes_progress_does_not_run_into_the_limit_of_sending_and_one_that_stands_does() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 150;
    const LIMIT: Duration = Duration::from_secs(1);
    let server = Scripted::new(|listener| {
        let mut peer = crate::harness::Peer::accept(listener);
        peer.read_head();
        let (go, tick) = std::sync::mpsc::channel::<()>();
        let mut all = vec![0; PIECE];
        for _ in 0..PIECES {
            // A pace, not a wait for something: all pieces together take longer than the limit.
            let _ = tick.recv_timeout(LIMIT / 100);
            std::io::Read::read_exact(&mut peer.0, &mut all).expect("to read");
        }
        drop(go);
        peer.write("HTTP/1.1 204 No Content\r\n\r\n");
        let mut peer = crate::harness::Peer::accept(listener);
        peer.read_head();
        let mut ended = crate::harness::Peer::accept(listener);
        ended.read_to_end();
    });
    let limits = TimeLimits::default().send(LIMIT);
    let recorder = Recorder::default();
    run(|client| {
        let post = client.post(server.url("/")).body(vec![b'x'; PIECES * PIECE]).time_limits(limits);
        post.send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take(), ["finish", "response 204", "end", "close"], "{:?}", recorder.errors);
    run(|client| {
        let post = client.post(server.url("/")).body(vec![b'x'; 800 * PIECE]).time_limits(limits);
        post.send(recorder.clone()).expect("to send");
    });
    let error = recorder.error();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Send)), "{error}");
    drop(std::net::TcpStream::connect(server.address));
    server.join();
}
