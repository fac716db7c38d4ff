//! Connections that leave HTTP, and requests that end before their time.

use crate::evil::Step::{End, Fin, Head, Until};
use crate::evil::{Evil, Left, Silent, say, watch};
use crate::rig::{endless, repeated, run, slow};
use async_wrap::Environment;
use http::client::{Client, ErrorKind, Phase};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Errno, RunMode};

const SWITCHED: &str = "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhel";

// HC77, HC79.
#[test]
fn an_upgraded_connection_is_a_socket_that_begins_with_what_has_come() {
    let script = vec![Head, say(SWITCHED), say("lo"), Until("ping"), say("pong"), End, Fin];
    let (read, seen) = run([script], |site| async move {
        let request = site.get().field("Connection", "Upgrade").field("Upgrade", "echo");
        let response = request.await.expect("a response");
        assert_eq!((response.status(), response.field("upgrade")), (101, Some(&b"echo"[..])));
        let mut socket = response.upgrade().expect("it has left HTTP");
        socket.write_all(b"ping").await.expect("open");
        socket.finish().await.expect("open");
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.expect("the server ends");
        all
    });
    assert_eq!(read, b"hellopong");
    assert_eq!(seen[0].left, Left::ByFin);
}

// HC79.
#[test]
fn an_upgraded_connection_that_the_program_does_not_take_is_closed() {
    let ((), seen) = run([vec![Head, say(SWITCHED), End]], |site| async move {
        let request = site.get().field("Connection", "Upgrade").field("Upgrade", "echo");
        assert_eq!(request.await.expect("a response").bytes(10).await.expect("no body"), "");
    });
    assert_ne!(seen[0].left, Left::No);
}

#[test]
fn an_ordinary_response_is_no_socket() {
    let (body, _) =
        run([vec![Head, say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")]], |site| async move {
            let response = site.get().field("Connection", "Upgrade").field("Upgrade", "echo").await;
            let mut response = response.expect("a response").upgrade().expect_err("it is HTTP");
            response.bytes(10).await.expect("a body")
        });
    assert_eq!(body, "hi");
}

// HC82.
#[test]
fn a_future_that_is_dropped_aborts_its_request_wherever_it_is() {
    // While it connects.
    let env = Environment::with_new_loop().expect("a loop");
    let (silent, client) = (Silent::new(&env), Client::new(&env).expect("a client"));
    let (request, inner) = (client.get(silent.url("/")).into_future(), (*env).clone());
    let waited =
        env.block_on(async move { inner.timeout(Duration::from_millis(20), request).await.is_err() });
    assert_eq!(waited, Ok(true));
    drop((silent, client));
    env.run_to_end().expect("the loop runs");
    assert_eq!(env.tasks(), 0);

    // While it sends.
    let ((), seen) = run([vec![Head, End]], |site| async move {
        let body = slow(&site.env, "hello", 1000);
        let request = site.post().body_stream(body).into_future();
        assert!(site.env.timeout(Duration::from_millis(20), request).await.is_err());
    });
    assert!(seen[0].left != Left::No && !seen[0].text().ends_with("0\r\n\r\n"));

    // While a stream has nothing.
    let ((), seen) = run([vec![Head, End]], |site| async move {
        let request = site.post().body_stream(endless()).into_future();
        assert!(site.env.timeout(Duration::from_millis(20), request).await.is_err());
    });
    assert_ne!(seen[0].left, Left::No);
}

#[test]
fn a_stream_that_fails_aborts_the_request_and_is_why() {
    let (error, seen) = run([vec![Head, End]], |site| async move {
        let body = repeated("hello", 2, Some("out of paper"));
        site.post().body_stream(body).await.expect_err("the body has no end")
    });
    assert_eq!(error.kind(), ErrorKind::BodyStream);
    assert!(error.to_string().contains("out of paper"), "{error}");
    assert!(seen.iter().all(|seen| !seen.text().ends_with("0\r\n\r\n")));
}

#[test]
fn a_connection_that_is_refused_is_an_error_with_its_cause() {
    let (error, _) = run([], |site| async move {
        let refusing = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = refusing.local_addr().expect("an address");
        drop(refusing);
        site.client.get(format!("http://{address}/")).await.expect_err("no server listens there")
    });
    assert_eq!((error.kind(), error.phase()), (ErrorKind::Connect, Some(Phase::Connect)));
    assert_eq!(error.net().and_then(net::Error::errno), Some(Errno::ECONNREFUSED));
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::ConnectionRefused);
}

// HC83.
#[test]
fn a_callback_that_panics_ends_its_request_only() {
    let env = Environment::with_new_loop().expect("a loop");
    let evil = Evil::new(
        &env,
        [
            vec![Head, say("HTTP/1.1 103 E\r\n\r\nHTTP/1.1 204 N\r\n\r\n"), End],
            vec![Head, say("HTTP/1.1 204 N\r\n\r\n")],
        ],
    );
    let client = Client::new(&env).expect("a client");
    let ends = Rc::new(RefCell::new(Vec::new()));
    for is_bad in [true, false] {
        let request = client.get(evil.url("/")).on_information(move |_| {
            if is_bad {
                resume_unwind(Box::new("the callback's own"));
            }
        });
        let ends = Rc::clone(&ends);
        env.spawn_detached(async move {
            let end = request.await.map(|response| response.status());
            ends.borrow_mut().push(end.map_err(|error| error.kind()));
        });
    }
    let watched = watch(&env, "the client");
    let panic = catch_unwind(AssertUnwindSafe(|| env.run(RunMode::Default))).expect_err("it panics");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the callback's own"));
    assert_eq!(env.run(RunMode::Default), Ok(false));
    watched.clear();
    let mut ends = ends.take();
    ends.sort_by_key(Result::is_ok);
    assert_eq!(ends, [Err(ErrorKind::Aborted), Ok(204)]);
    drop(client);
    assert_ne!(evil.finish()[0].left, Left::No);
    env.run_to_end().expect("the loop runs");
}
