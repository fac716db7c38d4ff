//! The diagram as a page, from a file and from a server: self-contained, and good at any width.

use crate::browser::Browser;
use crate::program::{Folder, Outcome, command, says};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tests::running::{DEADLINE, Running};
use uv_core::Signal;

const WIDTHS: &[u32] = &[1280, 400];

/// Looks at a page as a reader does. Returns what is wrong with it.
const LOOK: &str = "
    const wrong = [];
    const all = (what) => [...document.querySelectorAll(what)];
    const width = window.innerWidth;
    if (document.documentElement.scrollWidth > width) wrong.push('it is ' + document.documentElement.scrollWidth + ' wide');
    const names = all('.heads b').map((head) => head.textContent);
    for (const name of ['kernel', 'uv-core', 'tcp-wrap', 'async-wrap', 'net', 'http', 'your handler']) {
        if (!names.includes(name)) wrong.push('no lane ' + name);
    }
    const steps = all('.step');
    if (steps.length < 20) wrong.push('only ' + steps.length + ' steps');
    for (const step of steps) {
        const name = step.querySelector('.name').getBoundingClientRect();
        if (name.width < 20 || name.left < -1 || name.right > width + 1) wrong.push(step.textContent + ' is cut');
    }
    const tops = steps.map((step) => step.offsetTop).sort((a, b) => a - b);
    if (tops.some((top, at) => at > 0 && top - tops[at - 1] < 20)) wrong.push('steps overlap');
    for (const what of ['.up .arrow', '.down .arrow', '.dot', '.bar']) {
        if (all(what).length === 0) wrong.push('no ' + what);
    }
    const step = steps.find((step) => step.textContent.includes('on_request'));
    const card = step.querySelector('.card');
    if (window.getComputedStyle(card).display !== 'none') wrong.push('a card is shown before its step has the focus');
    step.focus();
    const box = card.getBoundingClientRect();
    if (window.getComputedStyle(card).display === 'none') wrong.push('focus shows no card');
    if (box.left < -1 || box.right > width + 1) wrong.push('the card is cut');
    for (const text of ['http calls your handler', 'head is complete', 'http/src/']) {
        if (!card.textContent.includes(text)) wrong.push('the card does not say ' + text + ' but ' + card.textContent);
    }
    step.dispatchEvent(new window.KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true }));
    if (document.activeElement === step) wrong.push('the arrow keys do nothing');
    return wrong.join('; ') || 'nothing';
";

/// Nothing is fetched from elsewhere: the only address in a page is that of the namespace that SVG needs no longer.
fn assert_self_contained(page: &str) {
    for word in ["http://", "https://", "src=", "@import", "url(\"", "fetch("] {
        assert!(!page.contains(word), "the page has {word}");
    }
}

#[test]
fn a_page_in_a_file_is_self_contained_and_good_at_any_width() -> Outcome {
    let folder = Folder::new()?;
    let file = folder.file("trace.html");
    says(&["trace", "--requests", "2", "--html", &file.display().to_string()])?;
    let page = fs::read_to_string(&file)?;
    assert_self_contained(&page);
    let Some(browser) = Browser::find() else { return Ok(()) };
    browser.open(&format!("file://{}", file.display()))?;
    for width in WIDTHS {
        assert_eq!(browser.look(&page, *width, LOOK)?, "nothing", "is wrong at {width} pixels");
    }
    Ok(())
}

#[test]
fn a_cluster_has_lanes_for_the_primary_and_the_worker() -> Outcome {
    let folder = Folder::new()?;
    let file = folder.file("trace.html");
    says(&["trace", "--workers", "2", "--html", &file.display().to_string()])?;
    let page = fs::read_to_string(&file)?;
    for head in ["<small>primary</small><b>cluster</b>", "<small>worker 1</small><b>cluster</b>"] {
        assert!(page.contains(head), "no {head}");
    }
    let Some(browser) = Browser::find() else { return Ok(()) };
    for width in WIDTHS {
        assert_eq!(browser.look(&page, *width, LOOK)?, "nothing", "is wrong at {width} pixels");
    }
    Ok(())
}

/// A running `serve`.
struct Site {
    running: Running,
    address: SocketAddr,
}

impl Site {
    fn start(workers: &str) -> Outcome<Self> {
        Self::start_with(workers, &[])
    }

    fn start_with(workers: &str, words: &[&str]) -> Outcome<Self> {
        let serve = ["serve", "--addr", "127.0.0.1:0", "--workers", workers];
        let running = Running::start(command(&serve)?.args(words))?;
        let line = running.line().ok_or("it says nothing")?;
        let url = line.strip_prefix("listening on http://").ok_or("it does not listen")?;
        let address = url.split(' ').next().unwrap_or_default().parse()?;
        Ok(Self { running, address })
    }

    /// The head and the body of an answer, on a connection that is kept.
    fn ask(stream: &mut TcpStream, line: &str) -> Outcome<(String, String)> {
        stream.write_all(format!("{line} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes())?;
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let is_whole = match length {
                    _ if line.starts_with("HEAD") => true,
                    Some(length) => body.len() >= length.parse::<usize>()?,
                    None => body.ends_with("\r\n0\r\n\r\n"),
                };
                if is_whole {
                    return Ok((head.to_owned(), body.to_owned()));
                }
            }
            match stream.read(&mut piece)? {
                0 => return Err("the connection was closed".into()),
                count => bytes.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn connect(&self) -> Outcome<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    fn ends(self) -> Outcome {
        self.running.signal(Signal::SIGTERM)?;
        let ended = self.running.wait()?;
        assert!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
        Ok(())
    }
}

/// A chunked body as one text.
fn without_chunks(body: &str) -> Outcome<String> {
    let (mut rest, mut whole) = (body, String::new());
    loop {
        let (size, after) = rest.split_once("\r\n").ok_or("no chunk")?;
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            return Ok(whole);
        }
        whole.push_str(after.get(..size).ok_or("a chunk is cut")?);
        rest = &after[size + 2..];
    }
}

#[test]
fn the_second_request_for_the_chain_is_answered_with_its_own_way() -> Outcome {
    let site = Site::start("0")?;
    let mut stream = site.connect()?;
    let (head, _) = Site::ask(&mut stream, "GET /chain")?;
    assert!(head.starts_with("HTTP/1.1 303 ") && head.contains("\r\nLocation: /chain"), "{head}");
    let (head, body) = Site::ask(&mut stream, "GET /chain")?;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/html"), "{head}");
    let page = without_chunks(&body)?;
    assert_self_contained(&page);
    assert!(page.contains("GET /chain"), "the request is not in its own picture");
    assert_eq!(page.matches("RequestHandler::on_request:").count(), 1, "others are in the picture");
    if let Some(browser) = Browser::find() {
        browser.open(&format!("http://{}/chain", site.address))?;
        for width in WIDTHS {
            assert_eq!(browser.look(&page, *width, LOOK)?, "nothing", "is wrong at {width} pixels");
        }
    }
    site.ends()
}

#[test]
fn the_chain_is_a_route_like_the_others() -> Outcome {
    let site = Site::start("0")?;
    let mut stream = site.connect()?;
    let (head, _) = Site::ask(&mut stream, "POST /chain")?;
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("\r\nAllow: GET, HEAD"), "{head}");
    assert!(Site::ask(&mut stream, "HEAD /chain")?.0.starts_with("HTTP/1.1 303 "));
    assert!(Site::ask(&mut stream, "HEAD /chain?again")?.0.starts_with("HTTP/1.1 200 "));
    assert!(Site::ask(&mut stream, "GET /chain")?.0.starts_with("HTTP/1.1 303 "));
    assert_eq!(Site::ask(&mut site.connect()?, "GET /")?.1, "hello", "others are answered meanwhile");
    assert!(Site::ask(&mut stream, "GET /chain")?.0.starts_with("HTTP/1.1 200 "));
    assert!(Site::ask(&mut stream, "GET /chain")?.0.starts_with("HTTP/1.1 303 "));
    assert_eq!(Site::ask(&mut stream, "GET /")?.1, "hello", "and on the same connection");
    assert!(Site::ask(&mut stream, "GET /chain")?.0.starts_with("HTTP/1.1 303 "), "that one was the next");
    site.ends()
}

#[test]
fn several_clients_are_shown_their_own_requests_at_the_same_time() -> Outcome {
    let site = Site::start("0")?;
    let mut streams = [site.connect()?, site.connect()?, site.connect()?];
    for stream in &mut streams {
        assert!(Site::ask(stream, "GET /chain")?.0.starts_with("HTTP/1.1 303 "));
    }
    for stream in &mut streams {
        let (head, body) = Site::ask(stream, "GET /chain")?;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let page = without_chunks(&body)?;
        assert_eq!(page.matches("RequestHandler::on_request:").count(), 1, "others are in the picture");
    }
    site.ends()
}

#[test]
fn a_connection_that_is_not_kept_is_told_why_there_is_no_page() -> Outcome {
    let site = Site::start("0")?;
    let mut stream = site.connect()?;
    stream.write_all(b"GET /chain HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("keep it"), "{answer}");
    site.ends()
}

#[test]
fn a_server_that_does_not_offer_the_page_says_how_to_get_it() -> Outcome {
    let site = Site::start_with("0", &["--no-chain"])?;
    let (head, body) = Site::ask(&mut site.connect()?, "GET /chain")?;
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("--chain"), "{head}");
    site.ends()?;
    for workers in ["0", "1"] {
        let site = Site::start_with(workers, &["--chain"])?;
        assert!(Site::ask(&mut site.connect()?, "GET /chain")?.0.starts_with("HTTP/1.1 303 "));
        site.ends()?;
    }
    Ok(())
}

#[test]
fn a_page_that_is_awaited_does_no_harm_to_the_end_of_the_server() -> Outcome {
    for requests in 1..=2 {
        let site = Site::start("0")?;
        let mut stream = site.connect()?;
        for _ in 0..requests {
            Site::ask(&mut stream, "GET /chain")?;
        }
        site.ends()?;
    }
    Ok(())
}

#[test]
fn workers_draw_the_chain_too() -> Outcome {
    let site = Site::start("2")?;
    let mut stream = site.connect()?;
    assert!(Site::ask(&mut stream, "GET /chain")?.0.starts_with("HTTP/1.1 303 "));
    let (_, body) = Site::ask(&mut stream, "GET /chain")?;
    assert!(without_chunks(&body)?.contains("RequestHandler::on_request"), "{body}");
    if let Some(browser) = Browser::find() {
        let document = browser.open(&format!("http://{}/chain", site.address))?;
        assert!(document.contains("class=\"step"), "{document}");
    }
    site.ends()
}
