//! A master whose output is not read, and whose servers have much to say.

use crate::site::{Outcome, READY, Site, UPCALL, said};
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use uv_core::Signal;

/// Orders whose records, of master and servers, a pipe does not take.
const ORDERS: usize = 20;

/// How long its end may take. Reached only by a program that hangs.
const DEADLINE: Duration = Duration::from_secs(30);

#[test]
fn a_log_that_is_not_read_stops_neither_a_master_nor_its_end() -> Outcome {
    let site = Site::new()?;
    let (reader, writer) = io::pipe()?;
    // In development what the servers write goes through the master.
    let mut child = Command::new(UPCALL)
        .args(["pomelo", "start"])
        .arg(site.path())
        .env("RUST_LOG", "trace")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let mut output = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        if output.read_until(b'\n', &mut line)? == 0 {
            return Err("it has ended".into());
        }
        if line.starts_with(READY.as_bytes()) {
            break;
        }
    }
    for _ in 0..ORDERS {
        let output = site.ask(&["list"])?;
        assert!(output.status.success(), "{}", said(&output));
    }
    uv_core::process::kill(i32::try_from(child.id())?, Signal::SIGTERM)?;
    let (end, ended) = channel();
    // Fails if the test gave up.
    thread::spawn(move || end.send(child.wait()));
    assert_eq!(ended.recv_timeout(DEADLINE)??.code(), Some(0));
    drop(output);
    site.assert_nothing_is_left()
}
