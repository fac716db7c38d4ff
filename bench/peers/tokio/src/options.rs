//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use lexopt::prelude::*;

/// Operations of a solo benchmark unless `--ops` says otherwise.
const DEFAULT_OPS: u64 = 10_000;

/// Connections of a client unless `--conns` says otherwise.
const DEFAULT_CONNECTIONS: u64 = 64;

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) bench: String,
    pub(crate) ops: u64,
    /// How many of them are done without being told to go on.
    pub(crate) turn: Option<NonZeroU64>,
    pub(crate) path: Option<PathBuf>,
    /// Whom a client asks, and on how many connections at once.
    pub(crate) to: Option<SocketAddr>,
    pub(crate) connections: u64,
    /// The number of a worker that is to say it; 0 for others.
    pub(crate) worker: u64,
}

impl Options {
    /// Reads the process's arguments.
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let (mut bench, mut ops, mut turn, mut path, mut worker) = (None, DEFAULT_OPS, None, None, 0);
        let (mut to, mut connections) = (None, DEFAULT_CONNECTIONS);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) if bench.is_none() => bench = Some(name.string()?),
                Long("ops") => ops = parser.value()?.parse()?,
                Long("turn") => turn = Some(parser.value()?.parse()?),
                Long("path") => path = Some(parser.value()?.into()),
                Long("to") => to = Some(parser.value()?.parse()?),
                Long("conns") => connections = parser.value()?.parse()?,
                Long("worker") => worker = parser.value()?.parse()?,
                // What clients send is their affair: a server takes any size.
                Long("size") => drop(parser.value()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if ops == 0 {
            return Err("--ops: want one operation at least".into());
        }
        let usage = "usage: peer-tokio BENCH [--ops N] [--turn N] [--path P] [--to IP:PORT] [--conns N]";
        Ok(Self { bench: bench.ok_or(usage)?, ops, turn, path, to, connections, worker })
    }
}
