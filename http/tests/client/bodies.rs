//! The bodies of responses: how they are read, how much of them comes unasked, and what becomes of those that are not read.

use crate::evil::Step::Head;
use crate::evil::{Left, Script, drip, pour, say};
use crate::rig::{Site, run};
use futures_io::AsyncRead;
use http::client::{ClientResponse, ErrorKind};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;

const CHUNK: &str = "10\r\n0123456789abcdef\r\n";

fn hello() -> Script {
    vec![Head, drip("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n[1,2,3]")]
}

/// Far more than the kernel holds for one connection.
fn much() -> Script {
    vec![Head, say("HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n"), pour([b'x'; 64 * 1024], 1024)]
}

async fn read(response: &mut ClientResponse, buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|context| Pin::new(&mut *response).poll_read(context, buffer)).await
}

#[test]
fn a_body_is_read_whole_as_text_in_pieces_or_as_a_reader() {
    let (body, _) = run([hello()], |site| async move {
        site.get().await.expect("a response").bytes(7).await.expect("it is no longer")
    });
    assert_eq!(body, "[1,2,3]");
    let (body, _) = run([hello()], |site| async move {
        let mut response = site.get().await.expect("a response");
        assert_eq!(response.field("content-TYPE"), Some(&b"application/json"[..]));
        assert!(response.trailers().is_none());
        let text = response.text(1000).await.expect("text");
        assert_eq!(response.bytes(0).await.expect("all of it is read"), "");
        assert!(response.trailers().is_some_and(|trailers| trailers.is_empty()));
        text
    });
    assert_eq!(body, "[1,2,3]");
    let (body, _) = run([hello()], |site| async move {
        let mut response = site.get().await.expect("a response");
        let (mut all, mut buffer) = (Vec::new(), [0; 3]);
        while let count @ 1.. = read(&mut response, &mut buffer).await.expect("a body") {
            all.extend_from_slice(&buffer[..count]);
        }
        all
    });
    assert_eq!(body, b"[1,2,3]");
}

#[test]
fn a_body_that_is_longer_than_its_limit_or_no_text_is_an_error() {
    let (error, seen) = run([much()], |site| async move {
        site.get().await.expect("a response").bytes(100_000).await.expect_err("it is longer")
    });
    assert_eq!(error.kind(), ErrorKind::BodyTooLong(100_000));
    assert!(seen[0].unplayed == 1 && seen[0].left != Left::No, "the rest is not read");
    let (error, _) =
        run([vec![Head, say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\u{ff}")]], |site| async move {
            site.get().await.expect("a response").text(10).await.expect_err("it is cut in a character")
        });
    assert_eq!(error.kind(), ErrorKind::NotText);
    assert!(error.to_string().contains("utf-8"), "{error}");
}

#[cfg(feature = "json")]
#[test]
fn json_is_read_and_sent() {
    let (numbers, seen) =
        run([vec![Head, crate::evil::Step::Bytes(7), hello().remove(1)]], |site| async move {
            site.post().json(&[4, 5, 6]).await.expect("a response").json::<Vec<u32>>(1000).await
        });
    assert_eq!(numbers.expect("JSON"), [1, 2, 3]);
    assert!(seen[0].text().contains("Content-Type: application/json\r\n"), "{}", seen[0].text());
    assert!(seen[0].text().ends_with("\r\n\r\n[4,5,6]"), "{}", seen[0].text());
    let (numbers, _) = run([hello()], |site| async move {
        site.get().await.expect("a response").json::<Vec<String>>(1000).await
    });
    assert_eq!(numbers.expect_err("they are numbers").kind(), ErrorKind::NotJson);
    let (error, seen) = run([vec![]], |site| async move {
        let no_key = std::collections::HashMap::from([((1, 2), 3)]);
        site.post().json(&no_key).await.expect_err("JSON has no such keys")
    });
    assert_eq!((error.kind(), seen.len()), (ErrorKind::NotJson, 0));
}

// HC33.
#[test]
fn a_body_that_is_not_read_waits_with_its_server() {
    let (len, seen) = run([much()], |site| async move {
        let mut response = site.get().await.expect("a response");
        for _ in 0..200 {
            turn(&site).await;
        }
        let waiting = site.evil.unplayed();
        assert_eq!(waiting, [1], "the server cannot have sent 64 MiB");
        let mut len = 0;
        while let Some(piece) = response.next().await {
            len += piece.expect("a body").len();
        }
        len
    });
    assert_eq!((len, seen[0].unplayed), (64 << 20, 0));
}

/// Waits for one turn of the loop.
async fn turn(site: &Site) {
    site.env.sleep(std::time::Duration::from_millis(1)).await;
}

// HC34.
#[test]
fn what_is_left_of_a_response_that_is_dropped_is_read_if_it_is_little() {
    for (script, is_whole) in [(hello(), true), (much(), false)] {
        let ((), seen) = run([script], |site| async move { drop(site.get().await.expect("a response")) });
        assert_eq!(seen[0].unplayed == 0, is_whole);
        assert_ne!(seen[0].left, Left::No);
    }
}

#[test]
fn an_endless_body_of_chunks_is_read_as_far_as_the_program_likes() {
    let script = vec![
        Head,
        say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        pour(CHUNK.repeat(1000), usize::MAX),
    ];
    let (len, seen) = run([script], |site| async move {
        let mut response = site.get().await.expect("a response");
        let mut len = 0;
        while len < 10 << 20 {
            len += response.next().await.expect("more").expect("a body").len();
        }
        len
    });
    assert!(len >= 10 << 20 && seen[0].unplayed == 1);
}

// HC81.
#[test]
fn a_response_that_is_dropped_behind_its_end_changes_nothing() {
    let (said, _) = run([hello()], |site| async move {
        let mut response = site.get().await.expect("a response");
        let body = response.bytes(100).await.expect("a body");
        drop(response);
        body
    });
    assert_eq!(said, "[1,2,3]");
}

// HC36. Node: test-http-server-multiheaders.
#[test]
fn repeated_fields_are_seen_by_nodes_table_and_as_they_came() {
    let head = "HTTP/1.1 200 OK\r\nVary: a\r\nset-cookie: x=1\r\nETag: 1\r\nVARY: b\r\nSet-Cookie: y=2\r\netag: 2\r\n\
                Content-Length: 0\r\n\r\n";
    let (response, _) =
        run([vec![Head, say(head)]], |site| async move { site.get().await.expect("a response") });
    let fields = response.fields();
    assert_eq!(fields.joined("vary").as_deref(), Some(&b"a, b"[..]));
    assert_eq!(fields.joined("etag").as_deref(), Some(&b"1"[..]));
    assert_eq!(fields.joined("set-cookie"), None);
    assert_eq!(fields.get_all("Set-Cookie").collect::<Vec<_>>(), [&b"x=1"[..], b"y=2"]);
    let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Vary", "set-cookie", "ETag", "VARY", "Set-Cookie", "etag", "Content-Length"]);
}
