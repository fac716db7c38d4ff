//! The cases of llhttp's `test/response`, by their titles, with the verdict of this decoder. `Same` is llhttp's; each stricter one
//! has its reason. Cases about lenient flags, pauses and callbacks of the parser are left out: there is nothing like them here.
//!
//! The tests of the client include this file, too.

use http::proto::ParseError::{self, *};
use http::proto::ResponseTo;

const GET: ResponseTo = to(false, false);
const HEAD: ResponseTo = to(true, false);
const OFFER: ResponseTo = to(false, true);

const fn to(is_head: bool, offers_upgrade: bool) -> ResponseTo {
    ResponseTo { is_head, is_connect: false, offers_upgrade }
}

/// What becomes of a case.
pub(crate) enum Verdict {
    /// Accepted, as by llhttp: the events.
    Same(&'static str),
    /// Refused, as by llhttp.
    Refused(ParseError),
    /// Refused, although llhttp accepts it: why.
    Stricter(ParseError, &'static str),
}
use Verdict::{Refused, Same, Stricter};

pub(crate) type Case = (&'static str, &'static [ResponseTo], &'static str, Verdict);

const CONNECTION: &[Case] = &[
    (
        "Proxy-Connection",
        &[GET],
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nProxy-Connection: close\r\n\r\nhi",
        Same("200 OK 1.1 Length(2) | Content-Length: 2 | Proxy-Connection: close | body=hi | end"),
    ),
    (
        "HTTP/1.0 with keep-alive and EOF-terminated 200 status",
        &[GET],
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nHTTP",
        Same("200 OK 1.0 UntilClose close | Connection: keep-alive | body=HTTP | eof"),
    ),
    (
        "HTTP/1.0 with keep-alive and 204 status",
        &[GET, HEAD],
        "HTTP/1.0 204 No content\r\nConnection: keep-alive\r\n\r\nHTTP/1.0 200 OK\r\n\r\n",
        Same("204 No content 1.0 | Connection: keep-alive | end | 200 OK 1.0 close | end | done"),
    ),
    (
        "HTTP/1.1 with EOF-terminated 200 status",
        &[GET],
        "HTTP/1.1 200 OK\r\n\r\nHTTP",
        Same("200 OK 1.1 UntilClose close | body=HTTP | eof"),
    ),
    (
        "HTTP/1.1 with 204 status",
        &[GET, HEAD],
        "HTTP/1.1 204 No content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        Same("204 No content 1.1 | end | 200 OK 1.1 | end"),
    ),
    (
        "HTTP/1.1 with keep-alive disabled and 204 status",
        &[GET],
        "HTTP/1.1 204 No content\r\nConnection: close\r\n\r\nHTTP",
        // llhttp reports the bytes behind it; here they are left where they are, as behind every last response.
        Same("204 No content 1.1 close | Connection: close | end | done HTTP"),
    ),
    (
        "HTTP/1.1 with keep-alive disabled, content-length",
        &[GET],
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhiHTTP",
        Same(
            "200 OK 1.1 Length(2) close | Content-Length: 2 | Connection: close | body=hi | end | done HTTP",
        ),
    ),
    (
        "HTTP 101 response with Upgrade and Content-Length header",
        &[OFFER],
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nproto",
        Same(
            "101 S 1.1 close upgrade | Connection: upgrade | Upgrade: h2c | Content-Length: 4 | end | done proto",
        ),
    ),
    (
        "HTTP 101 response with Upgrade and Transfer-Encoding header",
        &[OFFER],
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0",
        Same(
            "101 S 1.1 close upgrade | Connection: upgrade | Upgrade: h2c | Transfer-Encoding: chunked | end | done 0",
        ),
    ),
    (
        "HTTP 101 response with Upgrade and Content-Length header",
        &[GET],
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        Stricter(UnexpectedUpgrade, "the request has offered none"),
    ),
    (
        "HTTP 200 response with Upgrade header",
        &[OFFER],
        "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nbody",
        Same("200 OK 1.1 UntilClose close | Connection: upgrade | Upgrade: h2c | body=body | eof"),
    ),
    (
        "HTTP 200 response with Upgrade header and Content-Length",
        &[OFFER],
        "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody",
        Same(
            "200 OK 1.1 Length(4) | Connection: upgrade | Upgrade: h2c | Content-Length: 4 | body=body | end",
        ),
    ),
    (
        "HTTP 200 response with Upgrade header and Transfer-Encoding",
        &[OFFER],
        "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
        Same("200 OK 1.1 Chunked | Upgrade: h2c | Transfer-Encoding: chunked | body=body | end"),
    ),
    (
        "HTTP 304 with Content-Length",
        &[GET, GET],
        "HTTP/1.1 304 N\r\nContent-Length: 10\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        Same(
            "304 N 1.1 | Content-Length: 10 | end | 200 OK 1.1 Length(5) | Content-Length: 5 | body=hello | end",
        ),
    ),
    (
        "HTTP 304 with Transfer-Encoding",
        &[GET, GET],
        "HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 204 B\r\n\r\n",
        Same("304 N 1.1 | Transfer-Encoding: chunked | end | 204 B 1.1 | end"),
    ),
    (
        "HTTP 100 first, then 400",
        &[GET],
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 N\r\nContent-Length: 2\r\n\r\nhi",
        Same("info 100 Continue 1.1 | 404 N 1.1 Length(2) | Content-Length: 2 | body=hi | end"),
    ),
    (
        "HTTP 103 first, then 200",
        &[GET],
        "HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        Same("info 103 E 1.1 | Link: a | 200 OK 1.1 Length(2) | Content-Length: 2 | body=hi | end"),
    ),
];

const LENGTHS: &[Case] = &[
    (
        "Response without `Content-Length`, but with body",
        &[GET],
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<?xml?>",
        Same("200 OK 1.1 UntilClose close | Connection: close | body=<?xml?> | eof"),
    ),
    (
        "Content-Length-X",
        &[GET],
        "HTTP/1.1 200 OK\r\nContent-Length-X: 0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
        Same("200 OK 1.1 Chunked | Content-Length-X: 0 | Transfer-Encoding: chunked | body=OK | end"),
    ),
    (
        "Content-Length reset when no body is received",
        &[HEAD, HEAD],
        "HTTP/1.1 200 OK\r\nContent-Length: 123\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 456\r\n\r\n",
        Same("200 OK 1.1 | Content-Length: 123 | end | 200 OK 1.1 | Content-Length: 456 | end"),
    ),
    (
        "Tabs in `Content-Length` (surrounding)",
        &[HEAD],
        "HTTP/1.1 200 OK\r\nContent-Length:\t42\t\r\n\r\n",
        Same("200 OK 1.1 | Content-Length: 42 | end"),
    ),
    (
        "It should be safe to finish with cb after empty response",
        &[GET],
        "HTTP/1.1 200 OK\r\n\r\n",
        Same("200 OK 1.1 UntilClose close | eof"),
    ),
    (
        "Should parse multiple events",
        &[GET, GET],
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nAAAHTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\nB",
        Same(
            "200 OK 1.1 Length(3) | Content-Length: 3 | body=AAA | end | 201 C 1.1 Length(1) | Content-Length: 1 | body=B | end",
        ),
    ),
];

const INVALID: &[Case] = &[
    ("Incomplete HTTP protocol", &[GET], "HTP/1.1 200 OK\r\n\r\n", Refused(InvalidVersion)),
    ("Extra digit in HTTP major version", &[GET], "HTTP/01.1 200 OK\r\n\r\n", Refused(InvalidVersion)),
    ("Extra digit in HTTP major version #2", &[GET], "HTTP/11.1 200 OK\r\n\r\n", Refused(InvalidVersion)),
    ("Extra digit in HTTP minor version", &[GET], "HTTP/1.01 200 OK\r\n\r\n", Refused(InvalidVersion)),
    ("Tab after HTTP version", &[GET], "HTTP/1.1\t200 OK\r\n\r\n", Refused(InvalidVersion)),
    (
        "CR before response and tab after HTTP version",
        &[GET],
        "\rHTTP/1.1\t200 OK\r\n\r\n",
        Refused(InvalidVersion),
    ),
    (
        "Headers separated by CR",
        &[GET],
        "HTTP/1.1 200 OK\r\nFoo: 1\rBar: 2\r\n\r\n",
        Refused(InvalidFieldValue),
    ),
    (
        "Bare CR after response line",
        &[GET],
        "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n",
        Refused(InvalidLineEnd),
    ),
    (
        "Bare CR followed by CR after response line",
        &[GET],
        "HTTP/1.1 200 OK\r\rContent-Length: 4\r\n\r\n",
        Refused(InvalidLineEnd),
    ),
    ("Invalid HTTP version", &[GET], "HTTP/5.6 200 OK\r\n\r\n", Refused(UnsupportedVersion)),
    (
        "Invalid space after start line",
        &[GET],
        "HTTP/1.1 200 OK\r\n Host: foo\r\n\r\n",
        Refused(LeadingWhitespace),
    ),
    (
        "Extra space between HTTP version and status code",
        &[GET],
        "HTTP/1.1  200 OK\r\n\r\n",
        Refused(InvalidStatus),
    ),
    (
        "Extra space between status code and reason",
        &[HEAD],
        "HTTP/1.1 200  OK\r\n\r\n",
        Same("200  OK 1.1 | end"),
    ),
    ("One-digit status code", &[GET], "HTTP/1.1 2 OK\r\n\r\n", Refused(InvalidStatus)),
    (
        "Only LFs present and no body",
        &[GET],
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        Refused(InvalidLineEnd),
    ),
    ("Only LFs present", &[GET], "HTTP/1.1 200 OK\nFoo: abc\n\nBODY\n", Refused(InvalidLineEnd)),
];

const SAMPLES: &[Case] = &[
    (
        "Simple response",
        &[GET],
        "HTTP/1.1 200 OK\r\nHeader1: Value1\r\nHeader2:\t Value2\r\nContent-Length: 0\r\n\r\n",
        Same("200 OK 1.1 Length(0) | Header1: Value1 | Header2: Value2 | Content-Length: 0 | end"),
    ),
    ("RTSP response", &[GET], "RTSP/1.1 200 OK\r\n\r\n", Stricter(InvalidVersion, "it is not HTTP")),
    ("ICE response", &[GET], "ICE/1.1 200 OK\r\n\r\n", Stricter(InvalidVersion, "it is not HTTP")),
    ("Error on invalid response start", &[GET], "HTTPER/1.1 200 OK\r\n\r\n", Refused(InvalidVersion)),
    (
        "Google 301",
        &[GET],
        "HTTP/1.1 301 Moved Permanently\r\nX-$PrototypeBI-Version: 1.6.0.3\r\nContent-Length:  2  \r\n\r\n<>",
        Same(
            "301 Moved Permanently 1.1 Length(2) | X-$PrototypeBI-Version: 1.6.0.3 | Content-Length: 2 | body=<> | end",
        ),
    ),
    (
        "amazon.com",
        &[GET],
        "HTTP/1.1 301 MovedPermanently\r\np3p: policyref='http://a/',CP='CAO DSP '\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
        Same(
            "301 MovedPermanently 1.1 Chunked | p3p: policyref=\\'http://a/\\',CP=\\'CAO DSP \\' | Transfer-Encoding: chunked | body=\\n | end",
        ),
    ),
    (
        "No headers and no body",
        &[GET],
        "HTTP/1.1 404 Not Found\r\n\r\n",
        Same("404 Not Found 1.1 UntilClose close | eof"),
    ),
    ("No reason phrase", &[GET], "HTTP/1.1 301\r\n\r\n", Same("301  1.1 UntilClose close | eof")),
    (
        "Empty reason phrase after space",
        &[GET],
        "HTTP/1.1 200 \r\n\r\n",
        Same("200  1.1 UntilClose close | eof"),
    ),
    ("No carriage ret", &[GET], "HTTP/1.1 200 OK\nConnection: close\n\nthese", Refused(InvalidLineEnd)),
    (
        "Underscore in header key",
        &[GET],
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDCLK_imp: v7;x;~okv=;\r\n\r\n",
        Same("200 OK 1.1 Length(0) | Content-Length: 0 | DCLK_imp: v7;x;~okv=; | end"),
    ),
    (
        "bonjourmadame.fr",
        &[GET],
        "HTTP/1.0 301 M\r\nPragma: \r\nLocation: http://a/\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        Same(
            "301 M 1.0 Length(0) | Pragma:  | Location: http://a/ | Content-Length: 0 | Connection: keep-alive | end",
        ),
    ),
    (
        "Spaces in header value",
        &[GET],
        "HTTP/1.1 200 OK\r\n.et-Cookie: A=1; path=/\r\n_onnection: Keep-Alive\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        Same(
            "200 OK 1.1 Chunked close | .et-Cookie: A=1; path=/ | _onnection: Keep-Alive | Transfer-Encoding: chunked | Connection: close | end | done",
        ),
    ),
    (
        "Spaces in header name",
        &[GET],
        "HTTP/1.1 200 OK\r\nen-US Content-Type: text/xml\r\n\r\n",
        Refused(InvalidFieldName),
    ),
    (
        "Non ASCII in status line",
        &[GET],
        "HTTP/1.1 500 Ori\u{eb}n\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        Same("500 Ori\\xc3\\xabn 1.1 Length(0) close | Content-Length: 0 | Connection: close | end | done"),
    ),
    (
        "HTTP version 0.9",
        &[GET],
        "HTTP/0.9 200 OK\r\n\r\n",
        Stricter(UnsupportedVersion, "HTTP/0.9 has no heads"),
    ),
    (
        "No Content-Length, no Transfer-Encoding",
        &[GET],
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello",
        Same("200 OK 1.1 UntilClose close | Content-Type: text/plain | body=hello | eof"),
    ),
    (
        "Response starting with CRLF",
        &[GET],
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Stricter(InvalidVersion, "RFC 9112, 2.2 has servers skip empty lines, not clients"),
    ),
];

const CODINGS: &[Case] = &[
    (
        "Trailing space on chunked body",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nab\r\n",
        Refused(InvalidChunkExtension),
    ),
    (
        "`chunked` before other transfer-encoding",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, deflate\r\n\r\nWorld",
        Stricter(InvalidTransferEncoding, "RFC 9112, 6.1: chunked is the last coding"),
    ),
    (
        "multiple transfer-encoding where chunked is not the last one",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\nWorld",
        Stricter(InvalidTransferEncoding, "RFC 9112, 6.1: chunked is the last coding"),
    ),
    (
        "`chunkedchunked` transfer-encoding does not enable chunked enconding",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedchunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n",
        Stricter(UnsupportedTransferCoding, "nothing here decodes it"),
    ),
    (
        "Chunk extensions",
        &[GET],
        "HTTP/1.1 200 OK\r\nHost: localhost\r\nTransfer-encoding: chunked\r\n\r\n2;a;b=c\r\nhi\r\n1;d\r\n!\r\n0\r\n\r\n",
        Same("200 OK 1.1 Chunked | Host: localhost | Transfer-encoding: chunked | body=hi! | end"),
    ),
    (
        "No semicolon before chunk extensions",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-encoding: chunked\r\n\r\n2 a\r\naa\r\n",
        Refused(InvalidChunkExtension),
    ),
    (
        "No extension after semicolon",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-encoding: chunked\r\n\r\n2;\r\naa\r\n",
        Refused(InvalidChunkExtension),
    ),
    (
        "Chunk extensions quoting",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b; c\";d=\"e\"\r\nhi\r\n0\r\n\r\n",
        Same("200 OK 1.1 Chunked | Transfer-Encoding: chunked | body=hi | end"),
    ),
    (
        "Unbalanced chunk extensions quoting",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\";c=\"d\r\nhi\r\n",
        Refused(InvalidChunkExtension),
    ),
    (
        "Invalid OBS fold after chunked value",
        &[GET],
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n  abc\r\n\r\n",
        Stricter(LeadingWhitespace, "RFC 9112, 5.2: a fold is refused; llhttp reads it when it is lenient"),
    ),
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [CONNECTION, LENGTHS, INVALID, SAMPLES, CODINGS].into_iter().flatten()
}
