//! What `/chain` of `serve` costs others: nothing, for only the connection that asked is recorded.

use crate::program::Outcome;
use async_wrap::Environment;
use http::{Server, ServerOptions};
use log::LevelFilter;
use net::ListenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use tests::running::DEADLINE;
use upcall::app::App;
use upcall::trace::{collector, live};
use uv_core::threads::Remote;
use uv_core::{Loop, RunMode};

/// Serves on a thread of its own until the loop is told to close everything.
fn serve(told: &mpsc::Sender<(SocketAddr, Remote)>) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let event_loop = Loop::new().map_err(|error| said(&error))?;
    let env = Environment::new(&event_loop);
    let server = Server::new(&env, ServerOptions::default()).map_err(|error| said(&error))?;
    let anywhere = ListenOptions::addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    server.listen(anywhere, App::default().with_chain(Some(live::answer))).map_err(|error| said(&error))?;
    let address = server.address().and_then(|address| address.as_tcp()).ok_or("no address")?;
    told.send((address, event_loop.remote())).map_err(|error| said(&error))?;
    env.run(RunMode::Default).map_err(|error| said(&error))?;
    Ok(())
}

/// The status line of an answer, which is read whole.
fn ask(stream: &mut BufReader<TcpStream>, path: &str) -> Outcome<String> {
    stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes())?;
    let (mut head, mut length) = (String::new(), None);
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        if stream.read_line(&mut head)? == 0 {
            return Err("the connection was closed".into());
        }
        if let Some(value) = head[from..].strip_prefix("Content-Length: ") {
            length = Some(value.trim_end().parse()?);
        }
    }
    if let Some(length) = length {
        stream.read_exact(&mut vec![0; length])?;
    } else {
        let mut line = String::new();
        while line != "0\r\n" {
            line.clear();
            stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16)?;
            stream.read_exact(&mut vec![0; size + 2])?;
        }
    }
    Ok(head.lines().next().unwrap_or_default().to_owned())
}

#[test]
fn while_a_page_is_awaited_nobody_else_is_recorded() -> Outcome {
    collector::install();
    let usual = log::max_level();
    assert!(usual < LevelFilter::Trace);
    let (told, telling) = mpsc::channel();
    let serving = thread::spawn(move || serve(&told));
    let (address, remote) = telling.recv_timeout(DEADLINE)?;
    let connect = || -> Outcome<BufReader<TcpStream>> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(BufReader::new(stream))
    };
    let (mut asking, mut other) = (connect()?, connect()?);
    assert_eq!(ask(&mut asking, "/chain")?, "HTTP/1.1 303 See Other");
    for _ in 0..10 {
        assert_eq!(log::max_level(), usual, "a page is awaited");
        assert_eq!(ask(&mut other, "/")?, "HTTP/1.1 200 OK");
    }
    assert_eq!(ask(&mut asking, "/chain")?, "HTTP/1.1 200 OK");
    assert_eq!(log::max_level(), usual, "the page was drawn");
    remote.post(|event_loop| event_loop.close_all())?;
    serving.join().map_err(|_| "it panicked")??;
    Ok(())
}
