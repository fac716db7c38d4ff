//! A body as it is written: counted, and in chunks where its length is not known. The counterpart of `body.rs`. It does not know
//! whether the message is a request or a response. Mirrors `write_` of Node's `OutgoingMessage`.

use super::EncodeError;

/// Bytes around the data of a chunk: 16 digits and two line ends.
const CHUNK_ROOM: usize = 20;

/// How the body is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// Not at all: what the application writes is dropped.
    None,
    /// As it is, and it has to have as many bytes as its length says.
    Length,
    /// In chunks.
    Chunked,
    /// As it is; its end is the end of the connection.
    UntilClose,
}

/// Counts one message's body, and writes what stands around its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyEncoder {
    pub(super) framing: BodyFraming,
    /// Body bytes that a `Content-Length` still allows and demands.
    pub(super) left: u64,
}

impl BodyEncoder {
    pub(super) const fn new(framing: BodyFraming) -> Self {
        Self { framing, left: 0 }
    }

    pub(super) fn with_length(left: u64) -> Self {
        Self { framing: BodyFraming::Length, left }
    }

    /// Counts `len` bytes. Returns whether they are to be sent.
    ///
    /// # Errors
    /// `BodyTooLong` beyond the length; nothing is counted then.
    #[inline]
    pub(super) fn count(&mut self, len: usize) -> Result<bool, EncodeError> {
        if self.framing == BodyFraming::Length {
            self.left = self.left.checked_sub(len as u64).ok_or(EncodeError::BodyTooLong)?;
        }
        Ok(self.framing != BodyFraming::None)
    }

    fn is_chunked(&self) -> bool {
        self.framing == BodyFraming::Chunked
    }

    /// Writes a part, which was counted, with what stands around it.
    pub(super) fn put_part(&self, data: &[u8], out: &mut Vec<u8>) {
        // A chunk of no bytes would end the body.
        if !self.is_chunked() {
            out.extend_from_slice(data);
        } else if !data.is_empty() {
            // Room is made once.
            out.reserve(data.len() + CHUNK_ROOM);
            put_chunk_size(data.len(), out);
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what stands before a part of `len` bytes.
    pub(super) fn put_front(&self, len: usize, out: &mut Vec<u8>) {
        // As in `put_part`.
        if self.is_chunked() && len > 0 {
            put_chunk_size(len, out);
        }
    }

    /// What stands behind a part of `len` bytes.
    pub(super) fn back(&self, len: usize) -> &'static [u8] {
        if self.is_chunked() && len > 0 { b"\r\n" } else { &[] }
    }

    /// Writes the end of a chunked body: the last chunk and the trailers.
    pub(super) fn put_end(&self, trailer_lines: &[u8], out: &mut Vec<u8>) {
        if self.is_chunked() {
            out.extend_from_slice(b"0\r\n");
            out.extend_from_slice(trailer_lines);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends the first line of a chunk (RFC 9112, 7.1).
fn put_chunk_size(len: usize, out: &mut Vec<u8>) {
    let digit = |place: u32| b"0123456789abcdef"[(len >> (4 * place)) & 15];
    match len {
        // Most chunks: a line of known length is copied by two instructions.
        0x100..0x1000 => out.extend_from_slice(&[digit(2), digit(1), digit(0), b'\r', b'\n']),
        0x1000..0x10000 => out.extend_from_slice(&[digit(3), digit(2), digit(1), digit(0), b'\r', b'\n']),
        _ => {
            let digits = (usize::BITS - len.leading_zeros()).div_ceil(4);
            out.extend((0..digits).rev().map(digit));
            out.extend_from_slice(b"\r\n");
        }
    }
}
