//! What `serve` serves: a few routes that show the chain and give tests and benchmarks something to ask for.
//!
//! A crate of its own, so that the profile `quick` can optimise it alone: what `http` inlines into a handler is compiled
//! with the handler, and the rest of `cli` takes longest to optimise.

#![forbid(unsafe_code)]

use http::files::Files;
use http::proto::{Fields, Framing, RequestHead};
use http::upcall::{BodyHandler, RequestHandler, ResponseHandler};
use http::{Body, Request, Response, Result};
use serde_json::{Map, Value};

/// Bytes in each write of `/stream/N`.
const STREAM_WRITE: usize = 1024;

/// What `/stream/N` writes, in turn: all `a`, all `b` and so on.
static LETTERS: [[u8; STREAM_WRITE]; 26] = letters();

const fn letters() -> [[u8; STREAM_WRITE]; 26] {
    let mut letters = [[0; STREAM_WRITE]; 26];
    let mut index = 0;
    while index < letters.len() {
        letters[index] = [b'a' + index as u8; STREAM_WRITE];
        index += 1;
    }
    letters
}

/// Writes of `/stream/N` in one go while the client keeps up: then others have their turn.
const WRITES_PER_TURN: u64 = 64;

/// The answer to `GET /chain` of a server that does not offer the page.
const NO_CHAIN: &str = "not offered: start the server with --chain\n";

/// The application: `GET /`, `POST` or `PUT /echo`, `GET /headers`, `GET /stream/N`, `POST /trailers`, and, if it is
/// offered, `GET /chain`, which shows the way of its own request.
#[derive(Clone, Copy, Debug, Default)]
pub struct App {
    chain: Option<Page>,
}

/// Answers a request with a page.
pub type Page = fn(&Request<'_>, Response) -> Result<()>;

impl App {
    /// Sets the page at `/chain`. Default: none.
    #[must_use]
    pub const fn with_chain(self, chain: Option<Page>) -> Self {
        Self { chain }
    }
}

impl RequestHandler for App {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        // Fails only if the connection is closed, which ends the response by itself.
        if let Err(error) = self.route(request, response) {
            log::debug!("{} {}: {error}", request.method, request.target);
        }
    }
}

/// The application with files in place of its `/`: every path that is none of its routes is that of a file. A handler of its
/// own, so that the application without files has no question more to ask.
#[derive(Clone, Debug)]
pub struct Site {
    app: App,
    files: Files,
}

impl Site {
    /// The application with the files beneath a folder.
    #[must_use]
    pub const fn new(app: App, files: Files) -> Self {
        Self { app, files }
    }
}

impl RequestHandler for Site {
    fn on_request(&mut self, request: &Request<'_>, response: Response) {
        if is_route(request.path()) {
            return self.app.on_request(request, response);
        }
        self.files.on_request(request, response);
    }
}

/// Whether the path is one of the application's own, besides `/`.
fn is_route(path: &str) -> bool {
    matches!(path, "/chain" | "/echo" | "/headers" | "/trailers" | "*") || path.starts_with("/stream/")
}

impl App {
    fn route(&self, request: &Request<'_>, response: Response) -> Result<()> {
        match request.path() {
            "/" => with_method(request, response, &["GET", "HEAD"], |_, response| {
                response.set_header("Content-Type", "text/plain")?.end(b"hello")
            }),
            path => self.route_other(path, request, response),
        }
    }

    /// Apart from the route that is measured, which is then short.
    #[inline(never)]
    fn route_other(&self, path: &str, request: &Request<'_>, response: Response) -> Result<()> {
        match (path, self.chain) {
            ("/chain", Some(page)) => with_method(request, response, &["GET", "HEAD"], page),
            ("/chain", None) => send_text(&response, 404, NO_CHAIN),
            _ => route_plain(path, request, response),
        }
    }
}

fn route_plain(path: &str, request: &Request<'_>, response: Response) -> Result<()> {
    match path {
        "/echo" => with_method(request, response, &["POST", "PUT"], echo),
        "/headers" => with_method(request, response, &["GET", "HEAD"], |request, response| {
            response.send_json(&fields_as_json(&request.fields))
        }),
        "/trailers" => with_method(request, response, &["POST"], |request, response| {
            request.body().set_handler(Trailers { response });
            Ok(())
        }),
        "*" => response.set_status(204)?.set_header("Allow", "GET, HEAD, OPTIONS, POST, PUT")?.end(b""),
        _ => match path.strip_prefix("/stream/").and_then(parse_count) {
            Some(count) => with_method(request, response, &["GET", "HEAD"], |request, response| {
                stream(request, response, count)
            }),
            None => send_text(&response, 404, "not found\n"),
        },
    }
}

fn with_method(
    request: &Request<'_>,
    response: Response,
    allowed: &[&str],
    answer: impl FnOnce(&Request<'_>, Response) -> Result<()>,
) -> Result<()> {
    if allowed.contains(&request.method) {
        return answer(request, response);
    }
    response.set_header("Allow", allowed.join(", "))?;
    send_text(&response, 405, "method not allowed\n")
}

fn send_text(response: &Response, status: u16, text: &str) -> Result<()> {
    response.set_status(status)?.set_header("Content-Type", "text/plain")?.end(text.as_bytes())
}

/// Fields as a JSON object: names in lower case, values as Latin-1, repeated ones by Node's rules.
fn fields_as_json(fields: &Fields<'_>) -> Map<String, Value> {
    let latin1 = |value: &[u8]| Value::String(value.iter().map(|byte| char::from(*byte)).collect());
    let values = fields.by_name().map(|(name, value)| {
        let value = match value {
            http::proto::Value::One(value) => latin1(&value),
            http::proto::Value::List(values) => Value::Array(values.iter().map(latin1).collect()),
        };
        (name.to_ascii_lowercase(), value)
    });
    values.collect()
}

/// Sends the body back as it comes, at the pace of whichever side is slower.
fn echo(request: &Request<'_>, response: Response) -> Result<()> {
    if let Some(content_type) = request.fields.get("content-type") {
        response.set_header("Content-Type", content_type)?;
    }
    if let Framing::Length(length) = request.framing {
        response.set_header("Content-Length", length.to_string())?;
    }
    let body = request.body();
    response.set_handler(EchoPace { body: body.clone() });
    body.set_handler(Echo { response });
    Ok(())
}

struct Echo {
    response: Response,
}

impl BodyHandler for Echo {
    fn on_data(&mut self, body: &Body, data: &[u8]) {
        if let Ok(false) = self.response.write(data) {
            body.pause();
        }
    }

    fn on_end(&mut self, _: &Body, _: &Fields<'_>) {
        // Fails only if the connection is closed.
        let _ = self.response.end(b"");
    }
}

struct EchoPace {
    body: Body,
}

impl ResponseHandler for EchoPace {
    fn on_drain(&mut self, _: &Response) {
        self.body.resume();
    }
}

/// Waits for the end of the body, and says what came after it.
struct Trailers {
    response: Response,
}

impl BodyHandler for Trailers {
    fn on_data(&mut self, _: &Body, _: &[u8]) {}

    fn on_end(&mut self, _: &Body, trailers: &Fields<'_>) {
        // Fails only if the connection is closed.
        let _ = self.response.send_json(&fields_as_json(trailers));
    }
}

fn parse_count(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Sends `count` writes of 1024 bytes, the i-th all `a` + i mod 26.
fn stream(request: &RequestHead<'_>, response: Response, count: u64) -> Result<()> {
    response.set_header("Content-Type", "text/plain")?;
    if request.is_head() {
        return response.end(b"");
    }
    // The head goes with the first write; no length is given, so it is chunked or ends with the connection.
    let mut stream = Stream { sent: 0, count };
    if count == 0 {
        response.flush_headers()?;
    }
    if !stream.write_on(&response) {
        response.set_handler(stream);
    }
    Ok(())
}

struct Stream {
    sent: u64,
    count: u64,
}

impl Stream {
    /// Writes until the client has enough for now. Returns whether the stream is over.
    fn write_on(&mut self, response: &Response) -> bool {
        let mut turn = 0;
        while self.sent < self.count {
            let data = &LETTERS[(self.sent % LETTERS.len() as u64) as usize];
            self.sent += 1;
            turn += 1;
            match response.write(data) {
                Ok(true) if turn < WRITES_PER_TURN => {}
                Ok(true) => {
                    response.yield_now();
                    return false;
                }
                Ok(false) => return false,
                Err(_) => return true,
            }
        }
        // Fails only if the connection is closed.
        let _ = response.end(b"");
        true
    }
}

impl ResponseHandler for Stream {
    fn on_drain(&mut self, response: &Response) {
        self.write_on(response);
    }
}
