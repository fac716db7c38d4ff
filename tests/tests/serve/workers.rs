//! Workers that are killed or stand still, and what a service of several processes owes to its clients then.

use crate::client::{Halfway, ask, ask_again, connect};
use crate::site::{Outcome, Site, WAYS};
use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tests::running::DEADLINE;
use uv_core::Signal;
use uv_core::process::kill;

/// Half of what a worker grants to requests that go on.
const AT_ONCE: Duration = Duration::from_secs(5);

const CLOSE: &str = "Connection: close\r\n";

/// Longer than most answers take. The next request does not wait for a slower answer.
const SELDOM: Duration = Duration::from_millis(500);

fn with_workers() -> impl Iterator<Item = &'static [&'static str]> {
    WAYS.iter().copied().filter(|way| way[1] != "0")
}

/// The process ids of the site's workers.
fn workers(site: &Site) -> Outcome<BTreeSet<i32>> {
    let pid = site.running.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// The sockets that a worker has, each of which has its own name.
fn sockets(worker: i32) -> Outcome<BTreeSet<PathBuf>> {
    let open = fs::read_dir(format!("/proc/{worker}/fd"))?.flatten();
    let links = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    Ok(links.filter(|link| link.to_string_lossy().starts_with("socket:")).collect())
}

/// A connection that is kept alive and has an answer already, and whether it came from `worker`.
fn client(address: SocketAddr, worker: i32) -> Outcome<(TcpStream, bool)> {
    let before = sockets(worker)?;
    let mut client = connect(address)?;
    ask_again(&mut client)?;
    Ok((client, !sockets(worker)?.is_subset(&before)))
}

/// Whether the server's end of `client` is the worker's. The kernel's table of sockets may be long, so this is slow.
fn is_served_by(client: &TcpStream, worker: i32) -> Outcome<bool> {
    let (server, client) = (client.peer_addr()?.port(), client.local_addr()?.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let port = |column: Option<&str>| u16::from_str_radix(column?.split_once(':')?.1, 16).ok();
    let inode = table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace().skip(1);
        let is_it = port(columns.next()) == Some(server) && port(columns.next()) == Some(client);
        columns.nth(6).filter(|_| is_it)
    });
    let name = format!("socket:[{}]", inode.ok_or("no such connection")?);
    Ok(sockets(worker)?.contains(Path::new(&name)))
}

/// A client of `worker`, once that takes any.
fn client_of(worker: i32, all: &BTreeSet<i32>, way: &[&str], address: SocketAddr) -> Outcome<TcpStream> {
    let until = Instant::now() + DEADLINE;
    // A worker on a shared socket surely gets the connection if the other workers cannot accept; otherwise
    // they take turns.
    let others: Vec<i32> = all.iter().copied().filter(|other| *other != worker).collect();
    let others = if way.contains(&"shared") { others } else { Vec::new() };
    for other in &others {
        kill(*other, Signal::SIGSTOP)?;
    }
    let client = loop {
        let (client, is_its) = client(address, worker)?;
        // A worker that is about to start has new sockets of other kinds too.
        if is_its && is_served_by(&client, worker)? {
            break client;
        }
        if Instant::now() > until {
            return Err(format!("process {worker} gets no connections").into());
        }
    };
    for other in &others {
        kill(*other, Signal::SIGCONT)?;
    }
    Ok(client)
}

fn kills_one(way: &[&str]) -> Outcome {
    let site = Site::start(way)?;
    let pids = workers(&site)?;
    let [killed, other] = pids.iter().copied().collect::<Vec<_>>()[..] else { return Err("not two".into()) };
    let client_of_one = |of: i32| client_of(of, &pids, way, site.address);
    let mut lost = [client_of_one(killed)?, client_of_one(killed)?];
    let mut kept = [client_of_one(other)?, client_of_one(other)?];
    let lost_halfway = Halfway::begin_on(client_of_one(killed)?, CLOSE)?;
    let kept_halfway = Halfway::begin_on(client_of_one(other)?, CLOSE)?;
    kill(killed, Signal::SIGKILL)?;
    for _ in 0..20 {
        assert_eq!(ask(site.address, "GET / HTTP/1.1\r\n", b"")?.status, 200);
    }
    assert!(kept.iter_mut().all(|client| ask_again(client).is_ok()));
    assert!(lost.iter_mut().all(|client| ask_again(client).is_err()));
    assert_eq!(kept_halfway.finish()?.text()?, "first2nd");
    assert!(!lost_halfway.finish().is_ok_and(|answer| answer.body == b"first2nd"));

    let until = Instant::now() + DEADLINE;
    let (successor, pids) = loop {
        let now = workers(&site)?;
        if let Some(successor) = now.difference(&pids).next() {
            break (*successor, now.clone());
        }
        assert!(Instant::now() < until, "there is no successor");
        thread::yield_now();
    };
    let _first = client_of(successor, &pids, way, site.address)?;
    if way.contains(&"round-robin") {
        let clients: Outcome<Vec<_>> = (0..10).map(|_| client(site.address, successor)).collect();
        let turns: Vec<bool> = clients?.iter().map(|(_, is_its)| *is_its).collect();
        assert!(turns.windows(2).all(|two| two[0] != two[1]), "{turns:?}");
    }
    site.running.signal(Signal::SIGTERM)?;
    let said = site.ends_well()?;
    assert!(said.starts_with(&format!("worker 1 (process {killed}) ended")), "{said}");
    Ok(())
}

#[test]
fn a_killed_worker_takes_only_its_own_requests_along_and_has_a_successor() -> Outcome {
    for way in with_workers() {
        kills_one(way).map_err(|error| format!("serve {}: {error}", way.join(" ")))?;
    }
    Ok(())
}

#[test]
fn a_worker_that_is_told_twice_to_end_does_not_wait_for_its_requests() -> Outcome {
    for way in with_workers() {
        let site = Site::start(way)?;
        let pids = workers(&site)?;
        let told = *pids.first().ok_or("no worker")?;
        let _halfway = Halfway::begin_on(client_of(told, &pids, way, site.address)?, "")?;
        let begin = Instant::now();
        // Two that come close together may be one.
        while workers(&site)?.contains(&told) {
            // It fails only if the worker has just ended.
            let _ = kill(told, Signal::SIGTERM);
            thread::yield_now();
            assert!(begin.elapsed() < AT_ONCE, "serve {}: it goes on", way.join(" "));
        }
        site.running.signal(Signal::SIGTERM)?;
        site.ends_well()?;
    }
    Ok(())
}

/// Asks so many times, one after the other, on connections of their own; slow answers are not waited
/// for. Returns how many came.
fn answers(address: SocketAddr, count: usize) -> usize {
    let (answer, answers) = mpsc::channel();
    let mut answered = 0;
    for _ in 0..count {
        let answer = answer.clone();
        // A thread that waits for an answer in vain ends with the server.
        thread::spawn(move || {
            if ask(address, "GET / HTTP/1.1\r\n", b"").is_ok_and(|answer| answer.status == 200) {
                // The receiver is dropped if the test is over.
                let _ = answer.send(());
            }
        });
        answered += usize::from(answers.recv_timeout(SELDOM).is_ok());
    }
    let until = Instant::now() + DEADLINE;
    // One may have been on its way to the worker when that stopped.
    while answered + 1 < count
        && answers.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    {
        answered += 1;
    }
    answered
}

fn stops_one(way: &[&str]) -> Result<(), String> {
    let outcome = || -> Outcome {
        let site = Site::start(way)?;
        let pids = workers(&site)?;
        for worker in &pids {
            // So that it is there for sure, and not only one of them.
            drop(client_of(*worker, &pids, way, site.address)?);
        }
        let stopped = *pids.first().ok_or("no worker")?;
        kill(stopped, Signal::SIGSTOP)?;
        let answered = answers(site.address, 40);
        assert!(answered >= 39, "only {answered} of 40 were answered");
        site.running.signal(Signal::SIGTERM)?;
        let said = site.ends_well()?;
        assert!(said.contains(&format!("(process {stopped}) did not end in time")), "{said}");
        Ok(())
    };
    outcome().map_err(|error| format!("serve {}: {error}", way.join(" ")))
}

#[test]
fn a_worker_that_stands_still_stops_neither_the_service_nor_its_end() -> Outcome {
    // All at once: each takes as long as the server grants to requests that go on.
    let sites: Vec<_> = with_workers().map(|way| thread::spawn(move || stops_one(way))).collect();
    for site in sites {
        site.join().map_err(|_| "see above")??;
    }
    Ok(())
}
