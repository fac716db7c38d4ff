//! How async handlers end: by themselves in any order, with their client, with their server.

use crate::harness::{Answer, Client, Count, Log, Site, impatient};
use async_wrap::Environment;
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Error, Response, ServerOptions};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

fn env_of(response: &Response) -> Environment {
    response.socket().environment().clone()
}

fn serve<R, T: Send + 'static>(
    handler: impl FnMut(OwnedRequest, Response) -> R + 'static,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T
where
    R: Future<Output = Result<(), Failure>> + 'static,
{
    Site::new(ServerOptions::default()).run(Serving::new(handler), client)
}

/// Notes that it is dropped.
struct Guard(Log, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// A number to wait for.
#[derive(Clone, Default)]
struct Turnstile {
    count: Count,
    waiting: Rc<RefCell<Vec<Waker>>>,
}

impl Turnstile {
    fn pass(&self) {
        self.count.add(1);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    async fn until(&self, count: usize) {
        poll_fn(|context| {
            if self.count.get() >= count {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

// RFC 9112, 9.3.2
#[test]
fn handlers_that_end_in_the_reverse_order_are_answered_in_the_order_of_the_requests() {
    const REQUESTS: usize = 40;
    let turnstile = Turnstile::default();
    let handler = move |request: OwnedRequest, response: Response| {
        let turnstile = turnstile.clone();
        async move {
            let number: usize = request.path()[1..].parse()?;
            turnstile.until(REQUESTS - 1 - number).await;
            // A part before the others, a part behind them.
            if number.is_multiple_of(2) {
                response.write(b"<")?;
                turnstile.pass();
                env_of(&response).sleep(Duration::from_millis(1)).await;
            } else {
                turnstile.pass();
            }
            Ok(response.end(request.path().as_bytes())?)
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let all = (0..REQUESTS).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
        client.send(all.collect::<String>());
        for number in 0..REQUESTS {
            let before = if number.is_multiple_of(2) { "<" } else { "" };
            assert_eq!(client.answer().text(), format!("{before}/{number}"));
        }
    });
}

// RFC 9110, 9.3.2
#[test]
fn head_gets_the_fields_without_the_body() {
    async fn respond(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        if request.path() == "/later" {
            env_of(&response).sleep(Duration::from_millis(1)).await;
        }
        Ok(response.end(b"hello")?)
    }
    serve(respond, |address| {
        let mut client = Client::connect(address);
        for path in ["/", "/later"] {
            client.send(format!("HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
            assert_eq!(client.head().field("Content-Length"), Some("5"));
            assert_eq!(client.ask(path).text(), "hello");
        }
    });
}

// RFC 9110, 10.1.1
#[test]
fn a_client_that_waits_for_100_gets_it_when_its_body_is_read() {
    async fn respond(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        match request.path() {
            "/refused" => response.set_status(403)?.end(b"")?,
            "/later" => {
                env_of(&response).sleep(Duration::from_millis(1)).await;
                response.end(&request.body().bytes(100).await?)?;
            }
            "/long" => response.end(&request.body().bytes(1).await?)?,
            "/stream" => response.send(request.body()).await?,
            _ => response.end(&request.body().bytes(100).await?)?,
        }
        Ok(())
    }
    serve(respond, |address| {
        let ask = |client: &mut Client, path: &str| {
            let fields = "Host: h\r\nContent-Length: 4\r\nExpect: 100-continue";
            client.send(format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
        };
        let mut client = Client::connect(address);
        for path in ["/", "/later", "/", "/stream"] {
            ask(&mut client, path);
            assert_eq!(client.head().status, 100);
            client.send("body");
            assert_eq!(client.answer().text(), "body");
        }
        ask(&mut client, "/long");
        assert_eq!(client.head().status, 100);
        client.send("body");
        assert_eq!(client.answer().status, 413);
        // Whether the body still comes is unknown, so the connection ends.
        ask(&mut client, "/refused");
        let answer = client.answer();
        assert!(answer.status == 403 && answer.closes());
        client.expect_end();
    });
}

#[test]
fn what_is_received_of_a_body_is_bounded_by_what_is_read() {
    const LEN: usize = 4_000_000;
    /// What waits here, and one read more.
    const AHEAD: u64 = 256 * 1024;
    async fn respond(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let (env, socket) = (env_of(&response), request.socket().clone());
        let (before, mut read) = (socket.bytes_read(), 0);
        while let Some(piece) = request.body().next().await {
            read += piece?.len() as u64;
            for _ in 0..2 {
                // A turn of the loop, in which it could read on.
                env.sleep(Duration::from_nanos(1)).await;
                assert!(socket.bytes_read() - before <= read + AHEAD, "{read} are read");
            }
        }
        Ok(response.end(read.to_string().as_bytes())?)
    }
    serve(respond, |address| {
        let mut client = Client::connect(address);
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LEN}\r\n\r\n"));
        client.send(vec![b'x'; LEN]);
        assert_eq!(client.answer().text(), LEN.to_string());
    });
}

// scylladb/scylladb#31315, hyperium/hyper#4008
#[test]
fn chunks_of_one_byte_are_bounded_by_the_memory_that_they_take() {
    const CHUNKS: usize = 300_000;
    /// What waits here, and what one read has brought.
    const AHEAD: u64 = 128 * 1024;
    async fn respond(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let (env, socket) = (env_of(&response), request.socket().clone());
        request.body().next().await.ok_or("a body")??;
        env.sleep(Duration::from_millis(20)).await;
        let ahead = socket.bytes_read();
        let rest = request.body().bytes(CHUNKS).await?;
        let is_bounded = ahead < AHEAD && rest.len() == CHUNKS - 1;
        Ok(response.end(format!("{is_bounded} {ahead} {}", rest.len()).as_bytes())?)
    }
    let answer = serve(respond, |address| {
        let mut client = Client::connect(address);
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send("1\r\nx\r\n".repeat(CHUNKS) + "0\r\n\r\n");
        client.answer()
    });
    assert!(answer.text().starts_with("true"), "{}", answer.text());
}

// actix/actix-web#2357, actix/actix-web#2632, actix/actix-web#3715
#[test]
fn a_response_before_its_request_has_come_whole_spoils_no_later_one() {
    async fn respond(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        if request.path() == "/later" {
            env_of(&response).sleep(Duration::from_millis(1)).await;
        }
        Ok(response.end(request.path().as_bytes())?)
    }
    serve(respond, |address| {
        let mut client = Client::connect(address);
        for path in ["/", "/later", "/"] {
            for (framing, body) in
                [("Content-Length: 3", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")]
            {
                client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
                assert_eq!(client.answer().text(), path);
                client.send(body);
            }
        }
        assert_eq!(client.ask("/").text(), "/");
    });
}

// tokio-rs/axum#1703, tokio-rs/axum#2850, rwf2/Rocket#2783, actix/actix-web#3182, actix/actix-web#3967
#[test]
fn a_client_that_sends_much_more_than_the_limit_before_it_reads_gets_413() {
    const LEN: usize = 20 << 20;
    async fn respond(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        if request.path() == "/enough" {
            request.body().next().await.ok_or("a body")??;
            // More comes, until that is held back.
            env_of(&response).sleep(Duration::from_millis(5)).await;
            return Ok(response.set_status(413)?.end(b"")?);
        }
        let body = request.body().bytes(1 << 20).await?;
        Ok(response.end(body.len().to_string().as_bytes())?)
    }
    serve(respond, |address| {
        let mut client = Client::connect(address);
        for path in ["/", "/enough", "/"] {
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {LEN}\r\n\r\n"));
            client.send(vec![b'x'; LEN]);
            assert_eq!(client.answer().status, 413);
        }
        let mut chunked = Client::connect(address);
        chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        chunked.send(format!("{LEN:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(LEN)));
        assert_eq!(chunked.answer().status, 413);
    });
}

#[test]
fn a_response_that_is_dropped_is_500_or_broken_off_and_one_that_is_kept_goes_on() {
    async fn respond(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let (env, is_begun) = (env_of(&response), request.query() == Some("begun"));
        if is_begun {
            response.write(b"some")?;
        }
        match request.path() {
            "/dropped" => {}
            "/awaited" => env.sleep(Duration::from_millis(1)).await,
            kept => {
                let (is_ended, after) = (kept == "/ended", env.sleep(Duration::from_millis(2)));
                env.spawn_detached(async move {
                    after.await;
                    if is_ended {
                        response.end(b" more").expect("its client waits");
                    }
                });
            }
        }
        Ok(())
    }
    serve(respond, |address| {
        for path in ["/dropped", "/awaited", "/kept"] {
            assert_eq!(Client::connect(address).ask(path).status, 500, "{path}");
            let mut client = Client::connect(address);
            client.get(&format!("{path}?begun"));
            client.head();
            assert_eq!(client.rest(), b"4\r\nsome\r\n", "{path}");
        }
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/ended").text(), " more");
        assert_eq!(client.ask("/ended?begun").text(), "some more");
    });
}

#[test]
fn a_client_that_ends_its_side_gets_what_comes_soon() {
    async fn respond(_: OwnedRequest, response: Response) -> Result<(), Failure> {
        env_of(&response).sleep(Duration::from_millis(20)).await;
        Ok(response.end(b"still")?)
    }
    for allow_half_open in [false, true] {
        let options = impatient().allow_half_open(allow_half_open);
        Site::new(options).run(Serving::new(respond), |address| {
            let mut client = Client::connect(address);
            client.get("/");
            client.end_sending();
            assert_eq!(client.answer().text(), "still");
            client.expect_end();
        });
    }
}

/// The end of a client may be the end of its side only, so it takes some seconds.
#[test]
fn a_handler_that_goes_on_for_long_is_dropped_some_time_after_its_client_has_ended() {
    let (site, log) = (Site::new(impatient()), Log::default());
    let (server, seen) = (site.server.clone(), log.clone());
    let waiting = move |request: OwnedRequest, response: Response| {
        let (server, guard) = (server.clone(), Guard(log.clone(), "dropped"));
        async move {
            if request.path() == "/connections" {
                std::mem::forget(guard);
                return Ok(response.end(server.connections().to_string().as_bytes())?);
            }
            if request.path() == "/begun" {
                response.write(b"some")?;
            }
            // The response is held here, and behind the await.
            let _held = (guard, request);
            pending::<()>().await;
            Ok(response.end(b"")?)
        }
    };
    site.run(Serving::new(waiting), |address| {
        for path in ["/", "/begun"] {
            drop(Client::connect(address).another_handle());
            Client::connect(address).get(path);
        }
        let mut other = Client::connect(address);
        while other.ask("/connections").text() != "1" {}
    });
    assert_eq!(seen.joined(), "dropped dropped");
}

// Node: test-http-server-close-idle-wait-response
#[test]
fn a_shutdown_waits_for_handlers() {
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    let handler = move |request: OwnedRequest, response: Response| {
        let server = server.clone();
        async move {
            if request.path() == "/last" {
                server.shutdown(Duration::from_secs(100))?;
            }
            env_of(&response).sleep(Duration::from_millis(20)).await;
            Ok(response.end(request.path().as_bytes())?)
        }
    };
    site.run(Serving::new(handler), |address| {
        let mut clients: Vec<_> = (0..5).map(|_| Client::connect(address)).collect();
        for client in &mut clients {
            client.get("/first");
        }
        let mut last = Client::connect(address);
        last.get("/last");
        for client in &mut clients {
            assert_eq!(client.answer().text(), "/first");
        }
        let answer = last.answer();
        assert!(answer.text() == "/last" && answer.closes());
        last.expect_end();
    });
}

#[test]
fn a_shutdown_drops_handlers_after_its_grace() {
    let (site, log) = (Site::new(ServerOptions::default()), Log::default());
    let (server, seen) = (site.server.clone(), log.clone());
    let handler = move |request: OwnedRequest, response: Response| {
        let (server, log) = (server.clone(), log.clone());
        async move {
            let _guard =
                Guard(log.clone(), if request.path() == "/detached" { "detached" } else { "dropped" });
            if request.path() == "/detached" {
                response.detach();
                response.closed().await;
                log.note(format!("{:?}", response.end(b"")));
                return Ok(());
            }
            if request.path() == "/last" {
                server.shutdown(Duration::from_millis(20))?;
            }
            pending::<()>().await;
            Ok(())
        }
    };
    site.run(Serving::new(handler), |address| {
        let paths = ["/", "/", "/detached", "/last"];
        let mut clients = paths.map(|path| {
            let mut client = Client::connect(address);
            client.get(path);
            client
        });
        clients.iter_mut().for_each(Client::expect_end);
    });
    let mut all = seen.all();
    all.sort();
    assert_eq!(
        all,
        [&*format!("{:?}", Err::<(), _>(Error::Closed)), "detached", "dropped", "dropped", "dropped"]
    );
}

/// A handler that waits at one of several places when its client goes.
#[test]
fn whatever_a_handler_waits_for_nothing_of_it_is_left_when_its_client_resets() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |mut request: OwnedRequest, response: Response| {
        let guard = Guard(log.clone(), "dropped");
        async move {
            let _guard = guard;
            let env = env_of(&response);
            response.write_information(103, &[("Link", "</a>")])?;
            match request.path() {
                "/sleep" => env.sleep(Duration::MAX).await,
                "/body" => _ = request.body().bytes(1 << 20).await,
                "/next" => while request.body().next().await.is_some() {},
                "/closed" => response.closed().await,
                "/drained" => {
                    while response.write(&[b'x'; 1 << 16])? {}
                    response.drained().await?;
                }
                "/timeout" => _ = env.timeout(Duration::MAX, request.body().next()).await,
                "/join" => {
                    let (sleep, response) = (env.sleep(Duration::from_millis(1)), response.clone());
                    let inner = env.spawn_local(async move {
                        sleep.await;
                        drop(response);
                    });
                    _ = inner.await;
                    pending::<()>().await;
                }
                _ => pending().await,
            }
            // Reached by those that are told of the client's end before they are dropped.
            Ok(())
        }
    };
    let paths = ["/sleep", "/body", "/next", "/closed", "/drained", "/timeout", "/join", "/pending"];
    serve(handler, move |address| {
        for path in paths {
            let mut client = Client::connect(address);
            let length = if matches!(path, "/body" | "/next" | "/timeout") { 10 } else { 0 };
            client.send(format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"));
            let Answer { status, .. } = client.head();
            assert_eq!(status, 103);
            if path == "/drained" {
                client.head();
            } else {
                client.send("some");
            }
        }
    });
    assert_eq!(seen.joined(), ["dropped"; 8].join(" "));
}

// oven-sh/bun#43512
#[test]
fn a_response_that_is_destroyed_behind_another_one_ends_the_handlers_of_both() {
    let log = Log::default();
    let seen = log.clone();
    let handler = move |mut request: OwnedRequest, response: Response| {
        let guard = Guard(log.clone(), "dropped");
        async move {
            let _guard = guard;
            if request.path() == "/waits" {
                response.detach();
                response.closed().await;
                return Ok(());
            }
            response.detach();
            response.destroy();
            let body = request.body().bytes(100).await;
            assert_eq!(body, Err(Error::Closed), "what waits for the body is told");
            Ok(())
        }
    };
    serve(handler, |address| {
        let mut client = Client::connect(address);
        let post = "POST /destroys HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc";
        client.send(format!("GET /waits HTTP/1.1\r\nHost: h\r\n\r\n{post}"));
        client.expect_end();
    });
    assert_eq!(seen.joined(), "dropped dropped");
}
