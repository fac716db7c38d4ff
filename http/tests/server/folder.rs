//! The files beneath a folder: as the handler of a server, and as the rest of an async one. `tests/tests/serve/files.rs` has what
//! is answered for which path.

use crate::harness::{Client, Site};
use http::ServerOptions;
use http::files::Files;
use http::serve::Serving;
use http::uv_core::Errno;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("http-folder-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a temporary folder");
        fs::write(path.join("index.html"), "<p>hello").expect("a file");
        fs::write(path.join("data.json"), "[1, 2]").expect("a file");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn expect_files(client: &mut Client) {
    let answer = client.ask("/");
    assert_eq!((answer.status, answer.text()), (200, "<p>hello"));
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
    client.send("GET /data.json HTTP/1.1\r\nHost: h\r\nRange: bytes=1-1\r\n\r\n");
    let part = client.answer();
    assert_eq!((part.status, part.text()), (206, "1"));
    assert_eq!(part.field("Content-Range"), Some("bytes 1-1/6"));
    let etag = part.field("ETag").expect("a tag").to_owned();
    client.send(format!("GET /data.json HTTP/1.1\r\nHost: h\r\nIf-None-Match: {etag}\r\n\r\n"));
    assert_eq!(client.head().status, 304);
    assert_eq!(client.ask("/elsewhere").status, 404);
    client.send("DELETE /data.json HTTP/1.1\r\nHost: h\r\n\r\n");
    let refused = client.answer();
    assert_eq!((refused.status, refused.field("Allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_folder_is_the_handler_of_a_server() {
    let folder = Folder::new();
    let site = Site::new(ServerOptions::default());
    let files = Files::open(&site.env, &folder.0).expect("a folder");
    site.run(files, |address| expect_files(&mut Client::connect(address)));
}

#[test]
fn a_folder_answers_what_an_async_handler_leaves_to_it() {
    let folder = Folder::new();
    let site = Site::new(ServerOptions::default());
    let files = Files::open(&site.env, &folder.0).expect("a folder");
    let handler = Serving::new(move |request, response| {
        let files = files.clone();
        async move {
            match request.path() {
                "/hello" => response.end(b"hello")?,
                _ => files.serve(&request.head(), response)?,
            }
            Ok(())
        }
    });
    site.run(handler, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/hello").text(), "hello");
        expect_files(&mut client);
        assert_eq!(client.ask("/hello").text(), "hello");
    });
}

#[test]
fn what_is_no_folder_is_refused_at_once() {
    let folder = Folder::new();
    let site = Site::new(ServerOptions::default());
    for (name, errno) in [("data.json", Errno::ENOTDIR), ("elsewhere", Errno::ENOENT)] {
        let error = Files::open(&site.env, folder.0.join(name)).expect_err("no folder");
        assert!(matches!(&error, http::Error::Net(net) if net.errno() == Some(errno)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

// Node: the package serve-static, which has `originalUrl` for it
#[test]
fn a_folder_behind_a_prefix_redirects_to_itself() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("sub")).expect("a folder");
    let site = Site::new(ServerOptions::default());
    let files = Files::open(&site.env, &folder.0).expect("a folder");
    let handler = move |request: &http::Request<'_>, response: http::Response| {
        let mut head = **request;
        head.target = head.target.strip_prefix("/static").unwrap_or(head.target);
        files.serve(&head, response).expect("to serve");
    };
    site.run(handler, |address| {
        let answer = Client::connect(address).ask("/static/sub?a=b");
        // As seen from the path that the client has asked for.
        assert_eq!((answer.status, answer.field("Location")), (301, Some("./sub/?a=b")));
    });
}
