//! The command line of `load`.

use crate::sockets::Address;
use clap::{Parser, ValueEnum};
use std::ops::RangeInclusive;
use std::time::Duration;
use upcall::args::number;

/// Larger messages are a mistyped number.
const MAX_SIZE: usize = 64 << 20;

/// More requests in one batch are a mistyped number.
const MAX_PIPELINE: usize = 10_000;

/// A datagram has its number in it.
pub(crate) const LEAST_DATAGRAM: usize = size_of::<u64>();

const DATAGRAM_SIZES: RangeInclusive<usize> = LEAST_DATAGRAM..=65_507;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Requests on connections that last
    #[value(name = "keepalive")]
    KeepAlive,
    /// A connection for each request
    Connect,
    /// Raw messages
    Echo,
    /// Datagrams that come back
    Datagrams,
    /// Raw bytes, as many as the server reads
    Pump,
    /// Holds connections open until standard input ends
    Idle,
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
    /// Connections. Default: 64; 1 with --ops, 4 for pump, 10 000 for idle
    #[arg(long = "conns")]
    connections: Option<usize>,
    /// Seconds. Default: 3; 60 for idle; at most 120 with --ops
    #[arg(long, value_parser = seconds)]
    secs: Option<Duration>,
    /// Each line of standard input is the duration in seconds of one more load by the same clients
    #[arg(long = "driven")]
    pub(crate) is_driven: bool,
    /// Operations after which the load ends before its time
    #[arg(long = "ops", conflicts_with = "is_driven")]
    pub(crate) operations: Option<u64>,
    /// Rounds that become due each second, whether or not others have ended; their latencies count from then. For clients that
    /// are driven
    #[arg(long, value_parser = rate, requires = "is_driven", conflicts_with_all = ["pipeline", "once"])]
    pub(crate) rate: Option<f64>,
    /// Requests in one batch, or datagrams under way
    #[arg(long, default_value_t = 1, value_parser = number(1, MAX_PIPELINE))]
    pub(crate) pipeline: usize,
    /// The target of requests
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Bytes of a raw message or a datagram; with it, idle connections echo instead of speaking HTTP
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
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// More rounds a second than that are a mistyped number.
const MAX_RATE: f64 = 1e7;

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= MAX_RATE);
    rate.ok_or_else(|| format!("not a number above 0, up to {MAX_RATE}"))
}

impl Options {
    /// Refuses what does not go together.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (mode, pipeline) = (self.mode, self.pipeline as u64);
        let is_timed = matches!(mode, Mode::Pump | Mode::Idle);
        match self.operations {
            Some(_) if is_timed => Err(format!("--ops does not work with {mode:?}")),
            _ if mode == Mode::Datagrams
                && !DATAGRAM_SIZES.contains(&self.size.unwrap_or(LEAST_DATAGRAM)) =>
            {
                Err(format!("--size of datagrams is {LEAST_DATAGRAM} to {}", DATAGRAM_SIZES.end()))
            }
            Some(operations) if operations % pipeline != 0 => {
                Err(format!("--ops takes a multiple of the pipeline, {pipeline}"))
            }
            None if self.is_driven && mode == Mode::Idle => {
                Err("--driven does not work with Idle".to_owned())
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.unwrap_or_else(|| match self.mode {
            _ if self.operations.is_some() => 1,
            Mode::KeepAlive | Mode::Connect | Mode::Echo => 64,
            Mode::Pump => 4,
            Mode::Datagrams => 1,
            Mode::Idle => 10_000,
        })
    }

    pub(crate) fn duration(&self) -> Duration {
        let default = match self.mode {
            _ if self.operations.is_some() => 120,
            Mode::Idle => 60,
            _ => 3,
        };
        self.secs.unwrap_or_else(|| Duration::from_secs(default))
    }
}
