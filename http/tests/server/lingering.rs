//! What the kernel holds of an answer reaches a client that still sends when the connection is closed. A close then makes
//! a reset of the connection, which throws it away (RFC 9112, 9.6).

use crate::harness::{Client, Side, Site, impatient, serve};
use http::upcall::RequestHandler;
use http::{Request, Response};
use net::Socket;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Far more than a client's kernel takes for it while it reads slowly; what the server's holds is about as much.
const LARGE: usize = 2_500_000;

/// Pauses of a client, which fetches a large answer in four seconds.
const PAUSE: Duration = Duration::from_millis(25);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("to connect");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// The body of what was received.
fn body(received: &[u8]) -> &[u8] {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    &received[end + 4..]
}

// nginx: lingering_close
#[test]
fn a_large_answer_comes_whole_to_a_client_that_still_sends() {
    let app = |request: &Request<'_>, response: Response| {
        assert_eq!(request.path(), "/large");
        response.end(&vec![b'x'; LARGE]).expect("to end");
    };
    serve(app, |address| {
        let cases = [
            ("GET /large HTTP/1.0\r\n\r\n", "\r\n"),
            (
                "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            ),
            (
                "POST /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 9999999\r\n\r\n",
                "more",
            ),
            ("GET /large HTTP/1.1\r\nHost: h\r\n\r\nBAD\r\n\r\n", "BAD"),
        ];
        let fetch = move |request: &str, more: &str| {
            let mut stream = connect(address);
            stream.write_all(request.as_bytes()).expect("to send");
            let (mut received, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
            loop {
                match stream.read(&mut piece).unwrap_or_else(|error| panic!("{request}: {error}")) {
                    0 => break,
                    count => received.extend_from_slice(&piece[..count]),
                }
                // Refused once the server is closed.
                let _ = stream.write(more.as_bytes());
                std::thread::sleep(PAUSE);
            }
            let body = body(&received);
            assert!(body.len() >= LARGE, "{request}: {} bytes", body.len());
            assert!(body[..LARGE].iter().all(|byte| *byte == b'x'), "{request}");
        };
        let clients = cases.map(|(request, more)| std::thread::spawn(move || fetch(request, more)));
        for client in clients {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// Has the client send more before it answers.
struct Asking(Side);

impl RequestHandler for Asking {
    fn on_request(&mut self, _: &Request<'_>, response: Response) {
        self.0.tell();
        self.0.wait();
        response.end(b"hello").expect("to end");
    }

    fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
        true
    }

    fn on_upgrade(&mut self, _: &Request<'_>, socket: Socket, _: &[u8]) {
        self.0.tell();
        self.0.wait();
        socket.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nhello").expect("to write");
    }
}

#[test]
fn a_short_answer_and_its_end_come_to_a_client_that_has_sent_more() {
    let (here, there) = Side::pair();
    serve(Asking(here), move |address| {
        let cases = [
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "\r\n"),
            ("GET / HTTP/1.0\r\n\r\n", "\r\n"),
            ("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "\r\n"),
            ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "for the tunnel"),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "for the upgrade"),
        ];
        for (request, more) in cases {
            let mut stream = connect(address);
            stream.write_all(request.as_bytes()).expect("to send");
            there.wait();
            stream.write_all(more.as_bytes()).expect("to send");
            there.tell();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap_or_else(|error| panic!("{request} {more}: {error}"));
            assert_eq!(body(&received), b"hello", "{request} {more}");
        }
    });
}

/// Less than the kernel holds for a client that does not read, and more than it has sent by then.
const MEDIUM: usize = 200_000;

#[test]
fn a_connection_whose_answer_is_not_fetched_yet_is_not_cut_as_an_idle_one() {
    let options = impatient().keep_alive_timeout(Duration::from_millis(1));
    for closes in [false, true] {
        let site = Site::new(options.clone());
        let server = site.server.clone();
        let app = move |request: &Request<'_>, response: Response| match request.path() {
            "/medium" => {
                response.end(&vec![b'x'; MEDIUM]).expect("to end");
                assert_eq!(response.socket().buffered(), 0, "the kernel has all of it");
            }
            "/close-idle" => {
                server.close_idle_connections();
                response.end(b"").expect("to end");
            }
            _ => response.end(b"hello").expect("to end"),
        };
        site.run(app, move |address| {
            let mut client = Client::connect(address);
            client.get("/medium");
            if closes {
                Client::connect(address).ask("/");
                Client::connect(address).ask("/close-idle");
            } else {
                // Idle for a shorter time, and closed later.
                let mut idle = Client::connect(address);
                assert_eq!(idle.ask("/").text(), "hello");
                idle.expect_end();
            }
            let head = client.head();
            assert_eq!(head.status, 200);
            let mut received = 0;
            while received < MEDIUM {
                // Refused once the server is closed.
                client.try_send("\r\n");
                received += client.take(1000).len();
            }
            client.expect_end();
        });
    }
}
