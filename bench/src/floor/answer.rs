//! Where an answer ends: all that the floors of clients and of relays understand of HTTP.

use memchr::memmem::{self, Finder};
use std::io;
use std::sync::LazyLock;

/// What ends a head.
const TERMINATOR: &[u8] = b"\r\n\r\n";

static LENGTH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\nContent-Length: "));

/// How far the answer has come that a connection waits for: its body has a length.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Bytes of the body that are still to come, once the head is there.
    left: Option<usize>,
    /// A head that came in pieces.
    piece: Vec<u8>,
}

impl Answer {
    /// Takes `bytes`. Whether the answer is complete, after which the next one begins.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let left = match self.left {
            Some(left) => left.checked_sub(bytes.len()),
            None if self.piece.is_empty() => match body_left(bytes)? {
                Some(left) => left,
                None => return Ok(self.keep(bytes)),
            },
            None => {
                self.keep(bytes);
                match body_left(&self.piece)? {
                    Some(left) => left,
                    None => return Ok(false),
                }
            }
        };
        let left = left.ok_or_else(|| io::Error::other("more came than was asked for"))?;
        self.piece.clear();
        self.left = (left > 0).then_some(left);
        Ok(left == 0)
    }

    /// The head is not complete.
    fn keep(&mut self, bytes: &[u8]) -> bool {
        self.piece.extend_from_slice(bytes);
        false
    }
}

/// How much of the body is not in `bytes`, which begin with a head: `Some(None)` if there is more than the body, `None` if the
/// head is not complete.
fn body_left(bytes: &[u8]) -> io::Result<Option<Option<usize>>> {
    let Some(end) = memmem::find(bytes, TERMINATOR) else { return Ok(None) };
    let (head, body) = (&bytes[..end], &bytes[end + TERMINATOR.len()..]);
    let no_length = || io::Error::other("an answer without a Content-Length");
    let at = LENGTH.find(head).ok_or_else(no_length)? + LENGTH.needle().len();
    let digits = head[at..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0usize, |length, digit| length.saturating_mul(10) + usize::from(digit - b'0'));
    Ok(Some(length.checked_sub(body.len())))
}

#[cfg(test)]
mod tests {
    use super::Answer;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nA: b\r\n\r\nhello, world";

    #[test]
    fn an_answer_ends_wherever_it_is_split() {
        for first in 1..ANSWER.len() {
            for second in first + 1..ANSWER.len() {
                let mut answer = Answer::default();
                let pieces = [&ANSWER[..first], &ANSWER[first..second], &ANSWER[second..], ANSWER];
                let ended = pieces.map(|piece| answer.take(piece).expect("an answer"));
                assert_eq!(ended, [false, false, true, true], "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn what_is_no_single_answer_is_an_error() {
        for bytes in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"a\r\nContent-Length: 1\r\n\r\nxHTTP/1.1"] {
            assert!(Answer::default().take(bytes).is_err(), "{bytes:?}");
        }
    }
}
