//! Process identity: a child forked without `exec` has all the memory of its parent, including the parent's loops.
//! libuv asks such a child to call `uv_loop_fork`; here the child is detected.
//!
//! The kernel clears one page of memory in each forked child (`MADV_WIPEONFORK`, Linux 4.14), even if the child was not
//! made by the C library's `fork`. Values that belong to a process keep the number that the page had when they were
//! created.

use crate::sync::atomic::AtomicPtr as SharedPtr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A process. Its number is unique among the processes with copies of the same memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

/// The page that the kernel clears, or null before it is mapped.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The last number in use. A child continues from its parent's.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The number if such a page is not available. Children are not detected then.
static FALLBACK: AtomicU32 = AtomicU32::new(0);

impl Process {
    /// The current process.
    pub(crate) fn current() -> Self {
        let page = page();
        let number = page.load(Ordering::Relaxed);
        if number != 0 {
            return Self(number);
        }
        let new = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        // Another thread may have set it first.
        match page.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Self(new),
            Err(number) => Self(number),
        }
    }

    /// Whether the current process is this one. Async-signal-safe.
    #[inline]
    pub(crate) fn is_current(self) -> bool {
        let page = PAGE.load(Ordering::Acquire);
        // SAFETY: the page is mapped for as long as the process lives, and only ever used as an atomic.
        !page.is_null() && unsafe { (*page).load(Ordering::Relaxed) } == self.0
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    pub(crate) const fn numbered(number: u32) -> Self {
        Self(number)
    }
}

fn page() -> &'static AtomicU32 {
    // Acquired: what another thread has mapped is there before this one reads it.
    let mut page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        let new = map_page();
        page = match PAGE.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // If two threads map the page at the same time, one mapping is left unused.
            Ok(_) => new,
            Err(other) => other,
        };
    }
    // SAFETY: the page is mapped for as long as the process lives, and only ever used as an atomic.
    unsafe { &*page }
}

fn map_page() -> *mut AtomicU32 {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping, at an address of the kernel's choice, touches no memory that is in use. It is one page
    // long, all of which the kernel clears.
    unsafe {
        let page = libc::mmap(ptr::null_mut(), PAGE_BYTES, access, flags, -1, 0);
        if page == libc::MAP_FAILED || libc::madvise(page, PAGE_BYTES, libc::MADV_WIPEONFORK) == -1 {
            #[cfg(upcall_faults)]
            crate::faults::reached(crate::faults::Branch::ForkUndetected);
            return (&raw const FALLBACK).cast_mut();
        }
        page.cast()
    }
}

/// The kernel rounds this up to its page size.
const PAGE_BYTES: usize = 4096;

/// A value that each process has for itself, and that a forked child must not inherit: threads and locks belong to the
/// parent.
pub(crate) struct PerProcess<T: 'static>(SharedPtr<Of<T>>);

struct Of<T> {
    process: Process,
    value: T,
}

impl<T: Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(SharedPtr::new(ptr::null_mut()))
    }

    /// The value of the current process. The first call creates it; it is never freed.
    pub(crate) fn get(&'static self, make: impl FnOnce() -> T) -> &'static T {
        let process = Process::current();
        let known = self.0.load(Ordering::Acquire);
        // SAFETY: a value stored here is never freed.
        if let Some(of) = unsafe { known.as_ref() }
            && of.process == process
        {
            return &of.value;
        }
        let new = Box::into_raw(Box::new(Of { process, value: make() }));
        match self.0.compare_exchange(known, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: it was just leaked and is never freed.
            Ok(_) => unsafe { &(*new).value },
            Err(other) => {
                // SAFETY: no other thread has seen the new value; the stored value is never freed.
                unsafe {
                    drop(Box::from_raw(new));
                    &(*other).value
                }
            }
        }
    }
}

#[cfg(all(test, upcall_models))]
#[path = "../models/fork.rs"]
mod models;

// These tests are here because `fork` takes `unsafe`. libuv: fork_timer, fork_socketpair, fork_signal_to_child and
// others, for programs that call `uv_loop_fork`.
#[cfg(test)]
mod tests {
    use crate::process::{Process, SpawnOptions};
    use crate::sys::alone;
    use crate::udp::{SendOptions, Udp};
    use crate::upcall::StreamUpcall;
    use crate::{Errno, Error, Loop, Pipe, RunMode, Signal, Stream, Timer};
    use std::cell::Cell;
    use std::io::Write;
    use std::net::UdpSocket;
    use std::os::unix::net::UnixStream;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Runs `body` in a separate process, because a forked child copies everything of its parent.
    fn alone(test: &str, body: impl FnOnce()) {
        let status = alone::status(&format!("sys::fork::tests::{test}"), |_| {}, body);
        assert!(status.is_none_or(|status| status.success()));
    }

    /// Runs `body` in a forked child, which ends afterwards. Returns the child's id.
    fn fork(body: impl FnOnce()) -> i32 {
        // SAFETY: the child runs safe code that takes no lock of another thread: the other thread of this process only
        // waits for this one.
        match unsafe { libc::fork() } {
            0 => {
                // Ends a child that hangs.
                // SAFETY: takes an integer only.
                unsafe { libc::alarm(30) };
                let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
                // SAFETY: runs no code of the parent in the child.
                unsafe { libc::_exit(code) }
            }
            pid => {
                assert!(pid > 0, "fork: {}", Errno::from(std::io::Error::last_os_error()));
                pid
            }
        }
    }

    /// Waits for the child's end. Returns its exit code and its signal.
    fn end(pid: i32) -> (i32, i32) {
        let mut status = 0;
        // SAFETY: the status outlives the call.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        match libc::WIFSIGNALED(status) {
            true => (0, libc::WTERMSIG(status)),
            false => (libc::WEXITSTATUS(status), 0),
        }
    }

    struct Count(Rc<Cell<usize>>);

    impl StreamUpcall for Count {
        fn on_read(&mut self, _: &Stream, data: &[u8]) {
            self.0.set(self.0.get() + data.len());
        }

        fn on_end(&mut self, stream: &Stream) {
            stream.close();
        }

        fn on_read_error(&mut self, _: &Stream, error: Error) {
            panic!("{error}");
        }
    }

    #[test]
    fn a_loop_does_not_run_in_a_forked_child_and_its_drop_there_changes_nothing_for_the_parent() {
        let test = "a_loop_does_not_run_in_a_forked_child_and_its_drop_there_changes_nothing_for_the_parent";
        alone(test, || {
            let event_loop = Loop::new().expect("a loop");
            let path = std::env::temp_dir().join(format!("uv-core-fork-{}", std::process::id()));
            let listener = Pipe::new(&event_loop);
            listener.bind(&path).expect("bind");
            let (ours, mut theirs) = UnixStream::pair().expect("a pair");
            let (pipe, read) = (Pipe::new(&event_loop), Rc::new(Cell::new(0)));
            // Adopted, so that its close deregisters it from epoll.
            pipe.open(ours.into()).expect("open");
            pipe.set_upcall(Count(Rc::clone(&read)));
            pipe.read_start().expect("read_start");
            let process = Process::spawn(&event_loop, &SpawnOptions::new("cat"), |process: &Process, _| {
                process.close()
            });
            process.expect("a child");
            event_loop.run(RunMode::NoWait).expect("run");
            let remote = event_loop.remote();
            let mut event_loop = Some(event_loop);
            let pid = fork(|| {
                let event_loop = event_loop.take().expect("the copy");
                let error = event_loop.run(RunMode::Default).expect_err("another process's loop");
                assert_eq!((error.op(), error.errno()), ("run", Errno::EINVAL));
                assert!(error.note().is_some_and(|note| note.contains("forked")), "{error}");
                let posted = remote.post(|_| {}).expect_err("another process's loop");
                assert_eq!(posted.errno(), Errno::ECANCELED);
                let other = Pipe::new(&event_loop);
                other.bind(format!("{}-child", path.display())).expect("bind");
                let refused = other.listen_with(1, |_, _| {}).expect_err("its poller is the parent's");
                assert_eq!(refused.errno(), Errno::EINVAL);
                pipe.close();
                drop(event_loop);
            });
            assert_eq!(end(pid), (0, 0));
            std::fs::remove_file(format!("{}-child", path.display())).expect("the child left it alone");
            assert!(path.exists(), "the socket file is the parent's");
            let event_loop = event_loop.expect("the parent's");
            theirs.write_all(b"after the fork").expect("write");
            drop(theirs);
            listener.close();
            assert_eq!(event_loop.run(RunMode::Default), Ok(false));
            assert_eq!(read.get(), 14);
            assert_eq!(event_loop.close(), Ok(()));
        });
    }

    #[test]
    fn a_signal_for_a_forked_child_is_not_its_parents_and_does_there_what_it_does_without_a_loop() {
        let test =
            "a_signal_for_a_forked_child_is_not_its_parents_and_does_there_what_it_does_without_a_loop";
        alone(test, || {
            let event_loop = Loop::new().expect("a loop");
            let calls = Rc::new(Cell::new(0));
            let signal = Signal::new(&event_loop);
            let count = Rc::clone(&calls);
            let on_signal = move |_: &Signal, _| count.set(count.get() + 1);
            signal.start(libc::SIGTERM, on_signal).expect("start");
            for drops in [false, true] {
                let mut event_loop = Some(&event_loop);
                let stop = signal.clone();
                let pid = fork(|| {
                    if drops {
                        // A child does this to close its copies of the parent's handles.
                        stop.close();
                        let _ = event_loop.take();
                    }
                    std::thread::sleep(Duration::from_secs(60));
                });
                crate::process::kill(pid, libc::SIGTERM).expect("kill");
                assert_eq!(end(pid), (0, libc::SIGTERM));
            }
            event_loop.run(RunMode::NoWait).expect("run");
            assert_eq!(calls.get(), 0);
            crate::process::kill(std::process::id() as i32, libc::SIGTERM).expect("kill");
            while calls.get() == 0 {
                event_loop.run(RunMode::Once).expect("run");
            }
            signal.close();
            assert_eq!(event_loop.run(RunMode::Default), Ok(false));
        });
    }

    #[test]
    fn a_forked_child_may_make_loops_with_signals_timers_work_and_children_of_their_own() {
        let test = "a_forked_child_may_make_loops_with_signals_timers_work_and_children_of_their_own";
        alone(test, || {
            let parents = Loop::new().expect("a loop");
            let once = Signal::new(&parents);
            once.start(libc::SIGUSR1, |_: &Signal, _| unreachable!("it is the child's")).expect("start");
            // The pool's threads and the reaper's exist before the fork and are missing after it.
            let (done, is_done) = mpsc::channel();
            parents.queue_work(move || done.send(()), |_| {});
            is_done.recv().expect("the work is done");
            let orphan = Process::spawn(&parents, &SpawnOptions::new("cat"), |_: &Process, _| {});
            orphan.expect("a child").close();
            let pid = fork(|| {
                let event_loop = Loop::new().expect("a loop");
                let calls = Rc::new(Cell::new(0));
                let call = || {
                    let calls = Rc::clone(&calls);
                    move || calls.set(calls.get() + 1)
                };
                let (signalled, worked, timed, exited) = (call(), call(), call(), call());
                let signal = Signal::new(&event_loop);
                let on_signal = move |signal: &Signal, _| {
                    signal.close();
                    signalled();
                };
                signal.start(libc::SIGUSR1, on_signal).expect("start");
                event_loop.queue_work(|| 1, move |one| assert_eq!((one, worked()), (Ok(1), ())));
                let on_timeout = move |timer: &Timer| {
                    timer.close();
                    timed();
                };
                Timer::new(&event_loop)
                    .start(Duration::from_millis(1), Duration::ZERO, on_timeout)
                    .expect("start");
                let on_exit = move |process: &Process, _| {
                    process.close();
                    exited();
                };
                Process::spawn(&event_loop, &SpawnOptions::new("true"), on_exit).expect("a child");
                crate::process::kill(std::process::id() as i32, libc::SIGUSR1).expect("kill");
                assert_eq!(event_loop.run(RunMode::Default), Ok(false));
                assert_eq!(calls.get(), 4);
                assert_eq!(event_loop.close(), Ok(()));
            });
            assert_eq!(end(pid), (0, 0));
            once.close();
            assert_eq!(parents.run(RunMode::Default), Ok(false));
        });
    }

    #[test]
    fn what_a_parent_has_queued_for_its_socket_is_not_sent_by_a_forked_child() {
        let test = "what_a_parent_has_queued_for_its_socket_is_not_sent_by_a_forked_child";
        alone(test, || {
            let event_loop = Loop::new().expect("a loop");
            let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
            let to = peer.local_addr().expect("an address");
            let udp = Udp::new(&event_loop);
            udp.send_to("parent", to).expect("send");
            let pid = fork(|| {
                let options = SendOptions::to(to);
                assert_eq!(
                    udp.try_send(b"child", &options).map_err(|error| error.errno()),
                    Err(Errno::EAGAIN)
                );
                for _ in 0..100 {
                    udp.send_to("child", to).expect("it is queued, and never sent");
                }
                udp.connect(to).expect("the socket is shared");
                udp.disconnect().expect("the socket is shared");
                udp.close();
            });
            assert_eq!(end(pid), (0, 0));
            udp.close();
            assert_eq!(event_loop.run(RunMode::Default), Ok(false));
            peer.set_nonblocking(true).expect("a mode");
            assert_eq!(peer.recv(&mut [0; 16]).expect("the parent's"), 6);
            peer.recv(&mut [0; 16]).expect_err("nothing else");
        });
    }
}
