//! The command line of `upcall-bench subject`.

use clap::Parser;
use std::num::NonZeroU64;
use std::path::PathBuf;
use upcall::args::{Policy, number};

/// More worker processes than that are a mistyped number.
const MAX_WORKERS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Floor,
    UvCore,
    TcpWrap,
    AsyncWrap { hooks: bool },
    Net,
    Http,
    Cluster,
}

impl Layer {
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "floor" => Self::Floor,
            "uv-core" => Self::UvCore,
            "tcp-wrap" => Self::TcpWrap,
            "async-wrap" => Self::AsyncWrap { hooks: false },
            "async-wrap-hooks" => Self::AsyncWrap { hooks: true },
            "net" => Self::Net,
            "http" => Self::Http,
            "cluster" => Self::Cluster,
            _ => return None,
        })
    }
}

/// A layer, a benchmark, and what belongs to it.
#[derive(Clone, Debug, Parser, PartialEq, Eq)]
#[command(name = "subject", args_override_self = true)]
pub(crate) struct Options {
    /// The layer
    #[arg(value_parser = layer)]
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
    /// Processes of a cluster
    #[arg(long, default_value_t = 2, value_parser = number(1, MAX_WORKERS))]
    pub(crate) workers: usize,
    /// How connections get to them
    #[arg(long, value_enum, default_value_t = Policy::RoundRobin)]
    pub(crate) policy: Policy,
}

fn layer(name: &str) -> Result<Layer, &'static str> {
    Layer::of_name(name).ok_or("no layer")
}

impl Options {
    /// The benchmark's name without what stands before its slash.
    pub(crate) fn own_name(&self) -> &str {
        self.bench.split_once('/').map_or(&self.bench, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Layer, Options, Policy};
    use upcall::args::{Refusal, read};

    fn parse(words: &[&str]) -> Result<Options, Refusal> {
        read(["subject"].iter().chain(words).map(Into::into))
    }

    #[test]
    fn layer_and_benchmark_come_first_and_the_group_does_not_matter() {
        let plain = parse(&["uv-core", "ticks", "--ops", "7"]).expect("a command line");
        assert_eq!((plain.layer, plain.own_name(), plain.ops), (Layer::UvCore, "ticks", Some(7)));
        let grouped = parse(&["uv-core", "loop/ticks", "--ops=7"]).expect("a command line");
        assert_eq!((grouped.layer, grouped.own_name(), grouped.ops), (Layer::UvCore, "ticks", Some(7)));
        let unix = parse(&["async-wrap-hooks", "unix/echo-64", "--path", "/x"]).expect("a command line");
        assert_eq!((unix.layer, unix.own_name()), (Layer::AsyncWrap { hooks: true }, "echo-64"));
        let shared = parse(&["cluster", "evenness", "--policy", "shared"]).expect("a command line");
        assert_eq!((shared.workers, shared.policy), (2, Policy::Shared));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["fly", "ticks"][..], "'fly'"),
            (&[], "<LAYER>"),
            (&["net"], "<BENCH>"),
            (&["net", "echo", "--ops", "many"], "many"),
            (&["cluster", "connect", "--workers", "0"], "--workers"),
            (&["cluster", "connect", "--policy", "best"], "best"),
            (&["net", "echo", "more"], "more"),
        ] {
            let error = parse(words).expect_err("a wrong command line").to_string();
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }
}
