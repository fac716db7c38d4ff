//! Conditional requests and ranges, by the rules of RFC 9110, sections 13 and 14.

use http::proto::{Conditions, Decoder, Event, FieldTable, Limits, Selected, Validators};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LEN: u64 = 100;
const ETAG: &str = "\"abc\"";

/// Sun, 06 Nov 1994 08:49:37 GMT.
fn modified() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn conditions(method: &str, fields: &[(&str, &str)]) -> Conditions {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let text = format!("{method} / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let (mut decoder, mut table) = (Decoder::new(), FieldTable::new());
    let mut input = text.as_bytes();
    let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) else {
        panic!("a head: {text}")
    };
    Conditions::of(&head)
}

fn version() -> Validators<'static> {
    let now = modified() + Duration::from_secs(60);
    Validators { etag: Some(ETAG), modified: Some(modified()), now: Some(now) }
}

fn select(method: &str, fields: &[(&str, &str)]) -> Selected {
    conditions(method, fields).select(&version(), LEN)
}

fn get(name: &str, value: &str) -> Selected {
    select("GET", &[(name, value)])
}

#[test]
fn without_a_condition_everything_is_sent() {
    assert_eq!(select("GET", &[]), Selected::Whole);
    assert_eq!(conditions("GET", &[]), Conditions::default());
}

// RFC 9110, 13.1.2
#[test]
fn if_none_match_compares_weakly() {
    for known in [ETAG, "W/\"abc\"", "\"x\", \"abc\"", "\"a,b\" ,W/\"abc\",\"z\"", "*", " * ", ",,\"abc\""] {
        assert_eq!(get("If-None-Match", known), Selected::NotModified, "{known}");
        assert_eq!(select("HEAD", &[("If-None-Match", known)]), Selected::NotModified, "{known}");
        assert_eq!(select("PUT", &[("If-None-Match", known)]), Selected::Failed, "{known}");
    }
    for other in
        ["\"ABC\"", "\"ab\"", "\"abcd\"", "abc", "", "\"abc", "w/\"abc\"", "\"x\" junk \"abc\"", "\"*\""]
    {
        assert_eq!(get("If-None-Match", other), Selected::Whole, "{other}");
    }
    let lines = [("If-None-Match", "\"1\""), ("if-none-match", ETAG)];
    assert_eq!(select("GET", &lines), Selected::NotModified, "a list may come in several lines");
}

// RFC 9110, 13.1.1
#[test]
fn if_match_compares_strongly() {
    for current in [ETAG, "\"x\", \"abc\"", "*"] {
        assert_eq!(get("If-Match", current), Selected::Whole, "{current}");
    }
    for other in ["W/\"abc\"", "\"x\"", "", "abc"] {
        assert_eq!(get("If-Match", other), Selected::Failed, "{other}");
    }
    let weak = Validators { etag: Some("W/\"abc\""), ..version() };
    assert_eq!(conditions("GET", &[("If-Match", "W/\"abc\"")]).select(&weak, LEN), Selected::Failed);
    let none = Validators { etag: None, ..version() };
    assert_eq!(conditions("GET", &[("If-Match", ETAG)]).select(&none, LEN), Selected::Failed);
}

// RFC 9110, 13.1.3
#[test]
fn if_modified_since_is_for_reading_and_for_one_valid_date() {
    assert_eq!(get("If-Modified-Since", MODIFIED), Selected::NotModified);
    assert_eq!(get("If-Modified-Since", LATER), Selected::NotModified);
    assert_eq!(get("If-Modified-Since", EARLIER), Selected::Whole);
    for form in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(get("If-Modified-Since", form), Selected::NotModified, "{form}");
    }
    for invalid in ["yesterday", "", "784111777", "Sun, 06 Nov 1994 08:49:37"] {
        assert_eq!(get("If-Modified-Since", invalid), Selected::Whole, "{invalid}");
    }
    assert_eq!(select("POST", &[("If-Modified-Since", MODIFIED)]), Selected::Whole);
    let twice = [("If-Modified-Since", MODIFIED), ("If-Modified-Since", MODIFIED)];
    assert_eq!(select("GET", &twice), Selected::Whole);
    let unknown = Validators { modified: None, ..version() };
    assert_eq!(conditions("GET", &[("If-Modified-Since", LATER)]).select(&unknown, LEN), Selected::Whole);
}

// RFC 9110, 13.1.4
#[test]
fn if_unmodified_since_fails_for_what_changed_later() {
    assert_eq!(get("If-Unmodified-Since", MODIFIED), Selected::Whole);
    assert_eq!(get("If-Unmodified-Since", LATER), Selected::Whole);
    assert_eq!(get("If-Unmodified-Since", EARLIER), Selected::Failed);
    assert_eq!(get("If-Unmodified-Since", "never"), Selected::Whole);
}

// RFC 9110, 5.6.7: a date has a year of four digits, and none is too early.
#[test]
fn a_date_before_1970_is_a_date() {
    for early in
        ["Wed, 12 Feb 1964 12:30:00 GMT", "Wed, 12 Oct 1492 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"]
    {
        assert_eq!(get("If-Unmodified-Since", early), Selected::Failed, "{early}");
        assert_eq!(get("If-Modified-Since", early), Selected::Whole, "{early}");
    }
    for invalid in [
        "Wed, 32 Feb 1964 12:30:00 GMT",
        "Wed, 12 Feb +964 12:30:00 GMT",
        "Wed, 12 Feb 196",
        "Wed, 12 Feb 19ä",
    ] {
        assert_eq!(get("If-Unmodified-Since", invalid), Selected::Whole, "{invalid}");
    }
    // A recording of that day.
    let then = UNIX_EPOCH - Duration::from_secs(185_715_000);
    let version = Validators { modified: Some(then), ..version() };
    for (value, selected) in [
        ("Wed, 12 Feb 1964 12:30:00 GMT", Selected::NotModified),
        ("Wed, 12 Feb 1964 12:29:59 GMT", Selected::Whole),
        (EARLIER, Selected::NotModified),
    ] {
        assert_eq!(
            conditions("GET", &[("If-Modified-Since", value)]).select(&version, LEN),
            selected,
            "{value}"
        );
    }
    let half = Validators { modified: Some(then + Duration::from_millis(500)), ..version };
    let since = conditions("GET", &[("If-Modified-Since", "Wed, 12 Feb 1964 12:30:00 GMT")]);
    assert_eq!(since.select(&half, LEN), Selected::NotModified);
}

#[test]
fn a_time_is_compared_as_http_writes_it() {
    let version = Validators { modified: Some(modified() + Duration::from_millis(999)), ..version() };
    let since = conditions("GET", &[("If-Modified-Since", MODIFIED)]);
    assert_eq!(since.select(&version, LEN), Selected::NotModified);
}

// RFC 9110, 13.2.2
#[test]
fn the_conditions_have_an_order() {
    // An entity tag outweighs a date, in both pairs.
    assert_eq!(select("GET", &[("If-Match", ETAG), ("If-Unmodified-Since", EARLIER)]), Selected::Whole);
    assert_eq!(select("GET", &[("If-Match", "\"x\""), ("If-Unmodified-Since", LATER)]), Selected::Failed);
    assert_eq!(select("GET", &[("If-None-Match", "\"x\""), ("If-Modified-Since", LATER)]), Selected::Whole);
    assert_eq!(
        select("GET", &[("If-None-Match", ETAG), ("If-Modified-Since", EARLIER)]),
        Selected::NotModified
    );
    // The first pair is decided before the second, and both before the range.
    assert_eq!(select("GET", &[("If-Match", "\"x\""), ("If-None-Match", ETAG)]), Selected::Failed);
    assert_eq!(select("GET", &[("If-Match", ETAG), ("If-None-Match", ETAG)]), Selected::NotModified);
    assert_eq!(select("GET", &[("If-None-Match", ETAG), ("Range", "bytes=0-1")]), Selected::NotModified);
    assert_eq!(select("GET", &[("If-Match", "\"x\""), ("Range", "bytes=0-1")]), Selected::Failed);
    assert_eq!(select("GET", &[("If-Match", ETAG), ("Range", "bytes=200-")]), Selected::Unsatisfiable);
}

// RFC 9110, 14.2
#[test]
fn a_range_is_for_get_and_for_one_part() {
    assert_eq!(get("Range", "bytes=10-19"), Selected::Part(10..20));
    assert_eq!(get("Range", "bytes=90-"), Selected::Part(90..100));
    assert_eq!(get("Range", "bytes=-10"), Selected::Part(90..100));
    assert_eq!(get("Range", "bytes=100-"), Selected::Unsatisfiable);
    assert_eq!(get("Range", "bytes=0-1,5-6"), Selected::Whole);
    assert_eq!(get("Range", "bytes=5-1"), Selected::Whole);
    assert_eq!(get("Range", "pages=1-2"), Selected::Whole);
    for method in ["HEAD", "POST"] {
        assert_eq!(select(method, &[("Range", "bytes=100-")]), Selected::Whole, "{method}");
    }
    assert_eq!(select("GET", &[("Range", "bytes=0-1"), ("Range", "bytes=2-3")]), Selected::Whole);
}

// RFC 9110, 13.1.5
#[test]
fn if_range_uses_the_range_for_the_same_version_only() {
    let with = |value: &str| select("GET", &[("Range", "bytes=0-1"), ("If-Range", value)]);
    assert_eq!(with(ETAG), Selected::Part(0..2));
    assert_eq!(with(MODIFIED), Selected::Part(0..2));
    for other in ["\"x\"", "W/\"abc\"", EARLIER, LATER, "junk", "", "*"] {
        assert_eq!(with(other), Selected::Whole, "{other}");
    }
    // One tag, not a list with it: the parts that the client has may be those of the other version.
    for several in ["\"x\", \"abc\"", "\"abc\", \"x\"", "\"abc\",", ", \"abc\"", "\"abc\"\"abc\""] {
        assert_eq!(with(several), Selected::Whole, "{several}");
    }
    let lines = [("Range", "bytes=0-1"), ("If-Range", "\"x\""), ("If-Range", ETAG)];
    assert_eq!(select("GET", &lines), Selected::Whole);
    let weak = Validators { etag: Some("W/\"abc\""), ..version() };
    for value in [ETAG, "W/\"abc\""] {
        let conditions = conditions("GET", &[("Range", "bytes=0-1"), ("If-Range", value)]);
        assert_eq!(conditions.select(&weak, LEN), Selected::Whole, "of a weak tag the bytes may be others");
    }
    assert_eq!(select("GET", &[("If-Range", "\"x\"")]), Selected::Whole);
    let behind = [("Range", "bytes=100-"), ("If-Range", "\"x\"")];
    assert_eq!(select("GET", &behind), Selected::Whole, "of another version it may exist");
    // A date marks one version only when its second is over.
    let conditions = conditions("GET", &[("Range", "bytes=0-1"), ("If-Range", MODIFIED)]);
    let fresh = Validators { now: Some(modified() + Duration::from_millis(900)), ..version() };
    assert_eq!(conditions.select(&fresh, LEN), Selected::Whole);
    let without_clock = Validators { now: None, ..version() };
    assert_eq!(conditions.select(&without_clock, LEN), Selected::Whole);
}
