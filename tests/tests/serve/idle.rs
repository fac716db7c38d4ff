//! Thousands of connections that are there and say little.

use crate::client::{ask_again, connect};
use crate::site::{Outcome, in_every_way_to_the_end};
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::process::{self, Command};
use uv_core::Signal;

/// As many as are wanted, if the system lets a process have them.
const CONNECTIONS: usize = 10_000;

/// Descriptors for everything else in this process, other tests included.
const OTHERS: usize = 1_000;

/// Connections between two requests: fewer than a listener lets wait.
const PACE: usize = 100;

/// Every how many connections a connection is used again.
const SAMPLE: usize = 20;

/// How many descriptors this process, and so what it starts, may have: now, and at most.
fn limits() -> Outcome<(usize, usize)> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).ok_or("no such limit")?;
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(usize::MAX));
    numbers.next().zip(numbers.next()).ok_or_else(|| "no numbers".into())
}

/// Raises the limit of this process as far as need be and may be; returns how many connections it has room for.
fn room() -> Outcome<usize> {
    let (soft, hard) = limits()?;
    let wanted = (CONNECTIONS + OTHERS).min(hard);
    if soft < wanted {
        let limit = format!("--nofile={wanted}:{hard}");
        let hard_is_a_number = hard != usize::MAX;
        let limit = if hard_is_a_number { limit } else { format!("--nofile={wanted}:unlimited") };
        let pid = process::id().to_string();
        match Command::new("prlimit").args(["--pid", &pid, &limit]).status() {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                println!("there is no prlimit on this machine: fewer connections");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(limits()?.0.saturating_sub(OTHERS).min(CONNECTIONS))
}

#[test]
fn ten_thousand_idle_connections_are_served_and_closed() -> Outcome {
    let count = room()?;
    in_every_way_to_the_end(|site| {
        let mut clients = Vec::with_capacity(count);
        for number in 1..=count {
            let mut client: TcpStream = connect(site.address)?;
            if number % PACE == 0 {
                ask_again(&mut client)?;
            }
            clients.push(client);
        }
        for client in clients.iter_mut().step_by(SAMPLE) {
            ask_again(client)?;
        }
        site.running.signal(Signal::SIGTERM)?;
        for mut client in clients {
            assert_eq!(client.read(&mut [0])?, 0, "neither a word nor a reset");
        }
        Ok(())
    })
}
