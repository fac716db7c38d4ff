//! Processes that were forked as workers, or only look like it.

use super::{AS, Cluster, read_all, role};
use async_wrap::Environment;
use cluster::upcall::PrimaryHandler;
use cluster::{Error, InvitationError, Primary, Settings, Worker};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio, exit};
use std::rc::Rc;
use uv_core::{Loop, Pipe, RunMode};

/// The version that primaries and workers speak.
pub(crate) const SPOKEN: u8 = 2;

/// The exit codes of a would-be worker.
pub(crate) const WORKER: i32 = 0;
pub(crate) const NO_WORKER: i32 = 70;
pub(crate) const VARIABLES: i32 = 71;
pub(crate) const STDIN: i32 = 72;
pub(crate) const EMPTY: i32 = 73;
pub(crate) const NO_CHANNEL: i32 = 74;
pub(crate) const VERSION: i32 = 75;
pub(crate) const SYSTEM: i32 = 76;

struct Silent;

impl PrimaryHandler for Silent {}

/// Asks whether it is a worker, and exits with the answer. A worker leaves.
pub(crate) fn would_be() {
    let Ok(event_loop) = Loop::new() else { exit(SYSTEM) };
    let env = Environment::new(&event_loop);
    let error = match Worker::from_env(&env) {
        Ok(Some(worker)) => {
            worker.disconnect();
            env.run(RunMode::Default).expect("the loop runs");
            exit(WORKER);
        }
        Ok(None) => exit(NO_WORKER),
        Err(error) => error,
    };
    // The answer is the same when it asks again.
    assert!(Worker::from_env(&env).is_err());
    let primary = Primary::new(&env, role("would_be", &[]), Silent);
    assert_eq!(primary.fork().map(drop), Err(Error::Invitation(InvitationError::Unaccepted)));
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    exit(match error {
        Error::Invitation(InvitationError::Variables) => VARIABLES,
        Error::Invitation(InvitationError::Stdin) => STDIN,
        Error::Invitation(InvitationError::Empty) => EMPTY,
        Error::Invitation(InvitationError::NoChannel) => NO_CHANNEL,
        Error::Version { .. } => VERSION,
        Error::System(_) => SYSTEM,
        other => panic!("{other}"),
    });
}

/// Holds all but so many of the descriptors that the process may have, then asks whether it is a worker.
pub(crate) fn short_of_descriptors(spare: &str) {
    let mut hoard: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    hoard.truncate(hoard.len() - spare.parse::<usize>().expect("a number"));
    would_be();
}

/// Forks without asking whether it is a worker, as a program that ignores errors does. Exits with the result.
pub(crate) fn heedless() {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let primary = Primary::new(&env, role("heedless", &[]), Silent);
    exit(match primary.fork() {
        Err(Error::Invitation(InvitationError::Unaccepted)) => WORKER,
        other => panic!("{other:?}"),
    });
}

/// A worker with a second thread, which keeps its variables. Reports what its children are.
pub(crate) fn threaded() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let (_lp, env, worker) = super::as_worker();
    assert!(Worker::from_env(&env).expect("no error").is_none(), "only once");
    for stdin in [Stdio::inherit(), Stdio::null()] {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).args([AS, "would_be"]).stdin(stdin).status();
        let code = child.expect("a child").code().expect("a code");
        worker.send(format!("child {code}").as_bytes()).expect("a channel");
    }
    worker.disconnect();
    env.run(RunMode::Default).expect("the loop runs");
    drop(done);
    let _ = thread.join().expect("it waited");
}

/// A primary in whose system no more descriptors can be in flight, for a while. For a user without privileges.
pub(crate) fn hindered() {
    let cluster = Cluster::new("would_be", &[]);
    let pipe = Pipe::new_ipc(&cluster.event_loop);
    let unread = pipe.open_pair().expect("a pair");
    let null = Rc::new(OwnedFd::from(File::open("/dev/null").expect("a file")));
    // As many as this process may have open, and more: `unix(7)`, ETOOMANYREFS.
    pipe.write_fds(b"x".as_slice(), vec![null; 200]).expect("room");
    let Err(Error::System(error)) = cluster.primary.fork() else { panic!("a worker without a channel") };
    assert_eq!((error.op(), error.errno().name()), ("write", "ETOOMANYREFS"));
    assert!(cluster.primary.workers().is_empty());
    pipe.close();
    drop(unread);
    cluster.finished();
    assert!(cluster.events().is_empty());
    cluster.fork();
    // The worker that could not be started has had an id, too.
    cluster.until(|| cluster.has("exit 2 0 0") && cluster.has("disconnect 2"));
    cluster.finished();
}

/// A shell that becomes a would-be worker; `"$@"` is the command.
pub(crate) fn through_shell(script: &str, role: &str, args: &[&str]) -> Settings {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a plain path");
    let words = ["-c", script, "sh", program, AS, role];
    Settings::default().program("/bin/sh").args(words.iter().chain(args))
}

/// The exit code of a would-be worker that is a primary's shell script.
pub(crate) fn outcome(settings: Settings) -> i32 {
    let cluster = Cluster::with(settings);
    cluster.fork();
    cluster.until(|| cluster.count("exit 1") == 1 && cluster.has("disconnect 1"));
    let exit = cluster.shorts().into_iter().find_map(|event| Some(event.strip_prefix("exit 1 ")?.to_owned()));
    cluster.finished();
    let exit = exit.expect("it has come");
    exit.strip_suffix(" 0").and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("a signal: {exit}"))
}

/// The exit code of a would-be worker of this process: standard input, its inode in the variable.
pub(crate) fn outcome_with(stdin: Stdio, inode: &str) -> i32 {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args([AS, "would_be"]).env("UPCALL_UNIQUE_ID", "1").env("UPCALL_STDIN", inode).stdin(stdin);
    command.status().expect("a child").code().expect("a code")
}

/// The same with a socket that holds these bytes, and whose other end may be open.
pub(crate) fn outcome_of_message(bytes: &[u8], is_open: bool) -> i32 {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    ours.write_all(bytes).expect("room");
    let ours = is_open.then_some(ours);
    let (theirs, inode) = super::inode(theirs.into());
    let code = outcome_with(theirs.into(), &inode.to_string());
    drop(ours);
    code
}

/// The same with a valid invitation whose primary has ended.
pub(crate) fn outcome_without_primary() -> i32 {
    let event_loop = Loop::new().expect("a loop");
    let pipe = Pipe::new_ipc(&event_loop);
    let (stdin, inode) = super::inode(pipe.open_pair().expect("a pair"));
    let (primary, channel) = UnixStream::pair().expect("a pair");
    pipe.try_write_fds(&[SPOKEN], &[channel.as_fd()]).expect("room");
    drop((primary, channel));
    outcome_with(stdin.into(), &inode.to_string())
}

/// Whether the other user may run this program, and how that ended.
pub(crate) fn as_nobody(role: &str) -> Option<std::process::ExitStatus> {
    const NOBODY: u32 = 65534;
    let program = std::env::current_exe().expect("this program");
    let script = "ulimit -n 100; exec \"$0\" \"$@\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(program).args([AS, role]).current_dir("/");
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("this process"));
    if uid == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.stderr(Stdio::piped()).output().expect("a shell");
    let said = read_all(output.stderr.as_slice());
    if said.contains("ermission denied") {
        println!("skipped: only root may start the program where it was built");
        return None;
    }
    print!("{said}");
    Some(output.status)
}
