//! Primaries whose program is replaced while they run.

use super::{AS, Cluster, SIGKILL, role};
use cluster::{Backoff, Error, Settings};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The deployed program, which ends with 42.
const SUCCESSOR: &str = "#!/bin/sh\nexit 42\n";

/// Replaces a program as deployments do: another file takes over its name.
fn deploy(at: &Path) {
    let fresh = at.with_file_name("fresh");
    fs::write(&fresh, SUCCESSOR).expect("a folder of our own");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("a file of our own");
    fs::rename(&fresh, at).expect("the same folder");
}

/// Runs a copy of this program under a name of its own.
pub(crate) fn run_as(name: &str, role: &str, args: &[&str]) -> ExitStatus {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join(name);
    fs::copy(std::env::current_exe().expect("this program"), &copy).expect("room");
    // By a relative path, which depends on the working directory.
    let mut command = Command::new(Path::new(".").join(name));
    command.current_dir(&folder).args([AS, role]).args(args).status().expect("a copy of this program")
}

/// Runs a copy of this program in a folder to which a link beside it leads.
pub(crate) fn run_linked(role: &str) -> ExitStatus {
    let folder = tempfile::tempdir().expect("a folder");
    let release = folder.path().join("before");
    fs::create_dir(&release).expect("a folder of our own");
    fs::copy(std::env::current_exe().expect("this program"), release.join("app")).expect("room");
    symlink("before", folder.path().join("current")).expect("a folder of our own");
    let mut command = Command::new("./current/app");
    command.current_dir(&folder).args([AS, role]).status().expect("a copy of this program")
}

fn ends_with(cluster: &Cluster, id: u32, code: i32) {
    cluster.fork();
    cluster.until(|| cluster.has(&format!("exit {id} {code} 0")) && cluster.has(&format!("disconnect {id}")));
    cluster.finished();
}

/// Forks before and after its program is replaced, removed and put back.
pub(crate) fn deployed(how: &[&str]) {
    let path = std::env::current_exe().expect("this program");
    let (cluster, mut id) = if how == ["before"] {
        // The program was not looked up before.
        deploy(&path);
        fs::write(path.with_file_name("app (deleted)"), "no program").expect("a folder of our own");
        (Cluster::new("would_be", &[]), 0)
    } else {
        let cluster = Cluster::new("would_be", &[]);
        ends_with(&cluster, 1, super::invited::WORKER);
        std::env::set_current_dir("/").expect("a folder");
        if how == ["renamed"] {
            fs::rename(&path, path.with_file_name("old")).expect("the same folder");
        }
        deploy(&path);
        (cluster, 1)
    };
    for _ in 0..2 {
        id += 1;
        ends_with(&cluster, id, 42);
    }
    fs::remove_file(&path).expect("it is there");
    let Err(Error::System(error)) = cluster.primary.fork() else { panic!("there is no program") };
    assert_eq!((error.op(), error.errno().name()), ("spawn", "ENOENT"));
    assert_eq!(error.target(), path.to_str(), "as it was called");
    cluster.finished();
    deploy(&path);
    // The worker that could not be started has had an id, too.
    ends_with(&cluster, id + 2, 42);
}

/// Forks before and after the link by which its program was started is changed, and the previous folder removed.
pub(crate) fn linked() {
    let folder = std::env::current_dir().expect("a folder");
    let cluster = Cluster::new("would_be", &[]);
    ends_with(&cluster, 1, super::invited::WORKER);
    std::env::set_current_dir("/").expect("a folder");
    let after = folder.join("after");
    fs::create_dir(&after).expect("a folder of our own");
    deploy(&after.join("app"));
    symlink("after", folder.join("next")).expect("a folder of our own");
    fs::rename(folder.join("next"), folder.join("current")).expect("the same folder");
    fs::remove_dir_all(folder.join("before")).expect("a folder of our own");
    ends_with(&cluster, 2, 42);
}

/// Its worker is killed after a deployment.
pub(crate) fn supervised() {
    let path = std::env::current_exe().expect("this program");
    let cluster = Cluster::with(role("idle", &[]).respawn(Backoff::default()));
    let worker = cluster.fork();
    cluster.until_event("online 1");
    deploy(&path);
    worker.kill(SIGKILL).expect("it lives");
    cluster.until(|| cluster.has("exit 2 42 0") || cluster.count("error") > 0);
    assert_eq!(cluster.count("error"), 0, "{:?}", cluster.shorts());
    // Another successor is due.
    cluster.primary.disconnect();
    cluster.until_event("disconnected");
}

/// Relative paths in settings are resolved when the settings are made.
pub(crate) fn relative() {
    let here = std::env::current_dir().expect("a folder");
    let folder = here.join("folder");
    fs::create_dir(&folder).expect("a folder of our own");
    for at in [&here.join("successor"), &folder.join("other")] {
        deploy(at);
    }
    let settings = [
        Settings::default().program("./successor"),
        Settings::default().program("folder/other"),
        Settings::default().program("./other").cwd("folder"),
        Settings::default().program("sh").args(["-c", "exec ./other"]).cwd("./folder"),
    ];
    let clusters = settings.map(Cluster::with);
    std::env::set_current_dir("/").expect("a folder");
    clusters.iter().for_each(|cluster| ends_with(cluster, 1, 42));
    std::env::set_current_dir(&here).expect("a folder");
    let changed = &clusters[0];
    changed.primary.setup(|settings| settings.program("folder/other")).expect("the same policy");
    std::env::set_current_dir("/").expect("a folder");
    ends_with(changed, 2, 42);
}
