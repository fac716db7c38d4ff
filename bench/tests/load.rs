//! `upcall-bench load --driven`, as `bench` uses it: the same clients work again and again.

use serde_json::Value;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

type Outcome = Result<(), Box<dyn Error>>;

const CLIENTS: usize = 3;
const SIZE: usize = 64;

/// A load with the ends of its pipes.
struct Load {
    process: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Load {
    fn start(addr: SocketAddr, more: &[&str]) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_upcall-bench"))
            .args(["load", "echo", "--driven", "--size", &SIZE.to_string(), "--conns", &CLIENTS.to_string()])
            .args(["--addr", &addr.to_string()])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().ok_or("no standard input")?;
        let reports = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        Ok(Self { process, orders, reports })
    }

    fn work(&mut self) -> Result<Value, Box<dyn Error>> {
        writeln!(self.orders, "0.02")?;
        let mut line = String::new();
        self.reports.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// The end of its orders is its end.
    fn end(mut self) -> Outcome {
        drop(self.orders);
        assert!(self.process.wait()?.success());
        Ok(())
    }
}

#[test]
fn datagrams_that_do_not_come_back_or_come_otherwise_are_errors() -> Outcome {
    let server = UdpSocket::bind("127.0.0.1:0")?;
    let addr = server.local_addr()?;
    let answering = thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 2000];
        let (mut lost, mut changed) = (5, 2);
        loop {
            let (length, from) = server.recv_from(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            if lost > 0 {
                lost -= 1;
                continue;
            }
            buffer[length - 1] ^= u8::from(changed > 0);
            changed -= i32::from(changed > 0);
            server.send_to(&buffer[..length], from)?;
        }
    });
    let words = ["load", "datagrams", "--size", "32", "--pipeline", "8", "--ops", "800", "--addr"];
    let output = Command::new(env!("CARGO_BIN_EXE_upcall-bench"))
        .args(words)
        .arg(addr.to_string())
        .stderr(Stdio::null())
        .output()?;
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"", addr)?;
    answering.join().map_err(|_| "the server panicked")??;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["error_kinds"], serde_json::json!({"lost": 5, "body": 2}), "{report}");
    assert_eq!((report["requests"].as_u64(), report["errors"].as_u64()), (Some(793), Some(7)), "{report}");
    Ok(())
}

/// An echo server that tells of every connection it takes.
fn serve() -> Result<(SocketAddr, Receiver<TcpStream>), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let (told, taken) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(mut echo) = stream.try_clone() else { break };
            if told.send(stream).is_err() {
                break;
            }
            thread::spawn(move || {
                let mut message = [0; SIZE];
                while echo.read_exact(&mut message).and_then(|()| echo.write_all(&message)).is_ok() {}
            });
        }
    });
    Ok((addr, taken))
}

fn assert_good(report: &Value) {
    assert_eq!(report["errors"], 0, "{report}");
    assert!(report["requests"].as_u64().is_some_and(|requests| requests >= CLIENTS as u64), "{report}");
}

#[test]
fn connections_last_from_one_work_to_the_next() -> Outcome {
    let (addr, taken) = serve()?;
    let mut load = Load::start(addr, &[])?;
    for _ in 0..3 {
        assert_good(&load.work()?);
    }
    assert_eq!(taken.try_iter().count(), CLIENTS);
    load.end()
}

#[test]
fn connections_that_a_server_ends_in_between_are_opened_anew() -> Outcome {
    let (addr, taken) = serve()?;
    let mut load = Load::start(addr, &[])?;
    assert_good(&load.work()?);
    for stream in taken.try_iter() {
        stream.shutdown(std::net::Shutdown::Both)?;
    }
    assert_good(&load.work()?);
    assert_eq!(taken.try_iter().count(), CLIENTS);
    load.end()
}

#[test]
fn at_a_pace_no_more_begins_than_is_due() -> Outcome {
    let (addr, taken) = serve()?;
    let mut load = Load::start(addr, &["--rate", "500"])?;
    for _ in 0..2 {
        let report = load.work()?;
        assert_eq!(report["errors"], 0, "{report}");
        // In 20 ms, with the round that is due at once.
        assert!(report["requests"].as_u64().is_some_and(|requests| (1..=11).contains(&requests)), "{report}");
    }
    assert!(taken.try_iter().count() <= CLIENTS);
    load.end()
}
