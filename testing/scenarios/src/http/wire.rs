//! The bytes of a conversation: what a client sends, and what it may receive.

use super::plan::{Ending, Exchange, Expects, Form, Framing, Intake, Start};
use std::fmt::Write;

/// Stands for any byte in expected bytes.
pub(super) const ANY: u8 = 0;

/// A request: its head, and its body as it is sent.
pub(super) fn request(exchange: &Exchange) -> (Vec<u8>, Vec<u8>) {
    let Exchange { client, number, method, is_http10, .. } = exchange;
    let version = if *is_http10 { "1.0" } else { "1.1" };
    let mut head = format!("{method} /{client}/{number} HTTP/{version}\r\nHost: a\r\n");
    if let Some(options) = exchange.connection {
        head += &format!("Connection: {options}\r\n");
    }
    if exchange.offers_upgrade {
        head += "Connection: Upgrade\r\nUpgrade: echo\r\n";
    }
    if exchange.expects != Expects::No {
        head += "Expect: 100-continue\r\n";
    }
    let mut body = exchange.body.clone();
    match &exchange.framing {
        Framing::None => {}
        Framing::Length => head += &format!("Content-Length: {}\r\n", body.len()),
        Framing::Chunked { chunk, has_extensions, trailers } => {
            head += "Transfer-Encoding: chunked\r\n";
            body = chunked(&body, *chunk, *has_extensions, *trailers);
        }
    }
    head += "\r\n";
    (head.into_bytes(), body)
}

fn chunked(body: &[u8], chunk: usize, has_extensions: bool, trailers: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let extension = if has_extensions { ";a;b=\"\\\";\";c=d" } else { "" };
    for piece in body.chunks(chunk) {
        out.extend_from_slice(format!("{:x}{extension}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("0{extension}\r\n").as_bytes());
    for index in 0..trailers {
        out.extend_from_slice(format!("X-Trailer: {index}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Bytes that a client receives.
pub(super) struct Segment {
    /// The exchange that they belong to.
    pub(super) exchange: usize,
    pub(super) bytes: Vec<u8>,
    /// They may be left out.
    pub(super) is_optional: bool,
}

/// Everything that a client receives.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) segments: Vec<Segment>,
    /// A part of it may be missing although nothing failed, since the program breaks the connection.
    pub(super) is_broken: bool,
    /// The requests that are answered.
    pub(super) answered: usize,
    /// The requests that may be handed to the handler at most.
    pub(super) taken: usize,
}

impl Stream {
    /// What the answers to these requests are, on a server that takes so many requests of a connection at most.
    pub(super) fn new(exchanges: &[impl AsRef<Exchange>], limit: Option<usize>) -> Self {
        Self::up_to(exchanges, limit.unwrap_or(usize::MAX), limit)
    }

    /// The same on a server that shuts down: the answer with this number, from 1, ends the connection.
    pub(super) fn closing(exchanges: &[impl AsRef<Exchange>], last: usize) -> Self {
        Self::up_to(exchanges, last, None)
    }

    /// The answers up to the `last` one, from 1.
    fn up_to(exchanges: &[impl AsRef<Exchange>], last: usize, limit: Option<usize>) -> Self {
        let mut stream = Self::default();
        let mut is_open = true;
        for (index, exchange) in exchanges.iter().map(AsRef::as_ref).enumerate() {
            let is_last = index + 1 >= last || !exchange.may_stay();
            stream.taken = index + 1;
            // Also where it is not answered any more.
            stream.is_broken |= exchange.answer.ending == Ending::Destroyed;
            if is_open {
                stream.answered = index + 1;
                is_open = stream.add(index, exchange, !is_last, limit);
            }
            if is_last {
                break;
            }
        }
        stream
    }

    /// Adds an answer. Returns whether the connection stays open.
    fn add(&mut self, index: usize, exchange: &Exchange, may_stay: bool, limit: Option<usize>) -> bool {
        let mut may_stay = may_stay;
        let has_wish = exchange.expects != Expects::No;
        if has_wish && exchange.is_immediate() {
            // The client may or may not send the body.
            may_stay &= exchange.expects == Expects::No;
        } else if has_wish {
            let is_optional = exchange.expects == Expects::Eager;
            let bytes = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
            self.segments.push(Segment { exchange: index, bytes, is_optional });
        }
        let mut bytes = Vec::new();
        if exchange.answer.is_announced && !exchange.is_http10 {
            bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        let is_whole = exchange.answer.form == Form::Whole;
        let stays = match exchange.answer.ending {
            Ending::Destroyed if is_whole => false,
            Ending::Dropped if is_whole => {
                let length = if exchange.method == "HEAD" { None } else { Some(0) };
                head(&mut bytes, 500, "Connection: close\r\n", "", length);
                false
            }
            _ => self.add_answer(exchange, may_stay, limit, &mut bytes),
        };
        self.segments.push(Segment { exchange: index, bytes, is_optional: false });
        stays
    }

    /// Adds an answer that the program began.
    fn add_answer(
        &mut self,
        exchange: &Exchange,
        may_stay: bool,
        limit: Option<usize>,
        out: &mut Vec<u8>,
    ) -> bool {
        let answer = &exchange.answer;
        let (is_whole, total) = (answer.form == Form::Whole, answer.pieces.iter().sum());
        let has_content = exchange.method != "HEAD" && !matches!(answer.status, 204 | 205 | 304);
        let set = answer.sets_length.then_some(total);
        let (length, is_chunked) = match answer.status {
            204 => (None, false),
            205 => (Some(0), false),
            304 => (set, false),
            _ if exchange.method == "HEAD" => {
                (set.or_else(|| (is_whole && total > 0).then_some(total)), false)
            }
            _ if is_whole => (Some(total), false),
            _ => (set, set.is_none() && !exchange.is_http10),
        };
        let is_until_close = has_content && !is_chunked && length.is_none();
        let stays = may_stay && !answer.sets_close && !is_until_close;
        let max = limit.map_or(String::new(), |limit| format!(", max={limit}"));
        let keep = format!("Connection: keep-alive\r\nKeep-Alive: timeout=65{max}\r\n");
        let coding = if is_chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        let field = if answer.has_field { "X-Field: 1\r\n" } else { "" };
        let lines = format!("{coding}{field}");
        head(out, answer.status, if stays { &keep } else { "Connection: close\r\n" }, &lines, length);
        for index in 0..answer.pieces.len() {
            let piece = exchange.piece(index);
            if is_chunked && !piece.is_empty() {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend_from_slice(&piece);
                out.extend_from_slice(b"\r\n");
            } else if has_content {
                out.extend_from_slice(&piece);
            }
        }
        if is_chunked && answer.ending == Ending::End {
            let trailer = if has_trailer(exchange) { "X-Sum: 1\r\n" } else { "" };
            out.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        }
        self.is_broken |= is_until_close && answer.ending == Ending::Dropped;
        stays && answer.ending == Ending::End
    }

    /// Compares what a client received. Returns the number of segments that are there as a whole.
    pub(super) fn follow(&self, received: &[u8]) -> Result<usize, String> {
        let mut rest = received;
        for (index, Segment { bytes, is_optional, exchange }) in self.segments.iter().enumerate() {
            let common = rest.len().min(bytes.len());
            if rest.is_empty() {
                return Ok(index);
            }
            let is_same = rest.iter().zip(bytes).all(|(left, right)| left == right || *right == ANY);
            match (is_same, is_optional) {
                (true, _) if common < bytes.len() => return Ok(index),
                (true, _) => rest = &rest[common..],
                (false, true) => {}
                (false, false) => {
                    let (rest, right) = (shown(rest), shown(bytes));
                    return Err(format!("request {exchange} was answered by {rest:?} instead of {right:?}"));
                }
            }
        }
        if rest.is_empty() {
            return Ok(self.segments.len());
        }
        Err(format!("behind the last answer came {:?}", shown(rest)))
    }
}

/// Whether the program adds a trailer field: where one is allowed.
pub(super) fn has_trailer(exchange: &Exchange) -> bool {
    let answer = &exchange.answer;
    let has_content = exchange.method != "HEAD" && !matches!(answer.status, 204 | 205 | 304);
    let may_have = has_content && !exchange.is_http10 && !answer.sets_length && answer.form != Form::Whole;
    answer.has_trailer && may_have
}

/// The head of a response.
pub(super) fn head(out: &mut Vec<u8>, status: u16, connection: &str, lines: &str, length: Option<usize>) {
    let reason = match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        205 => "Reset Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "",
    };
    let date = "\0".repeat(29);
    let mut text = format!("HTTP/1.1 {status} {reason}\r\nDate: {date}\r\n{connection}{lines}");
    if let Some(length) = length {
        // A string takes everything.
        let _ = write!(text, "Content-Length: {length}\r\n");
    }
    text += "\r\n";
    out.extend_from_slice(text.as_bytes());
}

/// The beginning of some bytes.
pub(super) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned()
}

/// Whether the answer may be complete before the client has sent the body, although the body has a handler.
pub(super) fn may_cut_body(exchange: &Exchange) -> bool {
    exchange.intake == Intake::Ignored || !matches!(exchange.answer.start, Start::AfterBody(_))
}
