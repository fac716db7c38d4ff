//! What is passed on of requests and responses.

use crate::harness::Client;
use crate::stand::{Script, Stand, ask};
use http::proxy::{Proxy, ProxyOptions, Upstream};
use http::{Error, Request, Response};

/// Answers with the request as it came.
fn mirror(request: &Request<'_>, response: Response) {
    let mut text = format!("{} {}\n", request.method, request.target);
    for (name, value) in request.fields.iter() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(value));
    }
    response.end(text.as_bytes()).expect("to end");
}

#[test]
fn a_request_is_passed_on_and_its_response_back() {
    Stand::new().server(mirror).run(|address| {
        let mut client = Client::connect(address);
        client.send("GET /a?b HTTP/1.1\r\nHost: example.org\r\nX-A: 1\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (200, false));
        assert_eq!(
            answer.text(),
            "GET /a?b\nHost: example.org\nConnection: keep-alive\nX-A: 1\n\
             Forwarded: for=127.0.0.1;host=\"example.org\";proto=http\nX-Forwarded-For: 127.0.0.1\n\
             X-Forwarded-Host: example.org\nX-Forwarded-Proto: http\nVia: 1.1 here\n"
        );
    });
}

#[test]
fn the_upstream_s_own_host_is_sent_on_demand() {
    let stand = Stand::new().server(mirror).options(|options| options.pass_host(false));
    stand.run(|address| {
        let (_, text) = ask(address, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert!(
            text.contains("\nHost: 127.0.0.1:") && text.contains("X-Forwarded-Host: example.org"),
            "{text}"
        );
    });
}

#[test]
fn what_a_trusted_client_says_is_believed() {
    let stand = Stand::new().server(mirror).options(|options| options.trust_clients(true));
    stand.run(|address| {
        let (_, text) = ask(address, "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
        assert!(text.contains("X-Forwarded-For: 192.0.2.1, 127.0.0.1\n"), "{text}");
    });
}

#[test]
fn connections_persist_on_both_sides() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    let script = Script::answer(&[ANSWER; 3]);
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        for _ in 0..3 {
            assert_eq!(client.ask("/").text(), "a");
        }
    });
    script.finish();
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    Stand::new().server(mirror).server(mirror).run(|address| {
        let mut client = Client::connect(address);
        let requests = (0..20).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
        client.send(requests.collect::<String>());
        for number in 0..20 {
            assert!(client.answer().text().starts_with(&format!("GET /{number}\n")));
        }
    });
}

#[test]
fn a_response_keeps_status_reason_and_fields_and_loses_what_is_for_one_connection() {
    let script = Script::answer(&[
        b"HTTP/1.1 299 So So\r\nDate: d\r\nServer: s\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
        Keep-Alive: timeout=9\r\nConnection: X-Own\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nhi",
    ]);
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.get("/");
        let answer = client.answer();
        let fields: Vec<&str> = answer.head.lines().skip(1).filter(|line| !line.is_empty()).collect();
        let own = ["Connection: keep-alive", "Keep-Alive: timeout=65"];
        let passed = ["Date: d", "Server: s", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 2"];
        let mut sorted: Vec<&str> = own.iter().chain(&passed).copied().collect();
        let mut found = fields.clone();
        sorted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, sorted);
    });
    script.finish();
}

// RFC 9110, 15.2: a proxy passes informational responses on.
#[test]
fn informational_responses_are_passed_on() {
    let script =
        Script::answer(&[b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\
        Connection: X-Own\r\nX-Own: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"]);
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert_eq!(client.head().status, 102);
        let hints = client.head();
        assert_eq!((hints.status, hints.field("Link"), hints.field("X-Own")), (103, Some("</a>"), None));
        assert_eq!(client.answer().text(), "a");
    });
    script.finish();
}

#[test]
fn an_http_1_0_client_gets_no_chunks_and_no_informational_response() {
    let script = Script::answer(&[b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"]);
    Stand::new().at(script.address).run(|address| {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.0\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.text(), answer.closes()), (200, "abc", true));
        assert_eq!(answer.field("Transfer-Encoding"), None);
    });
    script.finish();
}

#[test]
fn a_target_in_absolute_form_gives_its_host() {
    Stand::new().server(mirror).run(|address| {
        let (_, text) = ask(address, "GET http://there.example:81/x?y HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(text.starts_with("GET /x?y\nHost: there.example:81\n"), "{text}");
        let (_, text) = ask(address, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(text.starts_with("OPTIONS *\n"), "{text}");
        let (_, text) = ask(address, "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 5\r\n\r\n");
        assert!(text.contains("\nMax-Forwards: 4\n"), "{text}");
    });
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let env = async_wrap::Environment::with_new_loop().expect("a loop");
    let one: Upstream = "http://127.0.0.1:1".parse().expect("a URL");
    let refused = |options: ProxyOptions, upstreams: Vec<Upstream>| {
        matches!(Proxy::new(&env, options, upstreams), Err(Error::InvalidOptions(_)))
    };
    let options = ProxyOptions::default;
    assert!(refused(options(), Vec::new()));
    assert!(refused(options(), vec![one.clone(); 65]));
    assert!(refused(options().max_failures(0), vec![one.clone()]));
    assert!(refused(options().name(Some("two words".to_owned())), vec![one.clone()]));
    assert!(!refused(options(), vec![one]));
}

#[test]
fn an_upstream_is_a_url_with_a_host_and_nothing_more() {
    for (text, host, port, authority) in [
        ("http://a", "a", 80, "a"),
        ("HTTP://A.Example:80/", "a.example", 80, "a.example"),
        ("http://127.0.0.1:9000", "127.0.0.1", 9000, "127.0.0.1:9000"),
        ("http://[::1]:9000/", "::1", 9000, "[::1]:9000"),
    ] {
        let upstream: Upstream = text.parse().expect("a URL");
        assert_eq!(
            (upstream.host(), upstream.port(), upstream.authority()),
            (host, port, authority),
            "{text}"
        );
    }
    for (text, reason) in [
        ("127.0.0.1:9000", "not a URL"),
        ("https://a", "https is not supported"),
        ("ftp://a", "the scheme is not http"),
        ("http://", "there is no host"),
        ("http://:80", "there is no host"),
        ("http://a:0", "the port is not"),
        ("http://a:x", "the port is not"),
        ("http://u@a", "a user is not supported"),
        ("http://a/b", "a path is not supported"),
        ("http://a?b", "a path is not supported"),
        ("http://a#b", "a path is not supported"),
        ("http://a b", "the host is neither"),
        ("http://\u{fc}", "the host is neither"),
    ] {
        let error = text.parse::<Upstream>().expect_err("no upstream").to_string();
        assert!(error.starts_with(reason), "{text}: {error}");
    }
}
