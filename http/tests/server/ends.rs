//! The ends of a server to await: that it stops, and that it has closed.

use crate::harness::{Client, Log, Site, new_server};
use async_wrap::Environment;
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Response, Server, ServerOptions};
use net::ListenOptions;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Far more than a test takes: what ends does not end by it.
const GRACE: Duration = Duration::from_secs(100);

async fn until_the_end(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    response.write(b"begun")?;
    request.stopping().await;
    Ok(response.end(b" ended")?)
}

// nodejs/node#2642: a server with a stream without an end does not close
#[test]
fn what_awaits_the_stop_ends_long_before_the_time_of_grace() {
    let site = Site::new(ServerOptions::default());
    let (server, log) = (site.server.clone(), Log::default());
    let seen = log.clone();
    let address = site.listen(Serving::new(until_the_end));
    let asked = std::thread::spawn(move || {
        let mut clients: Vec<_> = (0..10).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.get("/");
            assert_eq!((client.head().status, client.chunk()), (200, b"begun".to_vec()));
        }
        clients
    });
    let env = site.env.clone();
    let began = Instant::now();
    let stopping = server.stopping();
    site.env.spawn_local(async move {
        stopping.await;
        log.note("stopping");
    });
    let ends = site.env.block_on(async move {
        while !asked.is_finished() {
            env.sleep(Duration::from_millis(1)).await;
        }
        let (stopping, closed) = (server.stopping(), server.closed());
        let mut clients = asked.join().expect("they are answered");
        server.shutdown(GRACE).expect("it listens");
        stopping.await;
        let mut closed = pin!(closed);
        assert!(env.timeout(Duration::ZERO, closed.as_mut()).await.is_err(), "its clients are there");
        let ends = std::thread::spawn(move || clients.iter_mut().map(Client::chunks).collect::<Vec<_>>());
        closed.await;
        assert_eq!((server.connections(), server.address()), (0, None));
        ends
    });
    for end in ends.expect("the loop runs").join().expect("they end") {
        assert_eq!(end, b" ended");
    }
    assert!(began.elapsed() < GRACE / 2);
    assert_eq!(seen.all(), ["stopping"]);
    assert_eq!(site.env.run(uv_core::RunMode::Default), Ok(false), "nothing is left");
}

fn is_ready(future: impl Future) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn listen(server: &Server) {
    server
        .listen_with(ListenOptions::addr(([127, 0, 0, 1], 0).into()), |_, response| drop(response))
        .expect("to listen");
}

#[test]
fn a_server_has_ended_until_it_listens_and_may_begin_again() {
    let env = Environment::with_new_loop().expect("a loop");
    let server = new_server(&env, ServerOptions::default());
    for _ in 0..2 {
        assert!(is_ready(server.stopping()) && is_ready(server.closed()));
        listen(&server);
        assert!(!is_ready(server.stopping()) && !is_ready(server.closed()));
        server.close().expect("it listens");
        assert!(is_ready(server.stopping()) && !is_ready(server.closed()), "its end is due");
        listen(&server);
        assert!(!is_ready(server.stopping()), "it has begun again");
        server.close().expect("it listens");
        let (closed, ended) = (server.closed(), Log::default());
        let seen = ended.clone();
        env.spawn_local(async move {
            closed.await;
            ended.note("ended");
        });
        assert_eq!(env.run(uv_core::RunMode::Default), Ok(false));
        assert_eq!(seen.all(), ["ended"]);
    }
}

#[test]
fn what_waits_for_an_end_keeps_nothing_alive() {
    let env = Environment::with_new_loop().expect("a loop");
    let server = new_server(&env, ServerOptions::default());
    listen(&server);
    server.net().unref();
    let (stopping, closed) = (server.stopping(), server.closed());
    env.spawn_local(async move {
        stopping.await;
        closed.await;
    });
    assert!(env.run(uv_core::RunMode::Default).is_ok(), "it returns");
    server.close().expect("it listens");
    assert_eq!(env.run(uv_core::RunMode::Default), Ok(false));
}

struct Flag;

impl Wake for Flag {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_dropped_future_leaves_no_waker() {
    let env = Environment::with_new_loop().expect("a loop");
    let server = new_server(&env, ServerOptions::default());
    listen(&server);
    let flag = Arc::new(Flag);
    let waker = Waker::from(Arc::clone(&flag));
    let mut kept = pin!(server.closed());
    for _ in 0..1000 {
        let mut context = Context::from_waker(&waker);
        assert_eq!(pin!(server.stopping()).poll(&mut context), Poll::Pending);
        assert_eq!(kept.as_mut().poll(&mut context), Poll::Pending);
    }
    assert_eq!(Arc::strong_count(&flag), 3, "this one's, the waker's, and that of the future that is kept");
    server.close().expect("it listens");
    assert_eq!(env.run(uv_core::RunMode::Default), Ok(false));
    assert!(is_ready(kept));
}
