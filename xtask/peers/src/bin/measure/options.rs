//! The command line of `measure`.

use std::time::Duration;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: measure CASE [--floor] [--subject NAME='COMMAND']... [--rounds 5] [--secs 3]
                    [--conns N] [--pipeline 16] [--size 64] [--path /] [--server-cpu 0] [--load-cpu 1]
CASE: http      keep-alive, 64 connections
      pipeline  the same with batches of 16 requests
      connect   one request per connection, 64 at a time
      cluster   the same against a server of several processes; its floor has two workers
      echo      64 connections that send 64 bytes and wait for them
      idle      memory of 10000 connections that had one answer
--floor puts this kit's floor before the subjects; ratios are to the first subject.
COMMAND is run by sh, with this kit's binaries in PATH; it prints 127.0.0.1:PORT on standard output when it listens.
The exit code is 1 if anything failed.";

/// More rounds are a mistyped number.
const MAX_ROUNDS: usize = 1000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Http,
    Pipeline,
    Connect,
    Cluster,
    Echo,
    Idle,
}

impl Case {
    const ALL: [(&'static str, Self); 6] = [
        ("http", Self::Http),
        ("pipeline", Self::Pipeline),
        ("connect", Self::Connect),
        ("cluster", Self::Cluster),
        ("echo", Self::Echo),
        ("idle", Self::Idle),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, case)| *case == self).map_or("", |(name, _)| name)
    }

    /// The mode of `load` that this case runs.
    pub(crate) fn load_mode(self) -> &'static str {
        match self {
            Self::Http | Self::Pipeline => "keepalive",
            Self::Connect | Self::Cluster => "connect",
            Self::Echo => "echo",
            Self::Idle => "idle",
        }
    }

    /// The command of this case's floor.
    fn floor(self) -> &'static str {
        match self {
            Self::Http | Self::Pipeline | Self::Connect => "floor http 127.0.0.1:0",
            Self::Cluster => "floor pass 127.0.0.1:0 2",
            Self::Echo => "floor echo 127.0.0.1:0",
            Self::Idle => "floor idle 127.0.0.1:0",
        }
    }
}

/// A server to measure.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) command: String,
}

/// A command line, understood.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) case: Case,
    /// At least one; ratios are to the first.
    pub(crate) subjects: Vec<Subject>,
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    pub(crate) size: usize,
    pub(crate) path: String,
    pub(crate) server_cpu: usize,
    pub(crate) load_cpu: usize,
}

/// Reads the process's arguments.
pub(crate) fn parse() -> Result<Options, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut case, mut floor, mut subjects, mut connections) = (None, false, Vec::new(), None);
    let (mut rounds, mut secs, mut pipeline, mut size) = (5, 3.0, 16, 64);
    let (mut server_cpu, mut load_cpu, mut path) = (0, 1, "/".to_owned());
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if case.is_none() => {
                let known = Case::ALL.iter().find(|(known, _)| **known == *name);
                case = Some(known.ok_or("no such case")?.1);
            }
            Long("floor") => floor = true,
            Long("subject") => subjects.push(parse_subject(&parser.value()?.string()?)?),
            Long("rounds") => rounds = parser.value()?.parse()?,
            Long("secs") => secs = parser.value()?.parse::<f64>()?,
            Long("conns") => connections = Some(parser.value()?.parse::<usize>()?),
            Long("pipeline") => pipeline = parser.value()?.parse()?,
            Long("size") => size = parser.value()?.parse()?,
            Long("path") => path = parser.value()?.string()?,
            Long("server-cpu") => server_cpu = parser.value()?.parse()?,
            Long("load-cpu") => load_cpu = parser.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    let case = case.ok_or("no case")?;
    if floor {
        subjects.insert(0, Subject { name: "floor".to_owned(), command: case.floor().to_owned() });
    }
    if subjects.is_empty() {
        return Err("no subject: give --floor or --subject NAME='COMMAND'".into());
    }
    if !(1..=MAX_ROUNDS).contains(&rounds) {
        return Err(format!("--rounds takes 1 to {MAX_ROUNDS}").into());
    }
    Ok(Options {
        case,
        subjects,
        rounds,
        duration: Duration::try_from_secs_f64(secs).map_err(|error| error.to_string())?,
        connections: connections.unwrap_or(if case == Case::Idle { 10_000 } else { 64 }),
        pipeline: if case == Case::Pipeline { pipeline } else { 1 },
        size,
        path,
        server_cpu,
        load_cpu,
    })
}

fn parse_subject(text: &str) -> Result<Subject, String> {
    match text.split_once('=') {
        Some((name, command)) if !name.is_empty() && !command.is_empty() => {
            Ok(Subject { name: name.to_owned(), command: command.to_owned() })
        }
        _ => Err(format!("--subject {text:?}: want NAME=COMMAND")),
    }
}
