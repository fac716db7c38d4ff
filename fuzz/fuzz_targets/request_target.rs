//! Request targets and authorities: method, target and `Host` are judged each for itself, and what an accepted target is
//! split into is the target again.
#![no_main]

use http::proto::{Decoder, Event, FieldTable, Limits, ParseError, TargetForm};
use libfuzzer_sys::fuzz_target;

const METHODS: &[&str] = &["GET", "CONNECT", "OPTIONS", "HEAD", "M-SEARCH"];

/// What an accepted target is split into.
struct Parts {
    form: TargetForm,
    path: String,
    query: Option<String>,
    authority: String,
}

fn read(method: &str, target: &[u8], host: &[u8]) -> Result<Parts, ParseError> {
    let head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat();
    let (mut input, mut table) = (&head[..], FieldTable::new());
    let mut decoder = Decoder::new();
    match decoder.decode(&mut input, &mut table, &Limits::default())? {
        Event::Head(head) => Ok(Parts {
            form: head.form,
            path: head.path().to_owned(),
            query: head.query().map(str::to_owned),
            authority: head.authority().to_owned(),
        }),
        other => panic!("a whole head is {other:?}"),
    }
}

/// Checks the parts of an accepted target.
fn check(method: &str, target: &str, host: &str, parts: &Parts) {
    let query = parts.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
    let rest = format!("{}{query}", parts.path);
    assert_eq!(parts.form == TargetForm::Authority, method == "CONNECT");
    assert_eq!(parts.path.is_empty(), method == "CONNECT");
    assert!(!parts.path.contains('?'));
    match parts.form {
        TargetForm::Origin => assert_eq!((&*rest, &*parts.authority), (target, host)),
        TargetForm::Asterisk => assert_eq!((method, target, &*rest), ("OPTIONS", "*", "*")),
        TargetForm::Authority => {
            let (name, port) = target.rsplit_once(':').expect("a port");
            assert!(!name.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0), "{target}");
            assert_eq!(parts.authority, target);
        }
        TargetForm::Absolute => {
            let (scheme, _) = target.split_once("://").expect("a scheme");
            let start = format!("{scheme}://{}", parts.authority);
            // A path that is not there is written as `/` or `*`.
            let whole = [format!("{start}{rest}"), format!("{start}{query}")];
            assert!(whole.iter().any(|whole| whole == target), "{target} is not {whole:?}");
            assert!(scheme.starts_with(|first: char| first.is_ascii_alphabetic()));
            // A browser and this server must not see two hosts in it.
            assert!(!parts.authority.contains(['@', '/', '?', '#', '\\', ' ']), "{}", parts.authority);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else { return };
    let method = METHODS[usize::from(first) % METHODS.len()];
    let mut parts = rest.splitn(2, |&byte| byte == b'\n');
    let (target, host) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    // These would end the target or the field; `request_head` tries that.
    let is_one_word = !target.is_empty() && !target.iter().any(|byte| b" \r\n".contains(byte));
    if !is_one_word || host.iter().any(|byte| b"\r\n".contains(byte)) {
        return;
    }
    let said = read(method, target, host);
    let is_valid = read(method, target, b"a").is_ok() && read("GET", b"/", host).is_ok();
    assert_eq!(said.is_ok(), is_valid, "{:?}", said.err());
    if let Ok(parts) = &said {
        let target = std::str::from_utf8(target).expect("visible ASCII");
        let host = std::str::from_utf8(host).expect("ASCII").trim_matches([' ', '\t']);
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
        check(method, target, host, parts);
    }
});
