//! HTTP/2 by hyper on both sides, whose tasks the loop runs.

mod common;

use common::{pair, run};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2 as client;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Request, Response};
use net::async_wrap::Environment;
use std::convert::Infallible;
use std::time::Duration;
use upcall_hyper::{Io, LoopExecutor, LoopTimer};

/// Answers the later, the shorter the path is.
async fn echo(env: Environment, request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    let millis = 10_u64.saturating_sub(request.uri().path().len() as u64);
    env.sleep(Duration::from_millis(millis)).await;
    Ok(Response::new(request.into_body()))
}

#[test]
fn many_requests_share_a_connection() {
    const LENGTH: usize = 200_000;
    run(|env| async move {
        let (near, far) = pair(&env).await;
        let executor = LoopExecutor::new(&env);
        let inner = env.clone();
        let service = service_fn(move |request| echo(inner.clone(), request));
        let mut builder = server::Builder::new(executor.clone());
        builder.timer(LoopTimer::new(&env)).keep_alive_interval(Duration::from_millis(5));
        let serving = env.spawn_local(builder.serve_connection(Io::new(far), service));
        let (sender, connection) = client::handshake(executor, Io::new(near)).await.expect("open");
        let connection = env.spawn_local(connection);
        let mut tasks = Vec::new();
        for length in 1..=20 {
            let mut sender = sender.clone();
            tasks.push(env.spawn_local(async move {
                let body = Full::new(Bytes::from(vec![7; LENGTH]));
                let request = Request::post(format!("http://a/{}", "p".repeat(length))).body(body);
                let response = sender.send_request(request.expect("a right request")).await;
                let body = response.expect("an answer").into_body();
                body.collect().await.expect("all of it").to_bytes().len()
            }));
        }
        for task in tasks {
            assert_eq!(task.await.expect("no panic"), LENGTH);
        }
        // Idle for longer than the interval of its pings.
        env.sleep(Duration::from_millis(15)).await;
        assert!(!connection.is_finished());
        drop(sender);
        connection.await.expect("no panic").expect("an end between requests");
        serving.await.expect("no panic").expect("an end between requests");
    });
}
