//! The start of an application of many servers, beside Node's pomelo with the same configuration: what it costs, how long
//! it takes, and what memory a server has then.
//!
//! Both read the same files and both are waited for until the last server has said that it started. Neither is bound to
//! a core: starting many processes is what the cores of a machine are for.

use super::catalogue::{Entry, Work};
use super::child::{Child, Launcher, Trouble};
use super::interrupt::send_signal;
use super::options::Options;
use super::progress::counted;
use super::results::{Bench, Figure, Latency, LeftOut, Role, Subject};
use super::rig::Rig;
use super::table::FAILED;
use super::{proc, stats};
use rustix::process::Signal;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use upcall::pomelo::{READY, npm};
use upcall::say;

/// Servers beside the master.
const SERVERS: usize = 20;

/// Rounds, if nothing is said; one where time is short.
const ROUNDS: usize = 3;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

const OURS: &str = "pomelo";
const NODE: &str = "node";

/// The program that is Node's side: its application in as many lines as it takes.
const NODE_APP: &str =
    "const app = require('pomelo').createApp();\napp.set('name', 'bench');\napp.start();\n";
const NODE_LIFECYCLE: &str = "exports.afterStartAll = () => console.log('ready: all');\n";

/// What one start has shown.
struct Start {
    cpu_ns: f64,
    wall: Duration,
    /// Bytes for each server.
    memory: f64,
}

struct Row {
    name: &'static str,
    role: Role,
    starts: Vec<Start>,
    /// Why it is not asked, or not again.
    trouble: Option<String>,
}

/// Measures both, in turn. Returns the benchmarks of `entries`, and what has failed of ours.
pub(crate) fn measure(
    entries: &[&'static Entry],
    options: &Options,
    Rig { launcher, scratch, .. }: &Rig,
) -> Result<(Vec<Bench>, Vec<String>), Trouble> {
    let folder = scratch.join("pomelo");
    let project = Project::write(&folder).map_err(|error| Trouble::Failed(error.to_string()))?;
    let row = |name, role| Row { name, role, starts: Vec::new(), trouble: None };
    let mut rows: Vec<Row> = [row(OURS, Role::Ours), row(NODE, Role::Peer)].into();
    rows.retain(|row| options.wants(row.name));
    if rows.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let rounds = options.rounds.unwrap_or(if options.quick { 1 } else { ROUNDS });
    say::err(format_args!("a master and {SERVERS} servers, started {}", counted(rounds, "time")));
    for _ in 0..rounds {
        for row in rows.iter_mut().filter(|row| row.trouble.is_none()) {
            match project.start(row.name, launcher) {
                Ok(start) => row.starts.push(start),
                Err(Trouble::Interrupted) => return Err(Trouble::Interrupted),
                Err(Trouble::Cannot(reason)) => row.trouble = Some(reason),
                Err(Trouble::Failed(reason)) => row.trouble = Some(format!("{FAILED}{reason}")),
            }
        }
    }
    let ours = rows.iter().filter(|row| row.role == Role::Ours);
    let failures = ours.filter_map(|row| Some(format!("pomelo/start: {}", row.trouble.as_ref()?))).collect();
    Ok((entries.iter().map(|entry| bench(entry, &rows)).collect(), failures))
}

fn bench(entry: &Entry, rows: &[Row]) -> Bench {
    let is_start = entry.work == Work::FleetStart;
    let subject = |row: &Row| {
        let cost = |start: &Start| if is_start { start.cpu_ns } else { start.memory };
        Some(Subject {
            name: row.name.to_owned(),
            role: row.role,
            cost: Figure::of(row.starts.iter().map(cost).collect())?,
            latency: if is_start { latency(&row.starts) } else { None },
            ..Subject::default()
        })
    };
    let left_out = |row: &Row| Some(LeftOut { name: row.name.to_owned(), reason: row.trouble.clone()? });
    Bench {
        subjects: rows.iter().filter_map(subject).collect(),
        left_out: rows.iter().filter_map(left_out).collect(),
        ..entry.bench()
    }
}

fn latency(starts: &[Start]) -> Option<Latency> {
    let once = |start: &Start| (u64::try_from(start.wall.as_nanos()).unwrap_or(u64::MAX), 1);
    let walls: Vec<_> = starts.iter().map(once).collect();
    stats::latency([&walls[..]])
}

struct Project {
    folder: PathBuf,
}

impl Project {
    fn write(folder: &Path) -> std::io::Result<Self> {
        let ports = free_ports(SERVERS + 1)?;
        let here = "127.0.0.1";
        let master = json!({ "id": "master-server-1", "host": here, "port": ports[0] });
        let server =
            |(index, port)| json!({ "id": format!("chat-server-{index}"), "host": here, "port": port });
        let servers: Vec<_> = ports[1..].iter().enumerate().map(server).collect();
        for (name, text) in [
            ("config/master.json", json!({ "development": master }).to_string()),
            ("config/servers.json", json!({ "development": { "chat": servers } }).to_string()),
            ("app.js", NODE_APP.to_owned()),
            ("app/servers/master/lifecycle.js", NODE_LIFECYCLE.to_owned()),
        ] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, text)?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    fn start(&self, name: &str, launcher: &Launcher) -> Result<Start, Trouble> {
        let command = if name == NODE { self.node()? } else { self.ours(launcher) };
        let began = Instant::now();
        let mut master = launcher.start(None, &command)?;
        while !master.line(PATIENCE.saturating_sub(began.elapsed()))?.starts_with(READY) {}
        let wall = began.elapsed();
        let start = look(master.pid(), wall).map_err(|error| Trouble::Failed(error.to_string()))?;
        end(&mut master, name);
        Ok(start)
    }

    fn ours(&self, launcher: &Launcher) -> Vec<OsString> {
        vec![launcher.program.clone().into(), "pomelo".into(), "start".into(), self.folder.clone().into()]
    }

    /// Where Node's pomelo is, is told to Node by a variable.
    fn node(&self) -> Result<Vec<OsString>, Trouble> {
        let modules = npm::pomelo().map_err(Trouble::Cannot)?;
        let mut path = OsString::from("NODE_PATH=");
        path.push(modules);
        let app = self.folder.join("app.js");
        Ok(vec!["env".into(), path, "NODE_NO_WARNINGS=1".into(), "node".into(), app.into()])
    }
}

/// Reads what a start has cost, and what the servers have.
fn look(master: u32, wall: Duration) -> std::io::Result<Start> {
    let times = proc::cpu_times(master)?;
    let cpu_ns = times.values().sum::<u64>() as f64;
    let servers: Vec<u32> = times.keys().map(|process| process.pid).filter(|pid| *pid != master).collect();
    if servers.len() != SERVERS {
        return Err(std::io::Error::other(format!("{} servers are there, not {SERVERS}", servers.len())));
    }
    let mut memory = 0;
    for pid in servers {
        memory += proc::resident(pid)?;
    }
    Ok(Start { cpu_ns, wall, memory: memory as f64 / SERVERS as f64 })
}

/// Ends all. Node's master leaves its servers behind.
fn end(master: &mut Child, name: &str) {
    if name == NODE {
        for process in proc::tree(master.pid()).unwrap_or_default() {
            send_signal(process.pid, Signal::TERM);
        }
    }
    master.stop();
}

fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::ALL;

    #[test]
    fn the_figures_of_both_stand_side_by_side() {
        let start = |seconds: u64| Start {
            cpu_ns: seconds as f64 * 1e9,
            wall: Duration::from_secs(seconds),
            memory: seconds as f64 * 1e6,
        };
        let ours =
            Row { name: OURS, role: Role::Ours, starts: vec![start(1), start(3), start(2)], trouble: None };
        let node = Row { name: NODE, role: Role::Peer, starts: Vec::new(), trouble: Some("no npm".into()) };
        let rows = [ours, node];
        let of = |work| ALL.iter().find(|entry| entry.work == work).expect("a benchmark");
        let (time, memory) = (bench(of(Work::FleetStart), &rows), bench(of(Work::FleetMemory), &rows));
        assert_eq!((time.subjects[0].cost.median, memory.subjects[0].cost.median), (2e9, 2e6));
        let latency = time.subjects[0].latency.as_ref().expect("starts were timed");
        assert_eq!((latency.p50_us / 1e6).round(), 2.0);
        assert_eq!((&*time.left_out[0].name, &*time.left_out[0].reason), ("node", "no npm"));
    }
}
