//! Servers that send without an end what the client has to read before it can give the program anything.

use crate::evil::Step::Head;
use crate::evil::{Left, Script, drip, pour, say};
use crate::rig::{answer_to, fault_of, run};
use http::proto::ParseError;

const START: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

// HC16, HC21.
#[test]
fn a_flood_ends_at_its_limit() {
    let floods: [(&str, &str, &'static [u8], ParseError, u64); 6] = [
        ("informational responses", "", b"HTTP/1.1 100 C\r\n\r\n", ParseError::TooManyInformational, 33 * 18),
        ("fields", START, b"A: b\r\n", ParseError::TooManyFields, 2001 * 6 + 17),
        ("a field", START, b"A", ParseError::HeadTooLarge, 16_385),
        ("a reason", "HTTP/1.1 200 ", b"x", ParseError::HeadTooLarge, 16_385),
        ("extensions of a chunk", "", b";a=b", ParseError::ChunkExtensionsTooLarge, 16_385 + 51),
        ("trailers", "", b"A: b\r\n", ParseError::TooManyFields, 2001 * 6 + 54),
    ];
    for (title, start, flood, fault, most) in floods {
        let start = match title {
            "extensions of a chunk" => format!("{CHUNKED}1"),
            "trailers" => format!("{CHUNKED}0\r\n"),
            _ => start.to_owned(),
        };
        let script: Script = vec![Head, say(start), pour(flood.repeat(1000), usize::MAX)];
        let (result, seen) = run([script], |site| async move {
            let mut response = site.get().await?;
            response.bytes(usize::MAX).await
        });
        let (found, at) = fault_of(result).expect("it is refused");
        assert_eq!(found, fault, "{title}");
        assert!(at <= most, "{title}: at {at}");
        assert!(seen[0].unplayed == 1 && seen[0].left != Left::No, "{title}: the connection is closed");
    }
}

// HC16.
#[test]
fn many_informational_responses_and_a_large_head_are_accepted_up_to_the_limits() {
    let informed = "HTTP/1.1 102 P\r\n\r\n".repeat(32);
    let script = vec![Head, say(informed), say("HTTP/1.1 204 N\r\n\r\n")];
    let (said, _) = run([script], |site| async move { answer_to(site.get()).await });
    assert_eq!(said, format!("{}204 N | end", "info 102 | ".repeat(32)));

    let end = "\r\nContent-Length: 0\r\n\r\n";
    let fill = "x".repeat(16_384 - START.len() - end.len() - 3);
    let script = vec![Head, say(format!("{START}A: {fill}{end}"))];
    let (said, _) = run([script], |site| async move { answer_to(site.get()).await });
    assert!(said.ends_with("Content-Length: 0 | end"));
}

// HC26.
#[test]
fn what_follows_a_complete_response_is_not_read() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    for flood in [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".as_slice(), b"x"] {
        let (said, seen) =
            run([vec![Head, say(ok), pour(flood.repeat(10_000), usize::MAX)]], |site| async move {
                answer_to(site.get()).await
            });
        assert_eq!(said, "200 OK | Content-Length: 2 | body=hi | end");
        assert_eq!(seen[0].unplayed, 1);
    }
}

#[test]
fn a_body_that_comes_a_byte_at_a_time_is_whole() {
    let chunks = "1\r\nx\r\n".repeat(300);
    let script = vec![Head, drip(format!("{CHUNKED}{chunks}0\r\nA: b\r\n\r\n"))];
    let (said, _) = run([script], |site| async move { answer_to(site.get()).await });
    assert_eq!(said, format!("200 OK | Transfer-Encoding: chunked | body={} | A: b | end", "x".repeat(300)));
}
