//! One answer to one request, of servers that are right, wrong or malicious: what the client makes of it, and what Node's makes of
//! it, which `node.rs` asks.
//!
//! What a client gets is written so: `info 103` for each informational response; `200 OK`; `Name: value` for each field;
//! `body=…`; trailers like fields; `end`, or `cut` if it did not end. `error` has Node's code of what is no response.

use crate::evil::Step::{Fin, Head, Reset};
use crate::evil::{Script, Step, drip, say};
use crate::rig::{Site, answer_to, run};
use http::client::RequestBuilder;

/// A request: method and fields.
pub(crate) type Asked = (&'static str, &'static [(&'static str, &'static str)]);

const GET: Asked = ("GET", &[]);
const HEAD: Asked = ("HEAD", &[]);
const OFFER: Asked = ("GET", &[("Connection", "Upgrade"), ("Upgrade", "h2c, echo")]);
const CONNECT: Asked = ("CONNECT", &[]);

/// How the server goes on behind its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// It waits for the client.
    Waits,
    Ends,
    Resets,
}
use Then::{Ends, Resets, Waits};

/// Title, request, answer, what follows, what becomes of it; and what Node makes of it, if that is something else.
pub(crate) type Case = (&'static str, Asked, &'static str, Then, &'static str, Option<&'static str>);

// HC15.
const STATUS_LINES: &[Case] = &[
    (
        "no reason",
        GET,
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        Waits,
        "200 | Content-Length: 0 | end",
        None,
    ),
    (
        "an empty reason",
        GET,
        "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        Waits,
        "200 | Content-Length: 0 | end",
        None,
    ),
    (
        "an unknown status",
        GET,
        "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
        Waits,
        "999 X | Content-Length: 0 | end",
        None,
    ),
    (
        "another protocol",
        GET,
        "SSH-2.0-OpenSSH\r\n",
        Waits,
        "error HPE_INVALID_VERSION",
        Some("error HPE_INVALID_CONSTANT"),
    ),
    ("HTTP/2", GET, "HTTP/2.0 200 OK\r\n\r\n", Ends, "error HPE_INVALID_VERSION", Some("200 OK | end")),
    ("two digits", GET, "HTTP/1.1 20 OK\r\n\r\n", Waits, "error HPE_INVALID_STATUS", None),
    ("four digits", GET, "HTTP/1.1 2000 OK\r\n\r\n", Waits, "error HPE_INVALID_STATUS", None),
    ("LF behind it", GET, "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", Waits, "error HPE_CR_EXPECTED", None),
];

// HC16.
const INFORMATIONAL: &[Case] = &[
    (
        "early hints",
        GET,
        "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        Waits,
        "info 103 | info 103 | 200 OK | Content-Length: 1 | body=x | end",
        None,
    ),
    // HC39.
    (
        "a 100 without an Expect",
        GET,
        "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
        Waits,
        "info 100 | 204 N | end",
        None,
    ),
    ("the end behind one", GET, "HTTP/1.1 102 P\r\n\r\n", Ends, "info 102 | error ECONNRESET", None),
];

// HC17.
const WITHOUT_BODY: &[Case] = &[
    (
        "HEAD",
        HEAD,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Waits,
        "200 OK | Content-Length: 5 | end",
        None,
    ),
    (
        "HEAD, chunked",
        HEAD,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        Waits,
        "200 OK | Transfer-Encoding: chunked | end",
        None,
    ),
    (
        "204 with a length",
        GET,
        "HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n",
        Waits,
        "204 N | Content-Length: 5 | end",
        None,
    ),
    (
        "304, chunked",
        GET,
        "HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n",
        Waits,
        "304 N | Transfer-Encoding: chunked | end",
        None,
    ),
];

// HC18, HC19.
const FRAMING: &[Case] = &[
    (
        "a length and chunks",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        Waits,
        "error HPE_INVALID_TRANSFER_ENCODING",
        None,
    ),
    (
        "two lengths",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        Waits,
        "error HPE_UNEXPECTED_CONTENT_LENGTH",
        None,
    ),
    (
        "a sign",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
        Waits,
        "error HPE_INVALID_CONTENT_LENGTH",
        None,
    ),
    (
        "a list of lengths",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
        Waits,
        "error HPE_INVALID_CONTENT_LENGTH",
        None,
    ),
    (
        "a length of 2^63",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
        Resets,
        "error HPE_INVALID_CONTENT_LENGTH",
        Some("200 OK | Content-Length: 9223372036854775808 | cut"),
    ),
    (
        "a length of 2^64",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
        Waits,
        "error HPE_INVALID_CONTENT_LENGTH",
        None,
    ),
    (
        "another coding",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        Ends,
        "error HPE_INVALID_TRANSFER_ENCODING",
        Some("200 OK | Transfer-Encoding: gzip | body=abc | end"),
    ),
    (
        "chunked before another coding",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc",
        Ends,
        "error HPE_INVALID_TRANSFER_ENCODING",
        Some("200 OK | Transfer-Encoding: chunked, gzip | body=abc | end"),
    ),
];

// HC20.
const LINES: &[Case] = &[
    (
        "a bare CR",
        GET,
        "HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n\r\n",
        Waits,
        "error HPE_INVALID_HEADER_TOKEN",
        Some("error HPE_LF_EXPECTED"),
    ),
    (
        "a bare LF",
        GET,
        "HTTP/1.1 200 OK\r\nA: 1\nContent-Length: 0\r\n\r\n",
        Waits,
        "error HPE_CR_EXPECTED",
        None,
    ),
    (
        "a fold",
        GET,
        "HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
        Waits,
        "error HPE_INVALID_HEADER_TOKEN",
        None,
    ),
    (
        "space before the colon",
        GET,
        "HTTP/1.1 200 OK\r\nA : 1\r\nContent-Length: 0\r\n\r\n",
        Waits,
        "error HPE_INVALID_HEADER_TOKEN",
        None,
    ),
    ("a NUL", GET, "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", Waits, "error HPE_INVALID_HEADER_TOKEN", None),
    (
        "case and order",
        GET,
        "HTTP/1.1 200 OK\r\nb: 2\r\nA: 1\r\nB: 3\r\nContent-Length: 0\r\n\r\n",
        Waits,
        "200 OK | b: 2 | A: 1 | B: 3 | Content-Length: 0 | end",
        None,
    ),
];

// HC23, HC24, HC25, HC35.
const ENDS: &[Case] = &[
    ("no answer", GET, "", Ends, "error ECONNRESET", None),
    ("a reset in place of an answer", GET, "", Resets, "error ECONNRESET", None),
    ("half a status line", GET, "HTTP/1.1 20", Ends, "error ECONNRESET", None),
    ("half a head", GET, "HTTP/1.1 200 OK\r\nContent-Le", Ends, "error ECONNRESET", None),
    (
        "less than the length",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        Ends,
        "200 OK | Content-Length: 5 | body=hel | cut",
        Some("200 OK | Content-Length: 5 | cut"),
    ),
    (
        "a reset before the length",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        Resets,
        "200 OK | Content-Length: 5 | body=hel | cut",
        Some("200 OK | Content-Length: 5 | cut"),
    ),
    (
        "inside a chunk",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        Ends,
        "200 OK | Transfer-Encoding: chunked | body=hel | cut",
        Some("200 OK | Transfer-Encoding: chunked | cut"),
    ),
    (
        "before the last chunk",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        Ends,
        "200 OK | Transfer-Encoding: chunked | body=hi | cut",
        Some("200 OK | Transfer-Encoding: chunked | cut"),
    ),
    (
        "inside the trailers",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n",
        Ends,
        "200 OK | Transfer-Encoding: chunked | body=hi | cut",
        Some("200 OK | Transfer-Encoding: chunked | cut"),
    ),
    ("until the end", GET, "HTTP/1.1 200 OK\r\n\r\nall of it", Ends, "200 OK | body=all of it | end", None),
    ("until the end, and nothing", GET, "HTTP/1.0 200 OK\r\n\r\n", Ends, "200 OK | end", None),
    (
        "a reset is no such end",
        GET,
        "HTTP/1.1 200 OK\r\n\r\nsome",
        Resets,
        "200 OK | body=some | cut",
        Some("200 OK | body=some | end"),
    ),
    (
        "trailers",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
        Waits,
        "200 OK | Transfer-Encoding: chunked | body=hi | X-Sum: 1 | end",
        None,
    ),
    (
        "a chunk of no size",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        Waits,
        "200 OK | Transfer-Encoding: chunked | error HPE_INVALID_CHUNK_SIZE",
        None,
    ),
    (
        "a chunk without its end",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi0\r\n\r\n",
        Waits,
        "200 OK | Transfer-Encoding: chunked | body=hi | error HPE_STRICT",
        Some("200 OK | Transfer-Encoding: chunked | error HPE_STRICT"),
    ),
    (
        "a chunk larger than all numbers",
        GET,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        Waits,
        "200 OK | Transfer-Encoding: chunked | error HPE_INVALID_CHUNK_SIZE",
        None,
    ),
];

// HC26.
const BEHIND: &[Case] = &[
    (
        "a second response",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Waits,
        "200 OK | Content-Length: 2 | body=hi | end",
        None,
    ),
    (
        "more than the length",
        GET,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, there",
        Waits,
        "200 OK | Content-Length: 2 | body=hi | end",
        Some("200 OK | Content-Length: 2 | error HPE_INVALID_CONSTANT | body=hi | end"),
    ),
    (
        "bytes behind 204",
        GET,
        "HTTP/1.1 204 N\r\n\r\nbody",
        Waits,
        "204 N | end",
        Some("204 N | error HPE_INVALID_CONSTANT | end"),
    ),
];

// HC77, HC78.
const LEAVES: &[Case] = &[
    (
        "101",
        OFFER,
        "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello",
        Waits,
        "101 S | Connection: Upgrade | Upgrade: echo | upgrade hello",
        None,
    ),
    (
        "101 without an offer",
        GET,
        "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        Waits,
        "error UnexpectedUpgrade",
        Some("101 S | Connection: Upgrade | Upgrade: echo | upgrade"),
    ),
    (
        "101 to another protocol",
        OFFER,
        "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
        Waits,
        "error UnexpectedUpgrade",
        Some("101 S | Connection: Upgrade | Upgrade: other | upgrade"),
    ),
    (
        "101 without a protocol",
        OFFER,
        "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n",
        Waits,
        "error UnexpectedUpgrade",
        Some("101 S | Connection: Upgrade | end"),
    ),
    (
        "an offer that is ignored",
        OFFER,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        Waits,
        "200 OK | Content-Length: 2 | body=hi | end",
        None,
    ),
    (
        "a tunnel with a length",
        CONNECT,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
        Waits,
        "200 OK | Content-Length: 2 | upgrade hello",
        None,
    ),
    (
        "a tunnel with chunks",
        CONNECT,
        "HTTP/1.1 299 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        Waits,
        "299 OK | Transfer-Encoding: chunked | upgrade",
        None,
    ),
    (
        "no tunnel",
        CONNECT,
        "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nhi",
        Waits,
        "403 No | Content-Length: 2 | body=hi | end",
        Some("403 No | Content-Length: 2 | upgrade hi"),
    ),
];

pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [STATUS_LINES, INFORMATIONAL, WITHOUT_BODY, FRAMING, LINES, ENDS, BEHIND, LEAVES].into_iter().flatten()
}

pub(crate) fn script(answer: Step, then: Then) -> Script {
    let last = match then {
        Waits => None,
        Ends => Some(Fin),
        Resets => Some(Reset),
    };
    [Head, answer].into_iter().chain(last).collect()
}

fn ask(site: &Site, (method, fields): Asked) -> RequestBuilder {
    let request = site.client.request(method, site.url("/"));
    fields.iter().fold(request, |request, (name, value)| request.field(name, value))
}

// HC15 to HC20, HC23 to HC26, HC35, HC39, HC77, HC78.
#[test]
fn each_answer_is_read_by_the_rfc_whole_or_byte_by_byte() {
    for (title, asked, answer, then, expected, _) in all() {
        for answer in [say(answer), drip(answer)] {
            let text = format!("{title}: {answer:?}");
            let (said, seen) =
                run([script(answer, *then)], |site| async move { answer_to(ask(&site, *asked)).await });
            assert_eq!(said, *expected, "{text}");
            assert_eq!((seen.len(), seen[0].heads()), (1, 1), "{text}: one request, on one connection");
        }
    }
}
