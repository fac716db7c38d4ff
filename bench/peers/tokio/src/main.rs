//! `peer-tokio BENCH [--ops N] [--turn N] [--path P] [--to IP:PORT] [--conns N]`: tokio and hyper as peers, each as its users would write it for one core.
//!
//! A solo benchmark prints one line of JSON, or one for each turn. A server prints where it listens and serves until SIGTERM, whose default
//! action ends it at once.

#![forbid(unsafe_code)]

mod client;
mod cluster;
mod http;
mod options;
mod solo;
mod streams;
mod version;

use std::io;
use std::process::ExitCode;

use options::Options;
use streams::Service;
use tokio::runtime::{Builder, Runtime};

/// Exit code for what this program cannot do.
const UNABLE: u8 = 2;

/// Threads of the blocking pool: libuv's number, so that both do the same work with the same means.
const BLOCKING_THREADS: usize = 4;

/// Why a benchmark did not run.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong, or tokio has no such thing.
    Unable(String),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn main() -> ExitCode {
    let outcome = Options::parse().map_err(|error| Failure::Unable(error.to_string())).and_then(|o| run(&o));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unable(what)) => {
            eprintln!("peer-tokio: {what}");
            ExitCode::from(UNABLE)
        }
        Err(Failure::Io(error)) => {
            eprintln!("peer-tokio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    if let Some(solo) = solo::find(&options.bench) {
        return Ok(solo.run(options.ops, options.turn)?);
    }
    match options.bench.as_str() {
        "version" => version::print(),
        "tcp/echo-64" | "tcp/echo-16k" | "tcp/connect" | "tcp/idle" => {
            runtime()?.block_on(streams::serve_tcp(Service::Echo))?;
        }
        "tcp/pump" => runtime()?.block_on(streams::serve_tcp(Service::Pump))?,
        "tcp/writes" => runtime()?.block_on(streams::serve_tcp(Service::Writes))?,
        "unix/echo-64" => {
            let path =
                options.path.as_ref().ok_or_else(|| Failure::Unable("unix/echo-64: no --path".into()))?;
            runtime()?.block_on(streams::serve_unix(path, Service::Echo))?;
        }
        "cluster/connect" => runtime()?.block_on(cluster::run_primary(false))?,
        "cluster/evenness" => runtime()?.block_on(cluster::run_primary(true))?,
        cluster::WORKER => runtime()?.block_on(cluster::run_worker(options.worker))?,
        bench if client::BENCHES.contains(&bench) => {
            let to = options.to.ok_or_else(|| Failure::Unable(format!("{bench}: no --to")))?;
            runtime()?.block_on(client::run(options, to))?;
        }
        bench if http::BENCHES.contains(&bench) => runtime()?.block_on(http::serve())?,
        bench => return Err(Failure::Unable(format!("{bench}: neither tokio nor hyper has such a thing"))),
    }
    Ok(())
}

/// One thread, as every subject has; the blocking pool starts its own only when something uses it.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()
}
