//! Responses that end with a file.

use crate::harness::{Client, Count, Log, Side, Site, serve};
use async_wrap::uv_core::file::File;
use async_wrap::uv_core::{Errno, LoopHandle};
use http::upcall::ResponseHandler;
use http::{Error, Request, Response, ServerOptions};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Far more than the kernel holds for one connection.
const LARGE: usize = 24 * 1024 * 1024;
const SMALL: usize = 1000;

/// A folder with a large and a small file.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("http-files-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a temporary folder");
        fs::write(path.join("large"), pattern(LARGE)).expect("a file");
        fs::write(path.join("small"), pattern(SMALL)).expect("a file");
        fs::write(path.join("empty"), "").expect("a file");
        Self(path)
    }

    fn open(&self, event_loop: &LoopHandle, name: &str) -> File {
        let path = self.0.join(name);
        let file = fs::File::open(&path).expect("it exists");
        File::from_std(event_loop, file, &path).expect("a file")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn pattern(len: usize) -> &'static [u8] {
    static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| (0..LARGE).map(|index| (index % 251) as u8).collect());
    &WHOLE[..len]
}

/// Notes what becomes of responses.
struct Noting(Log);

impl ResponseHandler for Noting {
    fn on_finish(&mut self, _: &Response) {
        self.0.note("finish");
    }

    fn on_close(&mut self, _: &Response) {
        self.0.note("close");
    }
}

/// Answers with the file that the path names; `?tail` leaves out its start.
fn sending(folder: &Folder, log: &Log) -> impl FnMut(&Request<'_>, Response) + 'static {
    let (folder, log) = (Folder(folder.0.clone()), log.clone());
    // The test's own value removes the folder.
    let folder = std::mem::ManuallyDrop::new(folder);
    move |request: &Request<'_>, response: Response| {
        let event_loop = response.socket().environment().loop_handle().clone();
        let file = folder.open(&event_loop, &request.path()[1..]);
        response.set_handler(Noting(log.clone()));
        let range = if request.query() == Some("tail") { file.range(10..) } else { file.range(..) };
        match request.query() {
            Some("chunked") => response.write(b"front ").map(drop).expect("to write"),
            Some("trailer") => response.add_trailer("X-Sum", "1").expect("a trailer"),
            _ => {}
        }
        let sent = response.send_file(range.expect("a regular file"));
        assert!(sent.is_ok(), "{sent:?}");
        assert_eq!(response.write(b"late"), Err(Error::Closed));
        assert_eq!(response.end(b"late"), Err(Error::Closed));
        assert!(response.is_ended());
    }
}

// Node: test-http2-respond-file
#[test]
fn a_file_is_sent_with_its_length_and_the_next_request_is_answered() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        let mut client = Client::connect(address);
        for (path, expected) in [
            ("/large", pattern(LARGE)),
            ("/small", pattern(SMALL)),
            ("/empty", &[]),
            ("/small?tail", &pattern(SMALL)[10..]),
            ("/large?tail", &pattern(LARGE)[10..]),
        ] {
            let answer = client.ask(path);
            assert_eq!(
                (answer.status, answer.field("Content-Length")),
                (200, Some(&*expected.len().to_string()))
            );
            assert!(answer.body == expected && !answer.closes(), "{path}");
        }
    });
    assert_eq!(log.joined(), "finish finish finish finish finish");
}

#[test]
fn a_response_that_has_begun_goes_on_with_a_file_as_a_chunk() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        let mut client = Client::connect(address);
        for path in ["/small?chunked", "/large?chunked", "/empty?chunked"] {
            let len = if path.starts_with("/small") {
                SMALL
            } else if path.starts_with("/large") {
                LARGE
            } else {
                0
            };
            let answer = client.ask(path);
            assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
            assert!(answer.body == [b"front ", pattern(len)].concat(), "{path}");
        }
        let answer = client.ask("/small?trailer");
        assert!(answer.field("Content-Length").is_none() && answer.body == pattern(SMALL));
        assert_eq!(client.ask("/small").body, pattern(SMALL));
    });
}

// Node: test-http2-respond-file-204, test-http-head-response-has-no-body
#[test]
fn a_response_without_a_body_has_the_length_and_no_file() {
    let folder = Folder::new();
    let answer = {
        let file = folder.0.join("large");
        move |request: &Request<'_>, response: Response| {
            let event_loop = response.socket().environment().loop_handle().clone();
            let file =
                File::from_std(&event_loop, fs::File::open(&file).expect("a file"), &file).expect("a file");
            if request.path() == "/204" {
                response.set_status(204).expect("a status");
            }
            response.send_file(file.range(..).expect("a regular file")).expect("to send");
        }
    };
    serve(answer, |address| {
        let mut client = Client::connect(address);
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /204 HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.head();
        assert_eq!((head.status, head.field("Content-Length")), (200, Some(&*LARGE.to_string())));
        let answer = client.head();
        assert_eq!((answer.status, answer.field("Content-Length")), (204, None));
        client.send("GET /204 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!(client.head().status, 204);
        client.expect_end();
    });
}

#[test]
fn pipelined_files_come_in_order_whatever_is_answered_first() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        let mut client = Client::connect(address);
        let paths = ["/large", "/small", "/empty", "/large?chunked", "/small?tail", "/large?tail", "/small"];
        client.send(paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).concat());
        for path in paths {
            let len = if path.starts_with("/large") {
                LARGE
            } else if path == "/empty" {
                0
            } else {
                SMALL
            };
            let whole = pattern(len);
            let expected = match path.split_once('?').map(|(_, query)| query) {
                Some("tail") => whole[10..].to_vec(),
                Some(_) => [b"front ", whole].concat(),
                None => whole.to_vec(),
            };
            assert!(client.answer().body == expected, "{path}");
        }
    });
    assert_eq!(log.all(), ["finish"; 7]);
}

#[test]
fn a_response_that_waits_for_an_earlier_one_keeps_its_file() {
    let folder = Folder::new();
    let log = Log::default();
    let mut send = sending(&folder, &log);
    let mut kept = None;
    let answer = move |request: &Request<'_>, response: Response| match request.path() {
        "/first" => kept = Some(response),
        "/release" => {
            response.end(b"released").expect("to end");
            kept.take().expect("the first one").end(b"first").expect("to end");
        }
        _ => send(request, response),
    };
    serve(answer, |address| {
        let mut client = Client::connect(address);
        let paths = ["/first", "/large", "/small?chunked", "/release"];
        client.send(paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).concat());
        assert_eq!(client.answer().text(), "first");
        assert!(client.answer().body == pattern(LARGE));
        assert!(client.answer().body == [b"front ", pattern(SMALL)].concat());
        assert_eq!(client.answer().text(), "released");
    });
    assert_eq!(log.joined(), "finish finish");
}

#[test]
fn a_client_of_http_1_0_and_one_that_says_close_get_all_and_the_end() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        for request in [
            "GET /large HTTP/1.0\r\n\r\n",
            "GET /large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /small HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /large?chunked HTTP/1.0\r\n\r\n",
        ] {
            let mut client = Client::connect(address);
            client.send(request);
            let answer = client.answer();
            let is_large = request.contains("large");
            let front = if request.contains('?') { 6 } else { 0 };
            assert_eq!(answer.body.len(), front + if is_large { LARGE } else { SMALL });
            client.expect_end();
        }
    });
    assert_eq!(log.all(), ["finish"; 4]);
}

#[test]
fn a_client_that_does_not_read_holds_up_no_other_and_no_memory() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        let mut slow: Vec<_> = (0..6).map(|_| Client::connect(address)).collect();
        for client in &mut slow {
            client.get("/large");
        }
        let mut client = Client::connect(address);
        assert!(client.ask("/large").body == pattern(LARGE));
        for client in &mut slow {
            assert_eq!(client.answer().body.len(), LARGE);
        }
    });
    assert_eq!(log.all(), ["finish"; 7]);
}

#[test]
fn a_client_that_leaves_is_a_close_of_the_response() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        for _ in 0..10 {
            let mut client = Client::connect(address);
            client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\nGET /small HTTP/1.1\r\nHost: h\r\n\r\n");
            let head = client.head();
            assert_eq!(head.status, 200);
            drop(client);
        }
        assert_eq!(Client::connect(address).ask("/small").body, pattern(SMALL));
    });
    assert_eq!(log.all().iter().filter(|what| *what == "finish").count(), 1);
    assert!(log.all().iter().filter(|what| *what == "close").count() >= 10);
}

#[test]
fn a_client_that_ends_its_side_still_gets_the_file() {
    let (folder, log) = (Folder::new(), Log::default());
    serve(sending(&folder, &log), |address| {
        let mut client = Client::connect(address);
        client.get("/large");
        assert_eq!(client.head().status, 200);
        client.end_sending();
        assert!(client.rest() == pattern(LARGE));
    });
    assert_eq!(log.joined(), "finish");
}

#[test]
fn a_file_that_becomes_shorter_breaks_the_connection() {
    let (folder, log) = (Folder::new(), Log::default());
    let path = folder.0.join("large");
    serve(sending(&folder, &log), move |address| {
        let mut client = Client::connect(address);
        client.get("/large");
        let head = client.head();
        assert_eq!(head.field("Content-Length"), Some(&*LARGE.to_string()));
        cut(&path, LARGE / 2);
        // What came is true, and its end is none: with a reset, not as an orderly end.
        assert!(client.ends_with_a_reset());
        assert_eq!(Client::connect(address).ask("/small").body.len(), SMALL);
    });
    assert_eq!(log.joined(), "close finish");
}

fn cut(path: &Path, len: usize) {
    fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(len as u64)).expect("cut");
}

#[test]
fn a_file_that_is_shorter_already_is_told_at_once() {
    let folder = Folder::new();
    let path = folder.0.join("small");
    let answer = move |_: &Request<'_>, response: Response| {
        let event_loop = response.socket().environment().loop_handle().clone();
        let file =
            File::from_std(&event_loop, fs::File::open(&path).expect("a file"), &path).expect("a file");
        cut(&path, 0);
        let error = response.send_file(file.range(..).expect("a regular file")).expect_err("it is shorter");
        let Error::Net(error) = error else { panic!("{error}") };
        let system = error.system().expect("an error of the system");
        assert_eq!((system.errno(), system.target()), (Errno::ENODATA, path.to_str()));
        assert!(response.socket().is_destroyed());
    };
    serve(answer, |address| {
        let mut client = Client::connect(address);
        client.get("/");
        assert!(client.ends_with_a_reset());
    });
}

// Node: test-http2-respond-file-errors, test-http-content-length-mismatch
#[test]
fn mistakes_are_errors_that_name_what_was_asked() {
    let folder = Folder::new();
    let count = Count::default();
    let counted = count.clone();
    let (root, small) = (folder.0.clone(), folder.0.join("small"));
    let answer = move |request: &Request<'_>, response: Response| {
        let event_loop = response.socket().environment().loop_handle().clone();
        let open = |path: &Path| {
            File::from_std(&event_loop, fs::File::open(path).expect("it exists"), path).expect("a file")
        };
        let error = open(&root).range(..).expect_err("a folder");
        assert_eq!((error.errno(), error.target()), (Errno::EISDIR, root.to_str()));
        let range = || open(&small).range(..).expect("a regular file");
        response.set_header("Content-Length", "5").expect("a field");
        assert!(matches!(response.send_file(range()), Err(Error::Encode(_))), "longer than was promised");
        assert!(!response.is_ended());
        response.set_header("Content-Length", SMALL.to_string()).expect("a field");
        if request.path() == "/short" {
            response.set_header("Content-Length", (SMALL + 1).to_string()).expect("a field");
            assert!(
                matches!(response.send_file(range()), Err(Error::Encode(_))),
                "shorter than was promised"
            );
        } else {
            response.send_file(range()).expect("to send");
        }
        assert_eq!(response.send_file(range()), Err(Error::Closed));
        count.add(1);
    };
    serve(answer, |address| {
        let mut client = Client::connect(address);
        assert_eq!(client.ask("/").body, pattern(SMALL));
        client.get("/short");
        client.head();
        assert_eq!(client.rest(), pattern(SMALL));
    });
    assert_eq!(counted.get(), 2);
}

#[test]
fn a_response_destroyed_while_its_file_is_sent_is_cut_with_a_reset() {
    let (folder, log) = (Folder::new(), Log::default());
    let mut send = sending(&folder, &log);
    let mut kept = None;
    let answer = move |request: &Request<'_>, response: Response| {
        if request.path() == "/destroy" {
            let sent: Response = Option::take(&mut kept).expect("the first one");
            sent.destroy();
            return response.end(b"destroyed").expect("to end");
        }
        kept = Some(response.clone());
        send(request, response);
    };
    serve(answer, |address| {
        let mut client = Client::connect(address);
        client.get("/large");
        assert_eq!(client.head().status, 200);
        assert_eq!(Client::connect(address).ask("/destroy").text(), "destroyed");
        assert!(client.ends_with_a_reset());
    });
    assert_eq!(log.joined(), "close");
}

#[test]
fn a_shutdown_waits_for_the_file() {
    let (folder, log) = (Folder::new(), Log::default());
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    let (ours, theirs) = Side::pair();
    let mut send = sending(&folder, &log);
    let answer = move |request: &Request<'_>, response: Response| {
        send(request, response);
        server.shutdown(std::time::Duration::from_secs(20)).expect("it listens");
        ours.tell();
    };
    site.run_until(
        answer,
        move |address| {
            let mut client = Client::connect(address);
            client.get("/large");
            theirs.wait();
            assert!(client.answer().body == pattern(LARGE));
        },
        || {},
    );
    assert_eq!(log.joined(), "finish");
}

#[test]
fn what_is_written_to_the_file_meanwhile_does_not_change_the_length() {
    let (folder, log) = (Folder::new(), Log::default());
    let path = folder.0.join("large");
    serve(sending(&folder, &log), move |address| {
        let mut client = Client::connect(address);
        client.get("/large");
        client.head();
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(b"more"))
            .expect("longer");
        assert!(client.take(LARGE) == pattern(LARGE));
        assert_eq!(client.ask("/small").body.len(), SMALL);
    });
}
