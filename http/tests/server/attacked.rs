//! A service of async handlers among clients that mean it harm: idle ones, slow ones, bombs of JSON. A client that asks nicely is
//! served all the time, and nothing is left of the others.

use crate::harness::{Client, Site};
use http::serve::{Failure, OwnedRequest, Serving};
use http::{Response, ServerOptions};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Connections that do nothing. Both ends are in this process.
const IDLE: usize = 2000;

/// Connections of each way to be slow.
const SLOW: usize = 50;

async fn respond(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    match request.path() {
        "/sum" => {
            let numbers: Vec<f64> = request.json(1 << 20).await?;
            Ok(response.send_json(&numbers.iter().sum::<f64>())?)
        }
        "/length" => {
            let len = request.body().bytes(1 << 20).await?.len();
            Ok(response.end(len.to_string().as_bytes())?)
        }
        "/pieces" => {
            for _ in 0..10_000 {
                if !response.write(&[b'x'; 1000])? {
                    response.drained().await?;
                }
            }
            Ok(response.end(b"")?)
        }
        _ => Ok(response.end(b"hello")?),
    }
}

fn json(path: &str, body: &str) -> String {
    let fields = format!("Host: h\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n{body}")
}

/// Sends bombs until told to stop, and reads what they are answered.
fn bomb(address: SocketAddr, is_over: &AtomicBool) {
    let bombs = [
        ("[".repeat(500_000), 422),
        (format!("[{}1]", "[],".repeat(300_000)), 422),
        (format!("[{}1]", "1,".repeat(500_000)), 200),
        (format!("[1e{}]", "9".repeat(500_000)), 400),
        (format!("{{{}\"a\":1}}", "\"a\":{},".repeat(100_000)), 422),
    ];
    let mut client = Client::connect(address);
    while !is_over.load(Ordering::Relaxed) {
        for (bomb, status) in &bombs {
            client.send(json("/sum", bomb));
            let answer = client.answer();
            assert_eq!(answer.status, *status, "{}", answer.text());
        }
    }
}

/// What slow clients have sent when they stop: nothing is answered yet.
fn slow(address: SocketAddr) -> Vec<Client> {
    let chunked = "POST /length HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let pieces = [
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: ".to_owned(),
        json("/sum", &"x".repeat(100)).trim_end_matches('x').to_owned(),
        // A chunk of one byte each.
        chunked.to_owned() + &"1\r\nx\r\n".repeat(20_000),
        // Who does not read what was asked for.
        "GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n".repeat(10),
    ];
    let begin = |piece: &String| {
        let mut client = Client::connect(address);
        client.send(piece);
        client
    };
    (0..SLOW).flat_map(|_| pieces.iter().map(begin)).collect()
}

#[test]
fn a_service_under_attack_serves_those_who_ask_nicely() {
    let site = Site::new(ServerOptions::default());
    let server = site.server.clone();
    site.run(Serving::new(respond), |address| {
        let idle: Vec<_> = (0..IDLE).map(|_| TcpStream::connect(address).expect("to connect")).collect();
        let slow = slow(address);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let bombs = [(); 2].map(|()| scope.spawn(|| bomb(address, &is_over)));
            let mut client = Client::connect(address);
            for number in 0..100 {
                assert_eq!(client.ask("/").text(), "hello");
                client.send(json("/sum", &format!("[1, {number}]")));
                assert_eq!(client.answer().text(), format!("{}.0", number + 1));
            }
            // A bomb is answered, too, before this is over.
            is_over.store(true, Ordering::Relaxed);
            bombs.into_iter().for_each(|bomb| bomb.join().expect("it is answered"));
        });
        // Slow is not wrong: they are answered when they go on.
        for (number, mut client) in slow.into_iter().enumerate().take(4 * 2) {
            match number % 4 {
                0 => client.send("1\r\n\r\n"),
                1 => client.send("x".repeat(100)),
                2 => client.send("0\r\n\r\n"),
                _ => {}
            }
            let answer = client.answer();
            assert_eq!(answer.status, if number % 4 == 1 { 400 } else { 200 });
            match number % 4 {
                2 => assert_eq!(answer.text(), "20000"),
                3 => assert_eq!(answer.body.len(), 10_000_000),
                _ => {}
            }
        }
        drop(idle);
    });
    assert_eq!(server.connections(), 0);
}
