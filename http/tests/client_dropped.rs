//! Requests whose futures are dropped at each of their await points leave nothing. The only test of its process, whose descriptors it
//! counts.

#[path = "../../tests/shared/dropping.rs"]
mod dropping;
#[path = "../../tests/shared/evil.rs"]
mod evil;

use async_wrap::Environment;
use dropping::check;
use evil::Step::{Bytes, End, Fin, Head, Until};
use evil::{Evil, Script, drip, say};
use futures_core::Stream;
use http::client::{Client, RequestBuilder};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Yields a piece, makes its task wait for a turn, and so on.
struct Halting(u32);

impl Stream for Halting {
    type Item = io::Result<bytes::Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 += 1;
        match self.0 {
            1 | 3 => Poll::Ready(Some(Ok(bytes::Bytes::from_static(b"hello")))),
            2 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    }
}

/// Asks, and reads the response piece by piece.
async fn ask(env: Environment, script: Script, request: impl FnOnce(&Client, String) -> RequestBuilder) {
    let evil = Evil::new(&env, [script]);
    let client = Client::new(&env).expect("a client");
    let mut response = request(&client, evil.url("/")).await.expect("a response");
    let mut len = 0;
    while let Some(piece) = response.next().await {
        len += piece.expect("a body").len();
    }
    assert_eq!(len, 3);
}

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n";

#[test]
fn a_request_that_is_dropped_at_any_await_point_leaves_nothing() {
    check("a body byte by byte", true, |env| {
        ask(env, vec![Head, drip(CHUNKED)], |client, url| client.get(url))
    });
    check("a body from a stream", true, |env| {
        ask(env, vec![Until("0\r\n\r\n"), drip(CHUNKED)], |client, url| {
            client.post(url).body_stream(Halting(0))
        })
    });
    check("a body that waits for 100", true, |env| {
        let script = vec![Head, say("HTTP/1.1 100 C\r\n\r\n"), Bytes(5), drip(CHUNKED)];
        ask(env, script, |client, url| client.put(url).expect_continue().body("hello"))
    });
    check("a socket", true, |env| async move {
        let switched = "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi";
        let evil = Evil::new(&env, [vec![Head, drip(switched), End, Fin]]);
        let client = Client::new(&env).expect("a client");
        let request = client.get(evil.url("/")).field("Connection", "Upgrade").field("Upgrade", "echo");
        let mut socket = request.await.expect("a response").upgrade().expect("it has left HTTP");
        socket.finish().await.expect("open");
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.expect("it ends");
        assert_eq!(all, b"hi");
    });
}
