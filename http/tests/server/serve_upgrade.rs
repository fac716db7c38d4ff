//! Connections that leave HTTP for async functions.

use crate::harness::{Client, Log, Site};
use http::serve::{Failure, OwnedRequest, Serving, Upgrade};
use http::{Error, Response, ServerOptions};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Says which requests came to it.
async fn respond(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    Ok(response.end(format!("{} {}", request.method(), request.path()).as_bytes())?)
}

/// Echoes, after what the path asks for.
async fn echo(request: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    let fields = request.fields().get("x-late").map_or(0, <[u8]>::len);
    // `/refuse`, or `refuse:1` of a CONNECT.
    match request.target().trim_matches(['/', ':', '1']) {
        "refuse" => return Ok(upgrade.refuse(401, &[("WWW-Authenticate", "Basic")])?),
        "invalid" => return upgrade.refuse(200, &[]).map_err(Failure::from),
        "split" => return upgrade.accept(&[("X-A", "a\r\nb")]).map(drop).map_err(Failure::from),
        "fail" => return Err("on purpose".into()),
        "panic" => std::panic::resume_unwind(Box::new("on purpose")),
        _ => {}
    }
    let mut socket = upgrade.accept(&[("X-Late", if fields > 0 { "yes" } else { "no" })])?;
    if fields > 0 {
        socket.socket().environment().sleep(Duration::from_millis(5)).await;
    }
    let mut buffer = [0; 5];
    while let count @ 1.. = socket.read(&mut buffer).await? {
        socket.write_all(&buffer[..count]).await?;
    }
    Ok(())
}

fn serve<T: Send + 'static>(client: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
    let accepts = |request: &http::Request<'_>| request.path() != "/no" && request.target != "no:1";
    let handler = Serving::new(respond).with_upgrades(accepts, echo);
    Site::new(ServerOptions::default()).run(handler, client)
}

fn offer(path: &str) -> String {
    let upgrade = "Connection: upgrade, x\r\nUpgrade: echo/2, echo";
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n\r\n")
}

// Node: test-http-upgrade-server, test-http-upgrade-binary
#[test]
fn an_accepted_upgrade_reads_first_what_came_behind_the_request() {
    serve(|address| {
        for late in ["", "X-Late: 1\r\n"] {
            for surplus in [0, 1, 5, 1000, 100_000] {
                let mut client = Client::connect(address);
                client.ask("/first");
                let surplus = vec![b's'; surplus];
                let request = offer("/yes").replace("Host", &format!("{late}Host"));
                client.send([request.as_bytes(), &surplus].concat());
                let head = client.head();
                assert_eq!((head.status, head.field("Upgrade")), (101, Some("echo/2")));
                assert_eq!(head.field("Connection"), Some("Upgrade"));
                assert_eq!(head.field("X-Late"), Some(if late.is_empty() { "no" } else { "yes" }));
                assert!(head.field("Content-Length").is_none() && head.field("Transfer-Encoding").is_none());
                client.send("GET / HTTP/1.1\r\n\r\n");
                assert_eq!(client.take(surplus.len()), surplus);
                assert_eq!(client.take(18), b"GET / HTTP/1.1\r\n\r\n");
                client.end_sending();
                client.expect_end();
            }
        }
    });
}

// RFC 9110, 7.8
#[test]
fn what_is_not_accepted_is_a_request_and_a_connect_501() {
    serve(|address| {
        let mut client = Client::connect(address);
        client.send(offer("/no") + "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().text(), "GET /no");
        assert_eq!(client.answer().text(), "GET /next");
        // An offer behind a response that is due, without the connection option, with a body, or in HTTP/1.0 is none.
        let fields = "Connection: upgrade\r\nUpgrade: echo\r\n";
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: 1\r\n\r\nx"));
        assert_eq!(client.answer().text(), "POST /");
        client.send("GET /1 HTTP/1.1\r\nHost: h\r\nUpgrade: echo\r\n\r\n");
        assert_eq!(client.answer().text(), "GET /1");
        client.send("CONNECT no:1 HTTP/1.1\r\nHost: no:1\r\n\r\n");
        let answer = client.answer();
        assert!(answer.status == 501 && answer.closes());
        client.expect_end();
    });
}

// Node: test-http-connect
#[test]
fn a_connect_that_is_accepted_is_a_tunnel() {
    serve(|address| {
        let mut client = Client::connect(address);
        client.send("CONNECT yes:1 HTTP/1.1\r\nHost: yes:1\r\n\r\ntunnelled");
        let head = client.head();
        assert_eq!((head.status, head.field("Connection"), head.field("Upgrade")), (200, None, None));
        assert!(head.field("Content-Length").is_none() && head.field("Transfer-Encoding").is_none());
        assert_eq!(client.take(9), b"tunnelled");
    });
}

#[test]
fn a_refusal_and_a_failure_are_final_responses() {
    serve(|address| {
        for (what, status) in
            [("refuse", 401), ("invalid", 500), ("split", 500), ("fail", 500), ("panic", 500)]
        {
            let connect = format!("CONNECT {what}:1 HTTP/1.1\r\nHost: {what}:1\r\n\r\n");
            for request in [offer(&format!("/{what}")), connect] {
                let mut client = Client::connect(address);
                client.send(request + "surplus");
                let answer = client.answer();
                assert_eq!(answer.status, status, "{what}");
                assert_eq!(answer.field("WWW-Authenticate").is_some(), what == "refuse");
                assert!(answer.closes() && answer.body.is_empty());
                client.expect_end();
            }
        }
    });
}

#[test]
fn a_handler_that_fails_with_a_refusal_has_its_client_get_that() {
    let is_over = Rc::new(Cell::new(false));
    let failing = move |request: OwnedRequest, upgrade: Upgrade| {
        let is_over = Rc::clone(&is_over);
        fail(request, upgrade, is_over)
    };
    async fn fail(request: OwnedRequest, upgrade: Upgrade, is_over: Rc<Cell<bool>>) -> Result<(), Failure> {
        let env = request.socket().environment().clone();
        match request.path() {
            "/now" => {
                is_over.set(true);
                drop(upgrade);
            }
            "/later" => {
                env.sleep(Duration::from_millis(2)).await;
                return Err(Error::refused(403, "not yours\n").into());
            }
            "/success" => return Err(Error::refused(200, "no").into()),
            "/silent" => {
                drop(upgrade);
                while !is_over.get() {
                    env.sleep(Duration::from_millis(1)).await;
                }
            }
            _ => return Err(Error::refused(401, "who are you\n").into()),
        }
        Ok(())
    }
    let handler = Serving::new(respond).with_upgrades(|_| true, failing);
    Site::new(ServerOptions::default()).run(handler, |address| {
        for (path, status, text) in [
            ("/", 401, "who are you\n"),
            ("/later", 403, "not yours\n"),
            // Its future is not waited for.
            ("/silent", 500, ""),
            ("/now", 500, ""),
            // A success would be the start of a tunnel.
            ("/success", 500, ""),
        ] {
            let mut client = Client::connect(address);
            client.send(offer(path));
            let answer = client.answer();
            assert_eq!((answer.status, answer.text()), (status, text), "{path}");
            assert!(answer.closes());
            client.expect_end();
        }
    });
}

#[test]
fn an_upgraded_connection_may_be_taken_elsewhere() {
    let log = Log::default();
    let seen = log.clone();
    let taking = move |_: OwnedRequest, upgrade: Upgrade| {
        let log = log.clone();
        async move {
            let mut socket = upgrade.accept(&[])?;
            let env = socket.socket().environment().clone();
            env.spawn_detached(async move {
                let mut all = Vec::new();
                socket.read_to_end(&mut all).await.expect("to read");
                log.note(String::from_utf8(all).expect("text"));
                socket.write_all(b"bye").await.expect("to write");
            });
            Ok(())
        }
    };
    let handler = Serving::new(respond).with_upgrades(|_| true, taking);
    Site::new(ServerOptions::default()).run(handler, |address| {
        let mut client = Client::connect(address);
        client.send(offer("/") + "one ");
        client.head();
        client.send("two");
        client.end_sending();
        assert_eq!(client.rest(), b"bye");
    });
    assert_eq!(seen.joined(), "one two");
}

#[test]
fn a_shutdown_ends_upgraded_connections_after_its_grace() {
    let log = Log::default();
    let seen = log.clone();
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    let waiting = move |_: OwnedRequest, upgrade: Upgrade| {
        let (log, server) = (log.clone(), server.clone());
        async move {
            let mut socket = upgrade.accept(&[])?;
            server.shutdown(Duration::from_millis(20))?;
            let read = socket.read(&mut [0]).await;
            log.note(format!("{}", read.is_err()));
            assert_eq!(server.connections(), 0);
            read.map(drop).map_err(|error| Error::from(error).into())
        }
    };
    let handler = Serving::new(respond).with_upgrades(|_| true, waiting);
    site.run(handler, |address| {
        let mut client = Client::connect(address);
        client.send(offer("/"));
        assert_eq!(client.head().status, 101);
        client.expect_end();
    });
    assert_eq!(seen.joined(), "true");
}
