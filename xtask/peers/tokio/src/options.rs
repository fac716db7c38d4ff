//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

/// Operations of a solo benchmark unless `--ops` says otherwise.
const DEFAULT_OPS: u64 = 10_000;

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) bench: String,
    pub(crate) ops: u64,
    pub(crate) path: Option<PathBuf>,
    /// The number of a worker that is to say it; 0 for others.
    pub(crate) worker: u64,
}

impl Options {
    /// Reads the process's arguments.
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let (mut bench, mut ops, mut path, mut worker) = (None, DEFAULT_OPS, None, 0);
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) if bench.is_none() => bench = Some(name.string()?),
                Long("ops") => ops = parser.value()?.parse()?,
                Long("path") => path = Some(parser.value()?.into()),
                Long("worker") => worker = parser.value()?.parse()?,
                // What clients send is their affair: a server takes any size.
                Long("size") => drop(parser.value()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if ops == 0 {
            return Err("--ops: want one operation at least".into());
        }
        Ok(Self { bench: bench.ok_or("usage: peer-tokio BENCH [--ops N] [--path P]")?, ops, path, worker })
    }
}
