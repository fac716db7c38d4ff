//! The command line of `upcall-bench subject`.

use crate::Result;
use lexopt::prelude::*;
use std::num::NonZeroU64;
use std::path::PathBuf;
use upcall::args::Policy;

/// More worker processes than that are a mistyped number.
const MAX_WORKERS: usize = 256;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
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

/// A command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) layer: Layer,
    /// The benchmark's name without its group.
    pub(crate) bench: String,
    /// Operations of a program without clients.
    pub(crate) ops: Option<u64>,
    /// How many of them it does without being told to go on.
    pub(crate) turn: Option<NonZeroU64>,
    /// Where to listen instead of on a TCP port.
    pub(crate) path: Option<PathBuf>,
    pub(crate) workers: usize,
    pub(crate) policy: Policy,
}

impl Options {
    /// Reads the words after `subject`.
    ///
    /// # Errors
    /// Names the word that is unknown, missing or out of range.
    pub(crate) fn parse(words: &mut lexopt::Parser) -> Result<Self> {
        let (mut layer, mut bench) = (None, None);
        let (mut ops, mut turn, mut path, mut workers, mut policy) =
            (None, None, None, 2, Policy::RoundRobin);
        while let Some(word) = words.next()? {
            match word {
                Value(name) if layer.is_none() => {
                    let known = name.to_str().and_then(Layer::of_name);
                    layer = Some(known.ok_or_else(|| format!("subject: no layer {name:?}"))?);
                }
                Value(name) if bench.is_none() => bench = Some(without_group(&name.string()?).to_owned()),
                Long("ops") => ops = Some(words.value()?.parse()?),
                Long("turn") => turn = Some(words.value()?.parse()?),
                // What clients send is of their choice: a server takes any size.
                Long("size") => drop(words.value()?.parse::<usize>()?),
                Long("path") => path = Some(words.value()?.into()),
                Long("workers") => {
                    workers = words.value()?.parse()?;
                    if !(1..=MAX_WORKERS).contains(&workers) {
                        return Err(format!("--workers takes 1 to {MAX_WORKERS}").into());
                    }
                }
                Long("policy") => policy = policy_of(&words.value()?.string()?)?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self {
            layer: layer.ok_or("subject: which layer?")?,
            bench: bench.ok_or("subject: which benchmark?")?,
            ops,
            turn,
            path,
            workers,
            policy,
        })
    }
}

fn policy_of(name: &str) -> Result<Policy> {
    match name {
        "round-robin" => Ok(Policy::RoundRobin),
        "shared" => Ok(Policy::Shared),
        _ => Err(format!("--policy {name}: neither round-robin nor shared").into()),
    }
}

/// A benchmark's name without what stands before its slash.
pub(crate) fn without_group(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::{Layer, Options, Policy};

    fn parse(words: &[&str]) -> Result<Options, String> {
        Options::parse(&mut lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn layer_and_benchmark_come_first_and_the_group_does_not_matter() {
        let plain = parse(&["uv-core", "ticks", "--ops", "7"]).expect("a command line");
        assert_eq!((plain.layer, &*plain.bench, plain.ops), (Layer::UvCore, "ticks", Some(7)));
        assert_eq!(parse(&["uv-core", "loop/ticks", "--ops=7"]).expect("a command line"), plain);
        let unix = parse(&["async-wrap-hooks", "unix/echo-64", "--path", "/x"]).expect("a command line");
        assert_eq!((unix.layer, &*unix.bench), (Layer::AsyncWrap { hooks: true }, "echo-64"));
        let shared = parse(&["cluster", "evenness", "--policy", "shared"]).expect("a command line");
        assert_eq!((shared.workers, shared.policy), (2, Policy::Shared));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["fly", "ticks"][..], "\"fly\""),
            (&[], "which layer"),
            (&["net"], "which benchmark"),
            (&["net", "echo", "--ops", "many"], "many"),
            (&["cluster", "connect", "--workers", "0"], "--workers"),
            (&["cluster", "connect", "--policy", "best"], "best"),
            (&["net", "echo", "more"], "more"),
        ] {
            let error = parse(words).expect_err("a wrong command line");
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }
}
