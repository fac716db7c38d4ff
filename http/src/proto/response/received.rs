//! The head of a response as a client reads it: status line and fields, with everything that the connection has to know.

use super::status_line;
use crate::proto::meaning::Meaning;
use crate::proto::section::Bounds;
use crate::proto::{FieldTable, Fields, Framing, ParseError, Parsed, Version};

/// What a response depends on of the request that it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseTo {
    /// The method is `HEAD`: the response has no body.
    pub is_head: bool,
    /// The method is `CONNECT`: a 2xx opens a tunnel.
    pub is_connect: bool,
    /// The request offers an upgrade, so that 101 is an answer.
    pub offers_upgrade: bool,
}

/// The head of a response: valid by RFC 9110 and 9112, and borrowed from the bytes it was read from. Mirrors
/// `http.IncomingMessage` of a client.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IncomingResponse<'a> {
    /// The status, from 100 to 999.
    pub status: u16,
    /// The reason phrase, which means nothing (RFC 9112, 4) and may be empty.
    pub reason: &'a [u8],
    /// The version.
    pub version: Version,
    /// The fields, in the order sent.
    pub fields: Fields<'a>,
    /// How the body is delimited. [`Framing::None`] for an answer to `HEAD`, for 1xx, 204 and 304, and for a 2xx to `CONNECT`,
    /// whatever the fields say.
    pub framing: Framing,
    /// Whether the server lets another request follow (RFC 9112, 9.3). Never if the connection is no longer HTTP, or if its
    /// end is the end of the body.
    pub keep_alive: bool,
    /// Whether the connection leaves HTTP behind this head: 101, or a 2xx to `CONNECT`.
    pub is_upgrade: bool,
}

impl<'a> IncomingResponse<'a> {
    /// Whether the response is an interim one, which another one follows: 1xx but 101.
    #[must_use]
    pub fn is_informational(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Says what the fields of the head mean. Mirrors `llhttp_message_needs_eof` and `llhttp_should_keep_alive`.
    fn conclude(&mut self, meaning: &Meaning, to: ResponseTo) -> Result<(), ParseError> {
        if let Some(fault) = meaning.fault {
            return Err(fault);
        }
        let (is_http11, options) = (self.version == Version::Http11, &meaning.connection);
        if self.status == 101 {
            if !(to.offers_upgrade && is_http11 && meaning.has_upgrade && options.upgrade) {
                return Err(ParseError::UnexpectedUpgrade);
            }
            self.is_upgrade = true;
            return Ok(());
        }
        // RFC 9112, 6.3, step 2.
        self.is_upgrade = to.is_connect && (200..=299).contains(&self.status);
        // Step 1. Of what the fields say of a body that is not there, nothing is believed.
        let has_no_body = self.is_upgrade || to.is_head || matches!(self.status, 100..=199 | 204 | 304);
        self.framing = if has_no_body { Framing::None } else { meaning.response_framing(self.version)? };
        // RFC 9112, 9.3.
        let is_kept = !options.close && (is_http11 || options.keep_alive);
        self.keep_alive = is_kept && !self.is_upgrade && self.framing != Framing::UntilClose;
        Ok(())
    }
}

/// Reads the head at the start of `bytes`. Returns it with its length, or `None` if it is valid so far but incomplete.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    bounds: &Bounds,
    table: &'a mut FieldTable,
    to: ResponseTo,
) -> Parsed<(IncomingResponse<'a>, usize)> {
    let Some(line) = status_line::read(bytes)? else { return Ok(None) };
    let Some(end) = table.read_head(bytes, line.len, bounds, true)? else { return Ok(None) };
    let mut head = IncomingResponse {
        status: line.status,
        reason: line.reason,
        version: line.version,
        fields: Fields::default(),
        framing: Framing::None,
        keep_alive: false,
        is_upgrade: false,
    };
    head.conclude(table.meaning(), to)?;
    head.fields = table.fields(&bytes[line.len..]);
    Ok(Some((head, end)))
}
