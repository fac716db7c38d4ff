//! A scenario of `cluster` whose workers handle SIGTERM: they serve the connections that they have to their end, and leave with
//! code 0. Without the handler, and by any other signal, they end as the kernel ends them.

use crate::core::fate::Fate;
use crate::is_passing;
use ::cluster::upcall::{PrimaryHandler, WorkerHandler};
use ::cluster::uv_core::process::ExitStatus;
use ::cluster::uv_core::{Signal, faults};
use ::cluster::{Backoff, Error, Policy, Primary, Settings, Worker, WorkerHandle};
use ::net::upcall::{ServerHandler, SocketHandler};
use ::net::{Address, ListenOptions, ListenPhase, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, Fault, Peer, World};

/// The name under which every worker is started.
const PROGRAM: &str = "/bin/true";

/// The time in which everything is served, and a cluster ends that is told to.
const PATIENCE: Duration = Duration::from_secs(600);

/// The time in which a worker leaves that has no clients. Its events may be late.
const LEAVES: Duration = Duration::from_secs(10);

/// A worker's process.
#[derive(Default)]
struct Process {
    id: Cell<u32>,
    /// SIGTERM is handled, and does not end it.
    handles: Cell<bool>,
    /// It was sent SIGTERM while it handled that.
    is_told: Cell<bool>,
    /// The code that it ends with by itself.
    code: Cell<i32>,
    fate: RefCell<Fate>,
    status: Cell<Option<ExitStatus>>,
}

#[derive(Default)]
struct Facts {
    processes: RefCell<BTreeMap<i32, Rc<Process>>>,
    listening: Cell<usize>,
    is_over: Cell<bool>,
}

impl Facts {
    fn process(&self, pid: i32) -> Rc<Process> {
        // A process that does not come up ends with code 1.
        let new = || Rc::new(Process { code: Cell::new(1), ..Process::default() });
        Rc::clone(self.processes.borrow_mut().entry(pid).or_insert_with(new))
    }

    /// Sends a signal, which a fault may refuse. Returns whether it has.
    fn send(&self, worker: &WorkerHandle, signum: i32) -> bool {
        let runs = faults::child_has_argument(worker.pid(), PROGRAM.as_ref()) == Some(true);
        let is_sent = worker.kill(signum).is_ok();
        if is_sent && runs {
            let process = self.process(worker.pid());
            let is_handled = signum == Signal::SIGTERM && process.handles.get();
            process.is_told.set(process.is_told.get() || is_handled);
            process.fate.borrow_mut().send(signum, is_handled);
        }
        is_sent
    }

    /// Each process ended with its code, or by a signal that it was sent and did not handle.
    fn check(&self, world: &World) -> Result<(), String> {
        for (pid, process) in self.processes.borrow().iter() {
            let Some(status) = process.status.get() else { return Err(format!("process {pid} did not end")) };
            let fate = process.fate.borrow();
            let is_right = match status.signal {
                0 => status.code == process.code.get() && !fate.is_doomed(),
                // The primary kills a worker whose channel is broken.
                Signal::SIGKILL => fate.may_end_by(Signal::SIGKILL) || world.has_met(is_fatal),
                signum => fate.may_end_by(signum),
            };
            if !is_right {
                return Err(format!("worker {} ended with {status}: {fate:?}", process.id.get()));
            }
        }
        Ok(())
    }
}

struct Recorder(Rc<Facts>);

impl PrimaryHandler for Recorder {
    fn on_fork(&mut self, worker: &WorkerHandle) {
        self.0.process(worker.pid()).id.set(worker.id());
    }

    fn on_listening(&mut self, _: &WorkerHandle, _: &Address) {
        self.0.listening.set(self.0.listening.get() + 1);
    }

    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        let before = self.0.process(worker.pid()).status.replace(Some(status));
        assert!(before.is_none(), "worker {} ended twice", worker.id());
    }

    fn on_error(&mut self, _: Option<&WorkerHandle>, _: Error) {}

    fn on_disconnected(&mut self, _: &Primary) {
        self.0.is_over.set(true);
    }
}

/// The program of a worker.
fn worker(child: &Child<'_>, path: &Path, facts: &Facts) {
    let (env, process) = (child.environment(), facts.process(child.pid()));
    child.set_exit_code(process.code.get());
    let Ok(Some(worker)) = Worker::from_env(env) else { return };
    process.code.set(0);
    child.set_exit_code(0);
    let server = Server::with_source(env, ServerOptions::default(), worker.source());
    let (signal, leaving) = (Signal::new(env.loop_handle()), worker.clone());
    signal.unref();
    // A fault may keep it from watching.
    let watches = signal.start(Signal::SIGTERM, move |_: &Signal, _| leaving.disconnect());
    process.handles.set(watches.is_ok());
    worker.set_handler(Leaves { server: server.clone(), signal, process });
    if server.listen(ListenOptions::path(path), Greeter(worker.clone())).is_err() {
        worker.disconnect();
    }
}

/// Takes SIGTERM as its end from then on.
struct Leaves {
    server: Server,
    signal: Signal,
    process: Rc<Process>,
}

impl WorkerHandler for Leaves {
    fn on_disconnect(&mut self, _: &Worker, _: bool) {
        self.process.handles.set(false);
        self.signal.close();
        // Fails if it does not listen.
        let _ = self.server.close();
    }
}

/// Greets each connection with the worker's id, and reads it to its end.
struct Greeter(Worker);

impl ServerHandler for Greeter {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        socket.set_handler(Silent);
        // Fails if the client has closed.
        let _ = socket.end_with(format!("{}\n", self.0.id()).as_bytes());
    }

    fn on_error(&mut self, _: &Server, error: ::net::Error) {
        if error.phase() != Some(ListenPhase::Accept) {
            self.0.disconnect();
        }
    }
}

struct Silent;

impl SocketHandler for Silent {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

struct Site {
    path: PathBuf,
    primary: Primary,
    facts: Rc<Facts>,
    /// The clients, and whether each has finished.
    peers: RefCell<Vec<(Peer, Cell<bool>)>>,
}

/// Whether a fault ended a connection, a channel or a worker.
fn is_fatal(fault: &Fault) -> bool {
    !is_passing(fault) || fault.call == "recvmsg(2) descriptors"
}

/// Whether a fault may have ended a connection: a signal that is refused, and a worker that is not started, end none.
fn may_lose(fault: &Fault) -> bool {
    is_fatal(fault) && !matches!(fault.call, "clone(2)" | "pidfd_send_signal(2)")
}

impl Site {
    fn new(world: &World) -> Option<Self> {
        let env = world.environment("primary").ok()?;
        let (path, facts) = (world.path(), Rc::<Facts>::default());
        let (listen, theirs) = (path.clone(), Rc::clone(&facts));
        world.play_children(move |child| worker(child, &listen, &theirs));
        let settings = Settings::default().program(PROGRAM).policy(Policy::round_robin());
        let settings = settings.respawn(Backoff::default()).keep_listening(true);
        let primary = Primary::new(&env, settings, Recorder(Rc::clone(&facts)));
        for _ in 0..=world.choose(3) {
            // Fails by a fault; some of the workers are enough.
            let _ = primary.fork();
        }
        Some(Self { path, primary, facts, peers: RefCell::default() })
    }

    fn connect(&self, world: &World, count: u64) {
        for _ in 0..count {
            // Refused if no worker has listened yet.
            let Ok(peer) = world.peer(&self.path) else { continue };
            self.peers.borrow_mut().push((peer, Cell::new(false)));
        }
    }

    /// Some of the clients have sent all, or every one.
    fn finish(&self, world: &World, every: bool) {
        for (peer, is_finished) in self.peers.borrow().iter() {
            if !is_finished.get() && (every || world.choose(2) == 0) {
                peer.finish();
                is_finished.set(true);
            }
        }
    }

    /// A worker that was told to leave has not left a client that has not finished.
    fn check_drained(&self, world: &World) -> Result<(), String> {
        let processes = self.facts.processes.borrow();
        let left = processes.values().filter(|process| {
            let is_killed = process.fate.borrow().may_be_killed();
            process.status.get().is_some() && !is_killed && !world.has_met(may_lose)
        });
        for process in left {
            let greeting = format!("{}\n", process.id.get()).into_bytes();
            let peers = self.peers.borrow();
            if peers.iter().any(|(peer, is_finished)| !is_finished.get() && peer.received() == greeting) {
                return Err(format!("worker {} has left a connection", process.id.get()));
            }
        }
        Ok(())
    }

    /// A worker that was told to end has, now that its clients have finished.
    fn check_left(&self, world: &World) -> Result<(), String> {
        world.run_for(LEAVES)?;
        let processes = self.facts.processes.borrow();
        let stays =
            processes.values().find(|process| process.is_told.get() && process.status.get().is_none());
        match stays {
            Some(process) if !world.has_met(is_fatal) => Err(format!("worker {} stays", process.id.get())),
            _ => Ok(()),
        }
    }

    /// Waits until every client has its greeting, with a worker at any time.
    fn serve_rest(&self, world: &World) -> Result<(), String> {
        let until = world.now() + PATIENCE;
        let have_ended = || self.peers.borrow().iter().all(|(peer, _)| peer.is_ended());
        while !have_ended() && !world.has_met(may_lose) {
            self.resume();
            if self.primary.workers().is_empty() {
                // Fails by a fault, and is tried again.
                let _ = self.primary.fork();
            }
            world.run_for(Duration::from_millis(100))?;
            if world.now() > until {
                return Err("a connection is not served".to_owned());
            }
        }
        self.resume();
        let is_greeted = |peer: &Peer| peer.received().ends_with(b"\n");
        let are_killed =
            self.facts.processes.borrow().values().any(|process| process.fate.borrow().may_be_killed());
        let lost = self.peers.borrow().iter().filter(|(peer, _)| !is_greeted(peer)).count();
        if lost > 0 && !are_killed && !world.has_met(may_lose) {
            return Err(format!("{lost} connections were not greeted"));
        }
        Ok(())
    }

    /// Lets workers run that may be stopped, also if the system refuses it a few times.
    fn resume(&self) {
        for worker in self.primary.workers() {
            // Fails also for a worker that has ended.
            let _ = (0..100).any(|_| worker.is_dead() || self.facts.send(&worker, Signal::SIGCONT));
        }
    }

    fn end(&self, world: &World) -> Result<(), String> {
        self.primary.disconnect();
        let until = world.now() + PATIENCE;
        world.run_until(|| self.facts.is_over.get() || world.now() > until)?;
        if !self.facts.is_over.get() {
            return Err("the cluster does not end".to_owned());
        }
        world.run()?;
        self.facts.check(world)
    }
}

/// Workers are told to end while they serve, stand still, and are replaced.
pub(crate) fn terms(world: &World) -> Result<(), String> {
    let Some(site) = Site::new(world) else { return Ok(()) };
    world.run_until(|| site.facts.listening.get() > 0 || site.primary.workers().is_empty())?;
    if !site.primary.workers().is_empty() {
        for _ in 0..=world.choose(6) {
            site.connect(world, world.choose(20));
            world.run_for(Duration::from_micros(world.choose(3_000)))?;
            let workers = site.primary.workers();
            let Some(worker) = workers.get(world.choose(workers.len() as u64) as usize) else { continue };
            let (term, stop, cont) = (Signal::SIGTERM, Signal::SIGSTOP, Signal::SIGCONT);
            let signums = [term, term, term, stop, cont, Signal::SIGHUP, Signal::SIGWINCH];
            site.facts.send(worker, signums[world.choose(7) as usize]);
            world.run_for(Duration::from_micros(world.choose(100_000)))?;
            site.check_drained(world)?;
            site.finish(world, false);
        }
    }
    site.finish(world, true);
    site.serve_rest(world)?;
    site.check_left(world)?;
    site.end(world)
}
