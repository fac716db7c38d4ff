//! Plays one conversation with the server and judges its answers.

use std::net::SocketAddr;
use std::time::Duration;

use super::answer::{answer, check, fitting};
use super::case::{Alternative, Case, Check, End, Expected, RequestKind, Step};
use super::peer::{Incoming, Peer};
use super::response::Response;
use super::rules;
use super::text;

/// How the request blocks of a case are split into writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// One write to each piece.
    AsWritten,
    /// One write to each block.
    OneWrite,
    /// One write to each byte.
    ByteByByte,
}

/// A case of more bytes than this is not sent byte by byte: it would take long and test nothing new.
const MAX_BYTE_BY_BYTE: usize = 2048;

impl Variant {
    /// The variants in which a case runs; those that would repeat another one are left out.
    pub(crate) fn of(case: &Case) -> Vec<Self> {
        let blocks = case.steps.iter().filter_map(|step| match step {
            Step::Send(pieces) => Some(pieces),
            _ => None,
        });
        let mut variants = vec![Self::AsWritten];
        if case.only_as_written {
            return variants;
        }
        if blocks.clone().any(|pieces| pieces.len() > 1) {
            variants.push(Self::OneWrite);
        }
        if blocks.flatten().map(Vec::len).sum::<usize>() <= MAX_BYTE_BY_BYTE {
            variants.push(Self::ByteByByte);
        }
        variants
    }

    /// Its name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AsWritten => "as written",
            Self::OneWrite => "in one write",
            Self::ByteByByte => "byte by byte",
        }
    }

    fn cut(self, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        match self {
            Self::AsWritten => pieces.to_vec(),
            Self::OneWrite => vec![pieces.concat()],
            Self::ByteByByte => pieces.concat().chunks(1).map(<[u8]>::to_vec).collect(),
        }
    }
}

/// What differed from the case.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) expected: String,
    pub(crate) why: String,
    pub(crate) received: String,
}

/// Runs a case in one variant.
pub(crate) fn judge(
    case: &Case,
    variant: Variant,
    address: SocketAddr,
    patience: Duration,
) -> Result<(), Mismatch> {
    let peer = Peer::connect(address, patience).map_err(|error| Mismatch {
        expected: "a connection".into(),
        why: error.to_string(),
        received: String::new(),
    })?;
    let mut conversation = Conversation { peer, last: None, gone: false, shut: false };
    for step in &case.steps {
        let (expected, result) = match step {
            _ if conversation.gone => break,
            Step::Send(pieces) => {
                let sent = conversation.peer.send(variant.cut(pieces));
                ("to send".to_owned(), sent.map_err(|error| error.to_string()))
            }
            Step::Shutdown => {
                conversation.shut = true;
                conversation.peer.shutdown();
                continue;
            }
            Step::Expect(expected) => {
                (format!("line {}: {}", expected.line, expected.source), conversation.expect(expected))
            }
        };
        result.map_err(|why| conversation.mismatch(expected, why))?;
    }
    let expected = match case.end {
        End::Open => "open",
        End::Closed => "closed",
        End::AsAnnounced => "open or closed, as announced",
    };
    let result = conversation.finish(case.end, &case.place);
    result.map_err(|why| conversation.mismatch(expected.to_owned(), why))
}

struct Conversation {
    peer: Peer,
    /// The last final response.
    last: Option<(Response, RequestKind)>,
    /// The server closed where the case allows it.
    gone: bool,
    /// The client ended its side.
    shut: bool,
}

impl Conversation {
    fn mismatch(&self, expected: String, why: String) -> Mismatch {
        Mismatch { expected, why, received: text::show(self.peer.received()) }
    }

    fn expect(&mut self, expected: &Expected) -> Result<(), String> {
        if expected.begins {
            return self.beginning(expected);
        }
        if expected.optional && !self.is_next(expected)? {
            return Ok(());
        }
        for _ in 0..expected.times {
            self.one(expected)?;
        }
        Ok(())
    }

    /// Whether the next response has an expected status.
    fn is_next(&mut self, expected: &Expected) -> Result<bool, String> {
        Ok(match self.peer.peek(expected.request, |_| true)? {
            Incoming::Whole(response) => fitting(expected, response.status).is_some(),
            Incoming::BrokenOff(_) | Incoming::Closed => false,
        })
    }

    /// Waits until the checks hold for as much of the response as is there.
    fn beginning(&mut self, expected: &Expected) -> Result<(), String> {
        let holds = |response: &Response| match fitting(expected, response.status) {
            Some(checks) => checks.iter().all(|wanted| check(response, wanted).is_ok()),
            None => false,
        };
        match self.peer.peek(expected.request, holds)? {
            Incoming::Whole(response) | Incoming::BrokenOff(response) => answer(&response, expected, false),
            Incoming::Closed => Err("the connection was closed".into()),
        }
    }

    fn one(&mut self, expected: &Expected) -> Result<(), String> {
        let (response, broken_off) = match self.peer.take(expected.request)? {
            Incoming::Whole(response) => (response, false),
            Incoming::BrokenOff(response) => (response, true),
            Incoming::Closed => {
                self.gone = true;
                let allowed = expected.alternatives.iter().any(|item| matches!(item, Alternative::Closed));
                return if allowed {
                    Ok(())
                } else {
                    Err("the connection was closed without an answer".into())
                };
            }
        };
        if self.last.as_ref().is_some_and(|(last, _)| last.lists("Connection", "close")) {
            return Err("a response after one with Connection: close (RFC 9112 9.6)".into());
        }
        rules::check(&response, expected.request)?;
        answer(&response, expected, broken_off)?;
        self.gone = broken_off;
        if !response.is_interim() {
            self.last = Some((response, expected.request));
        }
        Ok(())
    }

    fn finish(&mut self, end: End, place: &str) -> Result<(), String> {
        if self.gone {
            return if end == End::Open { Err("the connection was closed".into()) } else { Ok(()) };
        }
        let last = self.last.as_ref();
        let closes = last.map(|(response, request)| rules::announces_close(response, *request));
        match (end, closes) {
            (End::AsAnnounced, Some(false)) if !self.shut => self.probe(place),
            (End::Open, Some(true)) => Err("the last response announces a close".into()),
            (End::Open, _) => self.probe(place),
            (End::Closed, Some(false)) if !self.shut => {
                Err("the last response does not announce the close (RFC 9112 9.6)".into())
            }
            (End::Closed | End::AsAnnounced, _) => self.peer.expect_end(),
        }
    }

    /// Checks that the connection is open and holds no more bytes of the case, by a request whose answer differs
    /// from every other.
    fn probe(&mut self, place: &str) -> Result<(), String> {
        let request = format!("GET /headers HTTP/1.1\r\nHost: probe\r\nX-Probe: {place}\r\n\r\n");
        self.peer.send(vec![request.into_bytes()]).map_err(|error| error.to_string())?;
        let describe = |why: String| format!("the connection is not open: {why}");
        match self.peer.take(RequestKind::default()).map_err(describe)? {
            Incoming::Whole(response) if response.status == 200 => {
                check(&response, &Check::JsonIs("x-probe".into(), place.to_owned())).map_err(describe)
            }
            Incoming::Whole(response) => Err(describe(format!("a further request got {}", response.status))),
            Incoming::BrokenOff(_) | Incoming::Closed => Err(describe("the server closed it".into())),
        }
    }
}

#[cfg(test)]
mod tests;
