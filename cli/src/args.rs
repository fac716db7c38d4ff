//! The command line: what may be typed, and one clear line about what may not.

use crate::{pomelo, trace};
use lexopt::prelude::{Long, Short, Value};
use std::net::SocketAddr;
use std::thread::available_parallelism;

/// What `upcall help` prints.
pub const USAGE: &str = "\
upcall COMMAND

  serve [--addr 127.0.0.1:8000] [--workers N] [--policy round-robin|shared]
        [--chain|--no-chain]
        Serves HTTP over the whole chain. --workers 0 is one process without
        a cluster; the default is one worker per core. Ctrl-C and SIGTERM
        drain and exit 0, and a second one ends at once. The page /chain shows
        how its own request climbs the chain; without --chain and --no-chain
        it is offered on loopback addresses only.
  trace [--requests N] [--pipeline N] [--workers N] [--html FILE]
        Shows one real request, or N of them, climbing the chain: every call
        between the layers with its source, its ids and its time.
  pomelo init|start|list|stop|add|restart|kill …
        Makes, starts and commands an application of many servers; see
        `upcall pomelo help`.
  chain Prints the upcall traits of every layer in order.
  help  Prints this.";

/// Workers beyond this number are a slip of the finger.
const MAX_WORKERS: usize = 1024;

/// One command with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Print the usage.
    Help,
    /// Serve HTTP.
    Serve(ServeOptions),
    /// Show a request climbing the chain.
    Trace(trace::options::Options),
    /// Make, start or command an application of many servers.
    Pomelo(Box<pomelo::options::Options>),
    /// Print the upcall traits.
    Chain,
}

/// The options of `serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Where to listen.
    pub addr: SocketAddr,
    /// Worker processes; 0 for none, with everything in this process.
    pub workers: usize,
    /// How connections get to workers.
    pub policy: Policy,
    /// Whether the page at `/chain` is offered, if that was said.
    pub chain: Option<bool>,
}

/// How connections get to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The primary accepts and hands out in turn.
    RoundRobin,
    /// All workers accept from one shared socket.
    Shared,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 8000)),
            workers: available_parallelism().map_or(1, usize::from),
            policy: Policy::RoundRobin,
            chain: None,
        }
    }
}

impl ServeOptions {
    /// Whether the page at `/chain` is offered. Default: on loopback addresses, which only this machine can ask. Behind a
    /// proxy anybody can: there `--no-chain` keeps the page from them.
    #[must_use]
    pub fn offers_chain(&self) -> bool {
        self.chain.unwrap_or_else(|| self.addr.ip().to_canonical().is_loopback())
    }
}

/// A command line, or what is wrong with one, in words for whoever typed it.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

impl Command {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    /// Names the word that is unknown, missing or out of range.
    pub fn parse(mut words: lexopt::Parser) -> Result<Self> {
        let command = match words.next()? {
            None | Some(Long("help") | Short('h')) => return Ok(Self::Help),
            Some(Value(word)) => word,
            Some(other) => return Err(other.unexpected().into()),
        };
        match command.to_str() {
            Some("help") => Ok(Self::Help),
            Some("serve") => parse_serve(&mut words),
            Some("trace") => Ok(trace::options::Options::parse(&mut words)?.map_or(Self::Help, Self::Trace)),
            Some("pomelo") => Ok(Self::Pomelo(Box::new(pomelo::options::parse(&mut words)?))),
            Some("chain") => without_words(&mut words, Self::Chain),
            _ => Err(format!("unknown command {command:?}; see `upcall help`").into()),
        }
    }
}

/// A command that takes no words.
fn without_words(words: &mut lexopt::Parser, command: Command) -> Result<Command> {
    match words.next()? {
        None => Ok(command),
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn parse_serve(words: &mut lexopt::Parser) -> Result<Command> {
    let mut options = ServeOptions::default();
    while let Some(word) = words.next()? {
        match word {
            Long("addr") => {
                let value = text(words)?;
                let wanted = "an IP address with a port, such as 127.0.0.1:8000 or [::1]:8000";
                options.addr = value.parse().map_err(|_| format!("--addr {value}: not {wanted}"))?;
            }
            Long("workers") => {
                let value = text(words)?;
                let workers = value.parse().ok().filter(|workers| *workers <= MAX_WORKERS);
                options.workers = workers
                    .ok_or_else(|| format!("--workers {value}: not a number from 0 to {MAX_WORKERS}"))?;
            }
            Long("policy") => {
                let value = text(words)?;
                options.policy = match value.as_str() {
                    "round-robin" => Policy::RoundRobin,
                    "shared" => Policy::Shared,
                    _ => return Err(format!("--policy {value}: neither round-robin nor shared").into()),
                };
            }
            Long("chain") => options.chain = Some(true),
            Long("no-chain") => options.chain = Some(false),
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Serve(options))
}

fn text(words: &mut lexopt::Parser) -> Result<String> {
    let value = words.value()?;
    value.into_string().map_err(|value| format!("{value:?} is not UTF-8").into())
}

#[cfg(test)]
mod tests {
    use super::{Command, Policy, ServeOptions};

    fn parse(words: &[&str]) -> Result<Command, String> {
        let words = std::iter::once("upcall").chain(words.iter().copied());
        Command::parse(lexopt::Parser::from_iter(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_serve_are_read_in_any_order() {
        let expected = ServeOptions {
            addr: "[::1]:80".parse().expect("an address"),
            workers: 3,
            policy: Policy::Shared,
            chain: Some(true),
        };
        let parsed = parse(&["serve", "--chain", "--policy=shared", "--workers", "3", "--addr", "[::1]:80"]);
        assert_eq!(parsed, Ok(Command::Serve(expected)));
        assert_eq!(parse(&["serve"]), Ok(Command::Serve(ServeOptions::default())));
    }

    #[test]
    fn the_chain_is_offered_on_loopback_addresses_or_as_the_flag_says() {
        for (address, is_loopback) in [
            ("127.0.0.1:80", true),
            ("127.9.9.9:80", true),
            ("[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
            ("192.0.2.1:80", false),
        ] {
            let addr = address.parse().expect("an address");
            let offers = |chain| ServeOptions { addr, chain, ..ServeOptions::default() }.offers_chain();
            assert_eq!([None, Some(true), Some(false)].map(offers), [is_loopback, true, false], "{address}");
        }
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["fly"][..], "\"fly\""),
            (&["serve", "--addr", "localhost"], "--addr localhost"),
            (&["serve", "--workers", "-1"], "--workers -1"),
            (&["serve", "--workers", "99999"], "--workers 99999"),
            (&["serve", "--policy", "best"], "--policy best"),
            (&["serve", "--verbose"], "--verbose"),
            (&["serve", "--chain=maybe"], "maybe"),
            (&["serve", "8000"], "8000"),
            (&["chain", "now"], "now"),
            (&["trace", "--workers", "x"], "--workers x"),
        ] {
            let error = parse(words).expect_err("a wrong command line");
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }

    #[test]
    fn help_is_there_however_it_is_asked_for() {
        for words in [&[][..], &["help"], &["--help"], &["-h"], &["serve", "--help"], &["chain", "-h"]] {
            assert_eq!(parse(words), Ok(Command::Help), "{words:?}");
        }
    }
}
