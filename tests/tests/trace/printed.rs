//! The chain as lines: in the order in which the transcripts of `tests/chain` have it, and legible.

use crate::program::{Outcome, command, says};
use tests::running::Running;

/// The terminal's width for which the lines are made.
const COLUMNS: usize = 100;

/// How a connection gets to its handler: layer and call, and more of the line where calls of one name are told apart.
const ACCEPTED: &[&str] = &[
    "kernel accept4(2)",
    "uv-core AcceptUpcall::on_connection",
    "tcp-wrap OnConnection::on_connection",
    "async-wrap Environment::new_context TCPWRAP",
    "async-wrap Environment::run_in_context TCPSERVERWRAP",
    "async-wrap OnConnection::on_connection",
    "net ServerHandler::on_connection",
    "tcp-wrap StreamWrap::read_start",
    "uv-core Stream::read_start",
];

/// A request on its way up, its answer on its way down, and what the handler queued.
const ANSWERED: &[&str] = &[
    "kernel epoll_wait(2)",
    "kernel recv(2)",
    "uv-core StreamUpcall::on_read",
    "tcp-wrap OnStream::on_read",
    "async-wrap Environment::run_in_context TCPWRAP",
    "async-wrap OnStream::on_read",
    "net SocketHandler::on_data",
    "async-wrap Environment::new_context HTTPINCOMINGMESSAGE",
    "async-wrap Environment::run_in_context HTTPINCOMINGMESSAGE",
    "http RequestHandler::on_request GET /",
    "async-wrap Environment::new_context TickObject",
    "async-wrap Environment::new_context Microtask",
    "http Response::end",
    "net Socket::write",
    "async-wrap AsyncStream::write",
    "tcp-wrap StreamWrap::write",
    "uv-core Stream::try_write",
    "kernel send(2)",
    "async-wrap Environment::run_queues",
    "async-wrap Environment::run_in_context TickObject",
    "async-wrap Environment::run_in_context Microtask",
];

/// The end of a connection, and its close in the phase of closing handles.
const ENDED: &[&str] = &[
    "kernel recv(2)",
    "uv-core StreamUpcall::on_end",
    "tcp-wrap OnStream::on_end",
    "async-wrap OnStream::on_end",
    "net SocketHandler::on_end",
    "net Socket::destroy",
    "tcp-wrap StreamWrap::close",
    "uv-core Handle::close",
    "kernel close(2)",
    "uv-core HandleInner::finish_close",
    "uv-core StreamUpcall::on_close",
    "tcp-wrap OnStream::on_close",
    "async-wrap OnStream::on_close",
    "net SocketHandler::on_close",
];

/// What a line says: its time, and the words after it without the arrow. `None` for a line that is no call.
fn call_of(line: &str) -> Option<(u64, usize, String)> {
    let (head, call) = line.split_once(['\u{2191}', '\u{2193}', '\u{b7}'])?;
    let time: String = head
        .get(..10)
        .into_iter()
        .chain(line.get(..14))
        .next()?
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let layer =
        head.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))?;
    Some((time.parse().ok()?, head.chars().count(), format!("{layer} {}", call.trim())))
}

fn calls(text: &str) -> Vec<(u64, usize, String)> {
    text.lines().skip(3).filter_map(call_of).collect()
}

/// Whether the words of `expected` begin the words of the call, those after the function anywhere in it.
fn is_call(call: &str, expected: &str) -> bool {
    let mut words = expected.split(' ');
    let head = [words.next(), words.next()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    // Long names are cut where the line ends.
    call.starts_with(&head) && words.all(|word| call.contains(&word[..word.len().min(8)]))
}

#[track_caller]
fn assert_in_order<'a>(text: &str, expected: impl IntoIterator<Item = &'a str>) {
    let calls = calls(text);
    let mut rest = calls.iter();
    for expected in expected {
        assert!(
            rest.any(|(.., call)| is_call(call, expected)),
            "{expected:?} is not there, or too early:\n{text}"
        );
    }
}

#[test]
fn a_connection_with_two_requests_is_told_in_the_order_of_the_chain() -> Outcome {
    let text = says(&["trace", "--requests", "2"])?;
    let expected = [ACCEPTED, ANSWERED, ANSWERED, ENDED].concat();
    assert_in_order(&text, expected);
    for mark in
        ["the client connects", "the client sends request 1", "the client sends request 2", "the client ends"]
    {
        assert!(text.contains(mark), "{mark:?} is not there:\n{text}");
    }
    Ok(())
}

#[test]
fn an_upcall_is_within_the_one_of_the_layer_beneath() -> Outcome {
    let text = says(&["trace"])?;
    let calls = calls(&text);
    let climb = [
        "uv-core StreamUpcall::on_read",
        "tcp-wrap OnStream::on_read",
        "async-wrap OnStream::on_read",
        "net SocketHandler::on_data",
        "http RequestHandler::on_request",
        "http Response::end",
    ];
    let depths: Vec<usize> = climb
        .iter()
        .map(|expected| {
            calls.iter().find(|(.., call)| is_call(call, expected)).map_or(0, |(_, depth, _)| *depth)
        })
        .collect();
    assert!(depths.is_sorted_by(|outer, inner| outer < inner), "{depths:?}:\n{text}");
    Ok(())
}

#[test]
fn pipelined_requests_climb_in_one_turn_and_their_answers_go_in_one_write() -> Outcome {
    let text = says(&["trace", "--pipeline", "3"])?;
    let calls = calls(&text);
    let count = |expected: &str| calls.iter().filter(|(.., call)| is_call(call, expected)).count();
    assert_eq!(count("http RequestHandler::on_request"), 3, "{text}");
    assert_eq!(count("kernel send(2)"), 1, "{text}");
    Ok(())
}

#[test]
fn a_connection_is_seen_to_pass_from_the_primary_to_a_worker() -> Outcome {
    let text = says(&["trace", "--workers", "2"])?;
    let heads: Vec<&str> =
        text.lines().filter(|line| *line == "primary" || line.starts_with("worker ")).collect();
    for head in ["primary", "worker 1", "worker 2"] {
        assert!(heads.contains(&head), "{head:?} is not there:\n{text}");
    }
    let mut expected = vec![
        "cluster Channel::send Query",
        "cluster OnChannel::on_message Query",
        "cluster OnChannel::on_message Answer",
        "uv-core AcceptUpcall::on_connection",
        "cluster Channel::send Connections",
        "kernel sendmsg(2)",
        "kernel recvmsg(2)",
        "cluster OnChannel::on_message Connections",
        "cluster Channel::send_ahead Taken",
        "cluster FauxInner::serve",
        "net ServerHandler::on_connection",
    ];
    expected.extend(ANSWERED);
    assert_in_order(&text, expected);
    let connect = text.find("the client connects").ok_or("the client does not connect")?;
    let (primary, accept) = (text[connect..].find("\nprimary"), text[connect..].find("accept4(2)"));
    let worker = text[connect..].find("\nworker ");
    assert!(primary < accept && accept < worker, "the primary accepts:\n{text}");
    Ok(())
}

#[test]
fn lines_are_short_and_without_colours_unless_there_is_a_terminal() -> Outcome {
    for words in [&["trace", "--requests", "2"][..], &["trace", "--workers", "1"], &["chain"]] {
        for line in says(words)?.lines() {
            assert!(line.chars().count() <= COLUMNS, "{words:?}: {line}");
            assert!(!line.contains('\u{1b}'), "{words:?}: {line}");
        }
    }
    Ok(())
}

#[test]
fn the_chain_has_every_layer_in_order_with_its_traits_and_places() -> Outcome {
    let text = says(&["chain"])?;
    let mut from = 0;
    for expected in [
        "\n  AcceptUpcall           uv-core/src/upcall.rs:",
        "\n    on_connection        uv-core/src/upcall.rs:",
        "\n  StreamUpcall",
        "\ntcp-wrap\n",
        "\n  OnStream",
        "\nasync-wrap\n",
        "\nnet\n",
        "\n  ServerHandler",
        "\n  SocketHandler",
        "\nhttp\n",
        "\n  RequestHandler",
        "\n    on_request           http/src/upcall.rs:",
        "\ncluster\n",
        "\n  PrimaryHandler",
    ] {
        let at = text[from..]
            .find(expected)
            .ok_or_else(|| format!("{expected:?} is not there, or too early:\n{text}"))?;
        from += at;
    }
    assert!(text.starts_with("uv-core\n"), "{text}");
    Ok(())
}

#[test]
fn a_logger_of_ones_own_sees_the_same_in_plain_lines() -> Outcome {
    let mut command = command(&["trace"])?;
    let ended = Running::start(command.env("RUST_LOG", "tcp_wrap=trace"))?.wait()?;
    assert!(ended.stderr.contains("TRACE tcp_wrap] up   OnStream::on_read bytes="), "{}", ended.stderr);
    assert!(!ended.stderr.contains(" net]"), "{}", ended.stderr);
    Ok(())
}
