//! Runs input through a decoder in all kinds of pieces and writes down what it says.

use http::proto::{
    Decoder, Event, Expect, FieldTable, Fields, Limits, ParseError, RequestHead, TargetForm, Version,
};

/// Inputs up to this length are cut at every position; longer ones at about as many.
const CUTS: usize = 600;

/// What one run said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// One item per event; neighbouring body pieces are joined.
    pub(crate) items: Vec<String>,
    /// How the run ended, if in a fault.
    pub(crate) fault: Option<ParseError>,
}

/// Asserts that `input` gives these events, however it is cut. See [`Run`] for how they are written; they are
/// joined by ` | `.
#[track_caller]
pub(crate) fn check(input: &str, expected: &str) {
    let trace = trace(input.as_bytes(), &Limits::default());
    assert_eq!(trace.items.join(" | "), expected, "input {input:?}");
}

/// Asserts that `input` is refused for this reason, however it is cut.
#[track_caller]
pub(crate) fn refuse(input: &str, fault: ParseError) {
    refuse_bytes(input.as_bytes(), fault);
}

#[track_caller]
pub(crate) fn refuse_bytes(input: &[u8], fault: ParseError) {
    let trace = trace(input, &Limits::default());
    assert_eq!(trace.fault, Some(fault), "input {:?}", input.escape_ascii().to_string());
}

/// Asserts that `input` is refused for this reason at its last byte, and not before.
#[track_caller]
pub(crate) fn refuse_at_end(input: &[u8], fault: ParseError) {
    refuse_bytes(input, fault);
    let before = &input[..input.len() - 1];
    let trace = trace(before, &Limits::default());
    assert_eq!(trace.fault, None, "input {:?}", before.escape_ascii().to_string());
}

/// What the decoder says about `input`: asserted to be the same in one piece, in two, and byte by byte.
#[track_caller]
pub(crate) fn trace(input: &[u8], limits: &Limits) -> Trace {
    let whole = run(&[input], limits);
    let step = input.len().div_ceil(CUTS).max(1);
    for cut in (0..=input.len()).step_by(step) {
        let (first, second) = input.split_at(cut);
        assert_eq!(
            run(&[first, second], limits),
            whole,
            "cut at {cut}: {:?}",
            input.escape_ascii().to_string()
        );
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(run(&bytes, limits), whole, "byte by byte: {:?}", input.escape_ascii().to_string());
    whole
}

/// One run over `pieces`.
pub(crate) fn run(pieces: &[&[u8]], limits: &Limits) -> Trace {
    run_with(&mut FieldTable::new(), pieces, limits)
}

/// The same with a table that may have served others.
pub(crate) fn run_with(table: &mut FieldTable, pieces: &[&[u8]], limits: &Limits) -> Trace {
    let mut run = Run { table: std::mem::take(table), ..Run::default() };
    for piece in pieces {
        if !run.feed(piece, limits) {
            break;
        }
    }
    *table = std::mem::take(&mut run.table);
    run.finish()
}

/// The state of a run.
///
/// Events are written so: `POST /a 1.1 Origin Length(2)` for a head, with `close`, `100-continue`, `expect`
/// and `upgrade` where they apply; `Name: value` for each field, of heads and trailers; `body=…`, `end`,
/// `done` with what was left in the input, `cut` if the input ended inside a message.
#[derive(Default)]
struct Run {
    decoder: Decoder,
    table: FieldTable,
    items: Vec<String>,
    fault: Option<ParseError>,
    is_upgrade_wanted: bool,
    rest: Option<Vec<u8>>,
}

impl Run {
    /// Returns whether more input makes sense.
    fn feed(&mut self, mut input: &[u8], limits: &Limits) -> bool {
        if let Some(rest) = &mut self.rest {
            rest.extend_from_slice(input);
            return true;
        }
        loop {
            match self.decoder.decode(&mut input, &mut self.table, limits) {
                Ok(Event::NeedMore) => {
                    assert!(input.is_empty(), "NeedMore with input left");
                    assert!(self.decoder.buffered() <= limits.max_header_size.max(limits.max_trailer_size));
                    return true;
                }
                Ok(Event::Head(head)) => {
                    self.is_upgrade_wanted = head.target.ends_with("accept:1") || head.target == "/accept";
                    if matches!(head.form, TargetForm::Origin | TargetForm::Asterisk) {
                        assert_eq!(head.authority().as_bytes(), head.fields.get("host").unwrap_or_default());
                    }
                    self.items.push(describe(&head));
                    push_fields(&mut self.items, head.fields);
                    if self.is_upgrade_wanted {
                        assert!(self.decoder.upgrade());
                    }
                }
                Ok(Event::Body(data)) => {
                    assert!(!data.is_empty());
                    let text = data.escape_ascii().to_string();
                    match self.items.last_mut() {
                        Some(last) if last.starts_with("body=") => last.push_str(&text),
                        _ => self.items.push(format!("body={text}")),
                    }
                }
                Ok(Event::End(trailers)) => {
                    push_fields(&mut self.items, trailers);
                    self.items.push("end".into());
                }
                Ok(Event::Done) => {
                    self.rest = Some(input.to_vec());
                    return true;
                }
                Err(fault) => {
                    let again = self.decoder.decode(&mut input, &mut self.table, limits);
                    assert_eq!(again.err(), Some(fault), "a fault lasts");
                    assert_eq!(self.decoder.finish(), Err(fault));
                    self.fault = Some(fault);
                    return false;
                }
            }
        }
    }

    fn finish(mut self) -> Trace {
        if let Some(rest) = self.rest {
            // After the last message, line ends are skipped in whatever piece they come.
            let start = if self.is_upgrade_wanted { 0 } else { skip_line_ends(&rest) };
            self.items.push(format!("done={}", rest[start..].escape_ascii()));
        } else if self.fault.is_none() && self.decoder.finish().is_err() {
            self.items.push("cut".into());
        }
        Trace { items: self.items, fault: self.fault }
    }
}

fn skip_line_ends(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()
}

fn push_fields(items: &mut Vec<String>, fields: Fields<'_>) {
    for (name, value) in fields.iter() {
        items.push(format!("{name}: {}", value.escape_ascii()));
    }
}

fn describe(head: &RequestHead<'_>) -> String {
    let version = if head.version == Version::Http11 { "1.1" } else { "1.0" };
    let mut text = format!("{} {} {version} {:?} {:?}", head.method, head.target, head.form, head.framing);
    let flags = [
        (!head.keep_alive, " close"),
        (head.expect == Expect::Continue, " 100-continue"),
        (head.expect == Expect::Other, " expect"),
        (head.upgrade, " upgrade"),
    ];
    for (_, flag) in flags.iter().filter(|(is_set, _)| *is_set) {
        text.push_str(flag);
    }
    text
}
