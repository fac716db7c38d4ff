//! Output that is not read: neither what it says nor its log holds a server up.

use crate::client::{Halfway, ask};
use crate::site::{Outcome, WAYS, command};
use std::io::{BufRead, BufReader, PipeReader};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tests::running::{DEADLINE, Running};
use uv_core::Signal;

/// Connections whose records are more than a pipe and the queues of three processes before it take: each is told in some
/// 10 kB.
const CONNECTIONS: usize = 600;

/// Half of what the server grants to requests that go on: a second signal must be faster.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A server that tells everything in a pipe that is not read any more once it has said where it listens.
struct Talker {
    running: Running,
    output: BufReader<PipeReader>,
    address: SocketAddr,
}

impl Talker {
    fn start(way: &[&str]) -> Outcome<Self> {
        let mut command = command(&["serve", "--addr", "127.0.0.1:0"])?;
        let (running, mut output) = Running::start_unread(command.args(way).env("RUST_LOG", "trace"))?;
        let address = loop {
            let line = next_line(&mut output)?;
            if let Some(url) = line.strip_prefix("listening on http://") {
                break url.split(' ').next().unwrap_or_default().parse()?;
            }
        };
        Ok(Self { running, output, address })
    }

    /// Has it say more than it can.
    fn talks_too_much(&self) -> Outcome {
        for _ in 0..CONNECTIONS {
            assert_eq!(ask(self.address, "GET / HTTP/1.1\r\n", b"")?.status, 200);
        }
        Ok(())
    }
}

fn next_line(output: &mut BufReader<PipeReader>) -> Outcome<String> {
    let mut line = Vec::new();
    if output.read_until(b'\n', &mut line)? == 0 {
        return Err("it has ended".into());
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn in_every_way(check: impl Fn(Talker) -> Outcome) -> Outcome {
    for way in WAYS {
        Talker::start(way).and_then(&check).map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
    }
    Ok(())
}

#[test]
fn a_log_that_is_not_read_stops_neither_the_service_nor_its_end() -> Outcome {
    in_every_way(|talker| {
        talker.talks_too_much()?;
        talker.running.signal(Signal::SIGTERM)?;
        let ended = talker.running.wait()?;
        assert!(ended.status.success(), "{}", ended.status);
        Ok(())
    })
}

#[test]
fn a_second_signal_ends_at_once_a_server_whose_log_is_not_read() -> Outcome {
    in_every_way(|talker| {
        talker.talks_too_much()?;
        let _halfway = Halfway::begin(talker.address)?;
        talker.running.signal(Signal::SIGTERM)?;
        // It has seen the first one when it does not listen any more.
        let until = Instant::now() + DEADLINE;
        while TcpStream::connect(talker.address).is_ok() {
            assert!(Instant::now() < until, "it still listens");
        }
        let second = Instant::now();
        talker.running.signal(Signal::SIGTERM)?;
        talker.running.wait()?;
        assert!(second.elapsed() < AT_ONCE, "it took {:?}", second.elapsed());
        Ok(())
    })
}

#[test]
fn lines_that_were_dropped_are_counted_and_said_when_the_log_is_read_again() -> Outcome {
    in_every_way(|talker| {
        talker.talks_too_much()?;
        let (found, said) = mpsc::channel();
        let mut output = talker.output;
        thread::spawn(move || {
            while let Ok(line) = next_line(&mut output) {
                if line.contains(" dropped: ") {
                    // The receiver is dropped after the first line.
                    let _ = found.send(line);
                }
            }
        });
        let said = said.recv_timeout(DEADLINE)?;
        let count = said.trim_start_matches('[').split(' ').next().unwrap_or_default();
        assert!(count.parse::<u64>()? > 0, "{said}");
        Ok(())
    })
}
