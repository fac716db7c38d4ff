//! A server with three routes: an answer at once, one from a timer, and a body that is streamed.
//!
//! `cargo run -p upcall-http --example hello` asks itself for each of them; with `-- --addr 127.0.0.1:8000` it serves.

use async_wrap::{Environment, Loop, RunMode};
use http::net::ListenOptions;
use http::upcall::ResponseHandler;
use http::{Request, Response, Result, Server, ServerOptions};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use uv_core::{Async, Signal};

fn main() -> std::result::Result<(), Box<dyn Error>> {
    env_logger::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let addr = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["--addr", addr] => Some(addr.parse::<SocketAddr>()?),
        _ => return Err("usage: hello [--addr 127.0.0.1:8000]".into()),
    };
    let lp = Loop::new()?;
    let env = Environment::new(&lp);
    let server = Server::new(&env, ServerOptions::default())?;
    let (routes, any) = (env.clone(), SocketAddr::from(([127, 0, 0, 1], 0)));
    server.listen(ListenOptions::addr(addr.unwrap_or(any)), move |request: &Request<'_>, response| {
        // An error says that the client is gone, which is no concern of ours.
        let _ = route(&routes, request, response);
    })?;
    let address = server.address().and_then(|address| address.as_tcp()).ok_or("no TCP address")?;
    println!("listening on http://{address}");
    if addr.is_some() {
        stop_on_signal(&lp, &server)?
    } else {
        ask(&lp, &server, address)
    }
    // Until nothing is left to do: the server is closed, and so are its connections.
    env.run(RunMode::Default).map(drop).map_err(Into::into)
}

fn route(env: &Environment, request: &Request<'_>, response: Response) -> Result<()> {
    match request.path() {
        "/" => response.set_header("Content-Type", "text/plain")?.end(b"hello\n"),
        "/later" => {
            // A response is a handle: it may be carried anywhere on its thread and finished from there.
            env.set_timeout(Duration::from_millis(50), move || drop(response.end(b"hello from a timer\n")));
            Ok(())
        }
        "/count" => {
            // Without a length the body is chunked, and each line leaves as it is written.
            let mut count = Count { next: 1 };
            count.write_on(&response)?;
            response.set_handler(count);
            Ok(())
        }
        _ => response.set_status(404)?.end(b"not found\n"),
    }
}

/// Counts to a thousand, at the pace of the client.
struct Count {
    next: u32,
}

impl Count {
    fn write_on(&mut self, response: &Response) -> Result<()> {
        while self.next <= 1000 {
            let line = format!("{}\n", self.next);
            self.next += 1;
            if !response.write(line.as_bytes())? {
                // The client has enough for now; `on_drain` says when it wants more.
                return Ok(());
            }
        }
        response.end(b"")
    }
}

impl ResponseHandler for Count {
    fn on_drain(&mut self, response: &Response) {
        let _ = self.write_on(response);
    }
}

fn stop_on_signal(lp: &Loop, server: &Server) -> uv_core::Result<()> {
    let (signal, server) = (Signal::new(lp), server.clone());
    signal.start(Signal::SIGINT, move |signal: &Signal, _: i32| {
        let _ = server.shutdown(Duration::from_secs(10));
        signal.close();
    })
}

/// Plays the client, on a thread of its own, and closes the server when it is done.
fn ask(lp: &Loop, server: &Server, address: SocketAddr) {
    let server = server.clone();
    let done = Async::new(lp, move |done: &Async| {
        let _ = server.close();
        done.close();
    });
    let sender = done.sender();
    std::thread::spawn(move || {
        for path in ["/", "/later", "/count"] {
            println!("\nGET {path}\n{:.200}", get(address, path).unwrap_or_else(|error| error.to_string()));
        }
        sender.send();
    });
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
