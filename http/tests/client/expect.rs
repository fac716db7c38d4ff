//! Bodies that wait for `100 Continue`.

use crate::evil::Step::{Bytes, End, Head, Mark, Turns};
use crate::evil::{Left, say};
use crate::rig::{answer_to, endless, repeated, run};
use http::client::TimeLimits;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const SAID: &str = "200 OK | Content-Length: 0 | end";

/// A server that asks for the body, and then answers.
fn asking() -> Vec<crate::evil::Step> {
    vec![Head, Turns(5), Mark, say("HTTP/1.1 100 Continue\r\n\r\n"), Bytes(5), say(OK)]
}

// HC37, HC40.
#[test]
fn a_body_waits_for_100_continue() {
    let (said, seen) =
        run([asking()], |site| async move { answer_to(site.post().expect_continue().body("hello")).await });
    assert_eq!(said, SAID);
    let text = seen[0].text();
    assert!(text.contains("Expect: 100-continue\r\n") && text.ends_with("\r\n\r\nhello"), "{text}");
    assert_eq!(seen[0].marks, [text.len() - 5], "the head alone");

    let (_, seen) = run([asking()], |site| async move {
        let request = site.post().expect_continue().field("Content-Length", "5");
        answer_to(request.body_stream(repeated("hello", 1, None))).await
    });
    assert_eq!(seen[0].marks, [seen[0].received.len() - 5], "a stream waits, too");
}

// HC37.
#[test]
fn a_server_that_does_not_know_100_gets_the_body_after_a_while() {
    let (said, seen) = run([vec![Head, Mark, Bytes(5), say(OK)]], |site| async move {
        let limits = TimeLimits::default().await_continue(Duration::from_millis(20));
        answer_to(site.post().time_limits(limits).expect_continue().body("hello")).await
    });
    assert_eq!(said, SAID);
    assert_eq!(seen[0].marks, [seen[0].received.len() - 5]);
}

// HC38, HC41.
#[test]
fn a_body_that_is_refused_is_never_sent() {
    for status in ["401 No", "417 Expectation Failed", "200 OK"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
        for is_stream in [false, true] {
            let (said, seen) = run([vec![Head, say(&answer), End]], |site| async move {
                let request = site.post().expect_continue();
                let request = if is_stream { request.body_stream(endless()) } else { request.body("hello") };
                answer_to(request).await
            });
            assert_eq!(said, format!("{status} | Content-Length: 2 | body=no | end"));
            let text = seen[0].text();
            assert!(text.ends_with("\r\n\r\n") && seen[0].left != Left::No, "{text}");
        }
    }
}
