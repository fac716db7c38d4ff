//! Every request ends once: by its response, an abort, a panic or an upgrade, and leaves nothing.

use crate::harness::{Acting, Environment, Peer, Recorder, Scripted, run};
use async_wrap::{AsyncHook, AsyncId, Provider};
use http::client::{Client, ClientRequest, ErrorKind};
use http::net::abort::AbortHandle;
use http::net::upcall::SocketHandler;
use http::proto::{IncomingResponse, ParseError};
use http::upcall::ClientHandler;
use net::Socket;
use net::uv_core::Errno;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

const CALLS: [&str; 8] = ["information", "continue", "finish", "response", "data", "end", "error", "close"];

/// A server for each of whose answers all callbacks of a request are called.
fn full_answers(count: usize) -> Scripted {
    Scripted::new(move |listener| {
        for _ in 0..count {
            let mut peer = Peer::accept(listener);
            peer.read_head();
            let _ = std::io::Write::write_all(
                &mut peer.0,
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
                  Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
            );
            peer.read_to_end();
        }
    })
}

fn ask(client: &Client, server: &Scripted, handler: impl ClientHandler + 'static) -> ClientRequest {
    let post = client.post(server.url("/")).field("Expect", "100-continue");
    post.body("hello").send(handler).expect("to send")
}

// HC80, HC81; Node: test-http-client-abort*, test-http-client-close-event, test-http-client-req-error-dont-double-fire
#[test]
fn an_abort_in_any_callback_ends_the_request_once_and_behind_its_response_changes_nothing() {
    let server = full_answers(CALLS.len());
    for at in CALLS {
        let recorder = Recorder::default();
        let acting = Acting { recorder: recorder.clone(), at, act: ClientRequest::abort };
        run(|client| _ = ask(client, &server, acting));
        let calls = recorder.take();
        let ends: Vec<_> =
            calls.iter().filter(|call| call.starts_with("end") || call.starts_with("error")).collect();
        let end =
            if matches!(at, "end" | "close" | "error") { "end" } else { "error the request was aborted" };
        assert_eq!(ends, [end], "{at}: {calls:?}");
        assert_eq!(calls.last().map(String::as_str), Some("close"), "{at}: {calls:?}");
        assert_eq!(calls.iter().filter(|call| *call == "close").count(), 1, "{at}: {calls:?}");
        if end != "end" {
            let position = calls.iter().position(|call| call.starts_with(at));
            assert!(at == "data" || position == Some(calls.len() - 3), "{at}: {calls:?}");
        }
    }
    server.join();
}

// HC83
#[test]
fn a_panic_in_a_callback_ends_its_request_and_no_other() {
    let server = full_answers(2 * CALLS.len() - 2);
    for at in CALLS {
        if at == "error" {
            continue;
        }
        let env = Environment::with_new_loop().expect("a loop");
        let client = Client::new(&env).expect("a client");
        let (panicking, other) = (Recorder::default(), Recorder::default());
        let panics: fn(&ClientRequest) = |_| resume_unwind(Box::new("a callback's"));
        ask(&client, &server, Acting { recorder: panicking.clone(), at, act: panics });
        ask(&client, &server, other.clone());
        assert!(catch_unwind(AssertUnwindSafe(|| env.run_to_end())).is_err(), "{at}");
        env.run_to_end().expect("the loop is usable");
        let calls = panicking.take();
        assert!(calls.last().is_some_and(|call| call.starts_with(at)) || at == "data", "{at}: {calls:?}");
        let calls = other.take();
        assert_eq!(calls[calls.len() - 2..], ["end", "close"], "{at}: {calls:?}");
        drop(client);
        env.run_to_end().expect("the loop is usable");
        env.close();
        env.run_to_end().expect("the loop runs");
        env.event_loop().close().expect("nothing is alive");
    }
    server.join();
}

/// Looks in each turn of the loop.
fn abort_at_finish(env: Environment, recorder: Recorder, abort: AbortHandle) {
    let again = env.clone();
    env.set_immediate(move || match recorder.calls.has("finish") {
        true => abort.abort(),
        false => abort_at_finish(again, recorder, abort),
    });
}

// Node: test-http-client-abort-signal, test-http-client-agent-abort-close-event
#[test]
fn an_abort_handle_ends_all_its_requests_before_or_after_they_begin() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.read_to_end();
    });
    let (abort, recorder) = (AbortHandle::new(), Recorder::default());
    run(|client| {
        client.get(server.url("/")).abort(&abort).send(recorder.clone()).expect("to send");
        let (abort, recorder, env) = (abort.clone(), recorder.clone(), client.environment().clone());
        abort_at_finish(env, recorder, abort);
    });
    assert_eq!(recorder.take(), ["finish", "error the request was aborted", "close"]);
    run(|client| {
        let get = client.get(server.url("/")).abort(&abort);
        get.send(recorder.clone()).expect("to send");
        assert!(recorder.take().is_empty(), "nothing is called within a call");
    });
    assert_eq!(recorder.take(), ["error the request was aborted", "close"]);
    assert_eq!(recorder.error().phase(), None);
    server.join();
}

/// Keeps the socket of an upgrade, and talks.
#[derive(Clone, Default)]
struct Upgrading(Recorder);

impl ClientHandler for Upgrading {
    fn on_response(&mut self, request: &ClientRequest, response: &IncomingResponse<'_>) {
        assert!(response.is_upgrade);
        self.0.on_response(request, response);
    }

    fn on_upgrade(&mut self, request: &ClientRequest, socket: Socket, head: &[u8]) {
        self.0.on_upgrade(request, socket.clone(), head);
        socket.write(b"ping").expect("it is open");
        socket.set_handler(Raw(self.0.clone()));
    }

    fn on_error(&mut self, request: &ClientRequest, error: http::client::Error) {
        self.0.on_error(request, error);
    }

    fn on_close(&mut self, request: &ClientRequest) {
        assert!(request.is_over() && request.socket().is_none());
        self.0.on_close(request);
    }
}

struct Raw(Recorder);

impl SocketHandler for Raw {
    fn on_data(&mut self, _: &Socket, data: &[u8]) {
        self.0.calls.push(format!("raw {}", String::from_utf8_lossy(data)));
    }
}

// HC77, HC78, HC79; Node: test-http-upgrade-client, test-http-connect
#[test]
fn an_upgrade_and_a_tunnel_hand_the_socket_over_with_what_came_behind_the_head() {
    let server = Scripted::new(|listener| {
        let mut peer = Peer::accept(listener);
        let head = peer.read_head();
        assert!(head.contains("\r\nConnection: upgrade") && head.contains("\r\nUpgrade: chat\r\n"), "{head}");
        peer.write("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: Chat\r\n\r\nearly");
        assert_eq!(peer.read_until("ping"), "ping");
        peer.write("pong");
        drop(peer);
        let mut peer = Peer::accept(listener);
        let head = peer.read_head();
        assert!(head.starts_with("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"), "{head}");
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        assert_eq!(peer.read_until("ping"), "ping");
        peer.write("pong");
    });
    let recorder = Recorder::default();
    run(|client| {
        let get = client.get(server.url("/")).field("Upgrade", "chat");
        get.send(Upgrading(recorder.clone())).expect("to send");
    });
    let calls = recorder.take();
    assert_eq!(calls, ["response 101", "upgrade early", "close", "raw pong"]);
    run(|client| {
        let connect = client.request("CONNECT", server.url("/")).target("example.org:443");
        connect.send(Upgrading(recorder.clone())).expect("to send");
    });
    assert_eq!(recorder.take(), ["response 200", "upgrade early", "close", "raw pong"]);
    server.join();
}

// HC77, HC79; Node: test-http-upgrade-client2
#[test]
fn an_upgrade_that_no_handler_takes_or_that_was_not_offered_ends_the_connection() {
    for (offer, protocol, kind) in [
        (Some("chat"), "chat", None),
        (Some("chat"), "other", Some(ErrorKind::InvalidResponse(ParseError::UnexpectedUpgrade, 62))),
        (None, "chat", Some(ErrorKind::InvalidResponse(ParseError::UnexpectedUpgrade, 61))),
    ] {
        let server = Scripted::once(move |mut peer| {
            peer.read_head();
            peer.write(&format!(
                "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"
            ));
            assert_eq!(peer.read_to_end(), b"");
        });
        let recorder = Recorder::default();
        run(|client| {
            let get = client.get(server.url("/"));
            let get = if let Some(offer) = offer { get.field("Upgrade", offer) } else { get };
            get.send(recorder.clone()).expect("to send");
        });
        match kind {
            None => assert_eq!(recorder.take(), ["finish", "response 101", "upgrade ", "close"]),
            Some(kind) => assert_eq!(recorder.kind(), kind),
        }
        server.join();
    }
}

// HC78
#[test]
fn a_refused_tunnel_is_an_ordinary_response() {
    let server = Scripted::once(|mut peer| {
        peer.read_head();
        peer.write("HTTP/1.1 502 No\r\nContent-Length: 2\r\n\r\nno");
    });
    let recorder = Recorder::default();
    run(|client| {
        let connect = client.request("CONNECT", server.url("/")).target("example.org:443");
        connect.send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take(), ["finish", "response 502", "data no", "end", "close"]);
    server.join();
}

/// What hooks are told of requests.
#[derive(Clone, Default)]
struct Requests(Rc<RefCell<Vec<(AsyncId, AsyncId)>>>, Rc<RefCell<Vec<AsyncId>>>);

impl AsyncHook for Requests {
    fn on_init(&mut self, id: AsyncId, provider: Provider, trigger: AsyncId) {
        if provider == Provider::HttpClientRequest {
            self.0.borrow_mut().push((id, trigger));
        }
    }

    fn on_destroy(&mut self, id: AsyncId) {
        if self.0.borrow().iter().any(|(request, _)| *request == id) {
            self.1.borrow_mut().push(id);
        }
    }
}

// HC84, HC86; Node: async-hooks/test-httpparser.response, async-local-storage-http-agent
#[test]
fn all_callbacks_run_in_the_requests_context_which_its_maker_has_caused() {
    let server = full_answers(2);
    let recorder = Recorder::default();
    for makes in [false, true] {
        let requests = Requests::default();
        let (hook, recorder, address) = (requests.clone(), recorder.clone(), server.url("/"));
        run(|client| {
            let env = client.environment();
            env.hook(hook).enable();
            for at in CALLS {
                let within: fn(&ClientRequest) =
                    |request| assert_eq!(request.environment().execution_async_id(), request.async_id());
                let handler = Acting { recorder: recorder.clone(), at, act: within };
                if makes && at == "end" {
                    let (client, address) = (client.clone(), address.clone());
                    env.set_timeout(std::time::Duration::from_millis(1), move || {
                        let request = client.post(address).expect_continue().body("hello").send(handler);
                        assert_ne!(request.expect("to send").async_id(), AsyncId::NONE);
                    });
                } else if !makes && at == "response" {
                    client.post(&address).expect_continue().body("hello").send(handler).expect("to send");
                }
            }
        });
        let (made, destroyed) = (requests.0.take(), requests.1.take());
        assert_eq!((made.len(), destroyed.len()), (1, 1));
        assert_eq!(made[0].1 != AsyncId::NONE, makes, "the timer has caused it");
        assert!(recorder.calls.has("close"));
    }
    server.join();
}

// Node: test-http-unix-socket
#[test]
fn a_unix_socket_carries_requests_and_the_host_of_the_url_stays() {
    let path = std::env::temp_dir().join(format!("http-client-{}.sock", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("to bind");
    let server = std::thread::spawn(move || {
        let (mut peer, _) = listener.accept().expect("it connects");
        let mut head = [0; 4096];
        let len = std::io::Read::read(&mut peer, &mut head).expect("to read");
        std::io::Write::write_all(&mut peer, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .expect("to write");
        String::from_utf8_lossy(&head[..len]).into_owned()
    });
    let recorder = Recorder::default();
    run(|client| {
        client.get("http://example.org/x").unix_path(&path).send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take(), ["finish", "response 200", "data hi", "end", "close"]);
    let head = server.join().expect("no panic");
    assert!(head.starts_with("GET /x HTTP/1.1\r\nHost: example.org\r\n"), "{head}");
    std::fs::remove_file(&path).expect("to remove");
}

// HC65; Node: test-http-dns-error, test-http-client-immediate-error
#[test]
fn a_connection_that_is_not_made_is_an_error_with_its_cause() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    let recorder = Recorder::default();
    run(|client| _ = client.get(format!("http://{address}/")).send(recorder.clone()).expect("to send"));
    assert_eq!(recorder.take(), ["error no connection was made", "close"]);
    let error = recorder.error();
    assert_eq!(error.net().and_then(net::Error::errno), Some(Errno::ECONNREFUSED));
    assert_eq!(error.phase(), Some(http::client::Phase::Connect));
    run(|client| {
        client.get("http://no-such-host.invalid/").send(recorder.clone()).expect("to send");
    });
    assert_eq!(recorder.take(), ["error no connection was made", "close"]);
    assert_eq!(recorder.error().phase(), Some(http::client::Phase::Resolve), "{}", recorder.error());
}
