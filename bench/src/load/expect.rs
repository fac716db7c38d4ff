//! The body that a path must bring: `/` is `hello`, `/stream/N` is the pattern of N kilobytes, `/size/N` is N bytes,
//! `/sink` is `ok`, anything else is free.

/// Bytes of one write of the streamed body.
const WRITE: u64 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    Any,
    Exactly(&'static [u8]),
    Sized(u64),
    /// So many writes of 1024 bytes; the i-th, from 0, is all `a` + i mod 26.
    Stream {
        writes: u64,
    },
}

impl Expect {
    pub(crate) fn of_path(path: &str) -> Self {
        let number = |prefix| path.strip_prefix(prefix).and_then(|count| count.parse().ok());
        match path {
            "/" => Self::Exactly(b"hello"),
            "/sink" => Self::Exactly(b"ok"),
            _ => match (number("/stream/"), number("/size/")) {
                (Some(writes), _) => Self::Stream { writes },
                (_, Some(length)) => Self::Sized(length),
                _ => Self::Any,
            },
        }
    }

    /// Whether `bytes` may stand at `offset` of the body.
    pub(crate) fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        match self {
            Self::Any | Self::Sized(_) => true,
            Self::Exactly(body) => usize::try_from(offset)
                .ok()
                .and_then(|at| body.get(at..))
                .is_some_and(|rest| rest.starts_with(bytes)),
            Self::Stream { .. } => {
                (offset..).zip(bytes).all(|(at, &byte)| u64::from(byte) == u64::from(b'a') + at / WRITE % 26)
            }
        }
    }

    /// Whether `length` bytes are the whole body.
    pub(crate) fn is_complete(&self, length: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(body) => body.len() as u64 == length,
            Self::Sized(wanted) => *wanted == length,
            Self::Stream { writes } => writes.checked_mul(WRITE) == Some(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Expect;

    #[test]
    fn the_path_tells_the_body() {
        assert_eq!(Expect::of_path("/"), Expect::Exactly(b"hello"));
        assert_eq!(Expect::of_path("/stream/12"), Expect::Stream { writes: 12 });
        assert_eq!(Expect::of_path("/size/1024"), Expect::Sized(1024));
        assert_eq!(Expect::of_path("/sink"), Expect::Exactly(b"ok"));
        assert_eq!(Expect::of_path("/headers"), Expect::Any);
    }

    #[test]
    fn a_stream_is_checked_byte_by_byte() {
        let stream = Expect::Stream { writes: 27 };
        assert!(stream.matches(0, &[b'a'; 1024]));
        assert!(stream.matches(1000, &[[b'a'; 24].as_slice(), &[b'b'; 10]].concat()));
        assert!(stream.matches(26 * 1024, b"a"));
        assert!(!stream.matches(1024, b"a"));
        assert!(stream.is_complete(27 * 1024) && !stream.is_complete(27));
    }
}
