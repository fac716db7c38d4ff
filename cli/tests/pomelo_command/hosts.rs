//! Servers on another host: two network namespaces with a cable between them, and a real sshd at the far end, which has
//! its own configuration, keys and port. Skipped where that cannot be had.

use crate::program::Program;
use crate::site::{Outcome, READY, Site, UPCALL, listed, said, until};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Addresses for tests of networks (RFC 2544).
const NEAR: &str = "198.18.0.1";
const FAR: &str = "198.18.0.2";

const PORT: &str = "2222";

/// Where systems keep sshd; it wants to be called by its full path.
const SSHD: &[&str] = &["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"];

/// What sshd needs of the system, put where only it sees it.
const SSHD_ROOM: &str = "mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec \"$@\"";

/// The two hosts. Dropping them takes them down.
struct Hosts {
    near: String,
    far: String,
    sshd: Option<Child>,
    folder: TempDir,
}

/// Runs a command; the first line of what it says against it, if it fails.
fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|error| format!("{program}: {error}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    let told = || format!("{program} {}: {}", words.join(" "), error.lines().next().unwrap_or_default());
    if output.status.success() { Ok(()) } else { Err(told()) }
}

impl Hosts {
    /// Two hosts, or why there are none.
    fn set_up() -> Result<Self, String> {
        let sshd = SSHD.iter().find(|path| Path::new(path).exists()).ok_or("there is no sshd here")?;
        let names = ["near", "far"].map(|end| format!("upcall-{}-{end}", std::process::id()));
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let [near, far] = names;
        let mut hosts = Self { near, far, sshd: None, folder };
        hosts.lay_cable()?;
        hosts.make_keys()?;
        hosts.start_sshd(sshd).map_err(|error| error.to_string())?;
        Ok(hosts)
    }

    fn lay_cable(&self) -> Result<(), String> {
        let (near, far) = (&*self.near, &*self.far);
        run("ip", &["netns", "add", near])?;
        run("ip", &["netns", "add", far])?;
        run("ip", &["-n", near, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", far])?;
        for (host, address) in [(near, NEAR), (far, FAR)] {
            run("ip", &["-n", host, "addr", "add", &format!("{address}/30"), "dev", "up0"])?;
            run("ip", &["-n", host, "link", "set", "up0", "up"])?;
            run("ip", &["-n", host, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn make_keys(&self) -> Result<(), String> {
        for name in ["host_key", "user_key"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &self.path(name)])?;
        }
        let failed = |error: std::io::Error| error.to_string();
        let host_key = fs::read_to_string(self.path("host_key.pub")).map_err(failed)?;
        fs::write(self.path("known_hosts"), format!("[{FAR}]:{PORT} {host_key}")).map_err(failed)?;
        fs::copy(self.path("user_key.pub"), self.path("authorized_keys")).map_err(failed)?;
        let sshd = format!(
            "Port {PORT}\nListenAddress {FAR}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            self.path("host_key"),
            self.path("authorized_keys"),
        );
        fs::write(self.path("sshd_config"), sshd).map_err(failed)?;
        let ssh = format!(
            "Port {PORT}\nIdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\n\
             StrictHostKeyChecking yes\nBatchMode yes\nLogLevel ERROR\n",
            self.path("user_key"),
            self.path("known_hosts"),
        );
        fs::write(self.path("ssh_config"), ssh).map_err(failed)
    }

    fn start_sshd(&mut self, sshd: &str) -> Outcome {
        let mut command = command_in(&self.far, "sh");
        command.args(["-c", SSHD_ROOM, "sh", sshd, "-D", "-e", "-f"]).arg(self.path("sshd_config"));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let errors = child.stderr.take().ok_or("no pipe")?;
        self.sshd = Some(child);
        let mut said = String::new();
        let mut lines = BufReader::new(errors).lines();
        while let Some(line) = lines.next().transpose()? {
            if line.contains("Server listening") {
                // What it says later is of no interest, but it is not to wait for a reader.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(());
            }
            said = line;
        }
        Err(format!("sshd does not start: {said}").into())
    }

    fn ask(&self, site: &Site, words: &[&str]) -> Outcome<String> {
        let mut command = command_in(&self.near, UPCALL);
        let output = command.arg("pomelo").args(words).args(site.address()).output()?;
        assert!(output.status.success(), "{}", said(&output));
        Ok(said(&output))
    }

    fn list(&self, site: &Site) -> Outcome<BTreeMap<String, i32>> {
        listed(&self.ask(site, &["list"])?)
    }

    /// Whether a process is on the far host.
    fn is_far(&self, pid: i32) -> Outcome<bool> {
        let output = Command::new("ip").args(["netns", "identify", &pid.to_string()]).output()?;
        Ok(String::from_utf8(output.stdout)?.trim() == self.far)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if let Some(sshd) = &mut self.sshd {
            // Fails only if it has ended.
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
        for name in [&self.near, &self.far] {
            // Fails only for a file that could not be made.
            let _ = run("ip", &["netns", "del", name]);
        }
    }
}

fn command_in(host: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", host, program]);
    command
}

/// Moves two servers to the far host.
fn move_servers(site: &Site) -> Outcome {
    site.edit("servers.json", |text| {
        let is_far = |line: &&str| line.contains("chat-server-1") || line.contains("connector-server-2");
        let moved = |line| if is_far(&line) { line.replace(NEAR, FAR) } else { line.to_owned() };
        text.lines().map(moved).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn servers_run_on_other_hosts() -> Outcome {
    let hosts = match Hosts::set_up() {
        Ok(hosts) => hosts,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    for env in ["development", "production"] {
        let site = Site::at(NEAR, 0)?;
        move_servers(&site)?;
        let mut start = command_in(&hosts.near, UPCALL);
        start.args(["pomelo", "start", "--env", env]).arg(site.path());
        start.args(["--ssh", &format!("-F {}", hosts.path("ssh_config"))]);
        let master = Program::spawn(&mut start)?;
        until(&master, |line| line.starts_with(READY))?;
        let before = hosts.list(&site)?;
        assert_eq!(before.len(), 5, "{before:?}");
        for (id, pid) in &before {
            let belongs_far = id == "chat-server-1" || id == "connector-server-2";
            assert_eq!(hosts.is_far(*pid)?, belongs_far, "{id}");
        }
        hosts.ask(&site, &["restart", "-i", "chat-server-1"])?;
        until(&master, |line| line.starts_with("chat-server-1 ("))?;
        let after = hosts.list(&site)?;
        assert_ne!(before["chat-server-1"], after["chat-server-1"]);
        assert!(hosts.is_far(after["chat-server-1"])?);
        master.end()?;
        site.assert_nothing_runs()?;
    }
    Ok(())
}
