//! Conditional requests and ranges: whatever the fields say, what is to be sent exists, and a request says the same about one
//! version each time.
#![no_main]

use http::proto::{Conditions, Decoder, Event, FieldTable, Limits, Selected, Validators};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, UNIX_EPOCH};

const METHODS: &[&str] = &["GET", "HEAD", "POST"];

/// The tags of versions: strong, weak and none.
const TAGS: &[Option<&str>] = &[Some("\"1\""), Some("W/\"1\""), Some("\"\""), None];

/// The conditions of a request with these fields; `None` if the decoder refuses it.
fn read(method: &str, fields: &[u8]) -> Option<Conditions> {
    let head = [method.as_bytes(), b" / HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n\r\n"].concat();
    let (mut input, mut table) = (&head[..], FieldTable::new());
    match Decoder::new().decode(&mut input, &mut table, &Limits::default()) {
        Ok(Event::Head(head)) => Some(Conditions::of(&head)),
        _ => None,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((words, fields)) = data.split_first_chunk::<4>() else { return };
    let [method, tag, len, since] = words.map(usize::from);
    let method = METHODS[method % METHODS.len()];
    let Some(conditions) = read(method, fields) else { return };
    // Around the time that RFC 9110 has in its examples.
    let modified = UNIX_EPOCH + Duration::from_secs(784_111_777 + since as u64 % 3);
    let version = Validators {
        etag: TAGS[tag % TAGS.len()],
        modified: (since % 4 != 3).then_some(modified),
        now: Some(modified + Duration::from_secs(since as u64 % 2)),
    };
    let len = [0, 1, 10, 1 << 40, u64::MAX][len % 5];
    let selected = conditions.select(&version, len);
    assert_eq!(selected, conditions.clone().select(&version, len));
    match selected {
        Selected::Part(part) => {
            assert!(method == "GET" && part.start < part.end && part.end <= len, "{part:?} of {len}");
        }
        Selected::Unsatisfiable => assert_eq!(method, "GET"),
        Selected::NotModified => assert_ne!(method, "POST"),
        Selected::Whole | Selected::Failed => {}
    }
    // Without its fields it asks for everything.
    assert_eq!(read(method, b"A: b").expect("a request").select(&version, len), Selected::Whole);
});
