//! Which fields a proxy passes on, and which it makes. That is private to the crate and depends on `http::proto` alone, so its
//! file is compiled into this test.

#[path = "../src/proxy/fields.rs"]
#[expect(dead_code, reason = "the proxy uses all of it, this test does not")]
mod fields;

use fields::{Passage, Refusal, Via, check, pass_request, pass_response, put_target};
use http::proto::{self, Decoder, Event, FieldTable, Limits, ResponseDecoder, ResponseEvent, ResponseTo};
use std::net::IpAddr;

fn client() -> Option<IpAddr> {
    Some([192, 0, 2, 7].into())
}

/// The request line that an upstream gets of `head`, and the fields that `keep` names, or the refusal.
fn pass(head: &str, change: impl FnOnce(&mut Passage<'_>)) -> Result<Vec<String>, Refusal> {
    let via = Via::new("here");
    let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    let text = head.replace('\n', "\r\n") + "\r\n\r\n";
    let mut input = text.as_bytes();
    let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else {
        panic!("no head: {text}")
    };
    check(&head, &via)?;
    let offers_upgrade = head.upgrade;
    let mut passage =
        Passage { client: client(), trusts_client: false, host: head.authority(), via: &via, offers_upgrade };
    change(&mut passage);
    let mut target = String::new();
    put_target(&head, &mut target);
    let mut lines = vec![format!("{} {target}", head.method)];
    pass_request(&head, &passage, &mut Vec::new(), |name, value| {
        lines.push(format!("{name}: {}", String::from_utf8_lossy(value)));
    });
    Ok(lines)
}

/// What is always added for a request to `h` of an untrusted client.
const ADDED: [&str; 5] = [
    "Forwarded: for=192.0.2.7;host=\"h\";proto=http",
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Host: h",
    "X-Forwarded-Proto: http",
    "Via: 1.1 here",
];

/// The lines of a passed request without those that are always there.
fn passed(head: &str) -> Vec<String> {
    let mut lines = pass(&format!("{head}\nHost: h"), |_| {}).expect("it is passed on");
    for line in ["Host: h"].iter().chain(&ADDED) {
        let at = lines.iter().position(|found| found == line);
        lines.remove(at.unwrap_or_else(|| panic!("no {line} in {lines:?}")));
    }
    lines.remove(0);
    lines
}

#[test]
fn what_is_for_the_end_is_passed_on_as_it_is() {
    let lines =
        ["Accept: a", "accept: b", "Cookie: c", "Max-Forwards: 0", "X_Own: \u{e9}", "Authorization: Basic x"];
    assert_eq!(passed(&format!("GET / HTTP/1.1\n{}", lines.join("\n"))), lines);
}

// RFC 9110, 7.6.1
#[test]
fn what_is_for_one_connection_is_not() {
    for field in [
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic x",
        "Proxy-Authenticate: Basic",
        "TE: gzip",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "Trailer: X-A",
        "Connection: X-Secret, close\nX-Secret: 1\nx-secret: 2",
        "Connection: close\nConnection: \t x-a ,, X-B \nX-A: 1\nX-B: 2",
    ] {
        assert_eq!(passed(&format!("GET / HTTP/1.1\n{field}")), [""; 0], "{field}");
    }
    // A name that is no whole element names nothing.
    assert_eq!(passed("GET / HTTP/1.1\nConnection: X-A-B\nX-A: 1"), ["X-A: 1"]);
    assert_eq!(
        passed("GET / HTTP/1.1\nConnection: X-A\nX_A: 1"),
        [""; 0],
        "some servers take one for the other"
    );
    assert_eq!(
        passed("GET / HTTP/1.1\nX-A: 1\nTE: deflate, Trailers"),
        ["X-A: 1", "TE: trailers", "Connection: TE"]
    );
}

#[test]
fn nothing_about_the_delimiter_of_a_body_is_passed_on() {
    assert_eq!(passed("POST / HTTP/1.1\nContent-Length: 05"), [""; 0]);
    let chunked =
        "POST / HTTP/1.1\nTransfer-Encoding: chunked\nTrailer: X-A\nContent_Length: 3\nTransfer_Encoding: x";
    assert_eq!(passed(chunked), ["Trailer: X-A"]);
}

#[test]
fn what_a_client_says_of_itself_is_replaced() {
    let told = "GET / HTTP/1.1\nForwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1\nX_Forwarded_For: 2.2.2.2\n\
                x-forwarded-proto: https\nX-Forwarded-Host: evil\nX-Forwarded-Prefix: /x\nX-Real-IP: 1.1.1.1";
    assert_eq!(passed(told), [""; 0]);
    // Even if the client says that it is for this connection only.
    assert_eq!(passed("GET / HTTP/1.1\nConnection: X-Forwarded-For, Via, Forwarded"), [""; 0]);
}

#[test]
fn what_a_trusted_client_says_is_passed_on_with_this_hop() {
    let head = "GET / HTTP/1.1\nHost: h\nForwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\n\
                X-Forwarded-Proto: https\nX-Forwarded-Host: first\nX-Real-IP: 1.1.1.1\nVia: 1.1 other (x), HTTP/1.0 b";
    let lines = pass(head, |passage| passage.trusts_client = true).expect("it is passed on");
    assert_eq!(
        lines,
        [
            "GET /",
            "Host: h",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: first",
            "X-Real-IP: 1.1.1.1",
            "Via: 1.1 other (x), HTTP/1.0 b",
            "Forwarded: for=1.1.1.1, for=192.0.2.7;host=\"h\";proto=http",
            "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7",
            "Via: 1.1 here",
        ]
    );
    // What it has named in Connection was for this proxy.
    let head = "GET / HTTP/1.1\nHost: h\nConnection: x-forwarded-for\nX-Forwarded-For: 1.1.1.1";
    let lines = pass(head, |passage| passage.trusts_client = true).expect("it is passed on");
    assert!(lines.contains(&"X-Forwarded-For: 192.0.2.7".to_owned()), "{lines:?}");
}

// RFC 7239, 6
#[test]
fn an_address_is_written_as_each_field_has_it() {
    let lines = |client: Option<&str>| {
        let client = client.map(|text| text.parse().expect("an address"));
        let lines = pass("GET / HTTP/1.1\nHost: h:80", |passage| passage.client = client).expect("passed on");
        (lines[2].clone(), lines[3].clone())
    };
    let expect = |forwarded: &str, plain: &str| {
        (format!("Forwarded: {forwarded};host=\"h:80\";proto=http"), format!("X-Forwarded-For: {plain}"))
    };
    assert_eq!(lines(Some("192.0.2.1")), expect("for=192.0.2.1", "192.0.2.1"));
    assert_eq!(lines(Some("2001:db8::1")), expect("for=\"[2001:db8::1]\"", "2001:db8::1"));
    assert_eq!(lines(None), expect("for=unknown", "unknown"));
}

// RFC 9112, 3.2
#[test]
fn an_upstream_gets_a_path_whatever_the_form_of_the_target() {
    for (method, target, passed, host) in [
        ("GET", "/a?b=/c", "/a?b=/c", "h"),
        ("GET", "http://x.example:81/a?b", "/a?b", "x.example:81"),
        ("GET", "HTTPS://x.example?b", "/?b", "x.example"),
        ("OPTIONS", "*", "*", "h"),
        ("OPTIONS", "http://x.example", "*", "x.example"),
        ("GET", "//two/slashes", "//two/slashes", "h"),
    ] {
        let lines = pass(&format!("{method} {target} HTTP/1.1\nHost: h"), |_| {}).expect("it is passed on");
        assert_eq!(lines[..2], [format!("{method} {passed}"), format!("Host: {host}")]);
    }
    assert_eq!(pass("GET ftp://x/ HTTP/1.1\nHost: h", |_| {}), Err(Refusal::Misdirected));
}

#[test]
fn an_http_1_0_request_without_a_host_has_none_that_is_told_of() {
    let lines = pass("GET / HTTP/1.0", |passage| passage.host = "upstream").expect("it is passed on");
    let expected = [
        "GET /",
        "Host: upstream",
        "Forwarded: for=192.0.2.7;proto=http",
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: http",
        "Via: 1.0 here",
    ];
    assert_eq!(lines, expected);
}

// RFC 9110, 7.6.2
#[test]
fn max_forwards_counts_down_for_two_methods() {
    let passed = |line: &str| {
        pass(&format!("{line}\nHost: h"), |_| {})
            .map(|lines| lines.into_iter().filter(|line| line.starts_with("Max")).collect::<Vec<_>>())
    };
    assert_eq!(passed("OPTIONS / HTTP/1.1\nMax-Forwards: 3"), Ok(vec!["Max-Forwards: 2".to_owned()]));
    let huge = "9".repeat(30);
    let most = format!("Max-Forwards: {}", u64::MAX - 1);
    assert_eq!(passed(&format!("TRACE / HTTP/1.1\nMax-Forwards: {huge}")), Ok(vec![most]));
    assert_eq!(passed("TRACE / HTTP/1.1\nMax-Forwards: 00"), Err(Refusal::LastHop));
    assert_eq!(passed("POST / HTTP/1.1\nMax-Forwards: 0"), Ok(vec!["Max-Forwards: 0".to_owned()]));
    for line in ["-1", "1.5", "", "1\nMax-Forwards: 1"] {
        let refused = passed(&format!("OPTIONS / HTTP/1.1\nMax-Forwards: {line}"));
        assert!(matches!(refused, Err(Refusal::Ambiguous(_))), "{line:?}");
    }
}

// RFC 9110, 7.6.3
#[test]
fn a_request_that_was_here_before_is_refused() {
    for via in ["1.1 here", "1.1 other, 1.0 HERE (a comment)", "HTTP/1.1 here", "1.1 a\nVia: 1.1\there"] {
        assert_eq!(
            pass(&format!("GET / HTTP/1.1\nHost: h\nVia: {via}"), |_| {}),
            Err(Refusal::Loop),
            "{via}"
        );
    }
    for via in ["1.1 hereabouts", "here 1.1", "1.1 other (here)", "here"] {
        assert!(pass(&format!("GET / HTTP/1.1\nHost: h\nVia: {via}"), |_| {}).is_ok(), "{via}");
    }
}

// RFC 9110, 9.3.8
#[test]
fn a_trace_with_content_is_refused() {
    let refused = pass("TRACE / HTTP/1.1\nHost: h\nContent-Length: 3", |_| {});
    assert!(matches!(refused, Err(Refusal::Ambiguous(_))));
    assert!(pass("TRACE / HTTP/1.1\nHost: h\nContent-Length: 0", |_| {}).is_ok());
}

#[test]
fn an_offer_is_passed_on_with_its_protocols() {
    let head = "GET / HTTP/1.1\nHost: h\nConnection: upgrade, Sec-X\nUpgrade: websocket\nSec-X: 1\nSec-Y: 2\nTE: trailers";
    let lines = pass(head, |_| {}).expect("it is passed on");
    assert_eq!(lines[2..4], ["Upgrade: websocket", "Sec-Y: 2"]);
}

#[test]
fn an_expectation_is_passed_on_if_there_is_a_body() {
    let lines = passed("POST / HTTP/1.1\nContent-Length: 3\nExpect: 100-Continue");
    assert_eq!(lines, ["Expect: 100-continue"]);
    assert_eq!(passed("GET / HTTP/1.1\nExpect: 100-continue"), [""; 0]);
    assert_eq!(passed("POST / HTTP/1.1\nContent-Length: 0\nExpect: 100-continue"), [""; 0]);
}

/// The fields that a client gets of this response.
fn response(head: &str, to: ResponseTo) -> Vec<String> {
    let (mut decoder, mut table) = (ResponseDecoder::new(), FieldTable::new());
    assert!(decoder.begin(to));
    let text = head.replace('\n', "\r\n") + "\r\n\r\n";
    let mut input = text.as_bytes();
    let event = decoder.decode(&mut input, &mut table, &Limits::default());
    let (Ok(ResponseEvent::Head(head)) | Ok(ResponseEvent::Information(head))) = event else {
        panic!("no head: {text}")
    };
    let mut lines = Vec::new();
    pass_response(&head, |name, value| lines.push(format!("{name}: {}", String::from_utf8_lossy(value))));
    lines
}

fn to_get(head: &str) -> Vec<String> {
    response(head, ResponseTo::default())
}

#[test]
fn a_response_loses_what_is_for_one_connection() {
    let head = "HTTP/1.1 200 OK\nConnection: X-Secret, close\nX-Secret: 1\nKeep-Alive: timeout=5\nProxy-Authenticate: Basic\n\
                Upgrade: h2c\nTransfer-Encoding: chunked\nSet-Cookie: a\nSet-Cookie: b\nServer: s\nVia: 1.1 other\nDate: d";
    assert_eq!(to_get(head), ["Set-Cookie: a", "Set-Cookie: b", "Server: s", "Via: 1.1 other", "Date: d"]);
}

#[test]
fn the_length_of_a_response_is_passed_on_where_it_is_one() {
    assert_eq!(to_get("HTTP/1.1 200 OK\nContent-Length: 3"), ["Content-Length: 3"]);
    assert_eq!(to_get("HTTP/1.1 304 x\nContent-Length: 3"), ["Content-Length: 3"]);
    assert_eq!(to_get("HTTP/1.1 204 x\nContent-Length: 3"), [""; 0]);
    assert_eq!(to_get("HTTP/1.1 103 x\nContent-Length: 3\nLink: a"), ["Link: a"]);
    let to_head = |head: &str| response(head, ResponseTo { is_head: true, ..ResponseTo::default() });
    assert_eq!(to_head("HTTP/1.1 200 OK\nContent-Length: 3"), ["Content-Length: 3"]);
    assert_eq!(to_head("HTTP/1.1 200 OK\nContent-Length: 3\nTransfer-Encoding: chunked"), [""; 0]);
}

#[test]
fn trailers_are_announced_where_they_can_follow() {
    assert_eq!(to_get("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-A"), ["Trailer: X-A"]);
    assert_eq!(to_get("HTTP/1.1 200 OK\nContent-Length: 1\nTrailer: X-A"), ["Content-Length: 1"]);
}

// RFC 9110, 15.5.22
#[test]
fn a_demand_to_upgrade_says_to_what() {
    assert_eq!(
        to_get("HTTP/1.1 426 x\nContent-Length: 0\nConnection: upgrade\nUpgrade: w"),
        ["Content-Length: 0", "Upgrade: w"]
    );
}
