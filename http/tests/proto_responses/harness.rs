//! Runs input through a decoder of responses in all kinds of pieces and writes down what it says.

use http::proto::{
    FieldTable, Fields, Framing, IncomingResponse, Limits, ParseError, ResponseDecoder, ResponseEvent,
    ResponseTo, Version,
};

/// Inputs up to this length are cut at every position; longer ones at about as many.
const CUTS: usize = 600;

/// Any method but `HEAD` and `CONNECT`, without an offer.
pub(crate) const GET: ResponseTo = to(false, false, false);
pub(crate) const HEAD: ResponseTo = to(true, false, false);
pub(crate) const CONNECT: ResponseTo = to(false, true, false);
pub(crate) const OFFER: ResponseTo = to(false, false, true);

const fn to(is_head: bool, is_connect: bool, offers_upgrade: bool) -> ResponseTo {
    ResponseTo { is_head, is_connect, offers_upgrade }
}

/// What one run said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// One item per event; neighbouring body pieces are joined.
    pub(crate) items: Vec<String>,
    /// How the run ended, if in a fault, and at which byte of the response.
    pub(crate) fault: Option<(ParseError, u64)>,
}

/// Asserts that `input` answers requests `to` with these events, however it is cut; they are joined by ` | `.
#[track_caller]
pub(crate) fn check(to: &[ResponseTo], input: &str, expected: &str) {
    let trace = trace(to, input.as_bytes(), &Limits::default());
    assert_eq!(trace.fault, None, "input {input:?}");
    assert_eq!(trace.items.join(" | "), expected, "input {input:?}");
}

/// Asserts that `input` is refused for this reason at its byte of this number, however it is cut, and no earlier byte is.
#[track_caller]
pub(crate) fn refuse(input: &[u8], fault: ParseError, at: u64) {
    let whole = trace(&[GET], input, &Limits::default());
    assert_eq!(whole.fault, Some((fault, at)), "input {:?}", input.escape_ascii().to_string());
    let before = &input[..at as usize];
    let valid = trace(&[GET], before, &Limits::default());
    assert_eq!(valid.fault, None, "input {:?}", before.escape_ascii().to_string());
}

/// What the decoder says about `input`: asserted to be the same in one piece, in two, and byte by byte.
#[track_caller]
pub(crate) fn trace(to: &[ResponseTo], input: &[u8], limits: &Limits) -> Trace {
    let whole = run(to, &[input], limits);
    let step = input.len().div_ceil(CUTS).max(1);
    for cut in (0..=input.len()).step_by(step) {
        let (first, second) = input.split_at(cut);
        let text = input.escape_ascii().to_string();
        assert_eq!(run(to, &[first, second], limits), whole, "cut at {cut}: {text:?}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(to, &bytes, limits), whole, "byte by byte: {:?}", input.escape_ascii().to_string());
    whole
}

/// One run over `pieces`, of which the first is the answer to the first of `to`.
fn run(to: &[ResponseTo], pieces: &[&[u8]], limits: &Limits) -> Trace {
    let mut run = Run { decoder: ResponseDecoder::new(), table: FieldTable::new(), items: Vec::new(), to };
    run.next_request();
    let mut rest = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match run.step(&mut input, limits) {
                Ok(Step::Again) => {}
                Ok(Step::NeedMore) => break,
                Ok(Step::Done) => {
                    rest.extend_from_slice(input);
                    break;
                }
                Err(fault) => return Trace { items: run.items, fault: Some((fault, run.decoder.offset())) },
            }
        }
    }
    run.finish(&rest);
    Trace { items: run.items, fault: None }
}

enum Step {
    Again,
    NeedMore,
    Done,
}

/// The state of a run.
///
/// Events are written so: `200 OK 1.1 Length(2)` for a head, with `info`, `close` and `upgrade` where they apply;
/// `Name: value` for each field, of heads and trailers; `body=…`, `end`, `done` with what was left in the input, `cut` if the
/// input ended inside a message, `eof` if it ended a body.
struct Run<'a> {
    decoder: ResponseDecoder,
    table: FieldTable,
    items: Vec<String>,
    to: &'a [ResponseTo],
}

impl Run<'_> {
    /// Sends the next request once the last one is answered.
    fn next_request(&mut self) {
        if let Some((to, rest)) = self.to.split_first()
            && self.decoder.begin(*to)
        {
            self.to = rest;
        }
    }

    fn step(&mut self, input: &mut &[u8], limits: &Limits) -> Result<Step, ParseError> {
        let event = self.decoder.decode(input, &mut self.table, limits)?;
        let items = &mut self.items;
        match event {
            ResponseEvent::NeedMore => {
                assert!(input.is_empty(), "NeedMore with input left");
                assert!(self.decoder.buffered() <= limits.max_header_size.max(limits.max_trailer_size));
                return Ok(Step::NeedMore);
            }
            ResponseEvent::Done => return Ok(Step::Done),
            ResponseEvent::Information(head) => {
                items.push(format!("info {}", describe(&head)));
                push_fields(items, head.fields);
            }
            ResponseEvent::Head(head) => {
                items.push(describe(&head));
                push_fields(items, head.fields);
            }
            ResponseEvent::Body(data) => {
                assert!(!data.is_empty());
                let text = data.escape_ascii().to_string();
                match items.last_mut() {
                    Some(last) if last.starts_with("body=") => last.push_str(&text),
                    _ => items.push(format!("body={text}")),
                }
            }
            ResponseEvent::End(trailers) => {
                push_fields(items, trailers);
                items.push("end".to_owned());
                self.next_request();
            }
        }
        Ok(Step::Again)
    }

    fn finish(&mut self, rest: &[u8]) {
        let is_idle = self.decoder.is_idle();
        match self.decoder.finish() {
            Ok(true) => self.items.push("eof".to_owned()),
            Ok(false) if is_idle => {}
            Ok(false) => self.items.push(format!("done {}", rest.escape_ascii()).trim().to_owned()),
            Err(fault) => {
                assert_eq!(fault, ParseError::UnexpectedEof);
                let missing = self.decoder.missing();
                self.items.push(missing.map_or_else(|| "cut".to_owned(), |missing| format!("cut {missing}")));
            }
        }
    }
}

fn describe(head: &IncomingResponse<'_>) -> String {
    let version = if head.version == Version::Http10 { "1.0" } else { "1.1" };
    let framing = if head.framing == Framing::None { String::new() } else { format!(" {:?}", head.framing) };
    let close = if head.keep_alive || head.is_informational() { "" } else { " close" };
    let upgrade = if head.is_upgrade { " upgrade" } else { "" };
    format!("{} {} {version}{framing}{close}{upgrade}", head.status, head.reason.escape_ascii())
}

fn push_fields(items: &mut Vec<String>, fields: Fields<'_>) {
    items.extend(fields.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())));
}
