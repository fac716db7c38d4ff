//! hyper's client against hyper's server, both over our sockets, in one loop; and a service of tower.

mod common;

use common::{pair, run};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HeaderMap, HeaderValue, TRAILER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use net::async_wrap::Environment;
use net::async_wrap::task::JoinHandle;
use std::convert::Infallible;
use std::pin::Pin;

use std::time::Duration;
use upcall_hyper::{Io, http1_server};

type AnyBody = StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>>>>>;

async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    let trailer = request.headers().get("trailer").cloned();
    let mut response = Response::new(request.into_body());
    // hyper sends only the trailers that the head names.
    response.headers_mut().extend(trailer.map(|names| (TRAILER, names)));
    Ok(response)
}

/// A client whose server echoes, and the tasks of both connections.
async fn connect<B>(env: &Environment) -> (SendRequest<B>, [JoinHandle<hyper::Result<()>>; 2])
where
    B: Body<Data = Bytes, Error = Infallible> + 'static,
{
    let (client, server) = pair(env).await;
    let serving = http1_server(env).serve_connection(Io::new(server), service_fn(echo));
    let (sender, connection) = handshake(Io::new(client)).await.expect("open");
    (sender, [env.spawn_local(serving), env.spawn_local(connection)])
}

async fn end(tasks: [JoinHandle<hyper::Result<()>>; 2]) {
    for task in tasks {
        task.await.expect("no panic").expect("an end between requests");
    }
}

fn post<B>(body: B) -> Request<B> {
    let request = Request::builder().method(Method::POST).uri("/").header("host", "a");
    request.header("te", "trailers").body(body).expect("a right request")
}

// hyper: examples/client.rs
#[test]
fn requests_follow_each_other_on_a_connection() {
    run(|env| async move {
        let (mut sender, tasks) = connect(&env).await;
        for text in ["one", "two", "three"] {
            sender.ready().await.expect("open");
            let response = sender.send_request(post(Full::new(Bytes::from(text)))).await.expect("an answer");
            assert_eq!(response.headers()["content-length"], text.len().to_string());
            assert_eq!(response.into_body().collect().await.expect("all of it").to_bytes(), text);
        }
        drop(sender);
        end(tasks).await;
    });
}

#[test]
fn a_long_body_passes_both_ways_with_its_trailers() {
    const CHUNKS: usize = 500;
    run(|env| async move {
        let (mut sender, tasks) = connect(&env).await;
        let chunk = Bytes::from(vec![7; 100_000]);
        let data = stream::iter(0..CHUNKS).map({
            let chunk = chunk.clone();
            move |_| Ok(Frame::data(chunk.clone()))
        });
        let trailers =
            HeaderMap::from_iter([("x-sum".parse().expect("a name"), HeaderValue::from_static("7"))]);
        let body = StreamBody::new(data.chain(stream::iter([Ok(Frame::trailers(trailers))])));
        let mut request = post(body);
        request.headers_mut().insert(TRAILER, HeaderValue::from_static("x-sum"));
        let mut body = sender.send_request(request).await.expect("an answer").into_body();
        let (mut length, mut sum) = (0, None);
        while let Some(frame) = body.frame().await {
            match frame.expect("all of it").into_data() {
                Ok(data) => length += data.len(),
                Err(frame) => sum = frame.into_trailers().ok(),
            }
        }
        assert_eq!(length, CHUNKS * chunk.len());
        assert_eq!(sum.expect("trailers")["x-sum"], "7");
        drop((body, sender));
        end(tasks).await;
    });
}

#[test]
fn a_response_that_is_dropped_ends_its_connection() {
    async fn endless(_: Request<Incoming>) -> Result<Response<AnyBody>, Infallible> {
        let chunks = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[7; 100_000]))));
        Ok(Response::new(StreamBody::new(Box::pin(chunks))))
    }
    run(|env| async move {
        let (client, server) = pair(&env).await;
        let serving = http1_server(&env).serve_connection(Io::new(server), service_fn(endless));
        let serving = env.spawn_local(serving);
        let (mut sender, connection) = handshake::<_, Empty<Bytes>>(Io::new(client)).await.expect("open");
        let connection = env.spawn_local(connection);
        let mut response = sender.send_request(post(Empty::new())).await.expect("an answer");
        assert!(response.body_mut().frame().await.expect("endless").is_ok());
        drop((response, sender));
        connection.await.expect("no panic").expect("the client ends it");
        let error = serving.await.expect("no panic").expect_err("the client has left");
        assert!(!error.is_timeout(), "{error}");
    });
}

#[test]
fn a_request_that_is_dropped_ends_its_connection() {
    async fn never(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
        std::future::pending().await
    }
    run(|env| async move {
        let (client, server) = pair(&env).await;
        let serving =
            env.spawn_local(http1_server(&env).serve_connection(Io::new(server), service_fn(never)));
        let (mut sender, connection) = handshake::<_, Empty<Bytes>>(Io::new(client)).await.expect("open");
        let connection = env.spawn_local(connection);
        let request = sender.send_request(post(Empty::new()));
        assert!(env.timeout(Duration::from_millis(2), request).await.is_err());
        drop(sender);
        let _ = connection.await.expect("no panic");
        let _ = serving.await.expect("no panic");
    });
}
