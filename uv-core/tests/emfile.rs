//! A process without free descriptors. Each test runs in a process of its own, in which no other code opens
//! descriptors.

mod alone;
mod common;
mod shim;

use common::*;
use shim::Failing;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};
use uv_core::{Async, BindOptions, Errno, Loop, Prepare, Result, RunMode, Tcp, Timer};

const CHILD: &str = "UV_CORE_EMFILE_CHILD";

/// Runs the test of this name again, in a process with a low limit of descriptors.
fn with_few_descriptors(name: &str, test: fn()) {
    if std::env::var_os(CHILD).is_some() {
        return test();
    }
    let tests = std::env::current_exe().expect("this test");
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --test-threads=1"])
        .arg(tests)
        .arg(name)
        .env(CHILD, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .expect("sh");
    assert!(status.success());
}

/// Opens files until no descriptor is free.
fn fill() -> Vec<File> {
    let mut fillers = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        fillers.push(file);
    }
    fillers
}

// libuv: emfile
#[test]
fn without_descriptors_connections_are_shed_and_the_listener_recovers() {
    with_few_descriptors("without_descriptors_connections_are_shed_and_the_listener_recovers", || {
        let event_loop = test_loop();
        let accepted: Rc<RefCell<Vec<Tcp>>> = Rc::default();
        let kept = Rc::clone(&accepted);
        let (_server, addr) = serve(&event_loop, move |connection| kept.borrow_mut().push(connection));
        event_loop.turn();
        // The peers first: they need descriptors of this process too.
        let mut peers: Vec<_> = (0..5).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        let fillers = fill();
        event_loop.until(|| is_over(&mut peers));
        assert!(accepted.borrow().is_empty(), "nothing was announced");
        // The connections are closed unserved and the loop does not spin.
        let rounds =
            (0..3).map(|_| event_loop.run(RunMode::NoWait)).filter(|alive| *alive == Ok(true)).count();
        assert_eq!(rounds, 3);
        assert_ne!(event_loop.backend_timeout(), Some(Duration::ZERO));
        drop(fillers);
        let _peer = TcpStream::connect(addr).expect("connect");
        event_loop.until(|| accepted.borrow().len() == 1);
        accepted.borrow_mut().clear();
        event_loop.close_and_finish();
    });
}

/// Whether every peer has seen its connection closed. Does not block.
// accept(2), "Error handling"
#[test]
fn a_connection_that_has_failed_does_not_keep_those_behind_it_from_being_shed() {
    let name = "a_connection_that_has_failed_does_not_keep_those_behind_it_from_being_shed";
    let prepare = |command: &mut Command| {
        alone::wrap(command, &["sh", "-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
        Failing::preload(command);
    };
    let status = alone::status(name, prepare, || {
        let event_loop = test_loop();
        let told = Rc::new(Cell::new(0));
        let (server, addr) = bound(&event_loop);
        let tell = Rc::clone(&told);
        server.listen_with(16, move |_, _| tell.set(tell.get() + 1)).expect("listen");
        event_loop.turn();
        let mut peers: Vec<_> = (0..5).map(|_| TcpStream::connect(addr).expect("connect")).collect();
        // The library needs a descriptor to know what fails, so the first call that fails is made with the spare one.
        Failing::here().fail("accept4", libc::ECONNABORTED, 1);
        let fillers = fill();
        event_loop.turn();
        assert!(is_over(&mut peers));
        assert_eq!(told.get(), 0);
        drop(fillers);
        assert!(Failing::here().is_over());
        event_loop.close_and_finish();
    });
    assert!(status.is_none_or(|status| status.success()));
}

#[test]
fn a_child_needs_one_descriptor_of_this_process() {
    with_few_descriptors("a_child_needs_one_descriptor_of_this_process", || {
        let event_loop = test_loop();
        let file = File::open("/dev/null").expect("open");
        // Also the descriptor behind the child's last one stays where it is.
        let number = file.as_raw_fd();
        let mut slots = vec![Stdio::Ignore; usize::try_from(number).expect("a descriptor")];
        slots[..3].fill(Stdio::InheritFd(number));
        let options = SpawnOptions::new("/bin/true").stdio(slots);
        let mut fillers = fill();
        let spawn = || {
            Process::spawn(&event_loop, &options, |process: &Process, status: ExitStatus| {
                assert!(status.success());
                process.close();
            })
        };
        assert_eq!(errno(spawn()), Errno::EMFILE);
        fillers.pop();
        spawn().expect("a child");
        drop(fillers);
        event_loop.finish();
    });
}

fn is_over(peers: &mut [TcpStream]) -> bool {
    peers.iter_mut().all(|peer| {
        peer.set_nonblocking(true).expect("nonblocking");
        !matches!(peer.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    })
}

/// A loop without its spare descriptor, and a listener with a waiting connection.
struct Starved {
    event_loop: TestLoop,
    address: SocketAddr,
    /// The announced connections and errors.
    announced: Rc<RefCell<Vec<Result<()>>>>,
    accepted: Rc<RefCell<Vec<Tcp>>>,
    /// Another connection of the loop.
    other: Tcp,
    fillers: Vec<File>,
    _peers: [TcpStream; 2],
}

impl Starved {
    fn new() -> Self {
        let listener = TcpListener::bind(LOCALHOST).expect("bind");
        let address = listener.local_addr().expect("an address");
        let peer = TcpStream::connect(address).expect("connect");
        let (other, other_peer) = sockets();
        let before = descriptors();
        let event_loop = Loop::new().expect("a loop");
        let needed = descriptors() - before;
        drop(event_loop);
        let mut fillers = fill();
        // The descriptors that a loop needs, except for the spare one.
        fillers.truncate(fillers.len() + 1 - needed);
        let event_loop = test_loop();
        assert!(File::open("/dev/null").is_err());
        let starved = Self {
            other: Tcp::new(&event_loop),
            announced: Rc::default(),
            accepted: Rc::default(),
            event_loop,
            address,
            fillers,
            _peers: [peer, other_peer],
        };
        starved.other.open(other.into()).expect("open");
        starved.listen(listener);
        starved
    }

    fn listen(&self, listener: TcpListener) {
        let server = Tcp::new(&self.event_loop);
        server.open(listener.into()).expect("open");
        let (announced, accepted) = (Rc::clone(&self.announced), Rc::clone(&self.accepted));
        let me = server.clone();
        server
            .listen_with(128, move |_, status| {
                announced.borrow_mut().push(status.clone());
                if status.is_ok() {
                    accepted.borrow_mut().push(me.accept().expect("accept"));
                }
            })
            .expect("listen");
    }

    /// The announced connections and errors, as names of errors.
    fn announced(&self) -> Vec<&'static str> {
        self.announced.borrow().iter().map(outcome).collect()
    }

    fn finish(self) {
        drop(self.fillers);
        self.accepted.borrow_mut().clear();
        self.event_loop.close_and_finish();
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("the list of descriptors").count()
}

#[test]
fn without_a_spare_descriptor_the_listener_waits_and_does_not_spin() {
    with_few_descriptors("without_a_spare_descriptor_the_listener_waits_and_does_not_spin", || {
        let mut starved = Starved::new();
        let event_loop = &starved.event_loop;
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        Prepare::new(event_loop).start(move |_: &Prepare| counted.set(counted.get() + 1)).expect("start");
        // Long enough for several attempts.
        let over = Rc::new(Cell::new(false));
        let rung = Rc::clone(&over);
        let timer = Timer::new(event_loop);
        timer
            .start(Duration::from_millis(450), Duration::ZERO, move |_: &Timer| rung.set(true))
            .expect("start");
        event_loop.until(|| over.get());
        // Each attempt takes a few iterations; a spinning loop takes many thousands.
        assert!(turns.get() < 50, "{} turns", turns.get());
        assert_eq!(starved.announced(), [Errno::EMFILE.name()], "said once");
        starved.fillers.clear();
        event_loop.until(|| !starved.accepted.borrow().is_empty());
        assert_eq!(starved.announced(), [Errno::EMFILE.name(), "ok"]);
        starved.finish();
    });
}

#[test]
fn a_listener_that_waits_for_a_descriptor_gets_the_one_that_its_loop_closes() {
    with_few_descriptors("a_listener_that_waits_for_a_descriptor_gets_the_one_that_its_loop_closes", || {
        let starved = Starved::new();
        starved.event_loop.until(|| !starved.announced().is_empty());
        starved.other.close();
        starved.event_loop.turn();
        assert_eq!(starved.announced(), [Errno::EMFILE.name(), "ok"]);
        starved.finish();
    });
}

#[test]
fn the_lack_of_descriptors_is_said_again_only_after_there_was_a_spare_one() {
    with_few_descriptors("the_lack_of_descriptors_is_said_again_only_after_there_was_a_spare_one", || {
        let mut starved = Starved::new();
        let client = Tcp::new(&starved.event_loop);
        // From now on a descriptor is free.
        starved.fillers.pop();
        client.bind(LOCALHOST.parse().expect("an address"), BindOptions::default()).expect("bind");
        starved.fillers.extend(fill());
        starved.event_loop.until(|| !starved.announced().is_empty());
        starved.other.close();
        starved.event_loop.turn();
        assert_eq!(starved.announced(), [Errno::EMFILE.name(), "ok"], "it took the last descriptor");
        let over = Rc::new(Cell::new(false));
        let rung = Rc::clone(&over);
        client.connect(starved.address).expect("connect");
        let timer = Timer::new(&starved.event_loop);
        // Long enough for several attempts.
        timer
            .start(Duration::from_millis(250), Duration::ZERO, move |_: &Timer| rung.set(true))
            .expect("start");
        starved.event_loop.until(|| over.get());
        assert_eq!(starved.announced(), [Errno::EMFILE.name(), "ok"]);
        starved.finish();
    });
}

#[test]
fn a_listener_that_waits_for_a_descriptor_closes_like_any_other() {
    with_few_descriptors("a_listener_that_waits_for_a_descriptor_closes_like_any_other", || {
        let starved = Starved::new();
        starved.event_loop.until(|| !starved.announced().is_empty());
        starved.finish();
    });
}

#[test]
fn a_loop_that_is_gone_has_no_more_descriptors_than_it_polls_with_and_none_without_its_handle() {
    with_few_descriptors(
        "a_loop_that_is_gone_has_no_more_descriptors_than_it_polls_with_and_none_without_its_handle",
        || {
            let count = || std::fs::read_dir("/proc/self/fd").expect("a list").count();
            // Opens what a process opens once.
            drop(test_loop());
            let before = count();
            let timer = Timer::new(&test_loop());
            assert_eq!(count() - before, 3, "two of epoll and an eventfd");
            drop(timer);
            assert_eq!(count(), before);
        },
    );
}

// No counterpart in libuv, which has no timerfd
#[test]
fn a_deadline_that_the_kernel_does_not_keep_is_kept_by_the_loop() {
    with_few_descriptors("a_deadline_that_the_kernel_does_not_keep_is_kept_by_the_loop", || {
        let event_loop = test_loop();
        let (wake, timer) = (Async::new(&event_loop, |_: &Async| {}), Timer::new(&event_loop));
        let fired = Rc::new(Cell::new(false));
        let told = Rc::clone(&fired);
        let after = Duration::from_millis(50);
        timer.start(after, Duration::ZERO, move |_: &Timer| told.set(true)).expect("start");
        let fillers = fill();
        for _ in 0..100 {
            wake.sender().send();
            event_loop.run(RunMode::Once).expect("the loop runs");
        }
        event_loop.until(|| fired.get());
        drop(fillers);
        event_loop.close_and_finish();
    });
}
