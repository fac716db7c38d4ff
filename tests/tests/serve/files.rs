//! `serve --root`: the files of a folder, whole and in parts, and nothing outside of it.

use crate::client::{Answer, ask, connect};
use crate::site::{Outcome, Site, WAYS, command};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::running::Running;

/// A file far larger than what a server may hold in memory.
const LARGE: u64 = 300 << 20;

/// How much a server's memory may grow while it sends the large file to many: a small part of it.
const GROWTH: u64 = 24 << 20;

/// A folder beside a secret, removed when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Outcome<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = Self(std::env::temp_dir().join(format!("serve-files-{}-{number}", std::process::id())));
        let root = folder.root();
        fs::create_dir_all(root.join("sub/deep"))?;
        fs::create_dir_all(root.join("empty"))?;
        fs::create_dir_all(root.join(".git"))?;
        fs::write(folder.0.join("secret"), "secret")?;
        fs::write(root.join("index.html"), "<p>the index")?;
        fs::write(root.join("sub/index.html"), "<p>of sub")?;
        fs::write(root.join("a b.txt"), "0123456789")?;
        fs::write(root.join("ä.txt"), "umlaut")?;
        fs::write(root.join("nothing"), "")?;
        fs::write(root.join(".git/config"), "hidden")?;
        // The tag of what was written just now would be weak.
        for name in ["index.html", "sub/index.html", "a b.txt", "ä.txt", "nothing"] {
            set_modified(&root.join(name), SystemTime::now() - Duration::from_secs(60))?;
        }
        symlink("../secret", root.join("out.txt"))?;
        symlink(folder.0.join("secret"), root.join("absolute.txt"))?;
        symlink("..", root.join("up"))?;
        symlink("sub/index.html", root.join("in.html"))?;
        Ok(folder)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(way: &[&str], root: &Path) -> Outcome<Site> {
    Site::start_by(command(&["serve", "--addr", "127.0.0.1:0", "--root"])?.arg(root).args(way))
}

fn get(site: &Site, path: &str, fields: &str) -> Outcome<Answer> {
    ask(site.address, &format!("GET {path} HTTP/1.1\r\n{fields}"), b"")
}

#[test]
fn files_are_found_in_every_way_to_serve_and_nothing_else() -> Outcome {
    let folder = Folder::new()?;
    for way in WAYS {
        let site = start(way, &folder.root())?;
        what_is_there(&site)?;
        what_leads_out(&site)?;
        site.running.signal(15)?;
        assert_eq!(site.ends_well()?, "");
    }
    Ok(())
}

fn what_is_there(site: &Site) -> Outcome {
    for (path, kind, text) in [
        ("/", "text/html; charset=utf-8", "<p>the index"),
        ("/?query", "text/html; charset=utf-8", "<p>the index"),
        ("/sub/", "text/html; charset=utf-8", "<p>of sub"),
        ("/sub/index.html", "text/html; charset=utf-8", "<p>of sub"),
        ("/a%20b.txt?x=1", "text/plain; charset=utf-8", "0123456789"),
        ("/%61%20b.tx%74", "text/plain; charset=utf-8", "0123456789"),
        ("/%C3%A4.txt", "text/plain; charset=utf-8", "umlaut"),
        ("/nothing", "application/octet-stream", ""),
        ("/in.html", "text/html; charset=utf-8", "<p>of sub"),
    ] {
        let answer = get(site, path, "")?;
        assert_eq!((answer.status, answer.text()?), (200, text), "{path}");
        assert_eq!(answer.field("Content-Type"), Some(kind), "{path}");
        assert_eq!(answer.field("Content-Length"), Some(&*text.len().to_string()), "{path}");
        assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
        assert!(answer.field("ETag").is_some() && answer.field("Last-Modified").is_some());
        let head = ask(site.address, &format!("HEAD {path} HTTP/1.1\r\n"), b"")?;
        assert_eq!((head.status, head.text()?, head.field("Content-Type")), (200, "", Some(kind)));
        assert_eq!((head.field("ETag"), head.field("Accept-Ranges")), (answer.field("ETag"), Some("bytes")));
    }
    for (path, location) in
        [("/sub", "./sub/"), ("/sub?a=b&c", "./sub/?a=b&c"), ("/sub/deep", "./deep/"), ("//sub", "./sub/")]
    {
        let answer = get(site, path, "")?;
        assert_eq!((answer.status, answer.field("Location")), (301, Some(location)), "{path}");
    }
    // The routes of the application are as they were.
    assert_eq!(ask(site.address, "POST /echo HTTP/1.1\r\nContent-Length: 2\r\n", b"hi")?.text()?, "hi");
    let answer = ask(site.address, "POST /nothing HTTP/1.1\r\nContent-Length: 0\r\n", b"")?;
    assert_eq!((answer.status, answer.field("Allow")), (405, Some("GET, HEAD")));
    Ok(())
}

fn what_leads_out(site: &Site) -> Outcome {
    for path in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/.%2E/secret",
        "/sub/../../secret",
        "/sub/%2e%2e/%2e%2e/secret",
        "/out.txt",
        "/absolute.txt",
        "/up/secret",
        "/up/",
        "/%252e%252e/secret",
        "/..\\secret",
        "/..%5csecret",
        "/%c0%ae%c0%ae/secret",
        "/..;/secret",
        "//../secret",
        "/./index.html",
        "/.git/config",
        "/.git/",
        "/missing",
        "/empty/",
        "/nothing/",
        "/a%20b.txt/x",
        "/%00",
        "/index.html%00.txt",
        "/%",
        "/%zz",
        "/%2",
        "http://other.example/../secret",
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
    ] {
        let answer = get(site, path, "")?;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.text()?.contains("secret") && !answer.text()?.contains("root:"), "{path}");
    }
    let long = format!("/{}", "a/".repeat(3000));
    assert_eq!(get(site, &long, "")?.status, 404);
    Ok(())
}

#[test]
fn conditions_and_ranges_are_followed() -> Outcome {
    let folder = Folder::new()?;
    let site = start(WAYS[0], &folder.root())?;
    let path = "/a%20b.txt";
    let whole = get(&site, path, "")?;
    let (etag, modified) =
        (whole.field("ETag").ok_or("no tag")?, whole.field("Last-Modified").ok_or("no date")?);
    let known = get(&site, path, &format!("If-None-Match: {etag}\r\n"))?;
    assert_eq!((known.status, known.text()?, known.field("ETag")), (304, "", Some(etag)));
    assert_eq!((known.field("Content-Length"), known.field("Content-Type")), (None, None));
    assert_eq!(get(&site, path, &format!("If-Modified-Since: {modified}\r\n"))?.status, 304);
    assert_eq!(get(&site, path, "If-None-Match: \"other\"\r\n")?.status, 200);
    assert_eq!(get(&site, path, "If-Match: \"other\"\r\n")?.status, 412);
    assert_eq!(get(&site, path, "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n")?.status, 412);
    for (range, content_range, text) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=3-5", "bytes 3-5/10", "345"),
        ("bytes=8-", "bytes 8-9/10", "89"),
        ("bytes=-4", "bytes 6-9/10", "6789"),
        ("bytes=0-1000", "bytes 0-9/10", "0123456789"),
    ] {
        for fields in [format!("Range: {range}\r\n"), format!("Range: {range}\r\nIf-Range: {etag}\r\n")] {
            let part = get(&site, path, &fields)?;
            assert_eq!((part.status, part.text()?), (206, text), "{fields}");
            assert_eq!(part.field("Content-Range"), Some(content_range));
            assert_eq!(part.field("Content-Length"), Some(&*text.len().to_string()));
        }
    }
    let none = get(&site, path, "Range: bytes=10-\r\n")?;
    assert_eq!((none.status, none.field("Content-Range")), (416, Some("bytes */10")));
    let failed = get(&site, path, "If-Match: \"other\"\r\n")?;
    for refusal in [none, failed] {
        // Its text is no version of the file.
        assert_eq!((refusal.field("ETag"), refusal.field("Last-Modified")), (None, None));
    }
    for fields in
        ["Range: bytes=3-5\r\nIf-Range: \"other\"\r\n", "Range: bytes=0-1,5-6\r\n", "Range: pages=1\r\n"]
    {
        let answer = get(&site, path, fields)?;
        assert_eq!((answer.status, answer.text()?, answer.field("Content-Range")), (200, "0123456789", None));
    }
    let head = ask(site.address, &format!("HEAD {path} HTTP/1.1\r\nRange: bytes=0-1\r\n"), b"")?;
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("10")));
    // A file that is written anew is another version.
    fs::write(folder.root().join("a b.txt"), "new")?;
    let changed = get(&site, path, &format!("If-None-Match: {etag}\r\n"))?;
    assert_eq!((changed.status, changed.text()?), (200, "new"));
    Ok(())
}

fn set_modified(path: &Path, time: SystemTime) -> Outcome {
    Ok(fs::File::options().write(true).open(path)?.set_modified(time)?)
}

#[test]
fn a_file_in_the_place_of_another_is_another_version_whatever_its_date() -> Outcome {
    let folder = Folder::new()?;
    let site = start(WAYS[0], &folder.root())?;
    let (path, other) = (folder.root().join("built.js"), folder.root().join("built.js.new"));
    // As tools set it, so that builds are reproducible.
    let date = UNIX_EPOCH + Duration::from_secs(1);
    let make = |path: &Path, text: &str| -> Outcome<(i64, i64)> {
        fs::write(path, text)?;
        set_modified(path, date)?;
        let metadata = fs::metadata(path)?;
        Ok((metadata.ctime(), metadata.ctime_nsec()))
    };
    let first = make(&path, "version 1")?;
    // Until the file system's clock ticks.
    while make(&other, "version 2")? == first {}
    let first = get(&site, "/built.js", "")?;
    assert_eq!((first.text()?, first.field("Last-Modified")), ("version 1", None));
    let tag = format!("If-None-Match: {}\r\n", first.field("ETag").ok_or("no tag")?);
    assert_eq!(get(&site, "/built.js", &tag)?.status, 304);
    fs::rename(&other, &path)?;
    let second = get(&site, "/built.js", &tag)?;
    assert_eq!((second.status, second.text()?), (200, "version 2"));
    let since = "If-Modified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n";
    assert_eq!(get(&site, "/built.js", since)?.status, 200);
    Ok(())
}

#[test]
fn what_is_no_file_and_no_folder_is_not_found_and_holds_up_nobody() -> Outcome {
    let folder = Folder::new()?;
    let fifo = folder.root().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status()?.success());
    let _socket = std::os::unix::net::UnixListener::bind(folder.root().join("socket"))?;
    let site = start(WAYS[0], &folder.root())?;
    for path in ["/fifo", "/fifo/", "/socket", "/socket/"] {
        assert_eq!(get(&site, path, "")?.status, 404, "{path}");
    }
    assert_eq!(get(&site, "/nothing", "Range: bytes=0-\r\n")?.status, 416);
    let empty = get(&site, "/nothing", "Range: bytes=-5\r\n")?;
    assert_eq!((empty.status, empty.text()?, empty.field("Content-Range")), (200, "", None));
    Ok(())
}

#[test]
fn a_file_that_is_replaced_while_it_is_sent_comes_whole() -> Outcome {
    let folder = Folder::new()?;
    let site = start(WAYS[0], &folder.root())?;
    let (path, other) = (folder.root().join("big"), folder.root().join("big.new"));
    let (old, new) = (vec![b'o'; 8 << 20], vec![b'n'; 1 << 20]);
    fs::write(&path, &old)?;
    fs::write(&other, &new)?;
    let mut stream = connect(site.address)?;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")?;
    let head = head_of(&mut stream)?;
    assert!(head.contains("Content-Length: 8388608\r\n"), "{head}");
    fs::rename(&other, &path)?;
    let mut body = Vec::new();
    stream.read_to_end(&mut body)?;
    assert!(body == old);
    assert!(get(&site, "/big", "")?.body == new);
    fs::remove_file(&path)?;
    assert_eq!(get(&site, "/big", "")?.status, 404);
    Ok(())
}

#[test]
fn no_answer_leaves_a_descriptor_open() -> Outcome {
    let folder = Folder::new()?;
    let site = start(WAYS[0], &folder.root())?;
    let path = format!("/proc/{}/fd", site.running.pid());
    let open = || fs::read_dir(&path).map(Iterator::count);
    let ask_all = || -> Outcome {
        for (method, path, fields, status) in [
            ("GET", "/a%20b.txt", "", 200),
            ("HEAD", "/a%20b.txt", "", 200),
            ("GET", "/nothing", "", 200),
            ("GET", "/a%20b.txt", "Range: bytes=2-3\r\n", 206),
            ("GET", "/a%20b.txt", "If-None-Match: *\r\n", 304),
            ("HEAD", "/a%20b.txt", "If-None-Match: *\r\n", 304),
            ("GET", "/a%20b.txt", "If-Match: \"x\"\r\n", 412),
            ("GET", "/a%20b.txt", "Range: bytes=10-\r\n", 416),
            ("GET", "/a%20b.txt/", "", 404),
            ("GET", "/sub", "", 301),
            ("GET", "/sub/", "", 200),
            ("GET", "/empty/", "", 404),
        ] {
            let answer = ask(site.address, &format!("{method} {path} HTTP/1.1\r\n{fields}"), b"")?;
            assert_eq!(answer.status, status, "{method} {path} {fields}");
        }
        Ok(())
    };
    ask_all()?;
    let before = open()?;
    for _ in 0..50 {
        ask_all()?;
    }
    // The last connections may still be closing.
    let after = open()?;
    assert!(after <= before + 4, "{before} descriptors before, {after} after");
    Ok(())
}

#[test]
fn a_large_file_comes_right_at_any_pace_and_the_memory_stays_flat() -> Outcome {
    let folder = Folder::new()?;
    let path = folder.root().join("large.bin");
    let file = fs::File::create(&path)?;
    file.set_len(LARGE)?;
    let marks = [0, 4095, 1 << 20, 150_000_000, LARGE - 8];
    for mark in marks {
        file.write_at(&mark.to_be_bytes(), mark)?;
    }
    let site = start(WAYS[0], &folder.root())?;
    let before = resident(&site.running)?;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(site.address)?;
        stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: here\r\n\r\n")?;
        slow.push(stream);
    }
    // What the file has from an offset on.
    let expected = |at: u64, len: usize| {
        let mut bytes = vec![0; len];
        for (mark, index) in marks.iter().flat_map(|mark| (0..8).map(move |index| (*mark, index))) {
            if let Some(place) = (mark + index as u64).checked_sub(at).filter(|place| *place < len as u64) {
                bytes[place as usize] = mark.to_be_bytes()[index];
            }
        }
        bytes
    };
    // One fast reader, beside twenty that do not read.
    let mut stream = connect(site.address)?;
    stream.write_all(b"GET /large.bin HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let head = head_of(&mut stream)?;
    assert!(head.contains(&format!("Content-Length: {LARGE}\r\n")), "{head}");
    let (mut at, mut buffer) = (0, vec![0; 1 << 20]);
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        assert!(buffer[..count] == expected(at, count), "behind {at}");
        at += count as u64;
    }
    assert_eq!(at, LARGE);
    for mark in marks {
        let part = get(&site, "/large.bin", &format!("Range: bytes={mark}-{}\r\n", mark + 7))?;
        assert_eq!((part.status, &*part.body), (206, &mark.to_be_bytes()[..]));
    }
    assert_eq!(get(&site, "/", "")?.status, 200);
    let grown = resident(&site.running)?.saturating_sub(before);
    assert!(grown < GROWTH, "{grown} bytes");
    Ok(())
}

fn head_of(stream: &mut std::net::TcpStream) -> Outcome<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head)?)
}

/// The memory of the server's process, in bytes.
fn resident(running: &Running) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

#[test]
fn a_root_that_is_no_folder_is_told_in_one_line() -> Outcome {
    let folder = Folder::new()?;
    for (root, reason) in [("missing", "ENOENT"), ("secret", "ENOTDIR")] {
        for way in [WAYS[0], WAYS[1]] {
            let root = folder.0.join(root);
            let mut command = command(&["serve", "--addr", "127.0.0.1:0", "--root"])?;
            let ended = Running::start(command.arg(&root).args(way))?.wait()?;
            assert_eq!(ended.status.code(), Some(1));
            assert!(ended.stderr.contains(reason) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
            assert!(ended.stderr.contains(&*root.to_string_lossy()), "{}", ended.stderr);
        }
    }
    Ok(())
}
