//! Content codings of responses (RFC 9110, 8.4): which response is coded, and how. Mirrors the package `compression`, which most
//! of Node's applications use.
//!
//! A response is coded when its head is written, by what is known of it then: its fields, and how long it is. A body that is
//! written as a whole is coded as a whole, and has a length; a body that comes in pieces has a compressor of its own.

mod accept;
mod coder;

pub(crate) use coder::{Coder, Flush};

use crate::proto::{RequestHead, ResponseHead, setters};
use std::cell::Cell;
use std::rc::Rc;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `deflate`: the zlib format (RFC 1950).
    Deflate,
}

impl Coding {
    /// All of them, the best one first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Gzip, Self::Deflate];

    /// The name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn is_called(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// Which responses of a server are coded: text of some length, for clients that accept it. See
/// [`ServerOptions::codings`](crate::ServerOptions#structfield.codings).
///
/// Coded are responses whose `Content-Type` is text, JSON, JavaScript, XML, SVG, WebAssembly or the like. Not coded are those
/// with a `Content-Encoding`, a digest or a `Transfer-Encoding` of their own, parts (206), 204, 205 and 304, those with
/// `Cache-Control: no-transform`, and files that the kernel sends ([`Response::send_file`](crate::Response::send_file)).
///
/// A coded response has `Content-Encoding` and `Vary`, its `ETag` is made weak, and it has no `Accept-Ranges`. What would be coded
/// for another client has `Vary`, too. `HEAD` gets the fields that `GET` gets.
///
/// A program whose responses have secrets beside what their clients choose should not have these coded: their length tells of
/// both (BREACH). [`Response::set_coded`](crate::Response::set_coded) decides for one response.
///
/// ```
/// use http::ServerOptions;
/// use http::codings::{Coding, Codings};
///
/// let codings = Codings::default().min_len(256).offered(vec![Coding::Gzip]);
/// let options = ServerOptions::default().codings(Some(codings));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Codings {
    /// Whether responses are coded that do not say. Default: `true`.
    pub by_default: bool,
    /// The codings, in the order in which they are chosen if the client likes them as well. Default: all.
    pub offered: Vec<Coding>,
    /// The shortest body that is coded, if its length is known. Default: 1 KiB.
    pub min_len: usize,
    /// The longest body that is coded as a whole, by [`Response::end`](crate::Response::end): the loop does nothing else meanwhile.
    /// Default: 1 MiB, which takes some 20 ms. Longer ones are better written in pieces.
    pub max_len: usize,
    /// How many responses that are written in pieces are coded at the same time. Each takes some 300 KiB of memory, with brotli
    /// about 1 MiB; further ones are not coded. Default: 64.
    pub max_streams: usize,
    /// The level of gzip and deflate, from 1 to 9. Default: 5.
    pub level: u32,
    /// The quality of brotli, from 0 to 11. Default: 4, which takes as long as level 5 of gzip.
    pub brotli_quality: u32,
}

impl Default for Codings {
    fn default() -> Self {
        Self {
            by_default: true,
            offered: Coding::ALL.to_vec(),
            min_len: 1024,
            max_len: 1024 * 1024,
            max_streams: 64,
            level: 5,
            brotli_quality: 4,
        }
    }
}

setters! {
    Codings:
    by_default: bool,
    offered: Vec<Coding>,
    min_len: usize,
    max_len: usize,
    max_streams: usize,
    level: u32,
    brotli_quality: u32,
}

impl Codings {
    /// The coding that a request's client likes best.
    pub(crate) fn preferred(&self, request: &RequestHead<'_>) -> Option<Coding> {
        accept::preferred(request.fields.get_all("accept-encoding"), &self.offered)
    }

    /// Whether a response of this head is coded for clients that accept it. `len` is its length, if that is known.
    pub(crate) fn are_for(&self, head: &ResponseHead, len: Option<u64>) -> bool {
        let has = |name| head.get_all(name).next().is_some();
        let is_told_not_to = || {
            let directives = head.get_all("cache-control").flat_map(|line| line.split(|byte| *byte == b','));
            directives
                .map(<[u8]>::trim_ascii)
                .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
        };
        head.status() >= 200
            && !matches!(head.status(), 204 | 205 | 206 | 304)
            && len.is_none_or(|len| len >= self.min_len as u64)
            && head.get_all("content-type").next().is_some_and(is_compressible)
            && !head.has_transfer_encoding()
            && ![
                "content-encoding",
                "content-range",
                "content-digest",
                "repr-digest",
                "digest",
                "content-md5",
            ]
            .into_iter()
            .any(has)
            && !is_told_not_to()
    }
}

/// Whether bodies of a media type become shorter: not those of images, videos and archives, which are compressed already.
fn is_compressible(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    const OTHERS: [&[u8]; 9] = [
        b"application/json",
        b"application/javascript",
        b"application/ecmascript",
        b"application/xml",
        b"application/wasm",
        b"application/x-ndjson",
        b"application/graphql",
        b"image/bmp",
        b"font/ttf",
    ];
    essence.starts_with(b"text/")
        || OTHERS.contains(&&*essence)
        || [&b"+json"[..], b"+xml", b"+text", b"+yaml"].iter().any(|suffix| essence.ends_with(suffix))
}

/// The compressors of a server.
#[derive(Default)]
pub(crate) struct Coders {
    /// The compressor that was used last: most responses need one for a moment.
    spare: Cell<Option<Box<Coder>>>,
    /// How many are in use for bodies that come in pieces.
    streams: Rc<Cell<usize>>,
}

impl Coders {
    /// Codes a whole body. `None` if that fails, or makes it no shorter.
    pub(crate) fn code(&self, coding: Coding, data: &[u8], options: &Codings) -> Option<Vec<u8>> {
        let mut coder = self.take(coding, options);
        // Most text becomes less than half as long.
        let mut out = Vec::with_capacity(data.len() / 2);
        let coded = coder.put(data, Flush::End, &mut out);
        self.give(coder);
        (coded.is_ok() && out.len() < data.len()).then_some(out)
    }

    /// A compressor for a body that comes in pieces, unless there are too many.
    pub(crate) fn stream(&self, coding: Coding, options: &Codings) -> Option<Stream> {
        if self.streams.get() >= options.max_streams {
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        Some(Stream { coder: self.take(coding, options), count: Rc::clone(&self.streams), is_behind: false })
    }

    fn take(&self, coding: Coding, options: &Codings) -> Box<Coder> {
        let spare = self.spare.take().filter(|coder| coder.coding() == coding);
        spare.unwrap_or_else(|| Box::new(Coder::new(coding, options)))
    }

    fn give(&self, mut coder: Box<Coder>) {
        if coder.reset() {
            self.spare.set(Some(coder));
        }
    }
}

/// The compressor of a body that comes in pieces.
pub(crate) struct Stream {
    pub(crate) coder: Box<Coder>,
    count: Rc<Cell<usize>>,
    /// It may hold back some of what was written.
    pub(crate) is_behind: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
    }
}
