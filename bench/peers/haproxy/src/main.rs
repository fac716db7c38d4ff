//! `peer-haproxy BENCH --to IP:PORT [--path FOLDER]`: becomes the HAProxy that is installed, in front of that server.
//!
//! HAProxy does not say where it listens. So this program listens, says where, and hands the listener over by its number,
//! which the configuration has. From then on the process is HAProxy.

#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs};

use lexopt::prelude::*;
use rustix::io::{FdFlags, fcntl_setfd};

/// What HAProxy can take part in.
const GROUP: &str = "proxy/";

/// The program, wherever it stands in `PATH`.
const HAPROXY: &str = "haproxy";

/// The configuration, with places for the listener and the server behind.
const CONFIGURATION: &str = include_str!("../haproxy.cfg");

/// Any free port.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Exit code for what this program cannot do.
const UNABLE: u8 = 2;

/// Why a benchmark does not run.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong, HAProxy has no such thing, or there is no HAProxy.
    Unable(String),
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn main() -> ExitCode {
    match parse().map_err(|error| Failure::Unable(error.to_string())).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unable(what)) => {
            eprintln!("peer-haproxy: {what}");
            ExitCode::from(UNABLE)
        }
        Err(Failure::Io(error)) => {
            eprintln!("peer-haproxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A command line, understood.
struct Options {
    bench: String,
    to: Option<SocketAddr>,
    folder: PathBuf,
}

fn parse() -> Result<Options, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut bench, mut to, mut folder) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Value(name) if bench.is_none() => bench = Some(name.string()?),
            Long("to") => to = Some(parser.value()?.parse()?),
            Long("path") => folder = Some(parser.value()?.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Options {
        bench: bench.ok_or("usage: peer-haproxy BENCH --to IP:PORT [--path FOLDER]")?,
        to,
        folder: folder.unwrap_or_else(|| env::temp_dir().join("upcall-peer-haproxy")),
    })
}

fn run(options: &Options) -> Result<(), Failure> {
    match (options.bench.as_str(), options.to) {
        ("version", _) => {
            println!("{{\"haproxy\":\"{}\"}}", version()?);
            Ok(())
        }
        (bench, Some(to)) if bench.starts_with(GROUP) => become_haproxy(options, to),
        (bench, None) if bench.starts_with(GROUP) => {
            Err(Failure::Unable(format!("{bench}: want --to, the server behind")))
        }
        (bench, _) => Err(Failure::Unable(format!("{bench}: HAProxy has no such thing"))),
    }
}

/// A HAProxy that cannot be found does not take part.
fn not_started(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Unable("haproxy is not installed".to_owned()),
        _ => error.into(),
    }
}

/// HAProxy says `HAProxy version 2.6.12-1 2023/12/16 - https://haproxy.org/`.
fn version() -> Result<String, Failure> {
    let output = Command::new(HAPROXY).arg("-v").output().map_err(not_started)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_once("version ").and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(version.unwrap_or("unknown").to_owned())
}

fn become_haproxy(options: &Options, to: SocketAddr) -> Result<(), Failure> {
    // No address is told for a HAProxy that is not there.
    version()?;
    let listener = TcpListener::bind(ANYWHERE)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let configuration = options.folder.join("haproxy.cfg");
    fs::create_dir_all(&options.folder)?;
    fs::write(&configuration, configure(listener.as_raw_fd(), to))?;
    // The listener is kept over the change of program.
    fcntl_setfd(&listener, FdFlags::empty()).map_err(io::Error::from)?;
    println!("{addr}");
    // In the foreground, whatever the configuration says, and as a single process.
    Err(not_started(Command::new(HAPROXY).args(["-db", "-f"]).arg(configuration).exec()))
}

/// The configuration for a listener and a server behind.
fn configure(listener: i32, to: SocketAddr) -> String {
    let places = [("@LISTENER@", listener.to_string()), ("@TO@", to.to_string())];
    places.iter().fold(CONFIGURATION.to_owned(), |text, (place, value)| text.replace(place, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_no_place_left_open() {
        let text = configure(7, ANYWHERE);
        assert!(text.contains("bind fd@7\n") && text.contains("server behind 127.0.0.1:0 "));
        assert_eq!(text.matches('@').count(), 1);
    }
}
