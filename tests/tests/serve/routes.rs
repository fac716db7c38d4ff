//! Every route, asked as `curl` would.

use crate::client::ask;
use crate::site::{Outcome, Site, in_every_way};
use serde_json::{Value, json};

const CHUNKED: &[u8] = b"4\r\nhalf\r\n5\r\n-half\r\n0\r\nX-Sum: 9\r\nX-Two: a\r\nX-Two: b\r\n\r\n";

#[test]
fn every_route_answers() -> Outcome {
    in_every_way(|site| {
        the_root(site)?;
        echo(site)?;
        headers_and_trailers(site)?;
        streams(site)?;
        what_is_not_there(site)
    })
}

fn the_root(site: &Site) -> Outcome {
    let targets = ["/", "/?query", "http://other.example/", "http://other.example/?query"];
    for target in targets {
        let answer = ask(site.address, &format!("GET {target} HTTP/1.1\r\n"), b"")?;
        assert_eq!((answer.status, answer.text()?), (200, "hello"), "{target}");
        assert_eq!(answer.field("Content-Type"), Some("text/plain"), "{target}");
    }
    let answer = ask(site.address, "HEAD / HTTP/1.1\r\n", b"")?;
    assert_eq!((answer.status, answer.text()?), (200, ""));
    assert_eq!(answer.field("Content-Length"), Some("5"));
    Ok(())
}

fn echo(site: &Site) -> Outcome {
    for method in ["POST", "PUT"] {
        let head = format!("{method} /echo HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 4\r\n");
        let answer = ask(site.address, &head, b"back")?;
        assert_eq!((answer.status, answer.text()?), (200, "back"));
        assert_eq!(answer.field("Content-Type"), Some("a/b"));
        let head = format!("{method} /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n");
        assert_eq!(ask(site.address, &head, CHUNKED)?.text()?, "half-half");
    }
    Ok(())
}

fn headers_and_trailers(site: &Site) -> Outcome {
    let head = "GET /headers HTTP/1.1\r\nX-ONE: 1\r\nx-two: a\r\nX-Two: b\r\n";
    let fields: Value = serde_json::from_slice(&ask(site.address, head, b"")?.body)?;
    let expected = json!({"x-one": "1", "x-two": "a, b", "host": "here", "connection": "close"});
    assert_eq!(fields, expected);
    repeated_headers(site)?;
    let head = "POST /trailers HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    let trailers: Value = serde_json::from_slice(&ask(site.address, head, CHUNKED)?.body)?;
    assert_eq!(trailers, json!({"x-sum": "9", "x-two": "a, b"}));
    Ok(())
}

// Node: test-http-server-multiheaders, test-http-server-multiheaders2
fn repeated_headers(site: &Site) -> Outcome {
    let single = [
        "Age",
        "Authorization",
        "Content-Type",
        "ETag",
        "Expires",
        "From",
        "If-Modified-Since",
        "If-Unmodified-Since",
        "Last-Modified",
        "Location",
        "Max-Forwards",
        "Proxy-Authorization",
        "Referer",
        "Retry-After",
        "Server",
        "User-Agent",
    ];
    let mut head = String::from("GET /headers HTTP/1.1\r\n");
    for name in single {
        head.push_str(&format!("{name}: 1\r\n{}: 2\r\n", name.to_ascii_uppercase()));
    }
    head.push_str("Cookie: a=1\r\ncookie: b=2\r\nCOOKIE: c=3\r\nSet-Cookie: a\r\nset-cookie: b, c\r\n");
    head.push_str("Accept: a\r\naccept: b\r\n");
    let fields: Value = serde_json::from_slice(&ask(site.address, &head, b"")?.body)?;
    for name in single {
        assert_eq!(fields[name.to_ascii_lowercase()], json!("1"), "{name}");
    }
    assert_eq!(fields["cookie"], json!("a=1; b=2; c=3"));
    assert_eq!(fields["set-cookie"], json!(["a", "b, c"]));
    assert_eq!(fields["accept"], json!("a, b"));
    Ok(())
}

fn streams(site: &Site) -> Outcome {
    let expected = |count: usize| -> Vec<u8> {
        (0..count).flat_map(|i| [b'a' + u8::try_from(i % 26).unwrap_or_default(); 1024]).collect()
    };
    for count in [0, 1, 30, 2000] {
        let answer = ask(site.address, &format!("GET /stream/{count} HTTP/1.1\r\n"), b"")?;
        assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"), "{count}");
        assert!(answer.body == expected(count), "/stream/{count} is another");
    }
    let answer = ask(site.address, "GET /stream/30 HTTP/1.0\r\n", b"")?;
    assert_eq!((answer.field("Transfer-Encoding"), answer.field("Content-Length")), (None, None));
    assert!(answer.body == expected(30), "/stream/30 is another to HTTP/1.0");
    Ok(())
}

fn what_is_not_there(site: &Site) -> Outcome {
    for target in ["/nothing", "/stream/", "/stream/x", "/echo/"] {
        assert_eq!(ask(site.address, &format!("GET {target} HTTP/1.1\r\n"), b"")?.status, 404, "{target}");
    }
    let wrong = [
        ("DELETE /", "GET, HEAD"),
        ("GET /echo", "POST, PUT"),
        ("GET /trailers", "POST"),
        ("PUT /stream/1", "GET, HEAD"),
    ];
    for (line, allowed) in wrong {
        let answer = ask(site.address, &format!("{line} HTTP/1.1\r\n"), b"")?;
        assert_eq!((answer.status, answer.field("Allow")), (405, Some(allowed)), "{line}");
    }
    Ok(())
}
