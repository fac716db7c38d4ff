//! The line before each chunk: its size and extensions (RFC 9112, 7.1 and 7.1.1).
//!
//! ```text
//! chunk-size [ *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ) ] CRLF
//! ```
//!
//! A machine that takes a byte at a time and holds no bytes, so that it does not matter how the line is split. Extensions are
//! checked and dropped: none is known, and the RFC has unknown ones ignored. Whitespace is accepted only where the grammar
//! has BWS, around `;` and `=` (llhttp refuses it there too), so not before CR. Mirrors llhttp's `chunk_size` states.

use super::chars::{self, QUOTED, TEXT, TOKEN};
use super::{Limits, ParseError, Parsed};

/// Digits that a chunk size may have, leading zeros included: every `u64` can be written with them, and none overflows.
const MAX_DIGITS: u8 = 16;

/// Where in the line the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the size, or right after it.
    Size,
    /// In whitespace that must lead to `;`.
    BeforeSemicolon,
    /// After `;`, before a name.
    BeforeName,
    Name,
    /// In whitespace after a name, which must lead to `=` or `;`.
    AfterName,
    /// After `=`, before a value.
    BeforeValue,
    /// In a value that is a token.
    Token,
    /// In a quoted value.
    Quoted,
    /// After a backslash in a quoted value.
    Escaped,
    /// Right after a quoted value.
    AfterQuoted,
    /// After CR.
    LineFeed,
}

/// A chunk line that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkLine {
    size: u64,
    /// Bytes of extensions so far.
    extensions: u32,
    digits: u8,
    at: At,
}

impl ChunkLine {
    pub(super) fn new() -> Self {
        Self { size: 0, extensions: 0, digits: 0, at: At::Size }
    }

    /// Takes the line's bytes off `input`; returns the chunk's size once the line has ended. `total` counts the bytes of
    /// extensions in all lines of the message.
    pub(super) fn read(&mut self, input: &mut &[u8], total: &mut u32, limits: &Limits) -> Parsed<u64> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            if self.at == At::LineFeed {
                return if byte == b'\n' { Ok(Some(self.size)) } else { Err(self.fault()) };
            }
            if self.at == At::Size
                && let Some(digit) = char::from(byte).to_digit(16)
            {
                self.add_digit(digit)?;
                continue;
            }
            self.at = self.next(byte).ok_or_else(|| self.fault())?;
            if self.at != At::LineFeed {
                self.add_extension(total, limits)?;
            }
        }
        Ok(None)
    }

    fn add_extension(&mut self, total: &mut u32, limits: &Limits) -> Result<(), ParseError> {
        self.extensions = self.extensions.saturating_add(1);
        *total = total.saturating_add(1);
        let is_too_much = self.extensions as usize > limits.max_chunk_extensions
            || *total as usize > limits.max_chunk_extensions.saturating_mul(4);
        if is_too_much { Err(ParseError::ChunkExtensionsTooLarge) } else { Ok(()) }
    }

    fn add_digit(&mut self, digit: u32) -> Result<(), ParseError> {
        if self.digits == MAX_DIGITS {
            return Err(ParseError::InvalidChunkSize);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        Ok(())
    }

    /// Where `byte` leads, if it may stand here.
    fn next(&self, byte: u8) -> Option<At> {
        use At::{AfterName, AfterQuoted, BeforeName, BeforeSemicolon, BeforeValue};
        use At::{Escaped, LineFeed, Name, Quoted, Size, Token};
        Some(match (self.at, byte) {
            (Size, _) if self.digits == 0 => return None,
            (Size | Name | Token | AfterQuoted, b'\r') => LineFeed,
            (Size | BeforeSemicolon | Name | AfterName | Token | AfterQuoted, b';') => BeforeName,
            (Size | BeforeSemicolon | Token | AfterQuoted, b' ' | b'\t') => BeforeSemicolon,
            (BeforeName, b' ' | b'\t') => BeforeName,
            (BeforeName | Name, _) if chars::is(byte, TOKEN) => Name,
            (Name | AfterName, b' ' | b'\t') => AfterName,
            (Name | AfterName, b'=') => BeforeValue,
            (BeforeValue, b' ' | b'\t') => BeforeValue,
            (BeforeValue, b'"') => Quoted,
            (BeforeValue | Token, _) if chars::is(byte, TOKEN) => Token,
            (Quoted, b'"') => AfterQuoted,
            (Quoted, b'\\') => Escaped,
            (Quoted, _) if chars::is(byte, QUOTED) => Quoted,
            (Escaped, _) if chars::is(byte, TEXT) => Quoted,
            _ => return None,
        })
    }

    fn fault(&self) -> ParseError {
        match self.at {
            At::LineFeed => ParseError::InvalidLineEnd,
            At::Size => ParseError::InvalidChunkSize,
            _ => ParseError::InvalidChunkExtension,
        }
    }
}
