//! The same descriptors, threads, handles, requests and memory after 10,000 of each operation as before. Runs in a process of its
//! own, which it measures. Datagrams are in `udp_cost.rs`, look-ups by a name server in `getaddrinfo.rs`.

mod alone;
mod common;
mod pty;

use common::*;
use pty::Pty;
use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use uv_core::file::{self, File};
use uv_core::names::{AddrInfo, AddrQuery, NameFlags, NameQuery};
use uv_core::poll::{Poll, PollEvents};
use uv_core::process::{self, Process, SpawnOptions};
use uv_core::tty::{Mode, Tty};
use uv_core::{
    Async, BindOptions, Check, Idle, Loop, LoopHandle, Pipe, Prepare, RunMode, Signal, Tcp, Timer,
};

/// An operation, how often it is done, and what does it so often.
type Operation = (&'static str, usize, fn(&TestLoop, usize));

const OPERATIONS: &[Operation] = &[
    ("loop", 10_000, loops),
    ("timer", 10_000, timers),
    ("idle, prepare, check", 10_000, watchers),
    ("async", 10_000, wake_ups),
    ("post", 10_000, posts),
    ("work", 10_000, work),
    ("cancelled work", 10_000, cancelled_work),
    ("tcp: connect, accept, write, read, close", 10_000, connections),
    ("tcp: a connect that is refused", 10_000, refused),
    ("tcp: a close with all pending", 10_000, closed_at_once),
    ("pipe", 10_000, pipes),
    ("pipe with descriptors", 10_000, passed),
    ("pull", 10_000, pulls),
    ("poll", 10_000, polls),
    ("signal", 10_000, signals),
    ("terminal", 10_000, terminals),
    ("file: open, write, read, stat, close, rename, unlink", 2_000, files),
    ("folder: mkdir, scandir, rmdir", 3_000, folders),
    ("send_file", 10_000, sent_files),
    ("getaddrinfo", 10_000, addresses),
    ("getnameinfo", 10_000, names),
    ("spawn", 300, children),
    ("a spawn that fails", 1_000, no_children),
];

/// How many operations are under way at once.
const AT_ONCE: usize = 50;

/// In bytes: everything of an operation that could leak is larger than this.
const LEAST: usize = 48;

/// The memory of a queue, or of an allocator, grows in one round or two. What leaks grows in each.
const ROUNDS: usize = 3;

/// What a process uses.
#[derive(Debug, PartialEq, Eq)]
struct Used {
    descriptors: usize,
    threads: usize,
    handles: usize,
    alive: String,
}

fn used(event_loop: &TestLoop) -> Used {
    let count = |path| fs::read_dir(path).expect("Linux has it").count();
    Used {
        descriptors: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        handles: event_loop.handles().len(),
        alive: event_loop.why_alive(),
    }
}

/// The memory of this process, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("it is there");
    let kib: usize = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

#[test]
fn everything_is_as_it_was_after_ten_thousand_of_each_operation() {
    let name = "everything_is_as_it_was_after_ten_thousand_of_each_operation";
    let status = alone::status(name, |_| {}, all_operations);
    assert!(status.is_none_or(|status| status.success()), "{status:?}");
}

fn all_operations() {
    let event_loop = test_loop();
    // The pool has all of its threads from here on.
    work(&event_loop, 8 * AT_ONCE);
    for &(name, times, operation) in OPERATIONS {
        // The allocator and the kernel have what they keep.
        operation(&event_loop, (times / 10).max(AT_ONCE));
        let round = || {
            let (before, kept) = (used(&event_loop), memory());
            operation(&event_loop, times);
            assert_eq!(used(&event_loop), before, "{name}");
            memory().saturating_sub(kept) / times
        };
        assert!((0..ROUNDS).any(|_| round() < LEAST), "{name}: some bytes are left of each");
    }
    event_loop.finish();
}

/// Does `times` operations, a few at once: each call of `begin` begins one, and `finish` ends them by running the loop.
fn in_batches(event_loop: &TestLoop, times: usize, mut begin: impl FnMut()) {
    for _ in 0..times / AT_ONCE {
        (0..AT_ONCE).for_each(|_| begin());
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    }
}

fn loops(_: &TestLoop, times: usize) {
    for _ in 0..times {
        let event_loop = Loop::new().expect("a loop");
        let timer = Timer::new(&event_loop);
        timer.start(Duration::ZERO, Duration::ZERO, |_: &Timer| {}).expect("to start");
        // Dropped with an open handle.
    }
}

fn timers(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let timer = Timer::new(event_loop);
        timer.start(Duration::ZERO, Duration::ZERO, |timer: &Timer| timer.close()).expect("to start");
        let stopped = Timer::new(event_loop);
        stopped.start(Duration::from_secs(60), Duration::ZERO, |_: &Timer| {}).expect("to start");
        stopped.close();
    });
}

fn watchers(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let (idle, prepare, check) =
            (Idle::new(event_loop), Prepare::new(event_loop), Check::new(event_loop));
        idle.start(|idle: &Idle| idle.close()).expect("to start");
        prepare.start(|prepare: &Prepare| prepare.close()).expect("to start");
        check.start(|check: &Check| check.close()).expect("to start");
    });
}

fn wake_ups(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let wake = Async::new(event_loop, |wake: &Async| wake.close());
        wake.sender().send();
    });
}

fn posts(event_loop: &TestLoop, times: usize) {
    let remote = event_loop.remote();
    for _ in 0..times / AT_ONCE {
        let told = Arc::new(AtomicUsize::new(0));
        for _ in 0..AT_ONCE {
            let told = Arc::clone(&told);
            let post = move |_: &LoopHandle| {
                told.fetch_add(1, Ordering::SeqCst);
            };
            remote.post(post).expect("the loop is open");
        }
        // Posts do not keep a loop alive.
        let alive = Async::new(event_loop, |_: &Async| {});
        event_loop.until(|| told.load(Ordering::SeqCst) == AT_ONCE);
        alive.close();
        assert_eq!(event_loop.run(RunMode::Default), Ok(false));
    }
}

fn work(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        event_loop.queue_work(|| vec![7_u8; 100], |done| assert_eq!(done.map(|bytes| bytes.len()), Ok(100)));
    });
}

fn cancelled_work(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let work = event_loop.queue_work(|| vec![7_u8; 100], drop);
        // Too late, if it runs already.
        let _ = work.cancel();
    });
}

/// A server whose connections are closed when their peer closes. Connects from loopback addresses of their own leave the
/// ports of this machine to other tests.
fn server(event_loop: &TestLoop, host: [u8; 4]) -> (Tcp, SocketAddr) {
    let listener = Tcp::new(event_loop);
    listener.bind((host, 0).into(), BindOptions::default()).expect("bind");
    let accepting = listener.clone();
    listener
        .listen_with(128, move |_, status| {
            status.expect("a connection");
            let accepted = accepting.accept().expect("accept");
            let (ended, broken) = (accepted.clone(), accepted.clone());
            accepted.set_upcall(
                Tower::new(&Log::new(), "accepted")
                    .on_end(move || ended.close())
                    .on_error(move |_| broken.close()),
            );
            accepted.read_start().expect("to start");
        })
        .expect("listen");
    listener.unref();
    let addr = listener.local_addr().expect("an address");
    (listener, addr)
}

fn connections(event_loop: &TestLoop, times: usize) {
    let (listener, addr) = server(event_loop, [127, 1, 0, 1]);
    in_batches(event_loop, times, || {
        let client = Tcp::new(event_loop);
        client.connect(addr).expect("connect");
        let closing = client.clone();
        client.set_upcall(Tower::new(&Log::new(), "client").on_write(move |written| {
            written.expect("it is open");
            // Without a reset the port would stay for a minute.
            closing.close_reset().expect("it is open");
        }));
        client.write("hello").expect("write");
    });
    listener.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
}

fn refused(event_loop: &TestLoop, times: usize) {
    let bound = Tcp::new(event_loop);
    bound.bind(([127, 1, 0, 2], 0).into(), BindOptions::default()).expect("bind");
    let addr = bound.local_addr().expect("an address");
    in_batches(event_loop, times, || {
        let client = Tcp::new(event_loop);
        client.connect(addr).expect("connect");
        let closing = client.clone();
        client.set_upcall(Tower::new(&Log::new(), "client").on_connect(move |connected| {
            connected.expect_err("it does not listen");
            closing.close();
        }));
    });
    bound.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
}

fn closed_at_once(event_loop: &TestLoop, times: usize) {
    let (listener, addr) = server(event_loop, [127, 1, 0, 3]);
    in_batches(event_loop, times, || {
        let client = Tcp::new(event_loop);
        client.connect(addr).expect("connect");
        client.write(vec![7; 1000]).expect("write");
        client.shutdown().expect_err("it is not connected");
        client.set_upcall(Tower::new(&Log::new(), "client"));
        client.close_reset().expect("it is open");
    });
    listener.close();
    assert_eq!(event_loop.run(RunMode::Default), Ok(false));
}

fn pipes(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let pipe = Pipe::new(event_loop);
        let mut peer = UnixStream::from(pipe.open_pair().expect("a pair"));
        let (reading, broken) = (pipe.clone(), pipe.clone());
        let tower = Tower::new(&Log::new(), "pipe").on_end(move || reading.close());
        // What the peer has not read is lost at its close.
        pipe.set_upcall(tower.on_error(move |_| broken.close()));
        pipe.read_start().expect("to start");
        pipe.write("there").expect("write");
        peer.write_all(b"and back").expect("write");
    });
}

fn passed(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let (from, to) = (Pipe::new_ipc(event_loop), Pipe::new_ipc(event_loop));
        to.open(from.open_pair().expect("a pair")).expect("open");
        let (receiving, sending) = (to.clone(), from.clone());
        to.set_upcall(Tower::new(&Log::new(), "to").on_read(move |_| {
            // One is taken, and the other is not.
            receiving.take_received_fd().expect("a descriptor");
            receiving.close();
            sending.close();
        }));
        to.read_start().expect("to start");
        let null = || Rc::new(fs::File::open("/dev/null").expect("it is there").into());
        from.write_fds("two", vec![null(), null()]).expect("write");
    });
}

fn pulls(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let pipe = Pipe::new(event_loop);
        let mut peer = UnixStream::from(pipe.open_pair().expect("a pair"));
        pipe.set_upcall(Tower::new(&Log::new(), "pipe"));
        pipe.readable_start().expect("to start");
        peer.write_all(b"hello").expect("write");
        let mut buffer = [0; 8];
        assert_eq!(pipe.try_read(&mut buffer), Ok(5));
        drop(peer);
        assert_eq!(pipe.try_read(&mut buffer), Ok(0));
        pipe.close();
    });
}

fn polls(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let poll = Poll::new(event_loop, ours).expect("it can be watched");
        poll.start(PollEvents::READABLE, |poll: &Poll, events| {
            events.expect("it is readable");
            poll.close();
        })
        .expect("to start");
        theirs.write_all(b"x").expect("write");
    });
}

fn signals(event_loop: &TestLoop, times: usize) {
    for _ in 0..times / AT_ONCE {
        let told = Rc::new(Cell::new(0));
        for _ in 0..AT_ONCE {
            let (signal, told) = (Signal::new(event_loop), Rc::clone(&told));
            let closing = move |signal: &Signal, _| {
                told.set(told.get() + 1);
                signal.close();
            };
            signal.start(Signal::SIGUSR2, closing).expect("to start");
        }
        // Without a watcher the signal would end this process.
        process::kill(std::process::id() as i32, Signal::SIGUSR2).expect("it is this process");
        assert_eq!((event_loop.run(RunMode::Default), told.get()), (Ok(false), AT_ONCE));
    }
}

fn terminals(event_loop: &TestLoop, times: usize) {
    let Some(pty) = Pty::new() else { return };
    in_batches(event_loop, times, || {
        let terminal = Tty::open(event_loop, pty.open(true, true)).expect("a terminal");
        terminal.set_mode(Mode::Raw).expect("to set");
        terminal.read_start().expect("to start");
        terminal.close();
    });
}

/// A folder for the files of one operation.
struct Folder(SocketPath, Cell<usize>);

impl Folder {
    fn new() -> Rc<Self> {
        Rc::new(Self(socket_path(), Cell::new(0)))
    }

    /// A path that no earlier call has returned.
    fn path(&self) -> PathBuf {
        self.1.set(self.1.get() + 1);
        self.0.folder().join(self.1.get().to_string())
    }
}

fn files(event_loop: &TestLoop, times: usize) {
    let folder = Folder::new();
    in_batches(event_loop, times, || {
        let (path, renamed) = (folder.path(), folder.path());
        let options = OpenOptions::new().read(true).write(true).create_new(true).clone();
        let (opening, event_loop, from) = (event_loop, LoopHandle::clone(event_loop), path.clone());
        let opened = move |opened: uv_core::Result<File>| {
            let file = opened.expect("to open");
            let (reading, again) = (file.clone(), event_loop.clone());
            let written = move |written: uv_core::Result<()>| {
                written.expect("to write");
                let (stating, again) = (reading.clone(), again.clone());
                let read = move |read: uv_core::Result<Vec<u8>>| {
                    assert_eq!(read.as_deref(), Ok(&b"content"[..]));
                    let (closing, again) = (stating.clone(), again.clone());
                    let stated = move |stated: uv_core::Result<fs::Metadata>| {
                        assert_eq!(stated.map(|stated| stated.len()), Ok(7));
                        closing.close(|closed| closed.expect("to close")).expect("it is open");
                        let (unlinking, to) = (again.clone(), renamed.clone());
                        let moved = move |moved: uv_core::Result<()>| {
                            moved.expect("to rename");
                            file::unlink(&unlinking, &to, |removed| removed.expect("to remove"))
                                .expect("a path");
                        };
                        file::rename(&again, &from, &renamed, moved).expect("two paths");
                    };
                    stating.stat(stated).expect("it is open");
                };
                reading.read(0, 100, read).expect("it is open");
            };
            file.write(0, "content", written).expect("it is open");
        };
        File::open(opening, &path, &options, opened).expect("a path");
    });
}

fn folders(event_loop: &TestLoop, times: usize) {
    let folder = Folder::new();
    in_batches(event_loop, times, || {
        let (path, event_loop) = (folder.path(), LoopHandle::clone(event_loop));
        let (scanned, removed, again) = (path.clone(), path.clone(), event_loop.clone());
        let made = move |made: uv_core::Result<()>| {
            made.expect("to make");
            let removing = again.clone();
            let found = move |found: uv_core::Result<Vec<file::DirEntry>>| {
                assert_eq!(found.map(|found| found.len()), Ok(0));
                file::rmdir(&removing, &removed, |removed| removed.expect("to remove")).expect("a path");
            };
            file::scandir(&again, &scanned, found).expect("a path");
        };
        file::mkdir(&event_loop, &path, 0o755, made).expect("a path");
    });
}

fn sent_files(event_loop: &TestLoop, times: usize) {
    let folder = Folder::new();
    let path = folder.path();
    fs::write(&path, [7; 1000]).expect("a file");
    in_batches(event_loop, times, || {
        let opened = fs::File::open(&path).expect("it exists");
        let file = File::from_std(event_loop, opened, &path).expect("a file");
        let pipe = Pipe::new(event_loop);
        let mut peer = UnixStream::from(pipe.open_pair().expect("a pair"));
        let closing = pipe.clone();
        pipe.set_upcall(Tower::new(&Log::new(), "pipe").on_write(move |sent| {
            sent.expect("to send");
            peer.read_exact(&mut [0; 1000]).expect("it is sent");
            closing.close();
        }));
        pipe.write_file(file.range(..).expect("a regular file")).expect("write");
    });
}

fn addresses(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let found = |found: uv_core::Result<AddrInfo>| assert!(!found.expect("found").addresses.is_empty());
        event_loop.getaddrinfo(AddrQuery::new("127.0.0.1"), found).expect("a query");
    });
}

fn names(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let numeric = NameFlags::NUMERICHOST | NameFlags::NUMERICSERV;
        let query = NameQuery::new(([127, 0, 0, 1], 80).into()).flags(numeric);
        event_loop.getnameinfo(query, |found| assert_eq!(&*found.expect("found").host, "127.0.0.1"));
    });
}

fn children(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let options = SpawnOptions::new("true");
        Process::spawn(event_loop, &options, |child: &Process, status| {
            assert!(status.success());
            child.close();
        })
        .expect("to start");
    });
}

fn no_children(event_loop: &TestLoop, times: usize) {
    in_batches(event_loop, times, || {
        let options = SpawnOptions::new("/no/such/program");
        Process::spawn(event_loop, &options, |_: &Process, _| {}).expect_err("there is none");
    });
}
