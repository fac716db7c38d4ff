//! The command line of `load`.

use crate::sockets::Address;
use clap::{Parser, ValueEnum};
use std::time::Duration;
use upcall::args::number;

/// Larger messages are a mistyped number.
const MAX_SIZE: usize = 64 << 20;

/// More requests in one batch are a mistyped number.
const MAX_PIPELINE: usize = 10_000;

/// What kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Requests on connections that last
    #[value(name = "keepalive")]
    KeepAlive,
    /// A connection for each request
    Connect,
    /// Raw messages
    Echo,
    /// Raw bytes, as many as go
    Pump,
    /// Holds connections until standard input ends
    Idle,
    /// Reads an answer slowly
    Stream,
}

impl Mode {
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

    /// Whether operations can be counted.
    fn is_counted(self) -> bool {
        matches!(self, Self::KeepAlive | Self::Connect | Self::Echo)
    }
}

/// Prints one line of JSON for each load. The exit code is 1 if anything failed.
#[derive(Debug, Parser)]
#[command(name = "load", args_override_self = true)]
pub(crate) struct Options {
    /// What kind of load
    #[arg(value_enum)]
    pub(crate) mode: Mode,
    /// The server: IP:PORT or unix:/path
    #[arg(long)]
    pub(crate) addr: Address,
    /// Connections: at first 64, with --ops 1, of a pump 4, of a stream 1, idle ones 10 000
    #[arg(long = "conns")]
    connections: Option<usize>,
    /// Seconds: at first 3, of a stream 60, with --ops 120 at most
    #[arg(long, value_parser = seconds)]
    secs: Option<Duration>,
    /// Each line of standard input is the seconds of one more load by the same clients
    #[arg(long = "driven")]
    pub(crate) is_driven: bool,
    /// Operations after which the load ends before its time
    #[arg(long = "ops", conflicts_with = "is_driven")]
    pub(crate) operations: Option<u64>,
    /// Requests in one batch
    #[arg(long, default_value_t = 1, value_parser = number(1, MAX_PIPELINE))]
    pub(crate) pipeline: usize,
    /// The target of requests: at first /, of a stream /stream/100000
    #[arg(long)]
    path: Option<String>,
    /// Bytes of a raw message; in `idle`, nothing asks in HTTP
    #[arg(long, value_parser = number(1, MAX_SIZE))]
    pub(crate) size: Option<usize>,
    /// Bytes of a raw answer that is no echo
    #[arg(long, value_parser = number(1, MAX_SIZE))]
    pub(crate) answer: Option<usize>,
    /// Bytes of a request's body, which makes it a POST
    #[arg(long, value_parser = number(1, MAX_SIZE))]
    pub(crate) body: Option<usize>,
    /// A raw connection ends with its first answer
    #[arg(long)]
    pub(crate) once: bool,
    /// Bytes in a second that a stream takes
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rate: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Options {
    /// Refuses what does not go together.
    ///
    /// # Errors
    /// Says what that is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (name, pipeline) = (self.mode.name(), self.pipeline);
        match self.operations {
            Some(_) if !self.mode.is_counted() => Err(format!("{name} takes no --ops")),
            Some(operations) if operations % pipeline as u64 != 0 => {
                Err(format!("--ops takes a multiple of the pipeline, {pipeline}"))
            }
            None if self.is_driven && self.mode == Mode::Idle => {
                Err("--driven works for times that standard input says".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.unwrap_or_else(|| match self.mode {
            _ if self.operations.is_some() => 1,
            Mode::KeepAlive | Mode::Connect | Mode::Echo => 64,
            Mode::Pump => 4,
            Mode::Idle => 10_000,
            Mode::Stream => 1,
        })
    }

    pub(crate) fn duration(&self) -> Duration {
        self.secs.unwrap_or_else(|| {
            Duration::from_secs(match self.mode {
                Mode::Stream => 60,
                _ if self.operations.is_some() => 120,
                _ => 3,
            })
        })
    }

    pub(crate) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(if self.mode == Mode::Stream { "/stream/100000" } else { "/" })
    }
}
