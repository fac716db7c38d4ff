//! `peer-nginx BENCH [--to IP:PORT] [--path FOLDER]`: becomes the nginx that is installed, serving a few bodies on a free port,
//! or in front of that server.
//!
//! nginx cannot be asked for a free port, nor does it say where it listens. So this program listens, says where, and
//! hands the listener on the way nginx hands its own ones to a new version of itself: by number, in the variable
//! `NGINX`. From then on the process is nginx.

#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use lexopt::prelude::*;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::geteuid;

/// What nginx can take part in: it answers from its configuration and from files. It has nothing that would count a
/// body or stream one of unknown length.
const BENCHES: &[&str] = &[
    "http/keep-alive",
    "http/pipelined",
    "http/connect",
    "http/down-1k",
    "http/down-64k",
    "http/down-1m",
    "http/file-64k",
    "http/file-16m",
    "http/idle",
];

/// It proxies, too.
const PROXY: &str = "proxy/";

/// The program, wherever it stands in `PATH`.
const NGINX: &str = "nginx";

/// The configurations, with places for the user, the address and the folder, and for the server behind a proxy.
const SERVER_CONFIGURATION: &str = include_str!("../nginx.conf");
const PROXY_CONFIGURATION: &str = include_str!("../proxy.conf");

/// Any free port.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Bytes of the bodies, which are files `/size/N`.
const SIZES: &[usize] = &[1 << 10, 1 << 16, 1 << 20, 16 << 20];

/// Exit code for what this program cannot do.
const UNABLE: u8 = 2;

/// Why a benchmark does not run.
#[derive(Debug)]
enum Failure {
    /// The command line is wrong, nginx has no such thing, or there is no nginx.
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
            eprintln!("peer-nginx: {what}");
            ExitCode::from(UNABLE)
        }
        Err(Failure::Io(error)) => {
            eprintln!("peer-nginx: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A command line, understood.
struct Options {
    bench: String,
    /// The server behind a proxy.
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
        bench: bench.ok_or("usage: peer-nginx BENCH [--to IP:PORT] [--path FOLDER]")?,
        to,
        folder: folder.unwrap_or_else(|| env::temp_dir().join("upcall-peer-nginx")),
    })
}

fn run(options: &Options) -> Result<(), Failure> {
    match options.bench.as_str() {
        "version" => print_version(),
        bench if BENCHES.contains(&bench) => become_nginx(&options.folder, None),
        bench if bench.starts_with(PROXY) => {
            let to = options
                .to
                .ok_or_else(|| Failure::Unable(format!("{bench}: want --to, the server behind")))?;
            become_nginx(&options.folder, Some(to))
        }
        bench => Err(Failure::Unable(format!("{bench}: nginx has no such thing"))),
    }
}

/// An nginx that cannot be found does not take part.
fn not_started(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Unable("nginx is not installed".to_owned()),
        _ => error.into(),
    }
}

fn print_version() -> Result<(), Failure> {
    println!("{{\"nginx\":\"{}\"}}", version()?);
    Ok(())
}

/// nginx says `nginx version: nginx/1.22.1 (Debian)` on its standard error.
fn version() -> Result<String, Failure> {
    let output = Command::new(NGINX).arg("-v").output().map_err(not_started)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let version = said.split_once("nginx/").and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(version.unwrap_or("unknown").to_owned())
}

/// Becomes nginx, as a server or in front of one.
fn become_nginx(folder: &Path, to: Option<SocketAddr>) -> Result<(), Failure> {
    // No address is told for an nginx that is not there.
    version()?;
    for size in SIZES {
        let path = folder.join("size").join(size.to_string());
        fs::create_dir_all(folder.join("size"))?;
        fs::write(path, vec![b'x'; *size])?;
    }
    let listener = TcpListener::bind(ANYWHERE)?;
    listener.set_nonblocking(true)?;
    let addr = listener.local_addr()?;
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, configure(addr, to, folder)?)?;
    // The listener is kept over the change of program.
    fcntl_setfd(&listener, FdFlags::empty()).map_err(io::Error::from)?;
    println!("{addr}");
    let mut nginx = Command::new(NGINX);
    nginx.env("NGINX", format!("{};", listener.as_raw_fd()));
    // `-e`: so that it does not look for the log of the installed nginx.
    nginx.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(&configuration);
    Err(not_started(nginx.exec()))
}

/// The configuration for an address, the server behind it if it is a proxy, and a folder.
fn configure(addr: SocketAddr, to: Option<SocketAddr>, folder: &Path) -> Result<String, Failure> {
    // Bytes with a meaning inside of quotation marks.
    let is_plain = |byte: u8| !byte.is_ascii_control() && !b"\"\\$".contains(&byte);
    let text = folder.to_str().filter(|text| folder.is_absolute() && text.bytes().all(is_plain));
    let text = text.ok_or_else(|| {
        Failure::Unable(format!("{}: want an absolute path without special characters", folder.display()))
    })?;
    // A worker of root's nginx would be a user who may not be allowed to read the folder.
    let user = if geteuid().is_root() { "user root;" } else { "" };
    let configuration = if to.is_some() { PROXY_CONFIGURATION } else { SERVER_CONFIGURATION };
    let (addr, to) = (addr.to_string(), to.map(|to| to.to_string()).unwrap_or_default());
    let places = [("@USER@", user), ("@ADDR@", &addr), ("@TO@", &to), ("@FOLDER@", text)];
    Ok(places.iter().fold(configuration.to_owned(), |text, (place, value)| text.replace(place, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_no_place_left_open() -> Result<(), Failure> {
        for (to, named) in [(None, "root \"/a folder\";"), (Some(ANYWHERE), "server 127.0.0.1:0;")] {
            let text = configure(ANYWHERE, to, Path::new("/a folder"))?;
            assert!(text.contains("listen 127.0.0.1:0 ") && text.contains(named), "{text}");
            assert!(text.contains("pid \"/a folder/nginx.pid\";") && !text.contains('@'), "{text}");
        }
        Ok(())
    }

    #[test]
    fn a_folder_that_would_change_the_configuration_is_refused() {
        for folder in ["relative", "/a\"b", "/$a", "/a\\", "/a\nb"] {
            assert!(configure(ANYWHERE, None, Path::new(folder)).is_err(), "{folder}");
        }
    }
}
