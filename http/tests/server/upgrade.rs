//! Connections that leave HTTP.

use crate::harness::{Client, Kept, Log, Site, serve};
use http::upcall::{BodyHandler, RequestHandler};
use http::{Body, Request, Response, ServerOptions};
use net::Socket;
use net::upcall::SocketHandler;

/// Takes what it is offered, unless the path is `/no`, and echoes.
#[derive(Clone, Default)]
struct Taking {
    log: Log,
    kept: Kept,
    body: std::rc::Rc<std::cell::RefCell<Option<Body>>>,
}

struct Echo {
    log: Log,
}

impl SocketHandler for Echo {
    fn on_data(&mut self, socket: &Socket, data: &[u8]) {
        socket.write(data).expect("to write");
    }

    fn on_end(&mut self, socket: &Socket) {
        self.log.note("end");
        socket.end();
    }

    fn on_notify(&mut self, _: &Socket) {
        self.log.note("a notice that was not asked for");
    }
}

struct Pausing(Body);

impl BodyHandler for Pausing {
    fn on_data(&mut self, _: &Body, _: &[u8]) {
        self.0.pause();
    }

    fn on_end(&mut self, _: &Body, _: &http::proto::Fields<'_>) {}
}

impl RequestHandler for Taking {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        self.log.note(format!("request:{}", request.path()));
        match request.path() {
            "/wait" => return self.kept.keep(response),
            "/go" => {
                if let Some(waiting) = self.kept.take_oldest() {
                    waiting.end(b"waited").expect("to end");
                }
            }
            "/pause" => {
                let body = request.body();
                body.set_handler(Pausing(body.clone()));
                *self.body.borrow_mut() = Some(body);
            }
            "/resume" => {
                if let Some(body) = &*self.body.borrow() {
                    body.resume();
                }
            }
            _ => {}
        }
        struct Finish(Log);
        impl http::upcall::ResponseHandler for Finish {
            fn on_finish(&mut self, _: &Response) {
                self.0.note("finish");
            }
        }
        response.set_handler(Finish(self.log.clone()));
        response.end(self.log.joined().as_bytes()).expect("to end");
    }

    fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
        request.path() != "/no" && request.target != "no:1"
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        self.log.note(format!("upgrade:{}", request.target));
        if request.path() == "/unwanted" {
            return;
        }
        socket.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").expect("to write");
        socket.write(head).expect("to write");
        socket.set_handler(Echo { log: self.log.clone() });
    }
}

fn offer(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
}

// Node: test-http-upgrade-server, test-http-upgrade-binary
#[test]
fn an_accepted_upgrade_hands_over_the_socket_with_what_followed() {
    let taking = Taking::default();
    let log = taking.log.clone();
    serve(taking, |address| {
        let mut client = Client::connect(address);
        client.ask("/first");
        client.send(offer("/yes") + "surplus");
        assert_eq!(client.head().status, 101);
        assert_eq!(client.take(7), b"surplus");
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.take(18), b"GET / HTTP/1.1\r\n\r\n");
        client.end_sending();
        client.expect_end();
    });
    assert_eq!(log.joined(), "request:/first finish upgrade:/yes end");
}

// answers before it are sent, and their handlers told
#[test]
fn an_upgrade_may_follow_other_requests_in_one_write() {
    let taking = Taking::default();
    let log = taking.log.clone();
    serve(taking, |address| {
        let mut client = Client::connect(address);
        client.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + &offer("/yes") + "x");
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.head().status, 101);
        assert_eq!(client.take(1), b"x");
    });
    assert_eq!(log.joined(), "request:/first finish upgrade:/yes end");
}

// Node: test-http-upgrade-advertise; RFC 9110, 7.8
#[test]
fn an_upgrade_that_is_not_accepted_is_a_request() {
    serve(Taking::default(), |address| {
        let mut client = Client::connect(address);
        client.send(offer("/no"));
        assert_eq!(client.answer().text(), "request:/no");
        // An offer without the connection option, with a body, or in HTTP/1.0 is none.
        client.send("GET /1 HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        client.send("POST /2 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(client.answer().status, 200);
        client.send("GET /3 HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.ask("/4").status, 200);
    });
}

#[test]
fn an_upgrade_behind_an_answer_that_is_due_is_a_request() {
    serve(Taking::default(), |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + &offer("/yes"));
        while !other.ask("/").text().contains("request:/yes") {}
        other.ask("/go");
        assert_eq!(client.answer().text(), "waited");
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn an_upgrade_that_waited_behind_a_paused_body_reads_on() {
    serve(Taking::default(), |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        let pause = "POST /pause HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi".to_owned();
        client.send(pause + &offer("/yes") + "left");
        assert_eq!(client.answer().status, 200);
        other.ask("/resume");
        assert_eq!(client.head().status, 101);
        assert_eq!(client.take(4), b"left");
        client.send("more");
        assert_eq!(client.take(4), b"more");
    });
}

// A socket that no handler takes
#[test]
fn an_upgrade_left_without_a_handler_is_closed() {
    serve(Taking::default(), |address| {
        let mut client = Client::connect(address);
        client.send(offer("/unwanted"));
        client.expect_end();
    });
}

// Node: test-http-connect; unlike Node a refusal is an answer
#[test]
fn connect_is_a_tunnel_or_501() {
    serve(Taking::default(), |address| {
        let mut client = Client::connect(address);
        client.send("CONNECT yes:1 HTTP/1.1\r\nHost: yes:1\r\n\r\ntunnelled");
        assert_eq!(client.head().status, 101);
        assert_eq!(client.take(9), b"tunnelled");
        for _ in 0..20 {
            let mut client = Client::connect(address);
            client.send("CONNECT no:1 HTTP/1.1\r\nHost: no:1\r\n\r\n");
            client.try_send("meant for the tunnel");
            let answer = client.answer();
            assert_eq!(answer.status, 501);
            assert!(answer.closes());
            client.expect_end();
        }
    });
}

// Node: test-http-server-close-all
#[test]
fn close_all_spares_upgraded_connections() {
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    struct Closing(Taking, http::Server);
    impl RequestHandler for Closing {
        fn on_request(&mut self, _: &Request<'_>, _: Response) {
            self.1.close_all_connections();
            assert_eq!(self.1.connections(), 2, "until the loop closes the other");
        }
        fn accepts_upgrade(&mut self, request: &Request<'_>) -> bool {
            self.0.accepts_upgrade(request)
        }
        fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
            self.0.on_upgrade(request, socket, head);
        }
    }
    site.run(Closing(Taking::default(), server), |address| {
        let mut upgraded = Client::connect(address);
        upgraded.send(offer("/yes"));
        assert_eq!(upgraded.head().status, 101);
        let mut closer = Client::connect(address);
        closer.get("/");
        closer.expect_end();
        upgraded.send("alive");
        assert_eq!(upgraded.take(5), b"alive");
        upgraded.end_sending();
        upgraded.expect_end();
    });
}

/// Gives every upgraded socket its handler in a task, or drops it there.
struct TakingLater;

impl RequestHandler for TakingLater {
    fn on_request(&mut self, _: &Request<'_>, response: Response) {
        response.end(b"").expect("to end");
    }

    fn accepts_upgrade(&mut self, _: &Request<'_>) -> bool {
        true
    }

    fn on_upgrade(&mut self, request: &Request<'_>, socket: Socket, head: &[u8]) {
        struct Echo;
        impl SocketHandler for Echo {
            fn on_data(&mut self, socket: &Socket, data: &[u8]) {
                socket.write(data).expect("to write");
            }
            fn on_end(&mut self, socket: &Socket) {
                socket.end();
            }
        }
        socket.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").expect("to write");
        let head = head.to_owned();
        let (is_claimed, env) = (request.path() == "/claimed", socket.environment().clone());
        env.clone().spawn_local(async move {
            env.set_timeout(std::time::Duration::from_millis(1), move || {
                if is_claimed {
                    socket.write(&head).expect("to write");
                    socket.set_handler(Echo);
                }
            });
        });
    }
}

// Node: a socket without listeners is not read, and loses nothing
#[test]
fn an_upgraded_socket_may_be_claimed_later_and_ends_if_nobody_does() {
    serve(TakingLater, |address| {
        let mut claimed = Client::connect(address);
        claimed.ask("/first");
        claimed.send(offer("/claimed"));
        claimed.send("early");
        assert_eq!(claimed.head().status, 101);
        assert_eq!(claimed.take(5), b"early");
        let mut dropped = Client::connect(address);
        dropped.send(offer("/dropped"));
        assert_eq!(dropped.head().status, 101);
        dropped.expect_end();
        claimed.end_sending();
        claimed.expect_end();
    });
}
