//! hyper's server over a socket, as a client sees its bytes: what hyper's own examples do, and the limit for heads.

mod common;

use common::{listen, new_loop, pair, read_to_end, read_until, run};
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use net::ConnectOptions;
use net::async_wrap::Environment;
use net::async_wrap::task::JoinHandle;
use net::futures::AsyncSocket;
use net::uv_core::RunMode;
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};
use upcall_hyper::{Io, http1_server};

type AnyBody = BoxBody<Bytes, hyper::Error>;

fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

// hyper: examples/echo.rs
async fn answer(request: Request<Incoming>) -> Result<Response<AnyBody>, hyper::Error> {
    let body = match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => full("hello"),
        (&Method::POST, "/echo") => request.into_body().boxed(),
        (&Method::POST, "/echo/uppercase") => {
            let upper = |frame: Frame<Bytes>| frame.map_data(|data| data.to_ascii_uppercase().into());
            request.into_body().map_frame(upper).boxed()
        }
        (&Method::POST, "/echo/reversed") => {
            if request.body().size_hint().upper().is_none_or(|size| size > 64 * 1024) {
                let mut response = Response::new(full("too big"));
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                return Ok(response);
            }
            let mut all = request.into_body().collect().await?.to_bytes().to_vec();
            all.reverse();
            full(all)
        }
        (&Method::POST, "/trailers") => {
            let all = request.into_body().collect().await?;
            let trailers = all.trailers().cloned().unwrap_or_default();
            let frames = [Ok(Frame::data(all.to_bytes())), Ok(Frame::trailers(trailers))];
            let mut response = Response::new(StreamBody::new(stream::iter(frames)).boxed());
            response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
            return Ok(response);
        }
        _ => {
            let mut response = Response::new(full("not found"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    Ok(Response::new(body))
}

/// A client whose connection a server of hyper has, and the server's task.
async fn connect(env: &Environment) -> (AsyncSocket, JoinHandle<hyper::Result<()>>) {
    let (client, server) = pair(env).await;
    let connection = http1_server(env).serve_connection(Io::new(server), service_fn(answer));
    (client, env.spawn_local(connection))
}

/// Sends `requests`, the last of which closes the connection; returns what the server has sent, without the dates.
async fn exchange(env: &Environment, requests: &str) -> String {
    let (mut client, server) = connect(env).await;
    client.write_all(requests.as_bytes()).await.expect("open");
    let answers = read_to_end(&mut client).await;
    server.await.expect("no panic").expect("a client that keeps the rules");
    let is_date = |line: &&str| line.starts_with("date: ");
    answers.split_inclusive("\r\n").filter(|line| !is_date(line)).collect()
}

#[test]
fn a_request_is_answered() {
    run(|env| async move {
        let answer = exchange(&env, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
        let answer = exchange(&env, "GET /other HTTP/1.0\r\n\r\n").await;
        assert_eq!(answer, "HTTP/1.0 404 Not Found\r\ncontent-length: 9\r\n\r\nnot found");
    });
}

// hyper: examples/echo.rs
#[test]
fn bodies_are_echoed_mapped_and_reversed() {
    run(|env| async move {
        for (path, back) in [("", "a body"), ("/uppercase", "A BODY"), ("/reversed", "ydob a")] {
            let request = format!(
                "POST /echo{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nConnection: close\r\n\r\na body"
            );
            let answer = exchange(&env, &request).await;
            // What is mapped has no length that is known, and comes in chunks.
            assert!(
                answer.ends_with(&format!("\r\n{back}")) || answer.contains("\r\n\r\n6\r\nA BODY\r\n0"),
                "{answer}"
            );
        }
        let chunked =
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
        let answer = exchange(&env, &format!("POST /echo HTTP/1.1\r\nHost: a\r\n{chunked}")).await;
        assert!(answer.contains("transfer-encoding: chunked\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "{answer}");
        let answer = exchange(&env, &format!("POST /echo/reversed HTTP/1.1\r\nHost: a\r\n{chunked}")).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    });
}

#[test]
fn trailers_pass_both_ways() {
    run(|env| async move {
        let head = "POST /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n";
        let body = "Connection: close\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 209\r\n\r\n";
        let answer = exchange(&env, &format!("{head}{body}")).await;
        assert!(answer.ends_with("\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 209\r\n\r\n"), "{answer}");
    });
}

#[test]
fn requests_follow_each_other_on_a_connection_also_pipelined() {
    run(|env| async move {
        let (mut client, server) = connect(&env).await;
        for _ in 0..3 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("open");
            read_until(&mut client, "\r\n\r\nhello").await;
        }
        let last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let requests = [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(15)[..], last].concat();
        client.write_all(&requests).await.expect("open");
        assert_eq!(read_to_end(&mut client).await.matches("hello").count(), 16);
        server.await.expect("no panic").expect("an end between requests");
    });
}

#[test]
fn a_client_that_expects_100_gets_it() {
    run(|env| async move {
        let (mut client, server) = connect(&env).await;
        let head =
            "POST /echo/reversed HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        client.write_all(head.as_bytes()).await.expect("open");
        assert_eq!(read_until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"hi").await.expect("open");
        read_until(&mut client, "\r\n\r\nih").await;
        drop(client);
        server.await.expect("no panic").expect("an end between requests");
    });
}

// hyper: examples/upgrades.rs, without `upgrade::on`, which wants connections that are `Send`
#[test]
fn a_connection_is_taken_back_behind_an_upgrade() {
    async fn switch(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        assert_eq!(request.headers()["upgrade"], "shout");
        let mut response = Response::new(String::new());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
        response.headers_mut().insert("upgrade", HeaderValue::from_static("shout"));
        Ok(response)
    }
    run(|env| async move {
        let (mut client, server) = pair(&env).await;
        let connection = http1_server(&env).serve_connection(Io::new(server), service_fn(switch));
        let task = env.spawn_local(async move {
            let parts = connection.without_shutdown().await.expect("a client that keeps the rules");
            let (mut socket, mut data) = (parts.io.into_inner(), Vec::new());
            socket.unshift(&parts.read_buf);
            socket.read_to_end(&mut data).await.expect("open");
            socket.write_all(&data.to_ascii_uppercase()).await.expect("open");
        });
        // What follows the head in one packet is not lost.
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nearly, ";
        client.write_all(request.as_bytes()).await.expect("open");
        let head = read_until(&mut client, "\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client.write_all(b"late").await.expect("open");
        client.finish().await.expect("open");
        assert_eq!(read_to_end(&mut client).await, "EARLY, LATE");
        task.await.expect("no panic");
    });
}

// AI12. tokio-rs/axum#3478: the limit had no effect, because no timer was installed.
#[test]
fn a_slow_head_is_cut_after_the_limit_which_is_30_seconds_by_default() {
    let (event_loop, env) = new_loop();
    let (mut incoming, address) = listen(&env);
    let waiting = env.clone();
    let client = env.block_on(async move {
        let mut client = AsyncSocket::connect(&waiting, ConnectOptions::addr(address)).await.expect("open");
        let socket = incoming.accept().await.expect("a connection");
        let connection = http1_server(&waiting).serve_connection(Io::new(socket), service_fn(answer));
        waiting.spawn_local(connection).detach();
        client.write_all(b"GET / HTTP/1.1\r\nHo").await.expect("open");
        waiting.sleep(Duration::from_millis(2)).await;
        client
    });
    env.run(RunMode::NoWait).expect("the loop runs");
    let limit = event_loop.backend_timeout().expect("the limit's timer is the only one");
    assert!((29..=30).contains(&limit.as_secs()), "{limit:?}");
    drop(client);
    common::finish(&event_loop, &env);
}

#[test]
fn a_slow_head_is_cut_after_a_limit_of_the_programs_own() {
    const LIMIT: Duration = Duration::from_millis(20);
    run(|env| async move {
        // The first head, and the one behind a response.
        for first in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let (mut client, socket) = pair(&env).await;
            let mut builder = http1_server(&env);
            builder.header_read_timeout(LIMIT);
            let server = env.spawn_local(builder.serve_connection(Io::new(socket), service_fn(answer)));
            client.write_all(first.as_bytes()).await.expect("open");
            if !first.is_empty() {
                read_until(&mut client, "hello").await;
            }
            let begun = Instant::now();
            client.write_all(b"GET / HTTP/1.1\r\nHo").await.expect("open");
            read_to_end(&mut client).await;
            assert!(begun.elapsed() >= LIMIT / 2, "{:?}", begun.elapsed());
            let error = server.await.expect("no panic").expect_err("no head has come");
            assert!(error.is_timeout(), "{error}");
        }
    });
}

#[test]
fn a_head_that_comes_in_time_leaves_no_limit_behind() {
    const LIMIT: Duration = Duration::from_millis(20);
    async fn slow(env: Environment) -> Result<Response<String>, Infallible> {
        env.sleep(3 * LIMIT).await;
        Ok(Response::new("slow".into()))
    }
    run(|env| async move {
        let (mut client, socket) = pair(&env).await;
        let mut builder = http1_server(&env);
        builder.header_read_timeout(LIMIT);
        let inner = env.clone();
        let service = service_fn(move |_| slow(inner.clone()));
        let server = env.spawn_local(builder.serve_connection(Io::new(socket), service));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("open");
        assert!(read_to_end(&mut client).await.ends_with("slow"));
        server.await.expect("no panic").expect("a client that keeps the rules");
    });
}

// hyper: examples/graceful_shutdown.rs
#[test]
fn a_graceful_shutdown_answers_what_was_received() {
    run(|env| async move {
        let (mut client, socket) = pair(&env).await;
        let connection = http1_server(&env).serve_connection(Io::new(socket), service_fn(answer));
        let mut connection = Box::pin(connection);
        let head = "POST /echo/reversed HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        client.write_all(head.as_bytes()).await.expect("open");
        let wait = Duration::from_millis(2);
        assert!(env.timeout(wait, connection.as_mut()).await.is_err(), "the body is not there");
        connection.as_mut().graceful_shutdown();
        let server = env.spawn_local(connection);
        client.write_all(b"hello").await.expect("open");
        let answer = read_to_end(&mut client).await;
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("olleh"), "{answer}");
        server.await.expect("no panic").expect("it was answered");
    });
}

#[test]
fn a_client_that_leaves_drops_the_future_of_its_request() {
    struct Guard(Rc<Cell<bool>>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    async fn endless(guard: Guard) -> Result<Response<String>, Infallible> {
        let _guard = guard;
        std::future::pending().await
    }
    run(|env| async move {
        let (mut client, socket) = pair(&env).await;
        let is_dropped = Rc::new(Cell::new(false));
        let seen = Rc::clone(&is_dropped);
        let service = service_fn(move |_| endless(Guard(Rc::clone(&seen))));
        let server = env.spawn_local(http1_server(&env).serve_connection(Io::new(socket), service));
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("open");
        assert!(!is_dropped.get());
        drop(client);
        // hyper reports no error for an end that comes before the answer.
        let _ = server.await.expect("no panic");
        assert!(is_dropped.get());
    });
}

#[test]
fn a_body_that_is_not_read_obeys_back_pressure() {
    async fn ignore(env: Environment, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        env.sleep(Duration::from_millis(20)).await;
        let all = request.into_body().collect().await.expect("it comes").to_bytes();
        Ok(Response::new(all.len().to_string()))
    }
    const TOTAL: usize = 32 << 20;
    run(|env| async move {
        let (client, socket) = pair(&env).await;
        let inner = env.clone();
        let service = service_fn(move |request| ignore(inner.clone(), request));
        let server = env.spawn_local(http1_server(&env).serve_connection(Io::new(socket), service));
        let (mut reader, mut writer) = client.split();
        let sent = Rc::new(Cell::new(0));
        let count = Rc::clone(&sent);
        let sending = env.spawn_local(async move {
            let head =
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {TOTAL}\r\nConnection: close\r\n\r\n");
            writer.write_all(head.as_bytes()).await.expect("open");
            for _ in 0..TOTAL >> 16 {
                writer.write_all(&[7; 1 << 16]).await.expect("open");
                count.set(count.get() + (1 << 16));
            }
            writer
        });
        env.sleep(Duration::from_millis(10)).await;
        assert!(sent.get() < TOTAL, "all of it was taken, and nothing has read it");
        let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            all.extend_from_slice(&buffer[..count]);
        }
        assert!(all.ends_with(TOTAL.to_string().as_bytes()), "{}", String::from_utf8_lossy(&all));
        drop(sending.await.expect("no panic"));
        server.await.expect("no panic").expect("a client that keeps the rules");
    });
}

#[test]
fn several_buffers_are_written_at_once_if_hyper_is_told_to() {
    async fn long(_: Request<Incoming>) -> Result<Response<AnyBody>, Infallible> {
        let chunks = (0..20).map(|number| Ok(Frame::data(Bytes::from(vec![number; 20_000]))));
        Ok(Response::new(StreamBody::new(stream::iter(chunks)).boxed()))
    }
    run(|env| async move {
        let (mut client, socket) = pair(&env).await;
        let mut builder = http1_server(&env);
        builder.writev(true);
        let server = env.spawn_local(builder.serve_connection(Io::new(socket), service_fn(long)));
        client.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("open");
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("open");
        let body = all.split_off(all.len() - 400_000);
        assert!(all.ends_with(b"\r\n\r\n"), "a head alone is before the body");
        assert!((0..20).all(|number| body[number * 20_000..][..20_000] == [number as u8; 20_000]));
        server.await.expect("no panic").expect("a client that keeps the rules");
    });
}

#[test]
fn a_service_that_panics_ends_its_connection_and_the_loop_goes_on() {
    async fn panic(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
        std::panic::resume_unwind(Box::new("meant"))
    }
    run(|env| async move {
        let (mut client, socket) = pair(&env).await;
        let connection = http1_server(&env).serve_connection(Io::new(socket), service_fn(panic));
        let server = env.spawn_local(connection);
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("open");
        assert_eq!(read_to_end(&mut client).await, "");
        assert!(!server.await.expect_err("it has panicked").is_aborted());
    });
}
