//! Crashes, and what does not end by itself.

use crate::site::{Outcome, READY, SERVERS, Site, until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use uv_core::Signal;

/// The process number in a line.
fn process_in(line: &str) -> Outcome<i32> {
    let (_, rest) = line.split_once("process ").ok_or_else(|| format!("no process: {line}"))?;
    Ok(rest.split(|char: char| !char.is_ascii_digit()).next().unwrap_or_default().parse()?)
}

// pomelo: sentence 54
#[test]
fn a_server_that_crashes_is_started_again() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let before = site.list()?;
    uv_core::process::kill(before["connector-server-1"], Signal::SIGKILL)?;
    until(&master, |line| line == "connector-server-1 left")?;
    let line = until(&master, |line| line.starts_with("connector-server-1 ("))?;
    let after = site.list()?;
    assert_eq!(after.len(), before.len());
    assert_eq!(after["connector-server-1"], process_in(&line)?);
    assert_ne!(after["connector-server-1"], before["connector-server-1"]);
    master.end()?;
    site.assert_nothing_is_left()
}

// pomelo: sentences 21, 22 and 61
#[test]
fn servers_outlive_their_master_and_join_the_next_one() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&["--env", "production"])?;
    let before = site.list()?;
    uv_core::process::kill(before["master-server-1"], Signal::SIGKILL)?;
    assert_eq!(master.wait()?, None, "a signal ended it");
    for id in SERVERS {
        assert!(uv_core::process::kill(before[id], 0).is_ok(), "{id} has ended");
    }
    let answer = site.get(3010)?;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let next = site.start(&["--env", "production", "--type", "master"])?;
    for _ in SERVERS {
        until(&next, |line| line.contains(" is here"))?;
    }
    let after = site.list()?;
    for id in SERVERS {
        assert_eq!(before[id], after[id], "{id} was not started anew");
    }
    next.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn a_server_that_does_not_come_at_first_is_counted_when_it_has() -> Outcome {
    let site = Site::new()?;
    let taken = TcpListener::bind((&*site.host, site.port(6050)))?;
    let master = site.start(&[])?;
    until(&master, |line| line.starts_with("[3/4] "))?;
    // Tried in vain, and again.
    for _ in 0..2 {
        while !master.error_line()?.contains("server \"chat-server-1\": Port occupied already") {}
    }
    drop(taken);
    until(&master, |line| line.starts_with("[4/4] chat-server-1 "))?;
    until(&master, |line| line.starts_with(READY))?;
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn one_that_leaves_before_all_are_up_is_waited_for_again() -> Outcome {
    let site = Site::new()?;
    let taken = TcpListener::bind((&*site.host, site.port(6050)))?;
    let master = site.start(&[])?;
    until(&master, |line| line.starts_with("[3/4] "))?;
    uv_core::process::kill(site.list()?["connector-server-1"], Signal::SIGKILL)?;
    until(&master, |line| line == "connector-server-1 left")?;
    until(&master, |line| line.starts_with("[3/4] connector-server-1 "))?;
    drop(taken);
    until(&master, |line| line.starts_with("[4/4] chat-server-1 "))?;
    until(&master, |line| line.starts_with(READY))?;
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn in_development_servers_end_with_their_master() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    uv_core::process::kill(site.list()?["master-server-1"], Signal::SIGKILL)?;
    assert_eq!(master.wait()?, None, "a signal ended it");
    site.assert_nothing_is_left()
}

#[test]
fn a_component_that_never_finishes_its_stop_is_named() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let mut client = TcpStream::connect((&*site.host, site.port(3010)))?;
    // The beginning of a second request: once the first is answered the server waits for its rest.
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")?;
    client.read_exact(&mut [0; 1])?;
    assert!(site.ask(&["stop", "connector-server-1"])?.status.success());
    let line = master.error_line()?;
    let named = "\"connector-server-1\": component \"front\" did not finish its stop within 3s";
    assert!(line.contains(named), "{line}");
    until(&master, |line| line == "connector-server-1 left")?;
    assert_eq!(site.list()?.len(), SERVERS.len());
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn a_server_that_hangs_does_not_hold_up_the_end() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let pids = site.list()?;
    uv_core::process::kill(pids["chat-server-1"], Signal::SIGSTOP)?;
    uv_core::process::kill(pids["master-server-1"], Signal::SIGTERM)?;
    let line = master.error_line()?;
    assert_eq!(
        line,
        format!("chat-server-1 (process {}) did not end in time: killed", pids["chat-server-1"])
    );
    assert_eq!(master.wait()?, Some(0));
    site.assert_nothing_is_left()
}

#[test]
fn a_second_signal_ends_a_master_and_its_servers_at_once() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let pids = site.list()?;
    // It would be waited for.
    uv_core::process::kill(pids["chat-server-1"], Signal::SIGSTOP)?;
    uv_core::process::kill(pids["master-server-1"], Signal::SIGTERM)?;
    until(&master, |line| line.starts_with("stopping "))?;
    uv_core::process::kill(pids["master-server-1"], Signal::SIGTERM)?;
    let line = master.error_line()?;
    assert!(line.starts_with("ended at once: "), "{line}");
    assert_eq!(master.wait()?, Some(1));
    site.assert_nothing_is_left()
}

#[test]
fn a_second_signal_ends_a_server_at_once() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&["--env", "production"])?;
    let pid = site.list()?["connector-server-1"];
    let mut client = TcpStream::connect((&*site.host, site.port(3010)))?;
    // The beginning of a second request: once the first is answered the server waits for its rest.
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")?;
    client.read_exact(&mut [0; 1])?;
    uv_core::process::kill(pid, Signal::SIGTERM)?;
    // It has seen the first signal when it does not listen any more.
    while TcpStream::connect((&*site.host, site.port(3010))).is_ok() {
        std::thread::yield_now();
    }
    uv_core::process::kill(pid, Signal::SIGTERM)?;
    until(&master, |line| line == "connector-server-1 left")?;
    // Otherwise the server would say that its stop took too long.
    let errors = master.errors();
    assert!(!errors.contains("did not finish its stop"), "{errors}");
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn a_stop_while_servers_start_leaves_none_of_them() -> Outcome {
    for env in ["development", "production"] {
        let site = Site::new()?;
        let master = site.start(&["--env", env])?;
        // The first of them is here, the others are on their way.
        until(&master, |line| line.contains(" is here"))?;
        master.end()?;
        site.assert_nothing_is_left()?;
    }
    Ok(())
}
