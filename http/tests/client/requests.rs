//! What a request looks like on the wire.

use crate::evil::Step::{End, Head, Until};
use crate::evil::{Left, Script, say};
use crate::rig::{Site, repeated, run, slow};
use http::client::{ErrorKind, RequestBuilder, UrlError};
use http::proto::EncodeError;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Answers as soon as this has come.
fn until(text: &'static str) -> Script {
    vec![Until(text), say(OK)]
}

/// What a server gets of a request, which has an answer; without the field that has the server's port.
fn sent(text: &'static str, request: impl FnOnce(&Site) -> RequestBuilder) -> String {
    let (host, seen) = run([until(text)], |site| {
        let (request, host) = (request(&site), format!("Host: {}\r\n", site.evil.address()));
        async move {
            let mut response = request.await.expect("a response");
            assert_eq!(response.bytes(10).await.expect("a body"), "hi");
            host
        }
    });
    seen[0].text().replace(&host, "Host: it\r\n")
}

/// A request's head, without its end, and its body.
fn parts(request: &str) -> (Vec<&str>, &str) {
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    (head.split("\r\n").collect(), body)
}

// HC1, HC2, HC4, HC6.
#[test]
fn a_request_has_a_target_and_a_host_and_asks_to_keep_the_connection() {
    let text = sent("\r\n\r\n", |site| site.client.get(site.url("/a?b=c#d")));
    let (lines, body) = parts(&text);
    assert_eq!((lines[0], body), ("GET /a?b=c HTTP/1.1", ""));
    assert!(lines.contains(&"Host: it") && !text.contains("close"), "{text}");

    let text = sent("\r\n\r\n", |site| site.get().field("Host", "other").field("Connection", "close"));
    assert!(text.contains("Host: other\r\n") && !text.contains("Host: it"), "{text}");
    assert!(text.contains("Connection: close\r\n") && !text.contains("keep-alive"), "{text}");
}

// HC4.
#[test]
fn a_host_without_a_port_has_none_in_its_field() {
    use http::net::{ListenOptions, Server, ServerOptions};
    // A path of a Unix socket stands for the connection, and the URL for everything else.
    let folder = std::env::temp_dir().join(format!("http-client-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let path = folder.join("socket");
    for (url, host) in
        [("http://h/", "h"), ("http://h:80/", "h"), ("http://[::1]/", "[::1]"), ("http://h:81", "h:81")]
    {
        let path = path.clone();
        let (text, _) = run([], |site| async move {
            let server = Server::new(&site.env, ServerOptions::default());
            let (got, closing) = (std::rc::Rc::new(std::cell::RefCell::new(String::new())), server.clone());
            let (text, inner) = (std::rc::Rc::clone(&got), site.env.clone());
            let serve = move |_: &Server, socket: net::Socket| {
                let (got, closing) = (std::rc::Rc::clone(&got), closing.clone());
                inner.spawn_detached(async move {
                    let mut socket = net::futures::AsyncSocket::new(socket);
                    let mut buffer = [0; 1000];
                    let count = socket.read(&mut buffer).await.expect("a request");
                    got.borrow_mut().push_str(&String::from_utf8_lossy(&buffer[..count]));
                    socket.write_all(b"HTTP/1.1 204 N\r\nConnection: close\r\n\r\n").await.expect("open");
                    closing.close().expect("it listens");
                });
            };
            server.listen_with(ListenOptions::path(&path), serve).expect("to listen");
            site.client.get(url).unix_path(&path).await.expect("a response");
            text.take()
        });
        assert!(text.contains(&format!("Host: {host}\r\n")), "{url}: {text}");
    }
    std::fs::remove_dir_all(folder).expect("it is there");
}

#[test]
fn a_tunnel_leads_to_the_host_of_the_url_or_to_a_target() {
    let connect = |site: &Site| site.client.request("CONNECT", site.url("/"));
    let (_, seen) =
        run([vec![Head, say("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")]], |site| async move {
            connect(&site).target("other:1").await.expect("a response");
        });
    assert!(
        seen[0].text().starts_with("CONNECT other:1 HTTP/1.1\r\nHost: other:1\r\n"),
        "{}",
        seen[0].text()
    );
    let (address, seen) =
        run([vec![Head, say("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")]], |site| async move {
            connect(&site).await.expect("a response");
            site.evil.address()
        });
    assert!(seen[0].text().starts_with(&format!("CONNECT {address} HTTP/1.1\r\n")), "{}", seen[0].text());
}

// HC5.
#[test]
fn a_user_in_the_url_is_authorized_unless_the_program_does_it() {
    let with_user = |site: &Site| site.client.get(site.url("/").replace("http://", "http://user:pa%20ss@"));
    let text = sent("\r\n\r\n", with_user);
    assert!(text.contains("Authorization: Basic dXNlcjpwYSBzcw==\r\n"), "{text}");
    let text = sent("\r\n\r\n", |site| with_user(site).field("Authorization", "Bearer x"));
    assert!(text.contains("Authorization: Bearer x\r\n") && !text.contains("Basic"), "{text}");
}

// HC7, HC8.
#[test]
fn a_body_is_delimited_by_its_length_or_by_chunks() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let text = sent_without_body(method);
        assert!(!text.contains("Content-Length") && !text.contains("Transfer-Encoding"), "{text}");
    }
    for method in ["POST", "PUT", "PATCH"] {
        assert!(sent_without_body(method).contains("Content-Length: 0\r\n"), "{method}");
    }
    for method in ["GET", "DELETE", "POST", "PUT"] {
        let request = |site: &Site| site.client.request(method, site.url("/"));
        let text = sent("hello", |site| request(site).body("hello"));
        assert_eq!(parts(&text).1, "hello");
        assert!(text.contains("Content-Length: 5\r\n"), "{text}");

        let text = sent("0\r\n\r\n", |site| request(site).body_stream(repeated("hello", 2, None)));
        assert_eq!(parts(&text).1, "5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n");
        assert!(text.contains("Transfer-Encoding: chunked\r\n"), "{text}");

        let streamed = |site: &Site| request(site).body_stream(repeated("hello", 2, None));
        let text = sent("hellohello", |site| streamed(site).field("Content-Length", "10"));
        assert_eq!(parts(&text).1, "hellohello");
        let text = sent("\r\n0\r\nX-A: b\r\n\r\n", |site| streamed(site).trailer("X-A", "b"));
        assert_eq!(parts(&text).1, "5\r\nhello\r\n5\r\nhello\r\n0\r\nX-A: b\r\n\r\n");
    }
}

fn sent_without_body(method: &'static str) -> String {
    // HEAD has no body in its response either.
    let (_, seen) = run([vec![Head, say("HTTP/1.1 204 N\r\n\r\n")]], |site| async move {
        site.client.request(method, site.url("/")).await.expect("a response");
    });
    seen[0].text()
}

// HC9.
#[test]
fn a_body_of_another_length_than_its_field_breaks_the_request_off() {
    for (len, error) in [("11", EncodeError::BodyTooShort), ("9", EncodeError::BodyTooLong)] {
        let (result, seen) = run([vec![Head, End]], |site| async move {
            // The head is on its way when the body turns out to be wrong.
            let body = slow(&site.env, "hello", 2);
            site.post().field("Content-Length", len).body_stream(body).await
        });
        assert_eq!(result.expect_err("it cannot be sent").kind(), ErrorKind::InvalidRequest(error));
        // Never as much as the field says.
        let text = seen[0].text();
        assert!(parts(&text).1.len() < len.parse().expect("a number"), "{text}");
        let (result, _) = run([vec![]], |site| async move {
            site.post().field("Content-Length", len).body_stream(repeated("hello", 2, None)).await
        });
        assert_eq!(result.expect_err("it cannot be sent").kind(), ErrorKind::InvalidRequest(error));
    }
}

// HC1, HC2, HC3, HC10, HC11, HC76.
#[test]
fn what_cannot_be_sent_is_an_error_and_nothing_is_sent() {
    type Make = fn(&Site) -> RequestBuilder;
    let invalid: &[(&str, Make, EncodeError)] = &[
        ("method", |site| site.client.request("G T", site.url("/")), EncodeError::InvalidMethod),
        ("target", |site| site.client.get(site.url("/a b")), EncodeError::InvalidTarget),
        ("target", |site| site.client.get(site.url("/\u{e9}")), EncodeError::InvalidTarget),
        ("name", |site| site.get().field("X Y", "z"), EncodeError::InvalidFieldName),
        ("value", |site| site.get().field("X", "a\r\nY: b"), EncodeError::InvalidFieldValue),
        ("value", |site| site.get().field("X", "a\0"), EncodeError::InvalidFieldValue),
        (
            "framing",
            |site| site.post().field("Content-Length", "5").field("Transfer-Encoding", "chunked"),
            EncodeError::LengthWithTransferEncoding,
        ),
        ("trailer", |site| site.post().trailer("Content-Length", "5"), EncodeError::MisplacedField),
        ("trailer", |site| site.post().trailer("Authorization", "x"), EncodeError::MisplacedField),
        // The first one is told.
        ("two", |site| site.get().field("X Y", "z").field("X", "\n"), EncodeError::InvalidFieldName),
    ];
    for (title, make, expected) in invalid {
        let (error, seen) =
            run([vec![]], |site| async move { make(&site).await.expect_err("it is invalid") });
        assert_eq!(error.kind(), ErrorKind::InvalidRequest(*expected), "{title}");
        assert_eq!((error.phase(), seen.len()), (None, 0), "{title}");
    }
    for (url, expected) in [
        ("https://localhost/", UrlError::Tls),
        ("http://b\u{fc}cher.example/", UrlError::NonAsciiHost),
        ("/path", UrlError::NotAbsolute),
    ] {
        let (error, _) =
            run([], |site| async move { site.client.get(url).await.expect_err("no URL of HTTP") });
        assert_eq!(error.kind(), ErrorKind::InvalidUrl(expected), "{url}");
    }
}

#[test]
fn a_request_that_is_never_polled_is_never_sent() {
    let ((), seen) = run([vec![]], |site| async move { drop(site.get().into_future()) });
    assert!(seen.is_empty());
}

// HC81.
#[test]
fn a_request_that_is_dropped_while_it_waits_is_aborted() {
    let ((), seen) = run([vec![Head, crate::evil::Step::Told, End]], |site| async move {
        let waiting = Box::pin(site.get().into_future());
        let waited = site.env.timeout(std::time::Duration::from_millis(20), waiting).await;
        assert!(waited.is_err());
        site.evil.tell();
    });
    assert_ne!(seen[0].left, Left::No);
}
