//! The command line of `upcall`: its commands with their options, and one clear line about a word that is wrong.

use crate::{pomelo, say, trace};
use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use http::proxy::{MAX_UPSTREAMS, Upstream};
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

/// Workers beyond this number are a slip of the finger.
const MAX_WORKERS: usize = 1024;

/// A time limit beyond a day is none.
const MAX_SECONDS: usize = 86_400;

/// The exit code of a command line that is wrong.
const WRONG_WORDS: u8 = 2;

/// What came of a command, or in one line why nothing did.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Node's networking stack in Rust: an HTTP server and a reverse proxy over the whole chain, what shows the chain, and
/// applications of many servers.
#[derive(Debug, Parser)]
#[command(
    name = "upcall",
    bin_name = program(),
    version,
    args_override_self = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 a wrong word. `pomelo` has more; see its help.\nThe variable RUST_LOG \
                  turns on logging: warn, or trace."
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// One command with its options.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Serves HTTP over the whole chain
    ///
    /// Routes: GET / and /headers and /stream/N, POST and PUT /echo, POST /trailers, and GET /chain. With --root every other
    /// path is that of a file. Ctrl-C and SIGTERM let it answer what was asked, and exit with 0; a second one ends it at
    /// once.
    Serve(ServeOptions),
    /// Passes requests on to other servers: a reverse proxy
    ///
    /// The least used upstream gets a request. A failing one is left out for a while, and tried again. A request is sent to
    /// another one only if that is safe. Bodies stream both ways, and upgrades such as WebSockets are passed through. Ctrl-C
    /// and SIGTERM let it finish what was asked, and exit with 0; a second one ends it at once.
    Proxy(ProxyOptions),
    /// Shows a real request climbing the chain: every call between the layers
    Trace(trace::options::Options),
    /// Prints the upcall traits of every layer in order
    Chain,
    /// Makes, starts and commands an application of many servers
    #[command(arg_required_else_help = true)]
    Pomelo(pomelo::options::Line),
    /// Prints a script with which a shell completes the words of `upcall`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The options of `serve`.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// Where to listen
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000", value_parser = address)]
    pub addr: SocketAddr,
    /// Worker processes; 0 is one process without a cluster. Default: one per core
    #[arg(long, value_name = "N", default_value_t = cores(), hide_default_value = true)]
    #[arg(value_parser = number(0, MAX_WORKERS), allow_negative_numbers = true)]
    pub workers: usize,
    /// How connections get to workers
    #[arg(long, value_enum, default_value_t = Policy::RoundRobin)]
    pub policy: Policy,
    /// A folder whose files are served, in place of / and behind the other routes: index.html for a folder, parts for Range,
    /// 304 for what the client has. No file outside of it, and none whose name begins with a dot
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Offers the page /chain, which shows how its own request climbs the chain. Default: on loopback addresses only. Of
    /// --chain and --no-chain, the last one counts
    #[arg(long, overrides_with = "no_chain")]
    pub chain: bool,
    /// Does not offer the page
    #[arg(long)]
    pub no_chain: bool,
}

/// The options of `proxy`.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct ProxyOptions {
    /// The servers behind the proxy, at most 64: `http://HOST` or `http://HOST:PORT`, each without a path
    #[arg(long, value_name = "URL", required = true, num_args = 1.., value_parser = upstream)]
    pub to: Vec<Upstream>,
    /// Where to listen
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    pub addr: SocketAddr,
    /// Worker processes; 0 is one process without a cluster. Default: one per core
    #[arg(long, value_name = "N", default_value_t = cores(), hide_default_value = true)]
    #[arg(value_parser = number(0, MAX_WORKERS), allow_negative_numbers = true)]
    pub workers: usize,
    /// How connections get to workers
    #[arg(long, value_enum, default_value_t = Policy::RoundRobin)]
    pub policy: Policy,
    /// Passes on what clients say in Forwarded and X-Forwarded-*, with this hop added: where only other proxies can be clients.
    /// Default: what clients say of it is replaced
    #[arg(long)]
    pub trust_clients: bool,
    /// Sends upstreams their own Host. Default: the client's
    #[arg(long)]
    pub replace_host: bool,
    /// Seconds until an upstream has to begin its response; 504 afterwards
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = seconds)]
    pub timeout: u64,
}

impl ProxyOptions {
    /// Whether this proxy is its own upstream, as far as addresses say that.
    fn is_its_own(&self, upstream: &Upstream) -> bool {
        let ip = match upstream.host() {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            host => host.parse().ok(),
        };
        let (here, is_port) = (self.addr.ip().to_canonical(), upstream.port() == self.addr.port());
        let is_ip = ip.map(|ip: IpAddr| ip.to_canonical()).is_some_and(|ip| {
            ip == here
                || (here.is_unspecified() && ip.is_loopback())
                || (ip.is_unspecified() && here.is_loopback())
        });
        is_port && is_ip
    }

    /// Finds what is wrong with the options together.
    fn check(&self) -> std::result::Result<(), Refusal> {
        if let Some(own) = self.to.iter().find(|upstream| self.is_its_own(upstream)) {
            let addr = self.addr;
            return Err(Refusal::Wrong(format!(
                "--to {own} is where the proxy itself listens (--addr {addr})"
            )));
        }
        let is_twice = |(at, upstream): (usize, &Upstream)| self.to[..at].contains(upstream);
        if let Some(at) = self.to.iter().enumerate().position(is_twice) {
            return Err(Refusal::Wrong(format!("--to {} stands there twice", self.to[at])));
        }
        if self.to.len() > MAX_UPSTREAMS {
            return Err(Refusal::Wrong(format!("--to has more than {MAX_UPSTREAMS} URLs")));
        }
        Ok(())
    }
}

fn upstream(text: &str) -> std::result::Result<Upstream, String> {
    text.parse().map_err(|error: http::Error| error.to_string())
}

fn seconds(text: &str) -> std::result::Result<u64, String> {
    number(1, MAX_SECONDS)(text).map(|seconds| seconds as u64)
}

/// How connections get to workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// The primary accepts and hands out in turn
    RoundRobin,
    /// All workers accept from one shared socket
    Shared,
}

impl ServeOptions {
    /// Whether the page at `/chain` is offered. Default: on loopback addresses, which only this machine can ask. Behind a
    /// proxy every client can: there `--no-chain` withholds the page.
    #[must_use]
    pub fn offers_chain(&self) -> bool {
        self.chain || !self.no_chain && self.addr.ip().to_canonical().is_loopback()
    }
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn address(text: &str) -> std::result::Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "not an IP address with a port, such as 127.0.0.1:8000 or [::1]:8000")
}

/// What reads a number from `from` to `to`.
pub fn number(
    from: usize,
    to: usize,
) -> impl Fn(&str) -> std::result::Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        number.ok_or_else(|| format!("not a number from {from} to {to}"))
    }
}

/// Why a command line means no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It asks for help, or for the version: here it is.
    Help(String),
    /// A word of it is unknown, missing or out of range, as this line says.
    Wrong(String),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (Self::Help(text) | Self::Wrong(text)) = self;
        f.write_str(text)
    }
}

impl Error for Refusal {}

/// Reads a command line as clap's type `T` has it.
///
/// # Errors
/// Help is wanted, or something is wrong.
pub fn read<T: Parser>(words: impl IntoIterator<Item = OsString>) -> std::result::Result<T, Refusal> {
    T::try_parse_from(words).map_err(|error| {
        let text = error.render().to_string();
        let is_help = !error.use_stderr() || error.kind() == DisplayHelpOnMissingArgumentOrSubcommand;
        if is_help { Refusal::Help(text) } else { Refusal::Wrong(one_line(&text)) }
    })
}

/// Says what a command has failed with, or the help that was wanted. Returns the exit code.
#[must_use]
pub fn conclude(outcome: Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    match error.downcast_ref() {
        Some(Refusal::Help(text)) => {
            say::out(text.trim_end());
            ExitCode::SUCCESS
        }
        refusal => {
            say::err(format_args!("error: {error}"));
            // For `pomelo` 2 says that no master answers.
            let is_pomelo = env::args_os().nth(1).is_some_and(|word| word == "pomelo");
            let is_words = refusal.is_some() && !is_pomelo;
            if is_words { ExitCode::from(WRONG_WORDS) } else { ExitCode::FAILURE }
        }
    }
}

/// What clap says of an error in several paragraphs, without the usage.
fn one_line(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        paragraph.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    let is_news = |paragraph: &String| {
        !paragraph.is_empty() && !["Usage:", "For more"].iter().any(|start| paragraph.starts_with(start))
    };
    let said = paragraphs.filter(is_news).collect::<Vec<_>>().join("; ");
    said.trim_start_matches("error: ").to_owned()
}

/// As what this program is called: by its name, or by way of cargo.
#[must_use]
pub fn program() -> &'static str {
    let by_cargo = env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
    if by_cargo { "cargo xtask" } else { "upcall" }
}

impl Command {
    /// Reads a command line, with the program's name in front. Without a command it asks for help.
    ///
    /// # Errors
    /// Help is wanted, or something is wrong.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> std::result::Result<Self, Refusal> {
        let Line { command } = read(words)?;
        if let Self::Proxy(options) = &command {
            options.check()?;
        }
        Ok(command)
    }
}

/// The script for `shell`.
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Line::command(), "upcall", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
