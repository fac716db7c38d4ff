//! `floor`: the least work with which a server can answer, the measure of everything else.
//!
//! One thread, level-triggered epoll, no parser, no timeouts, no limits: what a server above this floor costs
//! more is the price of what it does. SIGTERM and SIGINT keep their default action, so they end it at once.

mod answers;
mod pass;
mod reactor;

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use answers::{CannedHttp, Echo};

const USAGE: &str = "\
usage: floor http ADDR       canned HTTP replies; keep-alive, pipelining, `Connection: close`
       floor pass ADDR N     the same from N worker processes that a primary passes connections to
       floor echo ADDR       sends back what it receives
       floor idle ADDR       like http; for memory per idle connection
ADDR is IP:PORT; port 0 takes a free one, and the real one is printed.";

/// What the command line asks for.
enum Command {
    Http(SocketAddr),
    Pass(SocketAddr, usize),
    Worker,
    Echo(SocketAddr),
}

fn parse_args(args: &[String]) -> Result<Command, String> {
    let addr = |text: &str| text.parse::<SocketAddr>().map_err(|error| format!("address {text:?}: {error}"));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["http" | "idle", text] => Ok(Command::Http(addr(text)?)),
        ["echo", text] => Ok(Command::Echo(addr(text)?)),
        ["pass", text, count] => match count.parse() {
            Ok(workers @ 1..=pass::MAX_WORKERS) => Ok(Command::Pass(addr(text)?, workers)),
            _ => Err(format!("number of workers {count:?}: want 1 to {}", pass::MAX_WORKERS)),
        },
        [pass::WORKER_ARGUMENT] => Ok(Command::Worker),
        _ => Err(USAGE.to_owned()),
    }
}

fn run(command: &Command) -> io::Result<()> {
    match *command {
        Command::Http(addr) => reactor::serve(&reactor::Listener::open(addr)?, &CannedHttp::new()),
        Command::Echo(addr) => reactor::serve(&reactor::Listener::open(addr)?, &Echo),
        Command::Pass(addr, workers) => pass::primary(addr, workers),
        Command::Worker => pass::worker(),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let command = match parse_args(&args) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}
