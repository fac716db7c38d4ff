//! Every future of hyper over our sockets, dropped at each of its await points, leaves nothing. The only test of its process,
//! whose descriptors it counts.

mod common;
#[path = "../../../tests/shared/dropping.rs"]
mod dropping;

use common::{pair, run};
use dropping::check;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::rt::Timer;
use hyper::service::service_fn;
use hyper::{Request, Response};
use net::async_wrap::Environment;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use upcall_hyper::{Io, LoopTimer, http1_server};

/// More than a socket takes at once.
const LENGTH: usize = 300_000;
const SHORT: Duration = Duration::from_millis(1);

/// Awaits all at the same time, and returns when the last has ended.
async fn all(
    one: impl Future<Output = ()>,
    other: impl Future<Output = ()>,
    third: impl Future<Output = ()>,
) {
    let (mut one, mut other, mut third) = (pin!(one), pin!(other), pin!(third));
    let mut ended = [false; 3];
    poll_fn(|context| {
        ended[0] = ended[0] || one.as_mut().poll(context).is_ready();
        ended[1] = ended[1] || other.as_mut().poll(context).is_ready();
        ended[2] = ended[2] || third.as_mut().poll(context).is_ready();
        if ended == [true; 3] { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn echo(timer: LoopTimer, request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    timer.sleep(SHORT).await;
    Ok(Response::new(request.into_body()))
}

/// A request and its response, with both connections in one future.
async fn exchange(env: Environment) {
    let (client, server) = pair(&env).await;
    let timer = LoopTimer::new(&env);
    let service = service_fn(move |request| echo(timer.clone(), request));
    let serving = http1_server(&env).serve_connection(Io::new(server), service);
    let (mut sender, connection) = handshake(Io::new(client)).await.expect("open");
    let request = async move {
        let body = Full::new(Bytes::from(vec![7; LENGTH]));
        let request = Request::post("/").header("host", "a").body(body).expect("a right request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.into_body().collect().await.expect("all of it").to_bytes().len(), LENGTH);
    };
    let serving = async { serving.await.expect("an end between requests") };
    let connection = async { connection.await.expect("an end between requests") };
    all(serving, connection, request).await;
}

async fn sleeps(env: Environment) {
    let timer = LoopTimer::new(&env);
    timer.sleep(SHORT).await;
    let mut sleep = timer.sleep(SHORT);
    assert!(env.timeout(Duration::ZERO, sleep.as_mut()).await.is_err());
    timer.reset(&mut sleep, timer.now() + SHORT);
    drop(timer);
    sleep.await;
}

#[test]
fn a_future_that_is_dropped_at_any_await_point_leaves_nothing() {
    // Once before, for what hyper and the reads keep for a thread.
    run(exchange);
    check("a sleep", true, sleeps);
    check("an exchange", true, exchange);
}
