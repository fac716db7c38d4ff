//! The start of an application of many servers, beside Node's pomelo with the same configuration: what it costs, how long
//! it takes, and what memory a server has then.
//!
//! Both read the same files and both are waited for until the last server has said that it started. Neither is bound to
//! a core: starting many processes is what the cores of a machine are for.

use super::catalogue::Work;
use super::child::Trouble;
use super::clients::failed;
use super::interrupt::send_signal;
use super::proc;
use super::rig::Rig;
use super::round::Sample;
use rustix::process::Signal;
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use upcall::pomelo::{READY, npm};

/// Servers beside the master.
const SERVERS: usize = 20;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program that is Node's side: its application in as many lines as it takes.
const NODE_APP: &str =
    "const app = require('pomelo').createApp();\napp.set('name', 'bench');\napp.start();\n";
const NODE_LIFECYCLE: &str = "exports.afterStartAll = () => console.log('ready: all');\n";

/// Where the project of a run is.
pub(crate) fn folder(rig: &Rig) -> PathBuf {
    rig.scratch.join("pomelo")
}

/// The command of Node's master, or the reason why there is none. Where its pomelo is, Node is told by a variable.
pub(crate) fn node(rig: &Rig) -> Result<Vec<OsString>, String> {
    let mut path = OsString::from("NODE_PATH=");
    path.push(npm::pomelo()?);
    let app = folder(rig).join("app.js");
    Ok(vec!["env".into(), path, "NODE_NO_WARNINGS=1".into(), "node".into(), app.into()])
}

/// Starts the application whose master `command` is, once, and ends it.
pub(crate) fn run(rig: &Rig, command: &[OsString], work: Work) -> Result<Sample, Trouble> {
    write_project(&folder(rig)).map_err(failed)?;
    let began = Instant::now();
    let mut master = rig.launcher.start(None, command)?;
    while !master.line(PATIENCE.saturating_sub(began.elapsed()))?.starts_with(READY) {}
    let wall = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let sample = match work {
        Work::FleetStart => {
            let times = proc::cpu_times(master.pid()).map_err(failed)?;
            Sample {
                costs: vec![times.values().sum::<u64>() as f64],
                histogram: vec![(wall, 1)],
                ..Sample::default()
            }
        }
        _ => Sample { costs: vec![memory(master.pid()).map_err(failed)?], ..Sample::default() },
    };
    // Node's master leaves its servers behind.
    for process in proc::tree(master.pid()).unwrap_or_default() {
        send_signal(process.pid, Signal::TERM);
    }
    master.stop();
    Ok(sample)
}

/// Bytes for each server.
fn memory(master: u32) -> io::Result<f64> {
    let servers: Vec<_> = proc::tree(master)?.into_iter().filter(|process| process.pid != master).collect();
    if servers.len() != SERVERS {
        return Err(io::Error::other(format!("{} servers are there, not {SERVERS}", servers.len())));
    }
    let memory = servers.iter().map(|server| proc::resident(server.pid)).sum::<io::Result<u64>>()?;
    Ok(memory as f64 / SERVERS as f64)
}

/// Writes the configuration, with ports that are free now, and Node's application.
fn write_project(folder: &Path) -> io::Result<()> {
    let ports = free_ports(SERVERS + 1)?;
    let here = "127.0.0.1";
    let master = json!({ "id": "master-server-1", "host": here, "port": ports[0] });
    let server = |(index, port)| json!({ "id": format!("chat-server-{index}"), "host": here, "port": port });
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
    Ok(())
}

fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
