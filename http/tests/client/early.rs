//! Servers that answer before they have the whole request, and then close.

use crate::evil::Step::{Close, Deaf, End, Head, Reset, Turns, Until};
use crate::evil::{Left, Script, say};
use crate::rig::{Site, endless, repeated, run, slow};
use bytes::Bytes;
use http::client::RequestBuilder;

const BIG: usize = 10 << 20;

const REFUSED: &str = "HTTP/1.1 401 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";

/// Asks, and reads the whole of the response.
async fn status_and_body(request: RequestBuilder) -> (u16, Bytes) {
    let mut response = request.await.expect("a response");
    (response.status(), response.bytes(100).await.expect("its body"))
}

// HC29.
#[test]
fn a_response_is_read_while_the_body_of_its_request_is_written() {
    let ok = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
    let script = vec![Head, say(ok), Until("5\r\nhello\r\n"), Until("0\r\n\r\n"), say("0\r\n\r\n")];
    let (body, seen) = run([script], |site| async move {
        let body = slow(&site.env, "hello", 20);
        let mut response = site.post().body_stream(body).await.expect("a response");
        assert_eq!(response.next().await.expect("a piece").expect("a body"), "hi");
        assert!(!site.evil.received().ends_with(b"0\r\n\r\n"), "the request has not ended yet");
        response.bytes(0).await.expect("the end")
    });
    assert_eq!(body, "");
    assert_eq!(seen[0].text().matches("hello").count(), 20);
}

// HC31. Issue 54366 of Node: its client reports EPIPE.
#[test]
fn an_answer_is_read_although_its_server_closes_over_the_body() {
    type Body = fn(&Site) -> RequestBuilder;
    let big: &[(&str, Body)] = &[
        ("whole", |site| site.post().body(vec![b'x'; BIG])),
        ("stream", |site| site.post().body_stream(repeated(vec![b'x'; 64 * 1024], BIG / (64 * 1024), None))),
    ];
    let scripts: [fn() -> Script; 3] = [
        || vec![Head, say(REFUSED), Close],
        || vec![Head, Deaf, say(REFUSED), Turns(3), Reset],
        || vec![Head, say(REFUSED), Turns(1), Close],
    ];
    for script in scripts {
        for (title, body) in big {
            for _ in 0..20 {
                let (answer, _) = run([script()], |site| async move { status_and_body(body(&site)).await });
                assert_eq!(answer, (401, "no".into()), "{title}");
            }
        }
    }
}

// HC30.
#[test]
fn a_reset_behind_a_whole_response_is_no_error() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";
    for script in [vec![Head, say(ok), Reset], vec![Head, say(&ok[..30]), Turns(2), say(&ok[30..]), Reset]] {
        let (answer, _) = run([script], |site| async move {
            status_and_body(site.post().body_stream(repeated(vec![b'x'; 64 * 1024], 1000, None))).await
        });
        assert_eq!(answer, (200, "no".into()));
    }
}

// HC32.
#[test]
fn a_request_whose_response_is_complete_is_not_continued() {
    let (answer, seen) =
        run([vec![Head, say("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"), End]], |site| async move {
            status_and_body(site.post().body_stream(endless())).await
        });
    assert_eq!(answer, (413, "no".into()));
    assert_ne!(seen[0].left, Left::No);
    assert!(seen[0].text().ends_with("\r\n\r\n"), "no byte of the body");
}
