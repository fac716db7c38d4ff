//! The command line of `load`.

use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: load keepalive --addr A [--conns 64] [--secs 3] [--path /] [--pipeline 1]
       load connect   --addr A [--conns 64] [--secs 3] [--path /]
       load echo      --addr A [--conns 64] [--secs 3] [--size 64]
       load idle      --addr A [--conns 10000] [--path /]       holds until standard input ends
       load stream    --addr A [--conns 1] [--secs 60] [--path /stream/100000] [--rate 1000000]   bytes/s
Prints one line of JSON. The exit code is 1 if anything failed.";

/// Larger messages are a mistyped number.
const MAX_SIZE: usize = 64 << 20;

/// More requests in one batch are a mistyped number.
const MAX_PIPELINE: usize = 10_000;

/// What kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    KeepAlive,
    Connect,
    Echo,
    Idle,
    Stream,
}

impl Mode {
    const ALL: [Self; 5] = [Self::KeepAlive, Self::Connect, Self::Echo, Self::Idle, Self::Stream];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keepalive",
            Self::Connect => "connect",
            Self::Echo => "echo",
            Self::Idle => "idle",
            Self::Stream => "stream",
        }
    }
}

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) addr: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) pipeline: usize,
    pub(crate) path: String,
    pub(crate) size: usize,
    pub(crate) rate: u64,
}

/// Reads the process's arguments.
pub(crate) fn parse() -> Result<Options, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut mode, mut addr, mut connections, mut path) = (None, None, None, None);
    let (mut secs, mut pipeline, mut size, mut rate) = (None, 1, 64, 1_000_000);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if mode.is_none() => {
                mode = Mode::ALL.into_iter().find(|mode| *mode.name() == *name);
                mode.ok_or("no such mode")?;
            }
            Long("addr") => addr = Some(parser.value()?.parse()?),
            Long("conns") => connections = Some(parser.value()?.parse::<usize>()?),
            Long("secs") => secs = Some(parser.value()?.parse::<f64>()?),
            Long("pipeline") => pipeline = parser.value()?.parse()?,
            Long("path") => path = Some(parser.value()?.string()?),
            Long("size") => size = parser.value()?.parse()?,
            Long("rate") => rate = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    let mode = mode.ok_or("no mode")?;
    let (default_connections, default_path, default_secs) = match mode {
        Mode::KeepAlive | Mode::Connect | Mode::Echo => (64, "/", 3.0),
        Mode::Idle => (10_000, "/", 3.0),
        Mode::Stream => (1, "/stream/100000", 60.0),
    };
    if !(1..=MAX_PIPELINE).contains(&pipeline) || !(1..=MAX_SIZE).contains(&size) {
        return Err(format!("--pipeline takes 1 to {MAX_PIPELINE}, --size 1 to {MAX_SIZE}").into());
    }
    Ok(Options {
        mode,
        addr: addr.ok_or("no --addr")?,
        connections: connections.unwrap_or(default_connections),
        duration: Duration::try_from_secs_f64(secs.unwrap_or(default_secs))
            .map_err(|error| error.to_string())?,
        pipeline,
        path: path.unwrap_or_else(|| default_path.to_owned()),
        size,
        rate,
    })
}
