//! How long a message's body is: RFC 9112, 6.1 to 6.3, read as strictly as the RFC allows. Mirrors llhttp's `F_CHUNKED`,
//! `F_CONTENT_LENGTH` and `F_TRANSFER_ENCODING`.
//!
//! Everything that two recipients could read differently is refused, because request smuggling needs a disagreement about
//! where a body ends. Differences from Node: `gzip, chunked` is answered with 501 (RFC 9112, 6.1: a server that receives a
//! transfer coding it does not understand SHOULD), where Node passes the coded body on; an empty `Transfer-Encoding`, and
//! any in HTTP/1.0, is refused.

use super::chars;
use super::error::ParseError;
use super::version::Version;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// `Content-Length`: exactly this many bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the `Content-Length` and `Transfer-Encoding` fields of a head say together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BodyLength {
    length: Option<u64>,
    codings: Option<Codings>,
}

impl BodyLength {
    /// Adds a `Content-Length` field.
    pub(super) fn add_length(&mut self, value: &[u8]) -> Result<(), ParseError> {
        // RFC 9112, 6.3 step 5 lets a recipient refuse equal repeated values, or join them. Node refuses them, and so does
        // this, within one field (the comma is no digit) and across fields.
        if self.length.is_some() {
            return Err(ParseError::DuplicateContentLength);
        }
        self.length = Some(decimal(value).ok_or(ParseError::InvalidContentLength)?);
        Ok(())
    }

    /// Adds a `Transfer-Encoding` field; several form one list.
    pub(super) fn add_codings(&mut self, value: &[u8]) {
        self.codings.get_or_insert_default().add(value);
    }

    /// The framing of a request. The steps are those of RFC 9112, 6.3; 1, 2 and 8 are about responses.
    pub(super) fn of_request(&self, version: Version) -> Result<Framing, ParseError> {
        match (&self.codings, self.length) {
            // Section 6.1: such a request has faulty framing, even beside a Content-Length.
            (Some(_), _) if version == Version::Http10 => Err(ParseError::TransferEncodingInHttp10),
            // Step 3: ought to be handled as an error.
            (Some(_), Some(_)) => Err(ParseError::LengthWithTransferEncoding),
            // Step 4: chunked, or the length cannot be determined and a server answers 400.
            (Some(codings), None) => codings.check().map(|()| Framing::Chunked),
            // Steps 5 (checked when the field was read) and 6.
            (None, Some(length)) => Ok(Framing::Length(length)),
            // Step 7.
            (None, None) => Ok(Framing::None),
        }
    }
}

/// The transfer codings in the order in which they were applied.
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    has_chunked: bool,
    is_chunked_last: bool,
    has_other: bool,
    is_malformed: bool,
}

impl Codings {
    fn add(&mut self, value: &[u8]) {
        for coding in chars::list(value).filter(|coding| !coding.is_empty()) {
            let (name, rest) = coding.split_at(chars::run(coding, chars::TOKEN));
            let is_chunked = name.eq_ignore_ascii_case(b"chunked");
            // Only `;` and parameters may follow a name, and chunked has none; it is applied at most once (6.1, 7.1).
            let is_valid_rest = rest.is_empty() || (!is_chunked && chars::trim(rest).starts_with(b";"));
            self.is_malformed |= name.is_empty() || !is_valid_rest || (is_chunked && self.has_chunked);
            self.has_chunked |= is_chunked;
            self.has_other |= !is_chunked;
            self.is_chunked_last = is_chunked;
        }
    }

    fn check(&self) -> Result<(), ParseError> {
        if self.is_malformed || !self.is_chunked_last {
            Err(ParseError::InvalidTransferEncoding)
        } else if self.has_other {
            Err(ParseError::UnsupportedTransferCoding)
        } else {
            Ok(())
        }
    }
}

/// The value of `1*DIGIT`, if it fits.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
