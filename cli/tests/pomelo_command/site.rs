//! A project of a test's own, at an address of its own, of which nothing outlives the test.

use crate::program::Program;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uv_core::Signal;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub(crate) const UPCALL: &str = env!("CARGO_BIN_EXE_upcall");

/// The servers that `init` writes, in the order of the file.
pub(crate) const SERVERS: [&str; 4] =
    ["gate-server-1", "connector-server-1", "connector-server-2", "chat-server-1"];

/// Every port of the project.
const PORTS: [u16; 7] = [3005, 3014, 3010, 3011, 3150, 3151, 6050];

/// How the line begins that says that all are up.
pub(crate) const READY: &str = "ready: ";

/// No process takes so long to go, unless it stays.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sites are numbered.
static COUNT: AtomicU16 = AtomicU16::new(0);

/// The address of a site on this machine's own network, all of which it has.
fn host_of(number: u16) -> String {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Processes' numbers stay below 2²²; the last part must be neither 0 nor 255.
    format!("127.{}.{middle}.{}", 64 + (high & 0x3f), u16::from(low.clamp(1, 200)) + number % 50)
}

/// How far a site's ports are from those that `init` writes: Node's master has its port on every address, in tests and
/// wherever a developer has a project. No two of them meet, and the system gives none of them away.
fn offset_of(number: u16) -> u16 {
    10_000 + number % 64 * 200
}

/// A project.
pub(crate) struct Site {
    folder: TempDir,
    pub(crate) host: String,
    offset: u16,
}

impl Site {
    /// What `init` writes, moved to an address of its own.
    pub(crate) fn new() -> Outcome<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::at(&host_of(number), offset_of(number))
    }

    /// What `init` writes, moved to that address, and its ports by that much.
    pub(crate) fn at(host: &str, offset: u16) -> Outcome<Self> {
        let site = Self { folder: tempfile::tempdir()?, host: host.to_owned(), offset };
        let output = Command::new(UPCALL).args(["pomelo", "init"]).arg(site.path()).output()?;
        assert!(output.status.success(), "{}", said(&output));
        for name in ["master.json", "servers.json"] {
            site.edit(name, |text| {
                let moved = text.replace("127.0.0.1", host);
                // Of `port` and `clientPort`.
                let number = |port: &u16| (format!("ort\": {port}"), format!("ort\": {}", site.port(*port)));
                PORTS.iter().map(number).fold(moved, |text, (old, new)| text.replace(&old, &new))
            })?;
        }
        Ok(site)
    }

    /// Where the project has what `init` has on this port.
    pub(crate) fn port(&self, written: u16) -> u16 {
        written + self.offset
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    /// Changes a file of the configuration.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(String) -> String) -> Outcome {
        let path = self.path().join("config").join(name);
        let text = change(fs::read_to_string(&path)?);
        Ok(fs::write(path, text)?)
    }

    /// Starts the master.
    pub(crate) fn start(&self, words: &[&str]) -> Outcome<Program> {
        let path = self.path();
        let path = path.to_str().ok_or("a folder's name in UTF-8")?;
        Program::spawn(Command::new(UPCALL).args(["pomelo", "start", path]).args(words))
    }

    /// Starts the master and waits until all servers are up.
    pub(crate) fn up(&self, words: &[&str]) -> Outcome<Program> {
        let master = self.start(words)?;
        until(&master, |line| line.starts_with(READY))?;
        Ok(master)
    }

    /// Has the master do something.
    pub(crate) fn ask(&self, words: &[&str]) -> Outcome<Output> {
        Ok(Command::new(UPCALL).arg("pomelo").args(words).args(self.address()).output()?)
    }

    /// Where the master is, as command lines are told it.
    pub(crate) fn address(&self) -> [String; 4] {
        let [host, port] = ["--host", "--port"].map(str::to_owned);
        [host, self.host.clone(), port, self.port(3005).to_string()]
    }

    /// Who runs, with the processes.
    pub(crate) fn list(&self) -> Outcome<BTreeMap<String, i32>> {
        let output = self.ask(&["list"])?;
        assert!(output.status.success(), "{}", said(&output));
        listed(&String::from_utf8(output.stdout)?)
    }

    /// What a server answers to `GET /`.
    pub(crate) fn get(&self, port: u16) -> Outcome<String> {
        let mut client = TcpStream::connect((&*self.host, self.port(port)))?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Nothing of it runs.
    pub(crate) fn assert_nothing_runs(&self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !processes(self.folder.path())?.is_empty() {
            assert!(Instant::now() < deadline, "processes are left: {:?}", processes(self.folder.path())?);
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Nothing of it runs, its ports are free, and its folder is as it was written.
    pub(crate) fn assert_nothing_is_left(&self) -> Outcome {
        self.assert_nothing_runs()?;
        for port in PORTS.map(|port| self.port(port)) {
            TcpListener::bind((&*self.host, port)).map_err(|error| format!("port {port}: {error}"))?;
        }
        let mut names: Vec<_> =
            fs::read_dir(self.path())?.map(|entry| Ok(entry?.file_name())).collect::<Outcome<_>>()?;
        names.retain(|name| name != "logs");
        names.sort();
        assert_eq!(names, ["README.md", "config"]);
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (pid, _) in processes(self.folder.path()).unwrap_or_default() {
            // Fails only for a process that has ended.
            let _ = uv_core::process::kill(pid, Signal::SIGKILL);
        }
    }
}

/// The processes that have this path on their command line.
pub(crate) fn processes(folder: &Path) -> Outcome<Vec<(i32, String)>> {
    let folder = folder.to_str().ok_or("a folder's name in UTF-8")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may end while it is looked at; a zombie has no command line.
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if words.contains(folder) {
            found.push((pid, words));
        }
    }
    Ok(found)
}

/// The ids and processes of a table.
pub(crate) fn listed(table: &str) -> Outcome<BTreeMap<String, i32>> {
    let mut lines = table.lines().skip_while(|line| !line.starts_with("serverId"));
    let head: Vec<&str> =
        lines.next().ok_or_else(|| format!("no table: {table}"))?.split_whitespace().collect();
    let titles = ["serverId", "serverType", "pid", "rss(M)", "heapTotal(M)", "heapUsed(M)", "uptime(m)"];
    assert_eq!(head, titles);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells.len(), titles.len(), "{line}");
        Ok((cells[0].to_owned(), cells[2].parse()?))
    };
    lines.filter(|line| !line.trim().is_empty()).map(row).collect()
}

/// Reads lines up to one of which something holds; returns that.
pub(crate) fn until(program: &Program, holds: impl Fn(&str) -> bool) -> Outcome<String> {
    loop {
        let line = program.line()?;
        if holds(&line) {
            return Ok(line);
        }
    }
}

/// Everything that a program said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
