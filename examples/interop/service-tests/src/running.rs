//! The programs as they are started: built by cargo, with a folder of files, and ended with the test.

use crate::Client;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, thread};

/// The packages of the two programs: the service, and the same in axum.
pub const SERVICES: [&str; 2] = ["service", "axum-service"];

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of files to serve, removed at the end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder with a page and a file of text, which were written an hour ago.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("service-tests-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        for (name, content) in [("index.html", "<p>hello"), ("digits.txt", "0123456789")] {
            fs::write(path.join(name), content).expect("a file");
            let file = fs::File::options().write(true).open(path.join(name)).expect("it was written");
            file.set_modified(hour_ago).expect("a time");
        }
        Self(path)
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that listens. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    address: SocketAddr,
    /// Disconnected when the program closes its standard output, which it does by ending.
    ends: Receiver<()>,
    _folder: Folder,
}

impl Running {
    /// Starts the program of a package, on a port of its own.
    ///
    /// # Panics
    /// If it cannot be built, or does not listen.
    #[must_use]
    pub fn start(package: &str) -> Self {
        let folder = Folder::new();
        let mut command = Command::new(&programs()[package]);
        command.args(["127.0.0.1:0".as_ref(), folder.0.as_os_str()]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a program that was built");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        let (end, ends) = channel::<()>();
        thread::spawn(move || {
            let _ = io::copy(&mut stdout, &mut io::sink());
            drop(end);
        });
        let address = line.trim().strip_prefix("listening on http://").expect("the line that is meant");
        let address = address.parse().expect("an address");
        Self { child, address, ends, _folder: folder }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection to it.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Asks it to stop.
    ///
    /// # Panics
    /// Without a `kill(1)`.
    pub fn terminate(&self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("a kill(1)");
        assert!(killed.success());
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait(mut self) -> ExitStatus {
        assert_eq!(self.ends.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "it does not end");
        self.child.wait().expect("it is a child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The programs by their packages, built once.
fn programs() -> &'static HashMap<String, PathBuf> {
    static PROGRAMS: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--quiet", "--message-format=json", "--manifest-path"]).arg(manifest);
        command.args(SERVICES.iter().flat_map(|package| ["--package", package]));
        let output = command.stderr(Stdio::inherit()).output().expect("cargo");
        assert!(output.status.success(), "the programs cannot be built");
        let text = String::from_utf8(output.stdout).expect("text");
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let programs = messages.filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, message["executable"].as_str()?.into()))
        });
        programs.collect()
    });
    &PROGRAMS
}
