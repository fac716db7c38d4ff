//! What connections cost, over the whole HTTP stack: nothing once they are closed, little while they are idle, and no
//! more than the marks allow while their clients are slow.

mod counting;
mod site;

use counting::{peak, reset_peak};
use site::{Outcome, Site, get_root};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Connections opened, used and closed.
const CONNECTIONS: usize = 10_000;

/// Connections open at once.
const BATCH: usize = 250;

/// Connections that are idle at once, if the limit of descriptors allows.
const IDLE: usize = 1000;

/// Bytes of the server's memory that an idle connection may cost.
const IDLE_COST: isize = 768;

/// What the process may grow by without a connection being the cause: the allocator's own doings.
const SLACK: usize = 2 * 1024 * 1024;

/// What buffers shared by all connections may grow by if more connections than before happen to be served in one turn:
/// less than two bytes for each connection.
const SHARED: isize = 16 * 1024;

/// What a response may hold for a client that does not read: the high-water mark of 64 KiB, the write that exceeded it,
/// and as much again for buffers that grow by doubling.
const HELD: isize = 256 * 1024;

/// Descriptors and memory belong to the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_descriptors() -> Outcome<usize> {
    Ok(fs::read_dir("/proc/self/fd")?.count())
}

/// Bytes of the process that are in memory.
fn resident() -> Outcome<usize> {
    // The second number, in pages; they have 4 KiB or more, and more only makes the test stricter.
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("statm has no second number")?.parse()?;
    Ok(pages * 4096)
}

/// How many of `wanted` connections this process may have open, both ends of each.
fn allowed(wanted: usize) -> Outcome<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line =
        limits.lines().find(|line| line.starts_with("Max open files")).ok_or("no limit of descriptors")?;
    let limit: usize = line.split_whitespace().nth(3).ok_or("no soft limit")?.parse().unwrap_or(usize::MAX);
    Ok(wanted.min(limit.saturating_sub(100) / 2))
}

/// Opens connections, each to the next of several addresses: so none meets its predecessor in TIME_WAIT.
fn open(site: &Site, count: usize, round: usize) -> Outcome<Vec<TcpStream>> {
    (0..count).map(|_| site.connect(round)).collect()
}

fn open_use_and_close(site: &Site, total: usize) -> Outcome {
    let batch = allowed(BATCH)?;
    for round in 0..total.div_ceil(batch) {
        let mut clients = open(site, batch, round)?;
        for client in &mut clients {
            get_root(client)?;
        }
        drop(clients);
        site.wait_until_empty()?;
    }
    Ok(())
}

#[test]
fn closed_connections_leave_nothing_behind() -> Outcome {
    let _alone = alone();
    let site = Site::start()?;
    open_use_and_close(&site, CONNECTIONS / 10)?;
    let before = (open_descriptors()?, site.state()?.live, resident()?);
    open_use_and_close(&site, CONNECTIONS)?;
    let after = (open_descriptors()?, site.state()?.live, resident()?);
    println!("{} bytes in memory became {}", before.2, after.2);
    assert_eq!(after.0, before.0, "descriptors");
    assert!(after.1 <= before.1 + SHARED, "{} bytes allocated by the server became {}", before.1, after.1);
    assert!(after.2 <= before.2 + SLACK, "{} bytes in memory became {}", before.2, after.2);
    site.stop()
}

#[test]
fn an_idle_connection_costs_little() -> Outcome {
    let _alone = alone();
    let site = Site::start()?;
    // Buffers that all connections share are made by the first.
    open_use_and_close(&site, 1)?;
    let before = site.state()?.live;
    let count = allowed(IDLE)?;
    let mut clients = open(&site, count, 0)?;
    for client in &mut clients {
        get_root(client)?;
    }
    let state = site.state()?;
    assert_eq!(state.connections, count);
    let cost = (state.live - before) / count.cast_signed();
    println!("an idle connection costs {cost} bytes");
    assert!(cost > 0, "nothing was counted");
    assert!(cost <= IDLE_COST, "an idle connection costs {cost} bytes");
    drop(clients);
    site.wait_until_empty()?;
    site.stop()
}

#[test]
fn a_slow_reader_does_not_fill_the_servers_memory() -> Outcome {
    let _alone = alone();
    let site = Site::start()?;
    open_use_and_close(&site, 1)?;
    let before = site.state()?.live;
    reset_peak();
    let mut client = site.connect(0)?;
    client.write_all(b"GET /stream/100000 HTTP/1.1\r\nHost: here\r\n\r\n")?;
    let mut buffer = vec![0; 16 * 1024];
    for _ in 0..500 {
        client.read_exact(&mut buffer)?;
        // The server has its turn, and writes as much as it may, before the next bytes are read.
        assert_eq!(site.state()?.connections, 1);
    }
    let held = peak() - before;
    println!("the server held {held} bytes at most");
    assert!(held <= HELD, "the server held {held} bytes");
    drop(client);
    site.wait_until_empty()?;
    site.stop()
}
