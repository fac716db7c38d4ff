//! What is logged of async handlers that fail: a program of its own, since it has one logger.

use async_wrap::Environment;
use http::serve::{Failure, OwnedRequest, Serving, Upgrade};
use http::{Error, Response, Server, ServerOptions};
use net::ListenOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use uv_core::RunMode;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "http"
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().expect("a lock").push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

async fn respond(request: OwnedRequest, response: Response) -> Result<(), Failure> {
    if request.path() == "/dropped" {
        // What is logged is kept all the same.
        drop(request);
        return Err("the disk is full".into());
    }
    match request.path() {
        "/panic" => std::panic::resume_unwind(Box::new("on purpose")),
        "/refuse" => Err(Error::refused(404, "not found"))?,
        _ => {
            let env = response.environment().clone();
            env.sleep(Duration::from_millis(1)).await;
            Err("the disk is full".into())
        }
    }
}

async fn upgraded(_: OwnedRequest, upgrade: Upgrade) -> Result<(), Failure> {
    drop(upgrade);
    Err("no tunnel".into())
}

#[test]
fn a_failure_is_logged_with_the_method_and_the_path_of_its_request() {
    log::set_logger(&Lines).expect("the only logger");
    log::set_max_level(log::LevelFilter::Debug);
    let env = Environment::with_new_loop().expect("a loop");
    let server = Server::new(&env, ServerOptions::default()).expect("a server");
    let handler = Serving::new(respond).with_upgrades(|_| true, upgraded);
    server.listen(ListenOptions::addr(([127, 0, 0, 1], 0).into()), handler).expect("to listen");
    let address = server.address().and_then(|address| address.as_tcp()).expect("an address");
    let client = thread::spawn(move || {
        for (request, status) in [
            ("POST /later?secret=1", "500"),
            ("GET /dropped", "500"),
            ("PUT /panic", "500"),
            ("GET /refuse", "404"),
            ("CONNECT far:1", "500"),
        ] {
            let mut stream = TcpStream::connect(address).expect("to connect");
            let fields = "Host: far:1\r\nConnection: close\r\n";
            stream.write_all(format!("{request} HTTP/1.1\r\n{fields}\r\n").as_bytes()).expect("to send");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert_eq!(answer.get(9..12), Some(status), "{request}");
        }
    });
    let ended = env.block_on(env.work(move || client.join()));
    ended.expect("the loop runs").expect("it is not cancelled").expect("the client has its answers");
    server.shutdown(Duration::ZERO).expect("it listens");
    assert!(!env.run(RunMode::Default).expect("the loop runs"), "it ends with nothing alive");
    assert_eq!(
        *LINES.lock().expect("a lock"),
        [
            "ERROR POST /later: the handler has failed: the disk is full",
            "ERROR GET /dropped: the handler has failed: the disk is full",
            "ERROR PUT /panic: the handler has panicked",
            "WARN CONNECT far:1: the handler has failed: no tunnel",
        ]
    );
}
