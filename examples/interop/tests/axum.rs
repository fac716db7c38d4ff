//! The program `axum_router`, in one loop with its clients.

#[path = "../src/bin/axum_router.rs"]
#[allow(dead_code, reason = "its `main`")]
mod axum_router;
#[path = "../../../compat/hyper/tests/common/mod.rs"]
mod common;

use common::{listen, read_to_end, run};
use net::ConnectOptions;
use net::futures::AsyncSocket;
use std::time::{Duration, Instant};
use upcall_hyper::LoopTimer;

#[test]
fn a_router_of_axum_answers_and_its_handlers_sleep_by_the_loop() {
    run(|env| async move {
        let (incoming, address) = listen(&env);
        let server = incoming.server().clone();
        let router = axum_router::router(LoopTimer::new(&env));
        env.spawn_local(axum_router::serve(env.clone(), incoming, router)).detach();
        let begun = Instant::now();
        for (request, status, body) in [
            ("GET / HTTP/1.1\r\n", 200, "hello\n"),
            ("POST /echo HTTP/1.1\r\nContent-Length: 4\r\n", 200, "back"),
            ("GET /slow/7 HTTP/1.1\r\n", 200, "after 7 ms\n"),
            ("GET /slow/soon HTTP/1.1\r\n", 400, ""),
            ("GET /other HTTP/1.1\r\n", 404, ""),
        ] {
            let client = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await;
            let mut client = client.expect("it listens");
            let request = format!("{request}Host: a\r\nConnection: close\r\n\r\nback");
            client.write_all(request.as_bytes()).await.expect("open");
            let answer = read_to_end(&mut client).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.ends_with(body), "{answer}");
        }
        assert!(begun.elapsed() >= Duration::from_millis(7));
        server.close().expect("it listens");
    });
}

#[test]
fn a_client_that_leaves_drops_the_sleep_of_its_handler() {
    run(|env| async move {
        let (incoming, address) = listen(&env);
        let server = incoming.server().clone();
        let timer = LoopTimer::new(&env);
        let router = axum_router::router(timer.clone());
        env.spawn_local(axum_router::serve(env.clone(), incoming, router)).detach();
        let client = AsyncSocket::connect(&env, ConnectOptions::addr(address)).await;
        let mut client = client.expect("it listens");
        client.write_all(b"GET /slow/3600000 HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("open");
        while !format!("{timer:?}").contains("waiting: 1") {
            env.sleep(Duration::from_millis(1)).await;
        }
        server.close().expect("it listens");
    });
}
