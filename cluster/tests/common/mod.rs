//! A test runner whose program plays the workers of its tests too, and a primary under test.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod deployed;
pub(crate) mod invited;
pub(crate) mod obedient;
pub(crate) mod rogue;
pub(crate) mod roles;

use async_wrap::Environment;
use cluster::upcall::PrimaryHandler;
use cluster::{Error, Output, Policy, Primary, Settings, Worker, WorkerHandle};
use net::Address;
use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::exit;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;
use uv_core::process::ExitStatus;
use uv_core::{Loop, RunMode, Signal};

pub(crate) const SIGKILL: i32 = Signal::SIGKILL;
pub(crate) const SIGUSR1: i32 = Signal::SIGUSR1;
pub(crate) const SIGTERM: i32 = Signal::SIGTERM;
pub(crate) const SIGCONT: i32 = Signal::SIGCONT;
pub(crate) const SIGSTOP: i32 = Signal::SIGSTOP;

/// Only a test that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first argument of a worker; the second is its role.
const AS: &str = "--as";

pub(crate) type Test = (&'static str, fn());

/// Runs the tests that the command line selects, or plays the role of a worker.
pub(crate) fn main(tests: &[Test]) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == AS) {
        return roles::play(&args[1], &args[2..]);
    }
    let is_listing = args.iter().any(|arg| arg == "--list");
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let selected = tests
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)));
    if is_listing {
        return selected.for_each(|(name, _)| println!("{name}: test"));
    }
    let mut failed = Vec::new();
    for (name, test) in selected {
        let watchdog = Watchdog::new(name);
        let passed = catch_unwind(test).is_ok();
        drop(watchdog);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(*name);
        }
    }
    println!("\ntest result: {}", if failed.is_empty() { "ok" } else { "FAILED" });
    if !failed.is_empty() {
        println!("failures: {failed:?}");
        exit(101);
    }
}

/// The workers of the running test, for the watchdog.
static PIDS: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// Ends the program and its workers when a test hangs.
struct Watchdog(Option<mpsc::Sender<()>>);

impl Watchdog {
    fn new(name: &'static str) -> Self {
        PIDS.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            if receiver.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                println!("test {name} ... hangs");
                let pids = PIDS.lock().unwrap_or_else(PoisonError::into_inner);
                for pid in pids.iter() {
                    // Most have ended already.
                    let _ = uv_core::process::kill(*pid, SIGKILL);
                }
                exit(101);
            }
        });
        Self(Some(sender))
    }
}

/// The events of a primary, in order.
#[derive(Debug)]
pub(crate) enum Event {
    Setup,
    Fork(u32),
    Online(u32),
    Listening(u32, Address),
    Message(u32, Vec<u8>, Vec<OwnedFd>),
    Output(u32, Output, Vec<u8>),
    /// With the number of remaining workers.
    Disconnect(u32, usize),
    /// With the number of remaining workers.
    Exit(u32, ExitStatus, usize),
    Error(Option<u32>, Error),
    Disconnected,
}

impl Event {
    /// The event as text, with the worker's id.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Setup => "setup".into(),
            Self::Fork(id) => format!("fork {id}"),
            Self::Online(id) => format!("online {id}"),
            Self::Listening(id, _) => format!("listening {id}"),
            Self::Message(id, data, _) => format!("message {id} {}", String::from_utf8_lossy(data)),
            Self::Output(id, output, data) => format!("{output:?} {id} {}", String::from_utf8_lossy(data)),
            Self::Disconnect(id, _) => format!("disconnect {id}"),
            Self::Exit(id, status, _) => format!("exit {id} {} {}", status.code, status.signal),
            Self::Error(id, error) => format!("error {id:?} {error}"),
            Self::Disconnected => "disconnected".into(),
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Recorder(Rc<RefCell<Vec<Event>>>);

impl Recorder {
    fn push(&self, event: Event) {
        self.0.borrow_mut().push(event);
    }
}

fn left(worker: &WorkerHandle) -> usize {
    worker.primary().map_or(0, |primary| primary.workers().len())
}

impl PrimaryHandler for Recorder {
    fn on_setup(&mut self, _: &Primary) {
        self.push(Event::Setup);
    }
    fn on_fork(&mut self, worker: &WorkerHandle) {
        self.push(Event::Fork(worker.id()));
    }
    fn on_online(&mut self, worker: &WorkerHandle) {
        self.push(Event::Online(worker.id()));
    }
    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        self.push(Event::Listening(worker.id(), address.clone()));
    }
    fn on_message(&mut self, worker: &WorkerHandle, data: &[u8], fds: Vec<OwnedFd>) {
        self.push(Event::Message(worker.id(), data.to_vec(), fds));
    }
    fn on_output(&mut self, worker: &WorkerHandle, output: Output, data: &[u8]) {
        self.push(Event::Output(worker.id(), output, data.to_vec()));
    }
    fn on_disconnect(&mut self, worker: &WorkerHandle) {
        self.push(Event::Disconnect(worker.id(), left(worker)));
    }
    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        self.push(Event::Exit(worker.id(), status, left(worker)));
    }
    fn on_error(&mut self, worker: Option<&WorkerHandle>, error: Error) {
        self.push(Event::Error(worker.map(WorkerHandle::id), error));
    }
    fn on_disconnected(&mut self, _: &Primary) {
        self.push(Event::Disconnected);
    }
}

/// A primary under test. Its remaining workers are killed at the end.
pub(crate) struct Cluster {
    pub(crate) primary: Primary,
    pub(crate) env: Environment,
    pub(crate) event_loop: Loop,
    events: Recorder,
    forked: RefCell<Vec<WorkerHandle>>,
    kill_at_end: Cell<bool>,
}

/// Settings for workers of a role.
pub(crate) fn role(role: &str, args: &[&str]) -> Settings {
    Settings::default().args([AS, role].iter().chain(args))
}

/// Settings for workers of a role that may have 64 descriptors.
pub(crate) fn limited(role: &str) -> Settings {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a plain path");
    Settings::default().program("/bin/sh").args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", program, AS, role])
}

pub(crate) fn policies() -> [Policy; 2] {
    [Policy::round_robin(), Policy::shared()]
}

impl Cluster {
    /// A primary whose workers play a role.
    pub(crate) fn new(name: &str, args: &[&str]) -> Self {
        Self::with(role(name, args))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::with_handler(settings, |recorder| recorder)
    }

    pub(crate) fn with_handler<H: PrimaryHandler + 'static>(
        settings: Settings,
        wrap: impl FnOnce(Recorder) -> H,
    ) -> Self {
        let event_loop = Loop::new().expect("a loop");
        let env = Environment::new(&event_loop);
        let events = Recorder::default();
        let primary = Primary::new(&env, settings, wrap(events.clone()));
        Self { primary, env, event_loop, events, forked: RefCell::default(), kill_at_end: Cell::new(true) }
    }

    pub(crate) fn fork(&self) -> WorkerHandle {
        let worker = self.primary.fork().expect("a worker");
        PIDS.lock().unwrap_or_else(PoisonError::into_inner).push(worker.pid());
        self.forked.borrow_mut().push(worker.clone());
        worker
    }

    /// Forks workers and waits until each listens.
    pub(crate) fn fork_listening(&self, count: usize) -> Vec<WorkerHandle> {
        let before = self.count("listening");
        let workers: Vec<_> = (0..count).map(|_| self.fork()).collect();
        self.until(|| self.count("listening") == before + count);
        workers
    }

    /// Forks obedient workers, and has each listen on the same address.
    pub(crate) fn fork_told_to_listen(&self, count: usize) -> Vec<WorkerHandle> {
        let workers: Vec<_> = (0..count).map(|_| self.fork()).collect();
        for worker in &workers {
            worker.send(LISTEN).expect("a channel");
        }
        self.until(|| self.count("listening") == count);
        workers
    }

    /// Changes the role of workers to come.
    pub(crate) fn change_role(&self, name: &str, args: &[&str]) {
        let change = |settings: Settings| settings.args([AS, name].iter().chain(args));
        self.primary.setup(change).expect("the same policy");
    }

    pub(crate) fn events(&self) -> Ref<'_, Vec<Event>> {
        self.events.0.borrow()
    }

    pub(crate) fn shorts(&self) -> Vec<String> {
        self.events().iter().map(Event::short).collect()
    }

    /// The number of events with this prefix.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.shorts().iter().filter(|event| event.starts_with(prefix)).count()
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.shorts().iter().any(|have| have == event)
    }

    /// Runs the loop until the condition holds.
    pub(crate) fn until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            let alive = self.env.run(RunMode::Once).expect("the loop runs");
            assert!(alive || condition(), "the loop ended before: {:#?}", self.shorts());
        }
    }

    pub(crate) fn until_event(&self, event: &str) {
        self.until(|| self.has(event));
    }

    /// The text of the message that begins with `prefix`, once it has come from worker `id`.
    pub(crate) fn message(&self, id: u32, prefix: &str) -> String {
        let begin = format!("message {id} {prefix}");
        let find =
            || self.shorts().into_iter().find_map(|event| event.strip_prefix(&begin).map(str::to_owned));
        self.until(|| find().is_some());
        find().expect("it has come")
    }

    /// The address of the first worker that listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let listening = |event: &Event| match event {
            Event::Listening(_, address) => address.as_tcp(),
            _ => None,
        };
        self.events().iter().find_map(listening).expect("a worker listens on TCP")
    }

    /// Does blocking work in a thread while the loop runs.
    pub(crate) fn meanwhile<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let remote = self.event_loop.remote();
        let keep_alive = uv_core::Async::new(&self.event_loop, |_: &uv_core::Async| {});
        let (done, is_done) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            done.send(()).expect("the test waits");
            remote.post(|_| {}).expect("the loop is there");
            result
        });
        self.until(|| is_done.try_recv().is_ok());
        keep_alive.close();
        match thread.join().expect("the thread catches its panics") {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Connects so many times in sequence, and returns what each connection received.
    pub(crate) fn visit(&self, count: usize) -> Vec<String> {
        let address = self.address();
        self.meanwhile(move || (0..count).map(|_| read_all(connect(address))).collect())
    }

    /// Like `visit`, each once the workers have acknowledged the one before: however slow the machine is, no worker is late
    /// and passed over.
    pub(crate) fn visit_in_turn(&self, count: usize) -> Vec<String> {
        (0..count)
            .flat_map(|_| {
                self.settle();
                self.visit(1)
            })
            .collect()
    }

    /// Waits until all workers have acknowledged what they were handed.
    pub(crate) fn settle(&self) {
        self.until(|| self.primary.workers().iter().all(|worker| worker.counters().in_flight == 0));
    }

    /// Connects all at once, then reads from each connection.
    pub(crate) fn visit_at_once(&self, count: usize) -> Vec<String> {
        let address = self.address();
        self.meanwhile(move || {
            let visitors: Vec<_> = (0..count).map(|_| connect(address)).collect();
            visitors.into_iter().map(read_all).collect()
        })
    }

    /// Connects while the loop does not run, so that it finds all of them at once: up to 64 are handed out in one turn, in
    /// which no worker can become late.
    pub(crate) fn visitors(&self, count: usize) -> Vec<TcpStream> {
        let address = self.address();
        (0..count).map(|_| connect(address)).collect()
    }

    /// What each connection receives.
    pub(crate) fn hear(&self, visitors: Vec<TcpStream>) -> Vec<String> {
        self.meanwhile(move || visitors.into_iter().map(read_all).collect())
    }

    /// Runs the loop for so long.
    pub(crate) fn run_for(&self, time: Duration) {
        let is_over = Rc::new(Cell::new(false));
        let over = Rc::clone(&is_over);
        let timeout = self.env.set_timeout(time, move || over.set(true));
        self.until(|| is_over.get());
        timeout.clear();
    }

    /// Drops the loop and the primary, and leaves the workers alone.
    pub(crate) fn abandon(self) {
        self.kill_at_end.set(false);
    }

    /// Disconnects all workers, and checks that nothing is left of them.
    pub(crate) fn finish(&self) {
        self.primary.disconnect();
        self.until_event("disconnected");
        self.finished();
    }

    /// Checks that nothing is left of the workers.
    pub(crate) fn finished(&self) {
        assert!(!self.env.run(RunMode::Default).expect("the loop runs"), "{:?}", self.event_loop.handles());
        assert!(self.primary.workers().is_empty());
        for worker in self.forked.borrow().iter() {
            assert!(worker.is_dead() && !worker.is_connected(), "{worker:?}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for worker in self.primary.workers().iter().filter(|_| self.kill_at_end.get()) {
            // It may have ended.
            let _ = worker.kill(SIGKILL);
        }
    }
}

/// A command for an obedient worker.
pub(crate) const LISTEN: &[u8] = b"listen 127.0.0.1:0";

/// How often each greeting was received.
pub(crate) fn tally(greetings: &[String]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    for greeting in greetings {
        *tally.entry(greeting.as_str()).or_default() += 1;
    }
    tally
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("a connection")
}

pub(crate) fn read_all(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).expect("bytes until the end");
    text
}

/// A descriptor and the inode that it is open on.
pub(crate) fn inode(fd: OwnedFd) -> (OwnedFd, u64) {
    let file = std::fs::File::from(fd);
    let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata().expect("an open file"));
    (file.into(), inode)
}

/// This process as a worker.
pub(crate) fn as_worker() -> (Loop, Environment, Worker) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let worker = Worker::from_env(&env).expect("a channel").expect("a worker");
    (event_loop, env, worker)
}
