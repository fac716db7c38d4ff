//! Connections that serve one request after another: which are kept, what is never sent on them, and what is sent twice.

use crate::evil::Step::{Close, End, Fin, Head, Reset, Turns};
use crate::evil::{Script, say};
use crate::rig::{Site, answer_to, run};
use http::client::{ErrorKind, RequestBuilder};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OTHER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother";
const SAID: &str = "200 OK | Content-Length: 2 | body=hi | end";
const SAID_OTHER: &str = "200 OK | Content-Length: 5 | body=other | end";

/// Lets the loop run, so that what the server has sent is seen.
async fn turns(site: &Site) {
    for _ in 0..5 {
        site.env.sleep(std::time::Duration::from_millis(1)).await;
    }
}

// HC6, HC17, HC42, HC58.
#[test]
fn a_connection_is_kept_behind_a_response_whose_end_is_known() {
    for (method, answer) in [
        ("GET", OK),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
        ("GET", "HTTP/1.1 204 N\r\nContent-Length: 2\r\n\r\n"),
        ("GET", "HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"),
        ("GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"),
        ("GET", "HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let (is_reused, seen) = run([vec![Head, say(answer), Head, say(OTHER)]], |site| async move {
            let first = answer_to(site.client.request(method, site.url("/"))).await;
            assert!(first.ends_with("end"), "{first}");
            let response = site.get().await.expect("a response");
            assert!(!response.was_retried());
            response.is_reused()
        });
        assert_eq!((is_reused, seen.len()), (true, 1), "{method} {answer}");
        assert!(!seen[0].text().contains("close"), "{}", seen[0].text());
    }
}

// HC34, HC38.
#[test]
fn a_connection_is_kept_behind_what_is_discarded_and_an_expectation_without_a_body() {
    let ((), seen) = run([vec![Head, say(OK), Head, say(OK), Head, say(OTHER)]], |site| async move {
        drop(site.get().await.expect("a response"));
        turns(&site).await;
        assert_eq!(answer_to(site.post().expect_continue()).await, SAID);
        assert_eq!(answer_to(site.get()).await, SAID_OTHER);
    });
    assert_eq!(seen.len(), 1);
}

// HC26, HC27, HC38, HC43.
#[test]
fn a_connection_that_may_not_be_used_again_is_not() {
    type Ask = fn(&Site) -> RequestBuilder;
    let get: Ask = |site| site.get();
    let poison = || say(OK.replace("hi", "no"));
    let scripts: [(&str, Ask, Script); 9] = [
        ("a close of the server", get, vec![Head, say("HTTP/1.1 204 N\r\nConnection: close\r\n\r\n")]),
        ("a close of the client", |site| site.get().field("Connection", "close"), vec![Head, say(OK)]),
        ("HTTP/1.0", get, vec![Head, say("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")]),
        ("a body until the end", get, vec![Head, say("HTTP/1.1 200 OK\r\n\r\nhi"), Fin]),
        ("a body that is not sent", |site| site.post().expect_continue().body("hello"), vec![Head, say(OK)]),
        ("a second response", get, vec![Head, say(format!("{OK}{OK}"))]),
        ("a second response, later", get, vec![Head, say(OK), Turns(2), poison()]),
        ("a FIN", get, vec![Head, say(OK), Turns(2), Fin]),
        ("a reset", get, vec![Head, say(OK), Turns(2), Reset]),
    ];
    for (title, ask, script) in scripts {
        let (is_reused, seen) = run([script, vec![Head, say(OTHER)]], |site| async move {
            let first = answer_to(ask(&site)).await;
            assert!(first.ends_with("end"), "{title}: {first}");
            turns(&site).await;
            let mut response = site.get().await.expect("a response");
            assert_eq!(response.bytes(10).await.expect("a body"), "other", "{title}");
            response.is_reused()
        });
        assert!(!is_reused, "{title}");
        assert_eq!(seen.iter().map(crate::evil::Seen::heads).collect::<Vec<_>>(), [1, 1], "{title}");
    }
}

// HC55, HC58.
#[test]
fn a_request_that_loses_a_connection_which_was_used_before_is_sent_once_more() {
    type Ask = fn(&Site) -> RequestBuilder;
    let asked: [(&str, Ask); 4] = [
        ("GET", |site| site.get()),
        ("PUT with a body", |site| site.client.put(site.url("/")).body("hello")),
        ("DELETE", |site| site.client.delete(site.url("/"))),
        ("POST with a key", |site| site.post().field("Idempotency-Key", "1").body("hello")),
    ];
    for end in [Close, Reset] {
        for (title, ask) in asked {
            let dying = vec![Head, say(OK), Head, end.clone()];
            let (facts, seen) = run([dying, vec![Head, say(OTHER)]], |site| async move {
                assert_eq!(answer_to(site.get()).await, SAID);
                let mut response = ask(&site).await.expect("a response");
                assert_eq!(response.bytes(10).await.expect("a body"), "other");
                (response.is_reused(), response.was_retried())
            });
            assert_eq!((facts, seen.len()), ((false, true), 2), "{title}");
        }
    }
}

// HC56, HC57.
#[test]
fn what_must_not_be_sent_twice_is_not() {
    type Ask = fn(&Site) -> RequestBuilder;
    let asked: [(&str, Ask); 2] = [
        ("POST", |site| site.post().body("hello")),
        ("PUT with a stream", |site| {
            site.client.put(site.url("/")).body_stream(crate::rig::repeated("hello", 1, None))
        }),
    ];
    for (title, ask) in asked {
        let (error, seen) =
            run([vec![Head, say(OK), Head, Close], vec![Head, say(OTHER)]], |site| async move {
                assert_eq!(answer_to(site.get()).await, SAID);
                ask(&site).await.expect_err("the connection is closed")
            });
        assert_eq!((error.kind(), error.is_reused()), (ErrorKind::ConnectionLost, true), "{title}: {error}");
        assert_eq!(seen.len(), 1, "{title}");
    }
    // Not on a new connection, and not a third time.
    let (error, seen) = run([vec![Head, Close]], |site| async move { site.get().await.expect_err("closed") });
    assert_eq!((error.kind(), error.is_reused(), seen.len()), (ErrorKind::ConnectionLost, false, 1));
    let (error, seen) = run([vec![Head, say(OK), Head, Close], vec![Head, Close]], |site| async move {
        assert_eq!(answer_to(site.get()).await, SAID);
        site.get().await.expect_err("closed")
    });
    assert_eq!((error.kind(), seen.len()), (ErrorKind::ConnectionLost, 2));
    // A byte of a response has come.
    let (error, seen) = run([vec![Head, say(OK), Head, say("H"), Fin, End]], |site| async move {
        assert_eq!(answer_to(site.get()).await, SAID);
        site.get().await.expect_err("closed")
    });
    assert_eq!((error.kind(), error.is_reused(), seen.len()), (ErrorKind::ConnectionLost, true, 1));
}
