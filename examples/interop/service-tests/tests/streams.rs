//! Both services send the same events, and echo over WebSockets.

use service_tests::{Client, Running, SERVICES};
use std::net::TcpStream;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket, client};

const JSON: &str = "Content-Type: application/json\r\n";

/// Opens the stream of events and reads its head.
fn events(running: &Running) -> Client {
    let mut client = running.connect();
    client.send_request("GET /api/events", "Accept: text/event-stream\r\n", "");
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert_eq!(head.field("cache-control"), Some("no-cache"));
    client
}

#[test]
fn each_note_is_an_event_to_all_who_listen() {
    let [ours, twins] = SERVICES.map(|package| {
        let running = Running::start(package);
        let mut readers = [(); 5].map(|()| events(&running));
        // A reader that leaves is no hindrance to the others.
        drop(events(&running));
        let mut seen = Vec::new();
        for text in ["one", "two lines\\n\\nof it", "ä"] {
            let answer = running.connect().ask("POST /api/notes", JSON, &format!("{{\"text\": \"{text}\"}}"));
            assert_eq!(answer.status, 201);
            for reader in &mut readers {
                seen.push(String::from_utf8(reader.chunk()).expect("text"));
            }
        }
        seen
    });
    assert_eq!(ours, twins);
    assert_eq!(ours.len(), 15);
    assert_eq!(ours[7], "event: note\ndata: {\"id\":2,\"text\":\"two lines\\n\\nof it\"}\n\n");
}

/// axum's twin goes on, behind the events that the reader has missed.
#[test]
fn a_reader_that_is_too_slow_is_ended_and_others_miss_nothing() {
    const NOTES: usize = 600;
    let running = Running::start("service");
    let (mut slow, mut other) = (events(&running), events(&running));
    let reading = std::thread::spawn(move || (0..NOTES).map(|_| other.chunk().len()).sum::<usize>());
    let mut client = running.connect();
    let note = format!("{{\"text\": \"{}\"}}", "x".repeat(60_000));
    for _ in 0..NOTES {
        assert_eq!(client.ask("POST /api/notes", JSON, &note).status, 201);
    }
    assert!(reading.join().expect("it reads to the end") > NOTES * 60_000);
    let mut events = 0;
    while !slow.chunk().is_empty() {
        events += 1;
    }
    assert!((1..NOTES).contains(&events), "{events} events were kept for it");
}

fn open(running: &Running) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(running.address()).expect("it listens");
    let (socket, response) =
        client(format!("ws://{}/api/echo", running.address()), stream).expect("a WebSocket");
    assert_eq!(response.status(), 101);
    socket
}

#[test]
fn a_websocket_echoes_answers_pings_and_closes() {
    let [ours, twins] = SERVICES.map(|package| {
        let running = Running::start(package);
        let mut socket = open(&running);
        let mut seen = Vec::new();
        for message in [
            Message::text("hello"),
            Message::text(""),
            Message::binary(vec![0, 255]),
            Message::Ping("p".into()),
            Message::text("x".repeat(64 * 1024)),
        ] {
            socket.send(message).expect("it reads");
            seen.push(socket.read().expect("an echo"));
        }
        // In two frames.
        for (text, is_final) in [("hal", false), ("lo", true)] {
            use tungstenite::protocol::frame::Frame;
            use tungstenite::protocol::frame::coding::{Data, OpCode};
            let code = if is_final { Data::Continue } else { Data::Text };
            let frame = Frame::message(text, OpCode::Data(code), is_final);
            socket.send(Message::Frame(frame)).expect("it reads");
        }
        seen.push(socket.read().expect("an echo"));
        socket.close(None).expect("it reads");
        seen.push(socket.read().expect("the answer to the close"));
        assert!(socket.read().is_err(), "it is closed");
        seen
    });
    assert_eq!(ours, twins);
    assert_eq!(ours[3], Message::Pong("p".into()));
    assert_eq!(ours[5], Message::text("hallo"));
    assert!(ours[6].is_close());
}

#[test]
fn a_message_that_is_too_long_ends_its_connection_and_no_other() {
    for package in SERVICES {
        let running = Running::start(package);
        let (mut other, mut socket) = (open(&running), open(&running));
        // The service may have closed before all of it is written.
        let _ = socket.send(Message::text("x".repeat(64 * 1024 + 1)));
        assert!(!matches!(socket.read(), Ok(message) if !message.is_close()), "{package}");
        other.send(Message::text("still here")).expect("it reads");
        assert_eq!(other.read().expect("an echo"), Message::text("still here"));
    }
}

/// `axum::serve` does not wait for connections that have left HTTP: its program may end before their close is written.
#[test]
fn a_stop_says_goodbye() {
    for package in SERVICES {
        let running = Running::start(package);
        let mut socket = open(&running);
        socket.send(Message::text("hello")).expect("it reads");
        assert_eq!(socket.read().expect("an echo"), Message::text("hello"));
        running.terminate();
        match socket.read() {
            Ok(Message::Close(Some(frame))) => assert_eq!(frame.code, CloseCode::Away),
            other => assert_eq!(package, "axum-service", "{other:?}"),
        }
        drop(socket);
        assert!(running.wait().success(), "{package}");
    }
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    const OFFER: &str = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for package in SERVICES {
        let running = Running::start(package);
        for (fields, accept) in [
            (format!("{OFFER}{KEY}Sec-WebSocket-Version: 13\r\n"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
            (format!("{OFFER}{KEY}Sec-WebSocket-Version: 12\r\n"), None),
            (format!("{OFFER}Sec-WebSocket-Version: 13\r\n"), None),
            (format!("Connection: upgrade\r\n{KEY}Sec-WebSocket-Version: 13\r\n"), None),
        ] {
            let mut client = running.connect();
            client.send_request("GET /api/echo", &fields, "");
            let head = client.head();
            assert_eq!(head.status, if accept.is_some() { 101 } else { 400 }, "{package}: {fields}");
            assert_eq!(head.field("sec-websocket-accept"), accept);
        }
    }
}
