//! The program `websocket`, with a client by async-tungstenite in the same loop.

#[path = "../../../compat/hyper/tests/common/mod.rs"]
mod common;
#[path = "../src/bin/websocket.rs"]
#[allow(dead_code, reason = "its `main`")]
mod websocket;

use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use async_tungstenite::{WebSocketStream, client_async};
use common::{read_to_end, run};
use futures_util::StreamExt;
use net::async_wrap::Environment;
use net::futures::AsyncSocket;
use net::{ConnectOptions, ListenOptions};
use std::net::SocketAddr;
use upcall_http::{Server, ServerOptions};

/// Starts the server.
fn start(env: &Environment) -> (Server, SocketAddr) {
    let server = Server::new(env, ServerOptions::default()).expect("right options");
    let any = ListenOptions::addr(([127, 0, 0, 1], 0).into());
    server.listen(any, websocket::handler()).expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("it listens");
    (server, address)
}

async fn connect(env: &Environment, address: SocketAddr) -> AsyncSocket {
    AsyncSocket::connect(env, ConnectOptions::addr(address)).await.expect("it listens")
}

async fn shake_hands(env: &Environment, address: SocketAddr) -> WebSocketStream<AsyncSocket> {
    let socket = connect(env, address).await;
    let (messages, response) = client_async("ws://localhost/echo", socket).await.expect("it is accepted");
    assert_eq!(response.status(), 101);
    messages
}

#[test]
fn messages_come_back_and_the_close_is_answered() {
    run(|env| async move {
        let (server, address) = start(&env);
        let mut messages = shake_hands(&env, address).await;
        let long = vec![7; 1 << 20];
        for message in [Message::text("hello"), Message::text(""), Message::binary(long)] {
            messages.send(message.clone()).await.expect("open");
            assert_eq!(messages.next().await.expect("an answer").expect("open"), message);
        }
        messages.send(Message::Ping("are you there".into())).await.expect("open");
        let pong = messages.next().await.expect("an answer").expect("open");
        assert_eq!(pong, Message::Pong("are you there".into()));
        let frame = CloseFrame { code: CloseCode::Normal, reason: "enough".into() };
        messages.close(Some(frame.clone())).await.expect("open");
        assert_eq!(messages.next().await.expect("an answer").expect("open"), Message::Close(Some(frame)));
        assert!(messages.next().await.is_none(), "the server closes");
        server.close().expect("it listens");
    });
}

#[test]
fn a_hundred_clients_talk_at_the_same_time() {
    run(|env| async move {
        let (server, address) = start(&env);
        let mut tasks = Vec::new();
        for number in 0..100 {
            let env = env.clone();
            tasks.push(env.clone().spawn_local(async move {
                let mut messages = shake_hands(&env, address).await;
                for round in 0..10 {
                    let message = Message::text(format!("{number} {round}"));
                    messages.send(message.clone()).await.expect("open");
                    assert_eq!(messages.next().await.expect("an answer").expect("open"), message);
                }
                // Some leave without a word.
                if number % 2 == 0 {
                    messages.close(None).await.expect("open");
                }
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
        server.close().expect("it listens");
    });
}

// RFC 6455, 4.2.2 and 4.4
#[test]
fn what_is_no_handshake_is_refused() {
    run(|env| async move {
        let (server, address) = start(&env);
        let offer = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (path, fields, status) in [
            ("/echo", format!("{offer}{key}Sec-WebSocket-Version: 8\r\n"), "400"),
            ("/echo", format!("{offer}Sec-WebSocket-Version: 13\r\n"), "400"),
            ("/echo", "Host: a\r\nConnection: close\r\n".to_owned(), "426"),
            ("/other", "Host: a\r\nConnection: close\r\n".to_owned(), "404"),
        ] {
            let mut client = connect(&env, address).await;
            let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
            client.write_all(request.as_bytes()).await.expect("open");
            let answer = read_to_end(&mut client).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        }
        server.close().expect("it listens");
    });
}
