//! The descriptors of child processes, through the public interface.

mod alone;
mod child;

use child::{Collect, Folder, Output, exit_into, finish, run, shell};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};
use uv_core::upcall::StreamUpcall;
use uv_core::{Error, Loop, Pipe, Prepare, Result, RunMode, Signal, Stream, Timer};

/// `O_NONBLOCK`, and the terminal does not become this process's.
const NONBLOCKING: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

fn is_nonblocking(fd: RawFd) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).expect("an open descriptor");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("its flags");
    i32::from_str_radix(flags.trim(), 8).expect("an octal number") & libc::O_NONBLOCK != 0
}

// libuv: spawn_stdout_to_file
#[test]
fn output_goes_to_inherited_files() {
    let folder = Folder::new("files");
    let ((out_path, out), (err_path, err)) = (folder.file("out"), folder.file("err"));
    let event_loop = Loop::new().expect("a loop");
    let options = shell("echo out; echo err >&2").stdio([
        Stdio::Ignore,
        Stdio::InheritFd(out.as_raw_fd()),
        Stdio::InheritFd(err.as_raw_fd()),
    ]);
    let status = Rc::default();
    Process::spawn(&event_loop, &options, exit_into(&status)).expect("a child");
    finish(&event_loop);
    assert_eq!(status.get().map(ExitStatus::success), Some(true));
    assert_eq!(fs::read_to_string(out_path).expect("output"), "out\n");
    assert_eq!(fs::read_to_string(err_path).expect("output"), "err\n");
}

// libuv: spawn_stdout_and_stderr_to_file
#[test]
fn one_inherited_file_may_serve_two_slots() {
    let folder = Folder::new("file2");
    let (path, file) = folder.file("both");
    let event_loop = Loop::new().expect("a loop");
    let inherit = Stdio::InheritFd(file.as_raw_fd());
    let options = shell("echo out; echo err >&2").stdio([Stdio::Ignore, inherit.clone(), inherit]);
    Process::spawn(&event_loop, &options, exit_into(&Rc::default())).expect("a child");
    finish(&event_loop);
    assert_eq!(fs::read_to_string(path).expect("output"), "out\nerr\n");
}

// libuv: spawn_stdout_and_stderr_to_file2: the file is this process's standard error.
#[test]
fn the_standard_error_of_this_process_may_serve_two_slots() {
    let name = "the_standard_error_of_this_process_may_serve_two_slots";
    let folder = Folder::new("stderr");
    let (path, file) = folder.file("both");
    let redirect = |command: &mut Command| {
        command.stderr(file);
    };
    let status = alone::status(name, redirect, || {
        let event_loop = Loop::new().expect("a loop");
        let slots = [Stdio::Ignore, Stdio::InheritFd(2), Stdio::InheritFd(2)];
        let options = shell("echo out; echo err >&2").stdio(slots);
        Process::spawn(&event_loop, &options, exit_into(&Rc::default())).expect("a child");
        finish(&event_loop);
    });
    let Some(status) = status else { return };
    assert!(status.success());
    assert_eq!(fs::read_to_string(path).expect("output"), "out\nerr\n");
}

// libuv: spawn_stdout_and_stderr_to_file_swap
#[test]
fn output_and_error_may_be_swapped() {
    let name = "output_and_error_may_be_swapped";
    let folder = Folder::new("swap");
    let ((out_path, out), (err_path, err)) = (folder.file("out"), folder.file("err"));
    let redirect = |command: &mut Command| {
        command.stdout(out).stderr(err);
    };
    let status = alone::status(name, redirect, || {
        let event_loop = Loop::new().expect("a loop");
        let swapped = [Stdio::Ignore, Stdio::InheritFd(2), Stdio::InheritFd(1)];
        let options = shell("echo from-output; echo from-error >&2").stdio(swapped);
        Process::spawn(&event_loop, &options, exit_into(&Rc::default())).expect("a child");
        finish(&event_loop);
    });
    let Some(status) = status else { return };
    assert!(status.success());
    let (out, err) =
        (fs::read_to_string(out_path).expect("output"), fs::read_to_string(err_path).expect("output"));
    assert!(out.contains("from-error") && !out.contains("from-output"), "{out}");
    assert!(err.contains("from-output") && !err.contains("from-error"), "{err}");
}

// libuv: spawn_ignored_stdio
#[test]
fn ignored_stdio_is_the_null_device() {
    let (status, output) = run(shell("readlink /proc/self/fd/0 /proc/self/fd/2; cat; echo lost >&2"));
    assert_eq!((status, output.as_str()), ((0, 0), "/dev/null\n/dev/null\n"));
}

// libuv: spawn_closed_process_io
#[test]
fn pipes_work_when_their_own_numbers_are_those_of_the_childs_slots() {
    // As many as a shell can name. In a separate process the first free numbers are among them.
    const SLOTS: usize = 10;
    let name = "pipes_work_when_their_own_numbers_are_those_of_the_childs_slots";
    let status = alone::status(
        name,
        |_| {},
        || {
            let event_loop = Loop::new().expect("a loop");
            let pipes: Vec<_> = (0..SLOTS).map(|_| Pipe::new(&event_loop)).collect();
            let slots: Vec<_> = pipes.iter().rev().cloned().map(Stdio::Pipe).collect();
            let script: String = (0..SLOTS).map(|slot| format!("echo {slot} >&{slot};")).collect();
            Process::spawn(&event_loop, &shell(&script).stdio(slots), exit_into(&Rc::default()))
                .expect("a child");
            assert!(pipes.iter().any(|pipe| pipe.fileno().is_ok_and(|fd| fd < 10)));
            let outputs: Vec<_> = pipes.iter().rev().map(Output::of).collect();
            finish(&event_loop);
            for (slot, output) in outputs.iter().enumerate() {
                assert_eq!(output.text(), format!("{slot}\n"));
            }
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}

// libuv: spawn_stdin, spawn_stdout
#[test]
fn what_is_written_to_the_childs_input_comes_back_from_its_output() {
    let event_loop = Loop::new().expect("a loop");
    let (stdin, stdout, status) = (Pipe::new(&event_loop), Pipe::new(&event_loop), Rc::default());
    let slots = [Stdio::Pipe(stdin.clone()), Stdio::Pipe(stdout.clone())];
    Process::spawn(&event_loop, &SpawnOptions::new("cat").stdio(slots), exit_into(&status)).expect("a child");
    let output = Output::of(&stdout);
    stdin.write("a line\n").expect("the child's input takes a write");
    stdin.shutdown().expect("and then its end");
    let unused = Output::of(&stdin);
    finish(&event_loop);
    assert_eq!((output.text().as_str(), output.ended(), unused.ended()), ("a line\n", true, true));
    assert_eq!(status.get().map(ExitStatus::success), Some(true));
}

// libuv: spawn_and_ping: the child ends because its input does.
#[test]
fn a_ping_is_answered_by_a_child_that_is_there() {
    let event_loop = Loop::new().expect("a loop");
    let (stdin, stdout, status) = (Pipe::new(&event_loop), Pipe::new(&event_loop), Rc::default());
    let slots = [Stdio::Pipe(stdin.clone()), Stdio::Pipe(stdout.clone())];
    let child = Process::spawn(&event_loop, &SpawnOptions::new("cat").stdio(slots), exit_into(&status));
    child.expect("a child").kill(0).expect("it is there");
    let output = Output::of(&stdout);
    stdin.set_upcall(CloseOnWrite);
    stdin.write("TEST").expect("the child's input takes a write");
    assert_eq!(status.get(), None);
    finish(&event_loop);
    assert_eq!((output.text().as_str(), output.ended()), ("TEST", true));
    assert_eq!(status.get().map(ExitStatus::success), Some(true));
}

/// Closes its pipe when something was written to it.
struct CloseOnWrite;

impl StreamUpcall for CloseOnWrite {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, _: &Stream, error: Error) {
        panic!("{error}");
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        result.expect("the child reads");
        stream.close();
    }
}

// libuv: spawn_stdio_greater_than_3
#[test]
fn descriptors_above_two_may_be_pipes_and_ignored_ones_are_not_open() {
    let event_loop = Loop::new().expect("a loop");
    let extra = Pipe::new(&event_loop);
    let slots = [Stdio::Ignore, Stdio::Ignore, Stdio::Ignore, Stdio::Ignore, Stdio::Pipe(extra.clone())];
    let options = shell("(true >&3) 2>/dev/null && echo open >&4; echo fourth >&4").stdio(slots);
    Process::spawn(&event_loop, &options, exit_into(&Rc::default())).expect("a child");
    let output = Output::of(&extra);
    finish(&event_loop);
    assert_eq!(output.text(), "fourth\n");
}

// libuv: spawn_same_stdout_stderr
#[test]
fn one_pipe_may_serve_both_output_and_error() {
    let event_loop = Loop::new().expect("a loop");
    let both = Pipe::new(&event_loop);
    let slots = [Stdio::Ignore, Stdio::Pipe(both.clone()), Stdio::Pipe(both.clone())];
    let options = shell("echo out; echo err >&2; echo out").stdio(slots);
    Process::spawn(&event_loop, &options, exit_into(&Rc::default())).expect("a child");
    let output = Output::of(&both);
    finish(&event_loop);
    assert_eq!((output.text().as_str(), output.ended()), ("out\nerr\nout\n", true));
}

// libuv: spawn_fs_open
#[test]
fn no_other_descriptor_leaks_into_the_child() {
    // Descriptors that the test runner leaks do not count.
    let expected = Command::new("ls").arg("/proc/self/fd").output().expect("ls runs").stdout;
    let event_loop = Loop::new().expect("a loop");
    let signal = Signal::new(&event_loop);
    signal.start(libc::SIGUSR1, |_: &Signal, _| {}).expect("SIGUSR1 may be watched");
    let (stdin, _file) = (Pipe::new(&event_loop), File::open("/proc/self/exe").expect("a file"));
    let other = SpawnOptions::new("cat").stdio([Stdio::Pipe(stdin.clone())]);
    let other = Process::spawn(&event_loop, &other, exit_into(&Rc::default())).expect("another child");
    let (status, output) = run(SpawnOptions::new("ls").arg("/proc/self/fd"));
    assert_eq!((status, output.as_bytes()), ((0, 0), expected.as_slice()));
    signal.close();
    other.kill(libc::SIGKILL).expect("it may be signalled");
    stdin.close();
    finish(&event_loop);
}

// libuv: spawn_inherit_streams
#[test]
fn inherited_streams_keep_order_and_count_of_bytes_in_both_directions() {
    let event_loop = Loop::new().expect("a loop");
    let pair = || {
        let (ours, theirs) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
        theirs.open(ours.open_pair().expect("a pair of sockets")).expect("a socket may be adopted");
        (ours, theirs)
    };
    let ((stdin, child_in), (stdout, child_out)) = (pair(), pair());
    let slots = [Stdio::InheritStream((*child_in).clone()), Stdio::InheritStream((*child_out).clone())];
    let status = Rc::default();
    Process::spawn(&event_loop, &SpawnOptions::new("cat").stdio(slots), exit_into(&status)).expect("a child");
    child_in.close();
    child_out.close();
    let numbers: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let output = Output::of(&stdout);
    stdin.write(numbers.clone()).expect("an open pipe takes a write");
    stdin.shutdown().expect("and its end");
    let unused = Output::of(&stdin);
    finish(&event_loop);
    assert!(output.text() == numbers && unused.ended());
    assert_eq!(status.get().map(ExitStatus::success), Some(true));
}

// libuv: spawn_and_kill_with_std
#[test]
fn killing_a_child_with_three_pipes_ends_everything_once() {
    let event_loop = Loop::new().expect("a loop");
    let pipes = [Pipe::new(&event_loop), Pipe::new(&event_loop), Pipe::new(&event_loop)];
    let options = SpawnOptions::new("cat").stdio(pipes.clone().map(Stdio::Pipe));
    let status = Rc::default();
    let process = Process::spawn(&event_loop, &options, exit_into(&status)).expect("a child");
    let outputs = [Output::of(&pipes[1]), Output::of(&pipes[2])];
    pipes[0].write("to be lost or echoed").expect("an open pipe takes a write");
    let timer = Timer::new(&event_loop);
    let kill = move |timer: &Timer| {
        process.kill(libc::SIGTERM).expect("it is running");
        pipes[0].close();
        timer.close();
    };
    timer.start(Duration::from_millis(1), Duration::ZERO, kill).expect("a timer starts");
    finish(&event_loop);
    assert_eq!(status.get().map(|status| (status.code, status.signal)), Some((0, libc::SIGTERM)));
    assert!(outputs.iter().all(Output::ended));
}

#[test]
fn a_child_may_end_long_before_its_output_does() {
    let event_loop = Loop::new().expect("a loop");
    let (stdout, extra) = (Pipe::new(&event_loop), Pipe::new(&event_loop));
    let slots = [Stdio::Ignore, Stdio::Pipe(stdout.clone()), Stdio::Ignore, Stdio::Pipe(extra.clone())];
    // A grandchild, which keeps the output open, reads what is written after the child's end.
    let options = shell("cat <&3 & exit 0").stdio(slots);
    let ended_first = Rc::new(Cell::new(false));
    let output = Output::default();
    let (seen, first) = (output.clone(), Rc::clone(&ended_first));
    let on_exit = move |process: &Process, _| {
        first.set(!seen.ended());
        extra.write("late").expect("an open pipe takes a write");
        extra.close_with(|| {});
        process.close();
    };
    Process::spawn(&event_loop, &options, on_exit).expect("a child");
    stdout.set_upcall(Collect(output.clone()));
    stdout.read_start().expect("a child's pipe may be read");
    finish(&event_loop);
    assert!(ended_first.get());
    assert_eq!((output.text().as_str(), output.ended()), ("late", true));
}

#[test]
fn inherited_stdio_becomes_blocking_here_too() {
    let (ours, _peer) = UnixStream::pair().expect("a pair of sockets");
    ours.set_nonblocking(true).expect("a socket has that mode");
    let event_loop = Loop::new().expect("a loop");
    let slots = [Stdio::Ignore, Stdio::InheritFd(ours.as_raw_fd())];
    assert!(is_nonblocking(ours.as_raw_fd()));
    Process::spawn(&event_loop, &shell("exit 0").stdio(slots), exit_into(&Rc::default())).expect("a child");
    assert!(!is_nonblocking(ours.as_raw_fd()));
    finish(&event_loop);
}

// libuv: closed_fd_events
#[test]
fn a_closed_stream_that_a_child_inherited_causes_no_events() {
    let event_loop = Loop::new().expect("a loop");
    let inherited = Pipe::new(&event_loop);
    let mut peer = UnixStream::from(inherited.open_pair().expect("a pair of sockets"));
    inherited.set_upcall(Collect(Output::default()));
    inherited.read_start().expect("an open pipe may be read");
    event_loop.run(RunMode::NoWait).expect("the loop runs");
    let stdin = Pipe::new(&event_loop);
    let slots = [Stdio::Pipe(stdin.clone()), Stdio::InheritStream((*inherited).clone())];
    let status = Rc::default();
    Process::spawn(&event_loop, &SpawnOptions::new("cat").stdio(slots), exit_into(&status)).expect("a child");
    inherited.close();
    peer.write_all(b"not read").expect("the child holds the other end");
    let (turns, count) = (Rc::new(Cell::new(0)), Prepare::new(&event_loop));
    let counted = Rc::clone(&turns);
    count.start(move |_: &Prepare| counted.set(counted.get() + 1)).expect("a watcher starts");
    count.unref();
    let timer = Timer::new(&event_loop);
    let end = move |timer: &Timer| {
        stdin.close();
        count.close();
        timer.close();
    };
    timer.start(Duration::from_millis(20), Duration::ZERO, end).expect("a timer starts");
    finish(&event_loop);
    assert!(turns.get() < 10, "the loop does not spin");
    assert_eq!(status.get().map(ExitStatus::success), Some(true));
}

#[test]
fn a_pipe_to_a_child_may_be_for_ipc() {
    let event_loop = Loop::new().expect("a loop");
    let channel = Pipe::new_ipc(&event_loop);
    let slots = [Stdio::Pipe(channel.clone()), Stdio::Pipe(channel.clone())];
    Process::spawn(&event_loop, &SpawnOptions::new("cat").stdio(slots), exit_into(&Rc::default()))
        .expect("a child");
    let output = Output::of(&channel);
    channel.write("message").expect("an open pipe takes a write");
    channel.shutdown().expect("and its end");
    finish(&event_loop);
    assert_eq!(output.text(), "message");
}

// The master side of a terminal is another terminal each time that it is opened.
#[test]
fn a_device_that_cannot_be_opened_twice_is_inherited_as_it_is() {
    let new_terminal = || File::options().read(true).write(true).custom_flags(NONBLOCKING).open("/dev/ptmx");
    // Not every container has terminals.
    for slot in [1, 5] {
        let Ok(device) = new_terminal() else { return };
        let mut slots = vec![Stdio::Ignore; slot];
        slots.push(Stdio::InheritFd(device.as_raw_fd()));
        let event_loop = Loop::new().expect("a loop");
        let options = shell(&format!("test -c /proc/self/fd/{slot}")).stdio(slots);
        let status = Rc::default();
        Process::spawn(&event_loop, &options, exit_into(&status)).expect("a child");
        finish(&event_loop);
        assert_eq!(status.get().map(ExitStatus::success), Some(true), "{slot}");
        // A standard descriptor has to block in the child, and no stream of this process needs it otherwise.
        assert_eq!(is_nonblocking(device.as_raw_fd()), slot > 2);
    }
}
