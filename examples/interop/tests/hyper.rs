//! The programs `hyper_server` and `hyper_client`, in one loop.

#[path = "../../../compat/hyper/tests/common/mod.rs"]
mod common;
#[path = "../src/bin/hyper_client.rs"]
#[allow(dead_code, reason = "its `main`")]
mod hyper_client;
#[path = "../src/bin/hyper_server.rs"]
#[allow(dead_code, reason = "its `main`")]
mod hyper_server;

use common::{listen, read_to_end, read_until, run};
use http_body_util::BodyExt;
use hyper::Uri;
use net::async_wrap::Environment;
use net::futures::AsyncSocket;
use net::{ConnectOptions, Server};
use std::net::SocketAddr;

/// Starts the server.
fn start(env: &Environment) -> (Server, SocketAddr) {
    let (incoming, address) = listen(env);
    let server = incoming.server().clone();
    env.spawn_local(hyper_server::serve(env.clone(), incoming)).detach();
    (server, address)
}

// AI12
#[test]
fn hypers_client_talks_to_hypers_server() {
    run(|env| async move {
        let (server, address) = start(&env);
        for (path, status) in [("/", 200), ("", 200), ("/other?a=b", 404)] {
            let url: Uri = format!("http://localhost:{}{path}", address.port()).parse().expect("a URL");
            let response = hyper_client::get(&env, &url).await.expect("it serves");
            assert_eq!(response.status(), status, "{path}");
            let body = response.into_body().collect().await.expect("all of it").to_bytes();
            assert!(body.ends_with(b"\n"), "{body:?}");
        }
        server.close().expect("it listens");
    });
}

// hyper: examples/echo.rs
#[test]
fn hypers_example_echo_passes_on_one_connection() {
    run(|env| async move {
        let (server, address) = start(&env);
        let mut client = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await.expect("it serves");
        let chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for (path, back) in
            [("/echo", "3\r\nabc\r\n2\r\nde\r\n"), ("/echo/uppercase", "3\r\nABC\r\n2\r\nDE\r\n")]
        {
            client.write_all(format!("POST {path} HTTP/1.1\r\n{chunked}").as_bytes()).await.expect("open");
            let answer = read_until(&mut client, "0\r\n\r\n").await;
            assert!(answer.ends_with(&format!("\r\n\r\n{back}0\r\n\r\n")), "{answer}");
        }
        let reversed =
            "POST /echo/reversed HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde";
        client.write_all(reversed.as_bytes()).await.expect("open");
        let answer = read_to_end(&mut client).await;
        assert!(answer.ends_with("\r\n\r\nedcba"), "{answer}");
        server.close().expect("it listens");
    });
}

#[test]
fn a_client_that_leaves_at_any_byte_leaves_nothing_in_the_loop() {
    const REQUEST: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    run(|env| async move {
        let (server, address) = start(&env);
        for length in 0..=REQUEST.len() {
            let client = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await;
            let mut client = client.expect("it serves");
            client.write_all(&REQUEST.as_bytes()[..length]).await.expect("open");
            if length % 2 == 0 {
                client.socket().reset_and_destroy().expect("TCP");
            }
        }
        server.close().expect("it listens");
    });
}

#[test]
fn a_url_without_a_host_and_a_server_that_is_not_there_are_errors() {
    run(|env| async move {
        assert!(hyper_client::get(&env, &Uri::from_static("/path")).await.is_err());
        let (incoming, address) = listen(&env);
        drop(incoming);
        let url: Uri = format!("http://{address}/").parse().expect("a URL");
        let error = hyper_client::get(&env, &url).await.expect_err("nothing listens");
        assert!(error.to_string().contains("ECONNREFUSED"), "{error}");
    });
}
