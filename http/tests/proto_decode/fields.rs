//! RFC 9112, 5 and 2.2: field lines.

use crate::harness::{check, refuse_at_end, trace};
use http::proto::{Decoder, Event, FieldTable, Limits, ParseError};

const START: &str = "GET / HTTP/1.1\r\nHost: h\r\n";

fn refuse_line(line: &[u8], fault: ParseError) {
    refuse_at_end(&[START.as_bytes(), line].concat(), fault);
}

#[test]
fn order_and_case_are_kept() {
    check(
        &format!("{START}X-a: 1\r\nx-A: 2\r\nB: 3\r\n\r\n"),
        "GET / 1.1 Origin None | Host: h | X-a: 1 | x-A: 2 | B: 3 | end",
    );
}

// RFC 9112, 5.1: whitespace around a value is not part of it.
#[test]
fn values_are_trimmed() {
    check(
        &format!("{START}A:1\r\nB: \t 2 \t \r\nC:\r\nD:   \r\nE: a \t b\r\nF: \t\r\n\r\n"),
        "GET / 1.1 Origin None | Host: h | A: 1 | B: 2 | C:  | D:  | E: a \\t b | F:  | end",
    );
}

// RFC 9110, 5.5: obs-text is opaque data.
#[test]
fn values_may_have_obs_text_and_any_visible_byte() {
    let value: Vec<u8> = (b'!'..=0x7e).chain(0x80..=0xff).collect();
    let input = [START.as_bytes(), b"A: ", &value, b"\r\n\r\n"].concat();
    let trace = trace(&input, &Limits::default());
    assert_eq!(trace.items[2], format!("A: {}", value.escape_ascii()));
}

#[test]
fn any_token_is_a_name() {
    check(
        &format!("{START}!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n"),
        "GET / 1.1 Origin None | Host: h | !#$%&'*+-.^_`|~09azAZ: 1 | end",
    );
}

// RFC 9112, 5.1: no whitespace between name and colon (MUST be answered with 400).
#[test]
fn a_name_that_is_no_token_is_refused_at_its_first_wrong_byte() {
    for line in [":", "A ", "A\t", "A\r", "A\n", "A(", "A\0", "A\x7f", "A{", "A,", "\"", "/", "[", "@"] {
        refuse_line(line.as_bytes(), ParseError::InvalidFieldName);
    }
    refuse_line(b"A\x80", ParseError::InvalidFieldName);
    refuse_line(&[&[b'A'; 70][..], b" "].concat(), ParseError::InvalidFieldName);
}

// RFC 9110, 5.5: CR, LF and NUL are dangerous, other controls invalid.
#[test]
fn a_control_character_in_a_value_is_refused_where_it_stands() {
    for byte in (0..b' ').chain([0x7f]).filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n')) {
        for lead in ["A:", "A: ", "A: b", "A: a value that is longer than any vector register of the machine"]
        {
            refuse_line(&[lead.as_bytes(), &[byte]].concat(), ParseError::InvalidFieldValue);
        }
    }
}

// RFC 9112, 2.2: a bare CR is invalid or becomes a space; a bare LF MAY end a line. Both are refused.
#[test]
fn line_ends_are_exactly_cr_lf() {
    refuse_line(b"A: b\r\r", ParseError::InvalidFieldValue);
    refuse_line(b"A: b\rc", ParseError::InvalidFieldValue);
    refuse_line(b"A:\rc", ParseError::InvalidFieldValue);
    for line in ["A: b\n", "A:\n", "A: \n", "A: b \n", "\n", "A: b\r\n\n", "\rA", "\r\r"] {
        refuse_line(line.as_bytes(), ParseError::InvalidLineEnd);
    }
    refuse_at_end(b"GET / HTTP/1.1\r\n\n", ParseError::InvalidLineEnd);
    refuse_at_end(b"GET / HTTP/1.1\r\nHost: h\n", ParseError::InvalidLineEnd);
}

// RFC 9112, 5.2 (obs-fold) and 2.2 (whitespace before the first field).
#[test]
fn lines_that_start_with_whitespace_are_refused() {
    for line in [" ", "\t", "A: b\r\n ", "A: b\r\n\t", "A:\r\n "] {
        refuse_line(line.as_bytes(), ParseError::LeadingWhitespace);
    }
    refuse_at_end(b"GET / HTTP/1.1\r\n ", ParseError::LeadingWhitespace);
}

// A fault behind another one must not hide it, whichever of the two is found more easily.
#[test]
fn the_first_fault_is_the_one_reported() {
    let faults: [(&str, ParseError); 4] = [
        ("A: b\n", ParseError::InvalidLineEnd),
        ("A b\r\n", ParseError::InvalidFieldName),
        ("A: \x01\r\n", ParseError::InvalidFieldValue),
        (" A: b\r\n", ParseError::LeadingWhitespace),
    ];
    for (first, fault) in faults {
        for (second, _) in faults {
            let input = format!("{START}{first}{second}\r\n");
            assert_eq!(trace(input.as_bytes(), &Limits::default()).fault, Some(fault), "{input:?}");
        }
    }
    let target = trace(b"GET x HTTP/1.1\r\nA b\r\n\r\n", &Limits::default());
    assert_eq!(target.fault, Some(ParseError::InvalidTarget));
}

#[test]
fn many_fields_are_all_seen() {
    for count in [1, 14, 15, 16, 17, 31, 32, 33, 100, 500] {
        let lines: String = (0..count).map(|n| format!("F{n}: {n} \r\n")).collect();
        let mut expected = vec!["GET / 1.1 Origin None".to_string(), "Host: h".into()];
        expected.extend((0..count).map(|n| format!("F{n}: {n}")));
        expected.push("end".into());
        let trace = trace(format!("{START}{lines}\r\n").as_bytes(), &Limits::default());
        assert_eq!(trace.items, expected);
    }
}

#[test]
fn fields_are_found_by_name_in_any_case() {
    let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nBb: 2\r\na: 3\r\n\r\n";
    let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else { panic!() };
    let fields = head.fields;
    assert_eq!((fields.len(), fields.is_empty()), (4, false));
    assert_eq!(fields.get("hOST"), Some(&b"h"[..]));
    assert_eq!(fields.get("a"), Some(&b"1"[..]));
    assert_eq!(fields.get("b"), None);
    assert_eq!(fields.get_all("A").collect::<Vec<_>>(), [b"1", b"3"]);
    assert_eq!(fields.iter().next(), Some(("Host", &b"h"[..])));
    assert_eq!(format!("{fields:?}"), r#"{"Host": "h", "A": "1", "Bb": "2", "a": "3"}"#);
}

#[test]
fn a_request_without_fields_has_an_empty_section() {
    let mut input: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
    let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else { panic!() };
    assert_eq!((head.fields.len(), head.fields.is_empty()), (0, true));
}

#[test]
fn known_fields_are_recognised_in_any_case_and_others_are_not() {
    check(
        "POST / HTTP/1.1\r\nhOST: h\r\nCONTENT-length: 1\r\nexpect: 100-Continue\r\nCoNNection: uPGRADE\r\n\
         upgradE: x\r\n\r\na",
        "POST / 1.1 Origin Length(1) 100-continue upgrade | hOST: h | CONTENT-length: 1 | expect: 100-Continue | \
         CoNNection: uPGRADE | upgradE: x | body=a | end",
    );
    check(
        "POST / HTTP/1.1\r\nHost: h\r\ntransfer-ENCODING: Chunked\r\n\r\n0\r\n\r\n",
        "POST / 1.1 Origin Chunked | Host: h | transfer-ENCODING: Chunked | end",
    );
    // A letter off, a byte too many, and a byte that differs from a known one in the bit of a letter's case only.
    let letter_off = ["Hist", "Expert", "Upgrate", "Connectors", "Content-Lengts", "Transfer-Encodins"];
    let bytes_off = ["Hosts", "Expects", "Upgrader", "Connections", "Content~Length", "Transfer_Encoding"];
    for name in letter_off.into_iter().chain(bytes_off) {
        check(
            &format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: close x\r\n\r\n"),
            &format!("GET / 1.1 Origin None | Host: h | {name}: close x | end"),
        );
    }
}
