//! The fields with one entry for each name, beside the lines as they were sent.

use http::proto::{Decoder, Event, FieldTable, Fields, Limits, Value};

fn with_fields<R>(lines: &str, look: impl FnOnce(Fields<'_>) -> R) -> R {
    let message = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    let decoded =
        decoder.decode(&mut message.as_bytes(), &mut table, &Limits::default().max_header_size(1 << 20));
    let Ok(Event::Head(head)) = decoded else { unreachable!("{decoded:?}") };
    look(head.fields)
}

/// `name=value` for each entry; a list in brackets, and a star behind what was allocated.
fn entries(lines: &str) -> String {
    let text = |value: &[u8]| value.escape_ascii().to_string();
    with_fields(lines, |fields| {
        let entries = fields.by_name().map(|(name, value)| match value {
            Value::One(std::borrow::Cow::Borrowed(value)) => format!("{name}={}", text(value)),
            Value::One(std::borrow::Cow::Owned(value)) => format!("{name}={}*", text(&value)),
            Value::List(values) => format!("{name}={:?}", values.iter().map(text).collect::<Vec<_>>()),
        });
        entries.collect::<Vec<_>>().join(" | ")
    })
}

// Node: test-http-server-multiheaders, test-http-server-multiheaders2, test-http-incoming-matchKnownFields
#[test]
fn repeated_fields_follow_the_table_of_node() {
    assert_eq!(
        entries("Cookie: a=1\r\ncookie: b=2\r\nCOOKIE: c=3\r\nAccept: x\r\nX-A: 1\r\naccept: y\r\n"),
        "Host=h | Cookie=a=1; b=2; c=3* | Accept=x, y* | X-A=1"
    );
    assert_eq!(entries("Set-Cookie: a\r\nset-cookie: b\r\n"), "Host=h | Set-Cookie=[\"a\", \"b\"]");
    assert_eq!(entries("Set-Cookie: a\r\n"), "Host=h | Set-Cookie=[\"a\"]");
    for name in "age authorization content-type etag expires from if-modified-since if-unmodified-since last-modified \
        location max-forwards proxy-authorization referer retry-after server user-agent"
        .split(' ')
    {
        let upper = name.to_uppercase();
        assert_eq!(entries(&format!("{name}: 1\r\n{upper}: 2\r\n")), format!("Host=h | {name}=1"));
    }
    for name in ["x-forwarded-for", "via", "vary", "x-foo", "te", "trailer"] {
        assert_eq!(entries(&format!("{name}: 1\r\n{name}: 2\r\n")), format!("Host=h | {name}=1, 2*"));
    }
}

#[test]
fn a_name_is_asked_for_in_whatever_case() {
    with_fields("Cookie: a\r\nAccept:\r\nETag: 1\r\nETag: 2\r\nSet-Cookie: s\r\ncookie: b\r\n", |fields| {
        let joined = |name| fields.joined(name).map(|value| value.escape_ascii().to_string());
        assert_eq!(joined("COOKIE").as_deref(), Some("a; b"));
        assert_eq!(joined("accept").as_deref(), Some(""));
        assert_eq!(joined("etag").as_deref(), Some("1"));
        assert_eq!(joined("Set-Cookie"), None, "its values stay apart");
        assert_eq!(joined("x-none"), None);
        assert!(matches!(fields.joined("host"), Some(std::borrow::Cow::Borrowed(b"h"))));
    });
}

// Node: test-http-raw-headers, test-http-multiple-headers
#[test]
fn the_lines_stay_as_they_were_sent() {
    with_fields("x-A: 1\r\nX-a: 2\r\n", |fields| {
        assert_eq!(fields.by_name().count(), 2);
        let lines: Vec<_> = fields.iter().collect();
        assert_eq!(lines, [("Host", &b"h"[..]), ("x-A", b"1"), ("X-a", b"2")]);
    });
}

// The names of many lines are sorted: the entries are the same
#[test]
fn many_lines_give_the_same_entries_as_few() {
    for (lines, names) in [(40, 7), (49, 7), (49, 49), (500, 3), (1000, 1000), (1900, 950)] {
        let name = |number: usize| {
            let name = format!("x-{}", number % names);
            if number.is_multiple_of(2) { name.to_uppercase() } else { name }
        };
        let sent: String = (0..lines).map(|number| format!("{}: {number}\r\n", name(number))).collect();
        let mut expected: Vec<(String, String)> = vec![("Host".into(), "h".into())];
        for number in 0..lines {
            let found = expected.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name(number)));
            match found {
                Some((_, value)) => *value += &format!(", {number}"),
                None => expected.push((name(number), number.to_string())),
            }
        }
        with_fields(&sent, |fields| {
            let entries = fields.by_name().map(|(name, value)| match value {
                Value::One(value) => (name.to_owned(), value.escape_ascii().to_string()),
                Value::List(_) => unreachable!("no list"),
            });
            assert_eq!(entries.collect::<Vec<_>>(), expected, "{lines} lines, {names} names");
        });
    }
}
