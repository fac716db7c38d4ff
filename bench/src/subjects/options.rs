//! The command line of `upcall-bench subject`.

use crate::Result;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use upcall::args::{Policy, number};

/// More worker processes than that are a mistyped number.
const MAX_WORKERS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layer {
    Floor,
    UvCore,
    TcpWrap,
    AsyncWrap,
    AsyncWrapHooks,
    Net,
    NetAsync,
    Http,
    HttpAsync,
    Cluster,
}

/// More connections of a client than that are a mistyped number.
const MAX_CONNECTIONS: usize = 10_000;

/// A layer, a benchmark, and what belongs to it.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "subject", args_override_self = true)]
pub(crate) struct Options {
    /// The layer
    #[arg(value_enum)]
    pub(crate) layer: Layer,
    /// The benchmark, with its group; layers can do without
    pub(crate) bench: String,
    /// Operations of a program without clients
    #[arg(long)]
    pub(crate) ops: Option<u64>,
    /// How many of them it does without being told to go on
    #[arg(long)]
    pub(crate) turn: Option<NonZeroU64>,
    /// Where to listen instead of on a TCP port
    #[arg(long)]
    pub(crate) path: Option<PathBuf>,
    /// The server that a client asks, or that a proxy passes requests to: IP:PORT
    #[arg(long)]
    to: Option<SocketAddr>,
    /// Connections of a client
    #[arg(long = "conns", default_value_t = 64, value_parser = number(1, MAX_CONNECTIONS))]
    pub(crate) connections: usize,
    /// Processes of a cluster
    #[arg(long, default_value_t = 2, value_parser = number(1, MAX_WORKERS))]
    pub(crate) workers: usize,
    /// How connections get to them
    #[arg(long, value_enum, default_value_t = Policy::RoundRobin)]
    pub(crate) policy: Policy,
}

impl Options {
    /// Whether it serves datagrams.
    pub(crate) fn is_of_datagrams(&self) -> bool {
        self.bench.starts_with("udp/")
    }

    /// The server behind a client or a proxy.
    pub(crate) fn to(&self) -> Result<SocketAddr> {
        self.to.ok_or_else(|| format!("{}: want --to", self.bench).into())
    }

    /// The benchmark's name without what stands before its slash.
    pub(crate) fn own_name(&self) -> &str {
        self.bench.split_once('/').map_or(&self.bench, |(_, name)| name)
    }
}
