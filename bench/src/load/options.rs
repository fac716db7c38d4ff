//! The command line of `load`.

use crate::sockets::Address;
use lexopt::prelude::*;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: load keepalive --addr A [--conns 64] [--secs 3] [--path /] [--pipeline 1] [--body BYTES: POST]
       load connect   --addr A [--conns 64] [--secs 3] [--path /]
       load echo      --addr A [--conns 64] [--secs 3] [--size 64] [--once: connect, ask, close] [--answer BYTES]
       load pump      --addr A [--conns 4] [--secs 3] [--size 65536]
       load idle      --addr A [--conns 10000] [--path / | --size 64]       holds until standard input ends
       load stream    --addr A [--conns 1] [--secs 60] [--path /stream/100000] [--rate 1000000: bytes/s]
A is IP:PORT or unix:/path. All but pump, idle and stream take --ops N: so many operations, and then the end, or
after --secs that are 120 then. All but idle take --driven: each line of standard input is the seconds of one more
load by the same clients. Prints one line of JSON for each load. The exit code is 1 if anything failed.";

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
    Pump,
    Idle,
    Stream,
}

impl Mode {
    const ALL: [Self; 6] = [Self::KeepAlive, Self::Connect, Self::Echo, Self::Pump, Self::Idle, Self::Stream];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keepalive",
            Self::Connect => "connect",
            Self::Echo => "echo",
            Self::Pump => "pump",
            Self::Idle => "idle",
            Self::Stream => "stream",
        }
    }
}

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) addr: Address,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    /// Whether standard input says how often and how long it works.
    pub(crate) is_driven: bool,
    /// Operations after which the load ends before its time.
    pub(crate) operations: Option<u64>,
    pub(crate) pipeline: usize,
    pub(crate) path: String,
    /// Bytes of a raw message; in `idle`, nothing asks in HTTP.
    pub(crate) size: Option<usize>,
    /// Bytes of a raw answer that is no echo.
    pub(crate) answer: Option<usize>,
    /// Bytes of a request's body.
    pub(crate) body: Option<usize>,
    /// Whether a raw connection ends with its first answer.
    pub(crate) once: bool,
    pub(crate) rate: u64,
}

/// Reads the words behind `load`.
pub(crate) fn parse(parser: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut mode, mut addr, mut connections, mut path) = (None, None, None, None);
    let (mut secs, mut pipeline, mut rate, mut once) = (None, 1, 1_000_000, false);
    let (mut size, mut answer, mut body, mut operations) = (None, None, None, None);
    let mut is_driven = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if mode.is_none() => {
                mode = Mode::ALL.into_iter().find(|mode| *mode.name() == *name);
                mode.ok_or("no such mode")?;
            }
            Long("addr") => addr = Some(parser.value()?.string()?.parse::<Address>()?),
            Long("conns") => connections = Some(parser.value()?.parse::<usize>()?),
            Long("secs") => secs = Some(parser.value()?.parse::<f64>()?),
            Long("driven") => is_driven = true,
            Long("ops") => operations = Some(parser.value()?.parse::<u64>()?),
            Long("pipeline") => pipeline = parser.value()?.parse()?,
            Long("path") => path = Some(parser.value()?.string()?),
            Long("size") => size = Some(parse_size(parser)?),
            Long("answer") => answer = Some(parse_size(parser)?),
            Long("body") => body = Some(parse_size(parser)?),
            Long("once") => once = true,
            Long("rate") => rate = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    let mode = mode.ok_or("no mode")?;
    let is_counted = operations.is_some();
    let (default_connections, default_path, default_secs) = match mode {
        Mode::KeepAlive | Mode::Connect | Mode::Echo if is_counted => (1, "/", 120.0),
        Mode::KeepAlive | Mode::Connect | Mode::Echo => (64, "/", 3.0),
        Mode::Pump => (4, "/", 3.0),
        Mode::Idle => (10_000, "/", 3.0),
        Mode::Stream => (1, "/stream/100000", 60.0),
    };
    if !(1..=MAX_PIPELINE).contains(&pipeline) {
        return Err(format!("--pipeline takes 1 to {MAX_PIPELINE}").into());
    }
    if is_counted && !matches!(mode, Mode::KeepAlive | Mode::Connect | Mode::Echo) {
        return Err(format!("{} takes no --ops", mode.name()).into());
    }
    if is_driven && (is_counted || mode == Mode::Idle) {
        return Err("--driven works for times that standard input says".into());
    }
    if operations.is_some_and(|operations| operations % pipeline as u64 != 0) {
        return Err(format!("--ops takes a multiple of the pipeline, {pipeline}").into());
    }
    Ok(Options {
        mode,
        addr: addr.ok_or("no --addr")?,
        connections: connections.unwrap_or(default_connections),
        duration: Duration::try_from_secs_f64(secs.unwrap_or(default_secs))
            .map_err(|error| error.to_string())?,
        is_driven,
        operations,
        pipeline,
        path: path.unwrap_or_else(|| default_path.to_owned()),
        size,
        answer,
        body,
        once,
        rate,
    })
}

fn parse_size(parser: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    let size = parser.value()?.parse::<usize>()?;
    if !(1..=MAX_SIZE).contains(&size) {
        return Err(format!("{size} bytes: want 1 to {MAX_SIZE}").into());
    }
    Ok(size)
}
