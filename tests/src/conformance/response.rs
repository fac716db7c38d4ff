//! A strict parser of responses: it accepts what RFC 9112 lets a server send, and no more.
//!
//! It is a function of the bytes received so far, so that it is tested without sockets. It is independent of the
//! server's own parser on purpose.

use super::case::RequestKind;

/// The most bytes of a response head: far more than the server under test can have to say.
const MAX_HEAD: usize = 64 * 1024;

/// The most bytes of a chunk-size line or of trailers.
const MAX_LINE: usize = 1024;

/// The most bytes of a body: more than any case asks for.
const MAX_BODY: u64 = 64 * 1024 * 1024;

/// A response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names as sent; values without the white space around them.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body: an interim response, 204, 304, or an answer to HEAD.
    #[default]
    None,
    /// By `Content-Length`.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Not even a head yet.
    Head,
    /// A head, and this much of the body.
    Body(Response),
    /// A whole response, and the number of bytes that it took.
    Complete(Response, usize),
}

impl Response {
    /// The values of the fields with this name.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Whether one of the fields with this name lists `member`, in any case.
    pub(crate) fn lists(&self, name: &str, member: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(member))
    }

    /// Whether this is an interim response, which another one follows.
    pub(crate) fn is_interim(&self) -> bool {
        self.status / 100 == 1 && self.status != 101
    }
}

/// Parses the response at the start of `bytes`; with `ended` no more bytes will come.
///
/// # Errors
///
/// The rule that the server broke.
pub(crate) fn parse(bytes: &[u8], ended: bool, request: RequestKind) -> Result<Progress, String> {
    let Some(head_length) = find(bytes, b"\r\n\r\n") else {
        refuse_early(bytes)?;
        return if bytes.len() > MAX_HEAD { Err("the head does not end".into()) } else { Ok(Progress::Head) };
    };
    let head = std::str::from_utf8(&bytes[..head_length]);
    let head = head.map_err(|_| "the head has bytes outside of ASCII that are not UTF-8")?;
    let (status_line, field_lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut response = Response { status: status(status_line)?, ..Response::default() };
    if !field_lines.is_empty() {
        response.fields = field_lines.split("\r\n").map(field).collect::<Result<_, _>>()?;
    }
    response.framing = framing(&response, request)?;
    body(response, bytes, head_length + 4, ended)
}

/// Refuses bytes that cannot become a head, so that garbage fails before the deadline.
fn refuse_early(bytes: &[u8]) -> Result<(), String> {
    let start = b"HTTP/1.1 ";
    let length = start.len().min(bytes.len());
    if bytes[..length] == start[..length] {
        Ok(())
    } else {
        Err("the status line does not begin with `HTTP/1.1 `".into())
    }
}

/// `HTTP/1.1 SP 3DIGIT SP [ reason-phrase ]` (RFC 9112 4).
fn status(line: &str) -> Result<u16, String> {
    let bad = |why: &str| format!("bad status line {line:?}: {why} (RFC 9112 4)");
    let rest = line.strip_prefix("HTTP/1.1 ").ok_or_else(|| bad("the version is not HTTP/1.1"))?;
    let (code, reason) = rest.split_once(' ').ok_or_else(|| bad("no space after the status code"))?;
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad("the status code is not three digits"));
    }
    if !reason.chars().all(is_field_char) {
        return Err(bad("a control character in the reason phrase"));
    }
    let code = code.parse().map_err(|_| bad("no number"))?;
    if (100..600).contains(&code) { Ok(code) } else { Err(bad("the status code is not within 100 to 599")) }
}

/// `field-name ":" OWS field-value OWS` (RFC 9112 5).
fn field(line: &str) -> Result<(String, String), String> {
    let bad = |why: &str| format!("bad field line {line:?}: {why} (RFC 9112 5)");
    if line.starts_with([' ', '\t']) {
        return Err(bad("line folding"));
    }
    let (name, value) = line.split_once(':').ok_or_else(|| bad("no colon"))?;
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(bad("the name is not a token"));
    }
    if !value.chars().all(is_field_char) {
        return Err(bad("a control character in the value"));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_field_char(char: char) -> bool {
    char == '\t' || !char.is_control()
}

/// The steps of RFC 9112 6.3, with the rules of 6.1 and of RFC 9110 8.6 for what a server may send.
fn framing(response: &Response, request: RequestKind) -> Result<Framing, String> {
    let lengths: Vec<&str> = response.values("Content-Length").collect();
    let codings: Vec<&str> = response.values("Transfer-Encoding").collect();
    let length = match lengths[..] {
        [] => None,
        [digits] if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length = digits.parse().ok().filter(|length| *length <= MAX_BODY);
            Some(length.ok_or_else(|| format!("Content-Length {digits} is too large"))?)
        }
        [other] => return Err(format!("Content-Length {other:?} is not a number (RFC 9110 8.6)")),
        _ => return Err("several Content-Length fields (RFC 9110 8.6)".into()),
    };
    let chunked = match codings[..] {
        [] => false,
        [coding] if coding.eq_ignore_ascii_case("chunked") => true,
        _ => return Err(format!("Transfer-Encoding {codings:?} is not `chunked` (RFC 9112 6.1)")),
    };
    if chunked && length.is_some() {
        return Err("both Content-Length and Transfer-Encoding (RFC 9112 6.2)".into());
    }
    if chunked && request.http10 {
        return Err("Transfer-Encoding in an answer to HTTP/1.0 (RFC 9112 6.1)".into());
    }
    let never_framed = response.status / 100 == 1 || response.status == 204;
    if never_framed && (chunked || length.is_some()) {
        return Err(format!(
            "a body is announced with status {} (RFC 9110 8.6, RFC 9112 6.1)",
            response.status
        ));
    }
    Ok(match (never_framed || response.status == 304 || request.head, chunked, length) {
        (true, _, _) => Framing::None,
        (_, true, _) => Framing::Chunked,
        (_, _, Some(length)) => Framing::Length(length),
        (_, _, None) => Framing::UntilClose,
    })
}

/// Reads the body that begins at `start`.
fn body(mut response: Response, bytes: &[u8], start: usize, ended: bool) -> Result<Progress, String> {
    let available = &bytes[start..];
    match response.framing {
        Framing::None => Ok(Progress::Complete(response, start)),
        Framing::Length(length) => {
            // At most MAX_BODY, which fits in a usize.
            let length = length as usize;
            response.body = available[..length.min(available.len())].to_vec();
            let complete = available.len() >= length;
            Ok(if complete { Progress::Complete(response, start + length) } else { Progress::Body(response) })
        }
        Framing::Chunked => {
            let used = chunks(available, &mut response.body)?;
            Ok(match used {
                Some(used) => Progress::Complete(response, start + used),
                None => Progress::Body(response),
            })
        }
        Framing::UntilClose => {
            response.body = available.to_vec();
            Ok(if ended { Progress::Complete(response, bytes.len()) } else { Progress::Body(response) })
        }
    }
}

/// Reads a chunked body (RFC 9112 7.1) into `body`, returning its length once it is whole.
fn chunks(bytes: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(line) = line(&bytes[at..])? else { return Ok(None) };
        let size = chunk_size(line)?;
        at += line.len() + 2;
        if size == 0 {
            return Ok(trailers(&bytes[at..])?.map(|used| at + used));
        }
        let data = &bytes[at..];
        body.extend_from_slice(&data[..size.min(data.len())]);
        let end = &data[size.min(data.len())..];
        if !b"\r\n".starts_with(&end[..end.len().min(2)]) {
            return Err("chunk data is not followed by CRLF (RFC 9112 7.1)".into());
        }
        if end.len() < 2 {
            return Ok(None);
        }
        at += size + 2;
    }
}

/// `1*HEXDIG`; the server under test sends no chunk extensions.
fn chunk_size(line: &[u8]) -> Result<usize, String> {
    let bad = || format!("bad chunk size {:?} (RFC 9112 7.1)", String::from_utf8_lossy(line));
    if line.is_empty() || !line.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad());
    }
    let digits = std::str::from_utf8(line).map_err(|_| bad())?;
    usize::from_str_radix(digits, 16).ok().filter(|size| *size as u64 <= MAX_BODY).ok_or_else(bad)
}

/// Reads trailer fields and the blank line, returning their length once they are whole.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(line) = line(&bytes[at..])? else { return Ok(None) };
        at += line.len() + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        let text = std::str::from_utf8(line).map_err(|_| "a trailer field is not UTF-8")?;
        let (name, _) = field(text)?;
        if ["content-length", "transfer-encoding", "host"].contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("{name} in a trailer (RFC 9110 6.5.1)"));
        }
    }
}

/// The line at the start of `bytes`, without its CRLF, if it is whole.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    match find(bytes, b"\r\n") {
        Some(end) if bytes[..end].contains(&b'\n') => Err("a line ends with LF alone (RFC 9112 2.2)".into()),
        Some(end) => Ok(Some(&bytes[..end])),
        None if bytes.len() > MAX_LINE => Err("a line of a chunked body does not end".into()),
        None => Ok(None),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests;
