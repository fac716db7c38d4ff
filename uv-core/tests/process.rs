//! Child processes, through the public interface: their start, their end and their environment.

mod alone;
mod child;

use child::{Folder, exit_into, finish, run, shell, spawn_error};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use uv_core::handle::HandleKind;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio, kill};
use uv_core::{Errno, Loop, Pipe, RunMode, Signal, Timer};

/// The fields of `/proc/PID/stat` after the program's name: state, parent, group, session …
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn open_descriptors() -> BTreeSet<PathBuf> {
    let fds = fs::read_dir("/proc/self/fd").expect("a list of descriptors");
    fds.map(|fd| fd.expect("a descriptor").path()).collect()
}

fn children(parent: u32) -> usize {
    let processes = fs::read_dir("/proc").expect("a list of processes");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(stat).filter(|stat| stat[1] == parent.to_string()).count()
}

// libuv: spawn_fails
#[test]
fn a_missing_program_is_an_error_at_once_and_leaves_no_handle() {
    let event_loop = Loop::new().expect("a loop");
    let options = SpawnOptions::new("program-that-had-better-not-exist");
    let error = Process::spawn(&event_loop, &options, |_: &Process, _| unreachable!("there is no child"));
    let error = error.expect_err("there is no program");
    assert_eq!((error.op(), error.errno()), ("spawn", Errno::ENOENT));
    assert_eq!(error.target(), Some("program-that-had-better-not-exist"));
    assert!(event_loop.handles().is_empty());
    finish(&event_loop);
}

// libuv: spawn_fails_check_for_waitpid_cleanup
#[test]
fn a_failed_start_leaves_neither_a_zombie_nor_a_descriptor() {
    let name = "a_failed_start_leaves_neither_a_zombie_nor_a_descriptor";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = Loop::new().expect("a loop");
            let before = open_descriptors();
            let options = SpawnOptions::new("program-that-had-better-not-exist").stdio([
                Stdio::Ignore,
                Stdio::InheritFd(1),
                Stdio::InheritFd(2),
            ]);
            for _ in 0..3 {
                let on_exit = |_: &Process, _| unreachable!("there is no child");
                Process::spawn(&event_loop, &options, on_exit).expect_err("there is no program");
            }
            assert_eq!(children(std::process::id()), 0);
            assert_eq!(open_descriptors(), before);
            finish(&event_loop);
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}

// libuv: spawn_auto_unref
#[test]
fn the_loop_ends_by_itself_with_the_handle_inactive_but_open() {
    let event_loop = Loop::new().expect("a loop");
    let process = Process::spawn(&event_loop, &shell("exit 0"), |_: &Process, _| {}).expect("a child");
    assert!(process.is_active() && process.kind() == HandleKind::Process);
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert!(!process.is_active() && !process.is_closing());
    process.close();
    finish(&event_loop);
}

// libuv: spawn_exit_code
#[test]
fn an_exit_code_comes_without_a_signal() {
    for code in [0, 1, 42, 255] {
        assert_eq!(run(shell(&format!("exit {code}"))).0, (code, 0));
    }
}

// libuv: spawn_and_kill
#[test]
fn a_killed_child_reports_the_signal_and_cannot_be_signalled_any_more() {
    let event_loop = Loop::new().expect("a loop");
    let stdin = Pipe::new(&event_loop);
    let options = SpawnOptions::new("cat").stdio([Stdio::Pipe(stdin.clone())]);
    let status = Rc::new(Cell::new(None));
    let into = Rc::clone(&status);
    let process = Process::spawn(&event_loop, &options, move |process: &Process, status: ExitStatus| {
        into.set(Some(status));
        let error = process.kill(0).expect_err("it has ended");
        assert_eq!((error.op(), error.errno()), ("kill", Errno::ESRCH));
        assert_eq!(kill(process.pid(), 0).expect_err("it is collected").errno(), Errno::ESRCH);
        process.close();
        stdin.close();
    });
    let process = process.expect("a child");
    process.kill(0).expect("it is there");
    assert_eq!(process.kill(4096).expect_err("no signal").errno(), Errno::EINVAL);
    process.kill(libc::SIGTERM).expect("it may be signalled");
    finish(&event_loop);
    let status = status.get().expect("the child ended");
    assert_eq!((status.code, status.signal, status.success()), (0, libc::SIGTERM, false));
    assert_eq!(status.to_string(), "signal 15");
}

// libuv: spawn_exercise_sigchld_issue
#[test]
fn children_that_end_together_are_all_reported_and_foreign_ones_left_alone() {
    const CHILDREN: usize = 20;
    let mut foreign = Command::new("sh").args(["-c", "exit 9"]).spawn().expect("a foreign child");
    let event_loop = Loop::new().expect("a loop");
    let gate = Pipe::new(&event_loop);
    let theirs = gate.open_pair().expect("a pair of sockets");
    let codes = Rc::new(RefCell::new(BTreeSet::new()));
    for code in 0..CHILDREN {
        let options = shell(&format!("cat; exit {code}")).stdio([Stdio::InheritFd(theirs.as_raw_fd())]);
        let codes = Rc::clone(&codes);
        let on_exit = move |process: &Process, status: ExitStatus| {
            assert!(codes.borrow_mut().insert(status.code));
            process.close();
        };
        Process::spawn(&event_loop, &options, on_exit).expect("a child");
    }
    drop(theirs);
    gate.close();
    // Between them children that cannot start, which are never reported.
    let missing = SpawnOptions::new("program-that-had-better-not-exist");
    for _ in 0..CHILDREN {
        let on_exit = |_: &Process, _| unreachable!("there is no child");
        Process::spawn(&event_loop, &missing, on_exit).expect_err("there is no program");
    }
    finish(&event_loop);
    assert!(codes.borrow().iter().copied().eq(0..20));
    assert_eq!(foreign.wait().expect("no other code has collected it").code(), Some(9));
}

// libuv: spawn_reads_child_path
#[test]
fn the_program_is_searched_for_in_the_path_of_the_childs_environment() {
    let folder = Folder::new("path");
    std::os::unix::fs::symlink("/bin/sh", folder.0.join("uv-core-test-shell")).expect("a link");
    let options = SpawnOptions::new("uv-core-test-shell").args(["-c", "exit 7"]);
    assert_eq!(spawn_error(&options).errno(), Errno::ENOENT);
    assert_eq!(run(options.env("PATH", &folder.0)).0, (7, 0));
}

// libuv: spawn_empty_env
#[test]
fn an_empty_environment_works() {
    let (status, output) = run(SpawnOptions::new("env").env("DROPPED", "x").env_clear());
    assert_eq!((status, output.as_str()), ((0, 0), ""));
}

// libuv: spawn_preserve_env
#[test]
fn variables_are_inherited_set_and_removed() {
    let name = "variables_are_inherited_set_and_removed";
    let configure = |command: &mut Command| {
        command.env("UV_KEPT", "kept").env("UV_CHANGED", "before").env("UV_REMOVED", "x");
    };
    let status = alone::status(name, configure, || {
        let options = shell("echo $UV_KEPT $UV_CHANGED $UV_REMOVED $UV_NEW")
            .env("UV_CHANGED", "after")
            .env("UV_NEW", "new")
            .env_remove("UV_REMOVED");
        assert_eq!(run(options), ((0, 0), "kept after new\n".to_owned()));
    });
    assert!(status.is_none_or(|status| status.success()));
}

// libuv: spawn_relative_path
#[test]
fn a_relative_path_counts_from_the_childs_folder() {
    let folder = Folder::new("cwd");
    std::os::unix::fs::symlink("/bin/sh", folder.0.join("shell")).expect("a link");
    let options = SpawnOptions::new("./shell").args(["-c", "pwd -P"]).cwd(&folder.0);
    let path = folder.0.canonicalize().expect("the folder is there");
    assert_eq!(run(options), ((0, 0), format!("{}\n", path.display())));
}

// libuv: spawn_detached
#[test]
fn a_detached_child_has_its_own_session_and_outlives_its_parent() {
    let name = "a_detached_child_has_its_own_session_and_outlives_its_parent";
    let folder = Folder::new("detached");
    let (path, _) = folder.file("pid");
    let configure = |command: &mut Command| {
        command.env("UV_PID_FILE", &path);
    };
    let status = alone::status(name, configure, || {
        let event_loop = Loop::new().expect("a loop");
        let options = SpawnOptions::new("sleep").arg("1000").detached(true);
        let process =
            Process::spawn(&event_loop, &options, |_: &Process, _| unreachable!()).expect("a child");
        process.unref();
        assert!(
            !event_loop.run(RunMode::Default).expect("the loop runs"),
            "an unreferenced child does not hold it"
        );
        process.close();
        finish(&event_loop);
        let path = std::env::var_os("UV_PID_FILE").expect("the test set it");
        fs::write(path, process.pid().to_string()).expect("the file is there");
    });
    let Some(status) = status else { return };
    assert!(status.success());
    let pid = fs::read_to_string(&path).expect("the file is there").parse().expect("a process id");
    kill(pid, 0).expect("the child outlived its parent");
    assert_eq!(stat(pid).expect("it is running")[3], pid.to_string(), "the leader of its session");
    kill(pid, libc::SIGKILL).expect("it may be signalled");
}

// libuv: process_ref
#[test]
fn an_unreferenced_child_does_not_keep_the_loop_alive() {
    let event_loop = Loop::new().expect("a loop");
    let stdin = Pipe::new(&event_loop);
    let options = SpawnOptions::new("cat").stdio([Stdio::Pipe(stdin.clone())]);
    let process = Process::spawn(&event_loop, &options, exit_into(&Rc::default())).expect("a child");
    process.unref();
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert!(process.is_active());
    process.ref_();
    stdin.close();
    finish(&event_loop);
}

#[test]
fn a_child_whose_handle_was_closed_runs_on_and_is_collected_in_the_end() {
    let event_loop = Loop::new().expect("a loop");
    let stdin = Pipe::new(&event_loop);
    let options = SpawnOptions::new("cat").stdio([Stdio::Pipe(stdin.clone())]);
    let on_exit = |_: &Process, _| unreachable!("the handle is closed");
    let process = Process::spawn(&event_loop, &options, on_exit).expect("a child");
    let pid = process.pid();
    process.close();
    assert_eq!(process.kill(0).expect_err("it is closing").errno(), Errno::ESRCH);
    event_loop.run(RunMode::Default).expect("the loop runs");
    assert_eq!(event_loop.handles().len(), 1, "only the pipe is seen");
    kill(pid, 0).expect("the child runs on");
    stdin.close();
    let timer = Timer::new(&event_loop);
    let gone = move |timer: &Timer| {
        if kill(pid, 0).is_err() {
            timer.close();
        }
    };
    timer.start(Duration::ZERO, Duration::from_millis(1), gone).expect("a timer starts");
    finish(&event_loop);
}

/// Waits until no process has this id, not even a zombie.
fn wait_until_gone(pid: i32) {
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while kill(pid, 0).is_ok() {
        assert!(patience > std::time::Instant::now(), "{:?}", stat(pid));
        std::thread::yield_now();
    }
}

#[test]
fn children_that_no_handle_waits_for_are_collected_also_without_a_loop_that_runs() {
    const CHILDREN: usize = 10;
    let event_loop = Loop::new().expect("a loop");
    let gate = Pipe::new(&event_loop);
    let theirs = gate.open_pair().expect("a pair of sockets");
    let options = SpawnOptions::new("cat").stdio([Stdio::InheritFd(theirs.as_raw_fd())]);
    let spawn = |_| {
        Process::spawn(&event_loop, &options, |_: &Process, _| unreachable!("no handle")).expect("a child")
    };
    let (closed, dropped): (Vec<_>, Vec<_>) =
        ((0..CHILDREN).map(spawn).collect(), (0..CHILDREN).map(spawn).collect());
    let pids = |children: &[Process]| children.iter().map(Process::pid).collect::<Vec<_>>();
    let foreign = Command::new("sh").args(["-c", "exit 9"]).spawn().expect("a foreign child");
    closed.iter().for_each(|child| child.close());
    for (number, pid) in pids(&closed).into_iter().enumerate() {
        // Half of them one after the other, and the rest at once.
        if number < CHILDREN / 2 {
            kill(pid, libc::SIGKILL).expect("it runs on");
            wait_until_gone(pid);
        }
    }
    let all = [pids(&closed), pids(&dropped)].concat();
    drop((closed, dropped, theirs));
    let ended = UnixStream::from(gate.try_clone_fd().expect("dup"));
    drop(event_loop);
    ended.shutdown(std::net::Shutdown::Both).expect("a connected socket");
    all.into_iter().for_each(wait_until_gone);
    let mut foreign = foreign;
    assert_eq!(foreign.wait().expect("only known children are collected").code(), Some(9));
}

#[test]
fn dropping_the_loop_leaves_the_child_running() {
    let event_loop = Loop::new().expect("a loop");
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let mut ours = ours;
    let slots = [Stdio::InheritFd(theirs.as_raw_fd()), Stdio::InheritFd(theirs.as_raw_fd())];
    let on_exit = |_: &Process, _| unreachable!("the loop is dropped");
    Process::spawn(&event_loop, &SpawnOptions::new("cat").stdio(slots), on_exit).expect("a child");
    drop((event_loop, theirs));
    ours.write_all(b"still there?").expect("the child reads");
    ours.shutdown(std::net::Shutdown::Write).expect("a connected socket");
    let mut echo = String::new();
    ours.read_to_string(&mut echo).expect("the child writes");
    assert_eq!(echo, "still there?");
}

#[test]
fn a_handle_closed_by_another_childs_exit_call_is_not_called() {
    let event_loop = Loop::new().expect("a loop");
    let children = Rc::new(RefCell::new(Vec::new()));
    let calls = Rc::new(Cell::new(0));
    for _ in 0..5 {
        let (all, calls) = (Rc::clone(&children), Rc::clone(&calls));
        let on_exit = move |_: &Process, _| {
            calls.set(calls.get() + 1);
            all.borrow().iter().for_each(|process: &Process| process.close());
        };
        children.borrow_mut().push(Process::spawn(&event_loop, &shell("exit 0"), on_exit).expect("a child"));
    }
    finish(&event_loop);
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_panic_in_an_exit_call_leaves_the_loop_usable() {
    let event_loop = Loop::new().expect("a loop");
    let on_exit = |_: &Process, _| resume_unwind(Box::new("expected by the test"));
    let process = Process::spawn(&event_loop, &shell("exit 0"), on_exit).expect("a child");
    catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default)))
        .expect_err("the panic comes out of run");
    process.close();
    finish(&event_loop);
}

#[test]
fn a_child_starts_with_no_signal_handled_ignored_or_blocked() {
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    signal.start(libc::SIGUSR2, |_: &Signal, _| {}).expect("SIGUSR2 may be watched");
    // Not a shell, because a shell handles signals.
    let (_, output) = run(SpawnOptions::new("cat").arg("/proc/self/status"));
    let mask_in = |status: &str, name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).expect("a set of signals");
        u64::from_str_radix(mask.trim(), 16).expect("a hexadecimal number")
    };
    // Under `nohup` this process ignores SIGHUP, and then so does the child.
    let own = fs::read_to_string("/proc/self/status").expect("this process's status");
    let nohup = mask_in(&own, "SigIgn:") & 1;
    // Signals 32 and 33 belong to the C library, which does not allow changing them.
    let others = !(0b11 << 31);
    let masks = ["SigBlk:", "SigIgn:", "SigCgt:"].map(|name| mask_in(&output, name) & others);
    assert_eq!(masks, [0, nohup, 0], "{output}");
    signal.close();
    finish(&event_loop);
}

#[test]
fn exit_codes_are_not_lost_in_a_process_that_was_started_with_sigchld_ignored() {
    let name = "exit_codes_are_not_lost_in_a_process_that_was_started_with_sigchld_ignored";
    if std::env::var_os("UV_SIGCHLD_IGNORED").is_some() {
        return assert_eq!(run(shell("exit 5")).0, (5, 0));
    }
    let itself = std::env::current_exe().expect("its own path");
    // Not a shell, because dash does not ignore this signal.
    let status = Command::new("env")
        .args(["--ignore-signal=CHLD".as_ref(), itself.as_os_str(), "--exact".as_ref(), name.as_ref()])
        .env("UV_SIGCHLD_IGNORED", "1")
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("a shell").success());
}

// libuv and Node report "spawn sh ENOENT" for both.
#[test]
fn an_error_of_spawn_tells_a_missing_folder_from_a_missing_program() {
    let nowhere = "/folder-that-had-better-not-exist";
    let of_folder = spawn_error(&shell("exit 0").cwd(nowhere));
    assert_eq!(
        of_folder.to_string(),
        "spawn /bin/sh (the working directory, not the program): No such file or directory (ENOENT)"
    );
    assert_eq!(spawn_error(&shell("exit 0").cwd("/dev/null")).note(), of_folder.note());
    assert_eq!(spawn_error(&SpawnOptions::new(nowhere)).note(), None);
    assert_eq!(spawn_error(&SpawnOptions::new(nowhere).cwd("/")).note(), None);
}

#[test]
fn what_cannot_be_started_is_refused_with_its_reason() {
    let event_loop = Loop::new().expect("a loop");
    let refused = |options: SpawnOptions, reason: Errno| {
        assert_eq!(spawn_error(&options).errno(), reason, "{options:?}");
    };
    refused(SpawnOptions::new(""), Errno::ENOENT);
    refused(SpawnOptions::new("/"), Errno::EACCES);
    refused(SpawnOptions::new("a\0b"), Errno::EINVAL);
    refused(shell("a\0b"), Errno::EINVAL);
    refused(shell("exit 0").env("a=b", "c"), Errno::EINVAL);
    refused(shell("exit 0").env("", "c"), Errno::EINVAL);
    refused(shell("exit 0").env("a", "b\0c"), Errno::EINVAL);
    refused(shell("exit 0").cwd("/folder-that-had-better-not-exist"), Errno::ENOENT);
    refused(shell("exit 0").stdio([Stdio::InheritFd(-1)]), Errno::EBADF);
    refused(shell("exit 0").stdio([Stdio::InheritFd(i32::MAX)]), Errno::EBADF);
    let pipe = Pipe::new(&event_loop);
    refused(shell("exit 0").stdio([Stdio::InheritStream((*pipe).clone())]), Errno::EINVAL);
    let theirs: OwnedFd = pipe.open_pair().expect("a pair of sockets");
    refused(shell("exit 0").stdio([Stdio::Pipe(pipe.clone())]), Errno::EBUSY);
    drop(theirs);
    pipe.close();
    finish(&event_loop);
}

#[test]
fn a_program_without_a_first_line_is_run_by_the_shell() {
    let folder = Folder::new("script");
    let (path, mut file) = folder.file("script");
    file.write_all(b"exit 6\n").expect("the file is there");
    drop(file);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("the file is ours");
    // A child of another test may hold the file open for writing until its own `exec`: ETXTBSY. So a shell makes the
    // copy.
    let copied = folder.0.join("copy");
    let copy = Command::new("cp").args([&path as &Path, &copied]).status().expect("cp runs");
    assert!(copy.success());
    assert_eq!(run(SpawnOptions::new(copied)).0, (6, 0));
}

#[test]
fn what_may_not_be_run_is_passed_over_for_what_is_behind_it_in_the_path() {
    let folder = Folder::new("passed-over");
    let name = "uv-core-test-shell";
    let (refused, empty, found) = (folder.0.join("refused"), folder.0.join("empty"), folder.0.join("found"));
    for each in [&refused, &empty, &found] {
        fs::create_dir(each).expect("a folder");
    }
    fs::write(refused.join(name), "").expect("a file without permission to execute");
    std::os::unix::fs::symlink("/bin/sh", found.join(name)).expect("a link");
    let path = |folders: &[&PathBuf]| std::env::join_paths(folders).expect("no colon in the names");
    let options = || SpawnOptions::new(name).args(["-c", "exit 7"]);
    assert_eq!(run(options().env("PATH", path(&[&refused, &empty, &found]))).0, (7, 0));
    let error = spawn_error(&options().env("PATH", path(&[&refused, &empty])));
    assert_eq!(error.errno(), Errno::EACCES, "the reason is the file that is there");
    // An empty entry of PATH is the child's working directory.
    assert_eq!(run(options().env("PATH", ":/nowhere").cwd(&found)).0, (7, 0));
    assert_eq!(spawn_error(&options().env("PATH", "/nowhere").cwd(&found)).errno(), Errno::ENOENT);
}
