//! A graceful stop under load: requests under way are answered, streams end, and then the program does.

use service_tests::{Client, Running, SERVICES};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

const JSON: &str = "Content-Type: application/json\r\n";

/// Clients that ask one request after the other.
const CLIENTS: usize = 8;

/// What the clients have seen.
#[derive(Default)]
struct Load {
    answers: AtomicUsize,
    /// Requests on a connection that was closed meanwhile.
    unanswered: AtomicUsize,
    stops: AtomicBool,
}

/// Asks until the service refuses connections. An answer that has begun is whole, or the client panics.
fn ask_on(load: &Load, address: SocketAddr) {
    'connections: while let Ok(stream) = TcpStream::connect(address) {
        let mut client = Client::of(stream);
        loop {
            let is_sent = client.try_send("GET /digits.txt HTTP/1.1\r\nHost: h\r\n\r\n");
            let Some(answer) = is_sent.then(|| client.try_answer(false)).flatten() else {
                assert!(
                    load.stops.load(Ordering::SeqCst),
                    "a connection is lost in the middle of the service"
                );
                load.unanswered.fetch_add(1, Ordering::Relaxed);
                continue 'connections;
            };
            assert_eq!((answer.status, &*answer.body), (200, &b"0123456789"[..]));
            load.answers.fetch_add(1, Ordering::Relaxed);
            if answer.field("connection") == Some("close") {
                continue 'connections;
            }
        }
    }
}

/// Waits until the service accepts nothing more.
fn await_refusal(address: SocketAddr) {
    while TcpStream::connect(address).is_ok() {
        thread::yield_now();
    }
}

/// Stops a service in the middle of it all. Returns how many requests were not answered.
fn stop_under_load(package: &str) -> usize {
    let running = Running::start(package);
    let address = running.address();
    let load = Arc::new(Load::default());
    let begun = Arc::new(Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (load, begun) = (Arc::clone(&load), Arc::clone(&begun));
            thread::spawn(move || {
                begun.wait();
                ask_on(&load, address);
            })
        })
        .collect();
    let mut events = running.connect();
    events.send_request("GET /api/events", "", "");
    assert_eq!(events.head().status, 200);
    let mut slow = running.connect();
    slow.send(format!("POST /api/notes HTTP/1.1\r\nHost: h\r\n{JSON}Content-Length: 16\r\n\r\n{{\"text\""));
    begun.wait();
    while load.answers.load(Ordering::Relaxed) < 1000 {
        thread::yield_now();
    }
    load.stops.store(true, Ordering::SeqCst);
    running.terminate();
    let stopped = Instant::now();
    assert!(events.chunk().is_empty(), "{package}: the stream of events ends as it should");
    await_refusal(address);
    slow.send(": \"late\"}");
    let answer = slow.answer(false);
    assert_eq!((answer.status, &*answer.text()), (201, r#"{"id":1,"text":"late"}"#));
    assert!(slow.has_ended());
    drop((events, slow));
    for client in clients {
        client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
    assert!(running.wait().success(), "{package}");
    assert!(stopped.elapsed() < Duration::from_secs(5), "{package}: it did not need its time of grace");
    load.unanswered.load(Ordering::Relaxed)
}

/// A request that reaches axum on an idle connection at its stop is lost; ours answers for half a second more, and says that it
/// closes.
#[test]
fn a_stop_under_load_cuts_no_answer() {
    let [ours, twins] = SERVICES.map(stop_under_load);
    println!("unanswered: {ours}, and {twins} of the twin");
    assert_eq!(ours, 0);
}

#[test]
fn a_second_signal_ends_at_once_what_a_first_one_does_not() {
    let running = Running::start("service");
    let mut slow = running.connect();
    slow.send(format!("POST /api/notes HTTP/1.1\r\nHost: h\r\n{JSON}Content-Length: 16\r\n\r\n{{\"text\""));
    // Its answer comes when the slow request is with its handler.
    assert_eq!(running.connect().ask("GET /api/notes", "", "").status, 200);
    running.terminate();
    await_refusal(running.address());
    running.terminate();
    assert!(!running.wait().success(), "the signal's default action");
}
