//! Responses, whatever an application sets: what is written is one head without a line that was not set, delimited in one
//! way, and a refused call changes nothing.
#![no_main]

use http::proto::{Encoder, HeadCache, RequestFacts, ResponseHead, Version};
use libfuzzer_sys::fuzz_target;
use upcall_fuzz::split;

const NAMES: &[&str] =
    &["A", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Date", "Keep-Alive"];

fuzz_target!(|data: &[u8]| {
    let (word, bytes) = split(data);
    let bit = |at: u32| word >> at & 1 == 1;
    let request = RequestFacts {
        is_head: bit(0),
        is_connect: bit(1),
        version: if bit(2) { Version::Http10 } else { Version::Http11 },
        keep_alive: bit(3),
    };
    let mut head = ResponseHead::new();
    let _ = head.set_status((word >> 4) as u16 % 1024);
    let mut lines = 0;
    for (turn, part) in bytes.split(|&byte| byte == b'|').take(32).enumerate() {
        let Some((&first, value)) = part.split_first() else { continue };
        let name = NAMES[usize::from(first) % NAMES.len()];
        match first / 64 {
            0 => head.remove(name),
            1 => lines += usize::from(head.append(name, value).is_ok()),
            2 => lines += usize::from(head.add_trailer("X", value).is_ok()),
            _ if turn == 0 => lines += usize::from(head.set_reason(value).is_ok()),
            _ => lines += usize::from(head.set(name, value).is_ok()),
        }
    }
    let (len, is_whole) = ((word >> 20) & 0xfff, bit(40));
    let Ok(mut encoder) = Encoder::begin(&request, &head, len, is_whole) else { return };
    let mut out = Vec::new();
    encoder.put_head(&head, &HeadCache::new(Some((5, None))), &mut out);
    let text = String::from_utf8_lossy(&out);
    assert!(text.starts_with("HTTP/1.1 ") && text.ends_with("\r\n\r\n"));
    assert_eq!(text.matches("\r\n\r\n").count(), 1, "one empty line: {text}");
    assert!(text.lines().count() <= lines + 7, "a line that nothing set: {text}");
    let has = |name: &str| text.lines().any(|line| line.starts_with(name));
    assert!(!(has("Content-Length: ") && has("Transfer-Encoding: ")), "two lengths: {text}");
    assert!(!(encoder.is_until_close() && encoder.keep_alive()), "an end that does not come: {text}");
    let before = out.len();
    let data = vec![b'x'; len as usize];
    let put = encoder.put(&data, &mut out);
    assert!(put.is_ok() || !is_whole, "the length was known: {put:?}");
    let _ = encoder.end(&head, &mut out);
    assert!(!request.is_head || out.len() == before, "a body for HEAD");
});
