//! Responses from a stream, and buffers that responses share.

use crate::harness::{Client, Count, Log, Site};
use async_wrap::Environment;
use bytes::Bytes;
use futures_core::Stream;
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Error, Response, ServerOptions};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

fn serve<R, T: Send + 'static>(
    handler: impl FnMut(OwnedRequest, Response) -> R + 'static,
    client: impl FnOnce(SocketAddr) -> T + Send + 'static,
) -> T
where
    R: Future<Output = Result<(), Failure>> + 'static,
{
    Site::new(ServerOptions::default()).run(Serving::new(handler), client)
}

fn env_of(response: &Response) -> Environment {
    response.socket().environment().clone()
}

type Piece = Result<Bytes, io::Error>;

/// A stream from a closure.
struct Pieces<F>(F);

impl<F: FnMut(&mut Context<'_>) -> Poll<Option<Piece>> + Unpin> Stream for Pieces<F> {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        (self.0)(context)
    }
}

/// So many pieces of one buffer, and then an error or the end.
fn repeated(piece: Bytes, mut left: usize, error: Option<&'static str>) -> impl Stream<Item = Piece> {
    Pieces(move |_: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(error.map(|error| Err(io::Error::other(error))));
        }
        left -= 1;
        Poll::Ready(Some(Ok(piece.clone())))
    })
}

/// A piece each millisecond.
fn slow(env: &Environment, mut left: usize) -> impl Stream<Item = Piece> + use<> {
    let mut sleep = Box::pin(env.sleep(Duration::from_millis(1)));
    let env = env.clone();
    Pieces(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        ready!(sleep.as_mut().poll(context));
        sleep.set(env.sleep(Duration::from_millis(1)));
        left -= 1;
        Poll::Ready(Some(Ok(Bytes::from_static(b"slow"))))
    })
}

// AI17
#[test]
fn a_stream_is_the_body_with_or_without_a_length() {
    async fn send(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let piece = Bytes::from_static(b"0123456789");
        match request.path() {
            "/empty" => response.send(repeated(piece, 0, None)).await,
            "/length" => {
                response.set_header("Content-Length", "100")?;
                response.send(repeated(piece, 10, None)).await
            }
            "/short" => {
                response.set_header("Content-Length", "101")?;
                response.send(repeated(piece, 10, None)).await
            }
            "/slow" => response.send(slow(&env_of(&response), 10)).await,
            "/trailers" => {
                response.add_trailer("X-End", "yes")?;
                response.send(repeated(piece, 10, None)).await
            }
            _ => response.send(repeated(piece, 1000, None)).await,
        }
    }
    serve(send, |address| {
        let mut client = Client::connect(address);
        for _ in 0..2 {
            assert_eq!(client.ask("/empty").body, b"");
            assert_eq!(client.ask("/length").text(), "0123456789".repeat(10));
            assert_eq!(client.ask("/slow").text(), "slow".repeat(10));
            assert_eq!(client.ask("/trailers").text(), "0123456789".repeat(10));
            assert_eq!(client.ask("/").text(), "0123456789".repeat(1000));
        }
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.answer().text(), "0123456789".repeat(1000));
        let mut client = Client::connect(address);
        client.get("/short");
        client.head();
        assert_eq!(client.rest(), "0123456789".repeat(10).as_bytes());
    });
}

// AI17
#[test]
fn a_stream_waits_while_its_client_does_not_read() {
    const PIECE: usize = 100_000;
    let polls = Count::default();
    let counted = polls.clone();
    let handler = move |request: OwnedRequest, response: Response| {
        let polls = polls.clone();
        async move {
            if request.path() == "/polls" {
                return Ok(response.end(polls.get().to_string().as_bytes())?);
            }
            let socket = response.socket().clone();
            let mut pieces = Box::pin(repeated(Bytes::from(vec![b'x'; PIECE]), 400, None));
            let counting = Pieces(move |context: &mut Context<'_>| {
                assert!(socket.buffered() < socket.high_water_mark().max(1), "above its mark");
                polls.add(1);
                pieces.as_mut().poll_next(context)
            });
            response.send(counting).await
        }
    };
    serve(handler, |address| {
        let (mut client, mut other) = (Client::connect(address), Client::connect(address));
        client.get("/");
        client.head();
        let polls = |client: &mut Client| client.ask("/polls").text().parse::<usize>().expect("a number");
        // It stands still when a hundred turns of the loop change nothing.
        let (mut before, mut same) = (0, 0);
        while same < 100 {
            let now = polls(&mut other);
            same = if now == before { same + 1 } else { 0 };
            before = now;
        }
        assert!(before < 200, "the kernel has taken {before} pieces");
        assert_eq!(client.chunks().len(), 400 * PIECE);
    });
    assert_eq!(counted.get(), 401);
}

#[test]
fn an_error_breaks_off_what_has_begun_and_leaves_what_has_not() {
    async fn send(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let piece = Bytes::from_static(b"some");
        let failed = match request.path() {
            "/first" => response.send(repeated(piece, 0, Some("on purpose"))).await,
            "/pending" => {
                let mut slow = Box::pin(slow(&env_of(&response), 1));
                let failing = Pieces(move |context: &mut Context<'_>| {
                    let piece = ready!(slow.as_mut().poll_next(context));
                    Poll::Ready(piece.or(Some(Err(io::Error::other("on purpose")))))
                });
                response.send(failing).await
            }
            _ => response.send(repeated(piece, 1, Some("on purpose"))).await,
        };
        let failure = failed.expect_err("it fails");
        assert!(failure.to_string().ends_with("on purpose"));
        // What becomes of it does not depend on the handler's own result.
        if request.query() == Some("fails") { Err(failure) } else { Ok(()) }
    }
    serve(send, |address| {
        for query in ["fails", ""] {
            let mut client = Client::connect(address);
            assert_eq!(client.ask(&format!("/first?{query}")).status, 500);
            for path in ["/pending", "/"] {
                let mut client = Client::connect(address);
                client.get(&format!("{path}?{query}"));
                assert_eq!(client.head().status, 200);
                let some = if path == "/" { "some" } else { "slow" };
                assert_eq!(client.rest(), format!("4\r\n{some}\r\n").as_bytes(), "the end is missing");
                // Without chunks only a reset can tell.
                let mut client = Client::connect(address);
                client.send(format!("GET {path}?{query} HTTP/1.0\r\n\r\n"));
                assert!(client.ends_with_a_reset());
            }
        }
    });
}

// RFC 9110, 9.3.2
#[test]
fn a_response_without_body_polls_no_stream() {
    async fn send(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        let never = Pieces(|_: &mut Context<'_>| -> Poll<Option<Piece>> { unreachable!("nothing needs it") });
        if let Some(status) = request.query() {
            response.set_status(status.parse()?)?;
        }
        response.send(never).await
    }
    serve(send, |address| {
        let mut client = Client::connect(address);
        for request in ["HEAD /", "HEAD /?404", "GET /?204", "GET /?304", "GET /?205"] {
            client.send(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
            client.head();
        }
        client.send("GET /?204 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        client.head();
        client.expect_end();
    });
}

#[test]
fn the_head_is_sent_while_the_stream_has_nothing() {
    async fn send(_: OwnedRequest, response: Response) -> Result<(), Failure> {
        response.send(Pieces(|_: &mut Context<'_>| Poll::Pending)).await
    }
    serve(send, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().status, 200);
    });
}

/// Notes that it is dropped.
struct Guard(Log);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[test]
fn a_stream_ends_with_its_client_also_where_the_handler_goes_on() {
    let log = Log::default();
    let seen = log.clone();
    let send = move |request: OwnedRequest, response: Response| {
        let log = log.clone();
        async move {
            let guard = Guard(log.clone());
            if request.path() == "/detached" {
                response.detach();
            }
            let silent = Pieces(move |_: &mut Context<'_>| {
                let _held = &guard;
                Poll::Pending
            });
            let sent = response.send(silent).await.expect_err("the client has left");
            log.note(format!("{:?}", sent.downcast_ref::<Error>()));
            Ok(())
        }
    };
    serve(send, |address| {
        for path in ["/", "/detached"] {
            let mut client = Client::connect(address);
            client.get(path);
            client.head();
        }
    });
    let mut all = seen.all();
    all.sort();
    assert_eq!(all, [format!("{:?}", Some(Error::Closed)), "dropped".into(), "dropped".into()]);
}

#[test]
fn a_stream_that_is_always_ready_leaves_the_loop_to_others() {
    let log = Log::default();
    let (seen, beside) = (log.clone(), log);
    let send = move |_: OwnedRequest, response: Response| {
        let log = beside.clone();
        async move {
            let env = env_of(&response);
            env.set_immediate(move || log.note("others"));
            let pieces = repeated(Bytes::from_static(b"x"), 10_000, None);
            response.send(pieces).await
        }
    };
    serve(send, move |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").body.len(), 10_000);
    });
    assert_eq!(seen.joined(), "others");
}

#[test]
fn pipelined_streams_follow_one_another() {
    async fn send(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        match request.path() {
            "/slow" => response.send(slow(&env_of(&response), 3)).await,
            _ => response.send(repeated(Bytes::from(vec![b'x'; 30_000]), 3, None)).await,
        }
    }
    serve(send, |address| {
        let mut client = Client::connect(address);
        let one = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
        client.send(one.repeat(10));
        for _ in 0..10 {
            assert_eq!(client.answer().text(), "slowslowslow");
            assert_eq!(client.answer().body.len(), 90_000);
        }
    });
}

#[test]
fn a_body_is_sent_back_as_it_comes() {
    async fn echo(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
        response.send(request.body()).await
    }
    serve(echo, |address| {
        let mut client = Client::connect(address);
        for len in [0, 1, 10_000_000] {
            client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n"));
            let mut sender = client.another_handle();
            let sending = std::thread::spawn(move || sender.send(vec![b'x'; len]));
            assert_eq!(client.answer().body.len(), len);
            sending.join().expect("it is sent");
        }
    });
}

#[test]
fn shared_buffers_keep_their_place_among_other_writes() {
    async fn write(request: OwnedRequest, response: Response) -> Result<(), Failure> {
        if request.path() == "/later" {
            env_of(&response).sleep(Duration::from_millis(1)).await;
        }
        for len in [0, 1, 100, 20_000, 3_000_000, 7] {
            response.write(format!("<{len}>").as_bytes())?;
            response.write_bytes(Bytes::from(vec![b'x'; len]))?;
        }
        response.end(b"end")?;
        assert_eq!(response.write_bytes(Bytes::new()), Err(Error::Closed));
        Ok(())
    }
    let expected = |len: usize| format!("<{len}>{}", "x".repeat(len));
    let expected = [0, 1, 100, 20_000, 3_000_000, 7].map(expected).concat() + "end";
    serve(write, move |address| {
        let mut client = Client::connect(address);
        for path in ["/", "/later"] {
            assert!(client.ask(path).text() == expected, "{path}");
        }
        // Held behind a response that is due.
        client.send("GET /later HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(client.answer().text() == expected);
        assert!(client.answer().text() == expected);
        client.send("HEAD /later HTTP/1.1\r\nHost: h\r\n\r\n");
        client.head();
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert!(client.answer().text() == expected);
    });
}
