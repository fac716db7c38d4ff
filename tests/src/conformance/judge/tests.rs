//! Servers that answer by a script: right answers must pass, and every fault must be noticed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::*;
use crate::conformance::file;

/// How a scripted server leaves its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Close,
    /// Answers the further request by which the runner checks that the connection is open.
    AnswerProbe,
    /// Waits until the client closes.
    Wait,
}

/// A 500 needs no date.
fn answer_with(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 500 Oops\r\n{fields}\r\n{body}")
}

fn hello() -> String {
    answer_with("Content-Length: 5\r\n", "hello")
}

/// Serves one connection: reads `ask` bytes, then writes `answer`.
fn server(ask: usize, answer: String, after: After) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut vec![0; ask]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        match after {
            After::Close => {}
            After::AnswerProbe => answer_probe(&mut stream),
            After::Wait => drop(stream.read_to_end(&mut Vec::new())),
        }
    };
    (address, thread::spawn(serve))
}

fn answer_probe(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let body = r#"{"host":"probe","x-probe":"f.md:1"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).unwrap();
}

/// Judges a scripted answer to `GET`, for a case with these expectations.
fn verdict(expectations: &str, answer: String, after: After) -> Result<(), String> {
    let source = format!("## rfc9110-1 a name\nRule.\n> GET\n\n{expectations}\n");
    let cases = file::parse("f.md", &source).unwrap();
    let (address, thread) = server(3, answer, after);
    // A short time for a server that stays silent on purpose: its answer, if it sends one, comes earlier.
    let patience = Duration::from_millis(if after == After::Wait { 100 } else { 5000 });
    let result = judge(&cases[0], Variant::AsWritten, address, patience);
    thread.join().unwrap();
    result.map_err(|mismatch| mismatch.why)
}

fn fault(expectations: &str, answer: String, after: After) -> String {
    verdict(expectations, answer, after).expect_err(expectations)
}

#[test]
fn right_answers_pass() {
    let closing = || answer_with("Connection: close\r\n", "hello");
    assert_eq!(verdict("- 500, body \"hello\"\n- open", hello(), After::AnswerProbe), Ok(()));
    assert_eq!(verdict("- 500, body \"hello\"\n- open or closed", hello(), After::AnswerProbe), Ok(()));
    assert_eq!(verdict("- 500, until close, body \"hello\"\n- closed", closing(), After::Close), Ok(()));
    assert_eq!(verdict("- 500\n- open or closed", closing(), After::Close), Ok(()));
    assert_eq!(verdict("- 400\n- or closed\n- closed", String::new(), After::Close), Ok(()));
    assert_eq!(verdict("- maybe 100\n- 500 times 2\n- open", hello() + &hello(), After::AnswerProbe), Ok(()));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &hello();
    assert_eq!(verdict("- maybe 100\n- 500\n- open", interim, After::AnswerProbe), Ok(()));
    assert_eq!(verdict("- begins 500, body \"hello\"\n- 500\n- open", hello(), After::AnswerProbe), Ok(()));
    let short = answer_with("Content-Length: 6\r\n", "hello");
    assert_eq!(verdict("- 500, truncated\n- closed", short, After::Close), Ok(()));
}

#[test]
fn a_wrong_answer_is_a_fault() {
    assert!(fault("- 400\n- open", hello(), After::Close).contains("the status is 500"));
    assert!(fault("- 500, body \"hell\"\n- open", hello(), After::Close).contains("the body is"));
    assert!(fault("- 500, chunked\n- open", hello(), After::Close).contains("delimited otherwise"));
    assert!(fault("- 500, field Allow\n- open", hello(), After::Close).contains("the values of Allow"));
    assert!(
        fault("- 500, no field Content-Length\n- open", hello(), After::Close)
            .contains("the values of Content-Length")
    );
    assert!(fault("- 500, json \"a\" is \"b\"\n- open", hello(), After::Close).contains("JSON"));
    assert!(fault("- 500, truncated\n- closed", hello(), After::Close).contains("does not break off"));
}

#[test]
fn a_missing_answer_is_a_fault() {
    assert!(fault("- 500\n- open", String::new(), After::Close).contains("without an answer"));
    assert!(fault("- 500\n- open", String::new(), After::Wait).contains("no more bytes"));
    assert!(fault("- 500 times 2\n- open", hello(), After::Close).contains("without an answer"));
    assert!(fault("- 500\n- open", "HTTP/1.1 200".into(), After::Close).contains("within a head"));
    let short = answer_with("Content-Length: 6\r\n", "hello");
    assert!(fault("- 500\n- open", short, After::Close).contains("within the response"));
}

#[test]
fn a_wrong_end_is_a_fault() {
    let closing = || answer_with("Connection: close\r\nContent-Length: 5\r\n", "hello");
    assert!(fault("- 500\n- open", hello(), After::Close).contains("the server closed it"));
    assert!(fault("- 500\n- open", closing(), After::Close).contains("announces a close"));
    assert!(fault("- 500\n- closed", hello(), After::Close).contains("does not announce the close"));
    assert!(fault("- 500\n- closed", closing(), After::Wait).contains("no close"));
    assert!(fault("- 500\n- closed", closing() + "!", After::Close).contains("1 bytes after"));
    assert!(fault("- 500\n- open", hello() + &hello(), After::AnswerProbe).contains("not open"));
    assert!(fault("- 500\n- 500\n- closed", closing() + &closing(), After::Close).contains("9.6"));
}

#[test]
fn a_body_where_none_may_be_is_a_fault() {
    assert!(fault("- 500 to HEAD\n- open", hello(), After::AnswerProbe).contains("status line"));
}

#[test]
fn the_variants_cut_as_they_say() {
    let pieces = [b"ab".to_vec(), b"c".to_vec()];
    assert_eq!(Variant::AsWritten.cut(&pieces), pieces);
    assert_eq!(Variant::OneWrite.cut(&pieces), [b"abc"]);
    assert_eq!(Variant::ByteByByte.cut(&pieces), [b"a", b"b", b"c"]);
    let variants = |source: &str| Variant::of(&file::parse("f.md", source).unwrap()[0]).len();
    assert_eq!(variants("## rfc9110-1 a name\nRule.\n> a|b\n- open\n"), 3);
    assert_eq!(variants("## rfc9110-1 a name\nRule.\n> ab\n- open\n"), 2);
    assert_eq!(variants("## rfc9110-1 a name\nRule.\n> {a*3000}\n- open\n"), 1);
    assert_eq!(variants("## rfc9110-1 a name\nRule.\n! only as written\n> a|b\n- open\n"), 1);
}
