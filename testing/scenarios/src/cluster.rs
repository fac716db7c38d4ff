//! Scenarios of `cluster`: each connection is served by one worker, by another if the first one dies or refuses it, and by none
//! twice; a cluster that is told to end does.

use crate::is_passing;
use ::cluster::upcall::{PrimaryHandler, WorkerHandler};
use ::cluster::uv_core::{LoopHandle, Signal};
use ::cluster::{Backoff, Error, Policy, Primary, Settings, Worker, WorkerHandle};
use ::net::upcall::{ServerHandler, SocketHandler};
use ::net::{Address, ListenOptions, ListenPhase, Server, ServerOptions, Socket};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, Fault, Kind, Peer, World};

/// A connection is to be greeted within this time, however often workers die meanwhile.
const PATIENCE: Duration = Duration::from_secs(600);

/// What happened in the primary.
#[derive(Default)]
struct Events {
    listening: Cell<usize>,
    exits: Cell<usize>,
    forks: Cell<usize>,
    disconnects: Cell<usize>,
    is_over: Cell<bool>,
}

struct Recorder(Rc<Events>);

impl PrimaryHandler for Recorder {
    fn on_fork(&mut self, _: &WorkerHandle) {
        self.0.forks.set(self.0.forks.get() + 1);
    }

    fn on_listening(&mut self, _: &WorkerHandle, _: &Address) {
        self.0.listening.set(self.0.listening.get() + 1);
    }

    fn on_disconnect(&mut self, worker: &WorkerHandle) {
        assert!(!worker.is_connected(), "on_disconnect with a channel");
        self.0.disconnects.set(self.0.disconnects.get() + 1);
    }

    fn on_exit(&mut self, worker: &WorkerHandle, _: ::cluster::uv_core::process::ExitStatus) {
        assert!(worker.is_dead(), "a worker that has ended is alive");
        for other in worker.primary().iter().flat_map(Primary::workers) {
            // It may have been collected in this turn, and not be reported yet.
            assert!(!other.is_dead() || other.kill(0).is_err(), "a dead worker takes signals");
        }
        self.0.exits.set(self.0.exits.get() + 1);
    }

    fn on_error(&mut self, _: Option<&WorkerHandle>, _: Error) {}

    fn on_disconnected(&mut self, _: &Primary) {
        self.0.is_over.set(true);
    }
}

/// Greets each connection with the worker's id, and ends it.
struct Silent;

impl SocketHandler for Silent {
    fn on_data(&mut self, _: &Socket, _: &[u8]) {}
}

/// What the workers of a world have served.
#[derive(Default)]
struct Served {
    /// The connections, by the numbers of their sockets, which all descriptors of a socket share.
    sockets: RefCell<BTreeSet<PathBuf>>,
    /// The worker that has served last.
    last: Cell<u32>,
    /// Some connection was served again. A worker whose channel was broken by a fault is taken for dead, and its connections
    /// go to others.
    is_twice: Cell<bool>,
    /// Greetings that were not sent at once, which are lost with their worker.
    unsent: Cell<usize>,
}

impl Served {
    /// Notes a connection.
    fn note(&self, socket: &Socket) {
        let Ok(fd) = socket.stream().fd() else { return };
        let Ok(number) = std::fs::read_link(format!("/proc/self/fd/{fd}")) else { return };
        if !self.sockets.borrow_mut().insert(number) {
            self.is_twice.set(true);
        }
    }

    fn count(&self) -> usize {
        self.sockets.borrow().len()
    }
}

fn worker(child: &Child<'_>, path: &Path, options: ServerOptions, served: &Rc<Served>) {
    let env = child.environment();
    let Ok(Some(worker)) = Worker::from_env(env) else { return child.set_exit_code(1) };
    let server = Server::with_source(env, options, worker.source());
    worker.set_handler(Leaves(server.clone()));
    if server.listen(ListenOptions::path(path), Greeter(worker.clone(), Rc::clone(served))).is_err() {
        worker.disconnect();
    }
}

/// Greets each connection. A worker that cannot listen leaves.
struct Greeter(Worker, Rc<Served>);

impl ServerHandler for Greeter {
    fn on_connection(&mut self, _: &Server, socket: Socket) {
        let served = &self.1;
        served.note(&socket);
        served.last.set(self.0.id());
        socket.set_handler(Silent);
        let sent = socket.end_with(format!("{}\n", self.0.id()).as_bytes());
        if sent.is_err() || socket.buffered() > 0 {
            served.unsent.set(served.unsent.get() + 1);
        }
    }

    fn on_error(&mut self, _: &Server, error: ::net::Error) {
        if error.phase() != Some(ListenPhase::Accept) {
            self.0.disconnect();
        }
    }
}

/// Stops listening once the primary is lost, and leaves when it gets a message.
struct Leaves(Server);

impl WorkerHandler for Leaves {
    fn on_message(&mut self, worker: &Worker, _: &[u8], _: Vec<OwnedFd>) {
        worker.disconnect();
    }

    fn on_disconnect(&mut self, _: &Worker, _: bool) {
        // Fails if it does not listen.
        let _ = self.0.close();
    }
}

struct Site {
    path: PathBuf,
    event_loop: LoopHandle,
    primary: Primary,
    events: Rc<Events>,
    served: Rc<Served>,
    peers: RefCell<Vec<Peer>>,
}

/// A primary with workers. `None` if a fault keeps it from starting.
fn site(world: &World, settings: impl FnOnce(Settings) -> Settings) -> Option<Site> {
    site_with(world, settings, ServerOptions::default())
}

/// The same with options for the servers of the workers.
fn site_with(
    world: &World,
    settings: impl FnOnce(Settings) -> Settings,
    options: ServerOptions,
) -> Option<Site> {
    let env = world.environment("primary").ok()?;
    let path = world.path();
    let (listen, served) = (path.clone(), Rc::<Served>::default());
    let serves = Rc::clone(&served);
    world.play_children(move |child| worker(child, &listen, options.clone(), &serves));
    let events = Rc::new(Events::default());
    let policy = if world.choose(4) == 0 { Policy::shared() } else { Policy::round_robin() };
    let settings = settings(Settings::default().program("/bin/true").policy(policy));
    let primary = Primary::new(&env, settings, Recorder(Rc::clone(&events)));
    let event_loop = env.loop_handle().clone();
    let site = Site { path, event_loop, primary, events, served, peers: RefCell::default() };
    for _ in 0..=world.choose(3) {
        // Fails by a fault; some of the workers are enough.
        let _ = site.primary.fork();
    }
    Some(site)
}

impl Site {
    /// Waits until a worker listens or none is left.
    fn until_listening(&self, world: &World) -> Result<bool, String> {
        world.run_until(|| self.events.listening.get() > 0 || self.primary.workers().is_empty())?;
        Ok(!self.primary.workers().is_empty())
    }

    fn connect(&self, world: &World, count: u64) {
        for _ in 0..count {
            // Refused if no worker listens now.
            if let Ok(peer) = world.peer(&self.path) {
                peer.finish();
                self.peers.borrow_mut().push(peer);
            }
        }
    }

    fn greeted(&self, world: &World) -> Result<usize, String> {
        greeted(world, &self.peers.borrow(), &self.served)
    }

    /// Ends the cluster, which has to end whatever happened.
    fn end(&self, world: &World) -> Result<(), String> {
        self.primary.disconnect();
        let until = world.now() + PATIENCE;
        world.run_until(|| self.events.is_over.get() || world.now() > until)?;
        if !self.events.is_over.get() {
            return Err("the cluster does not end".to_owned());
        }
        let (forks, exits, disconnects) =
            (self.events.forks.get(), self.events.exits.get(), self.events.disconnects.get());
        if forks != exits || forks != disconnects {
            return Err(format!("{forks} workers, {exits} exits and {disconnects} ends of channels"));
        }
        world.run()
    }
}

/// Holds that no peer was served twice. Returns how many were greeted.
fn greeted(world: &World, peers: &[Peer], served: &Served) -> Result<usize, String> {
    if served.is_twice.get() && !world.has_met(breaks_channel) {
        return Err("a connection was given to two workers".to_owned());
    }
    let mut greeted = 0;
    for peer in peers {
        let text = String::from_utf8_lossy(&peer.received()).into_owned();
        match text.strip_suffix('\n').map(str::parse::<u32>) {
            Some(Ok(_)) => greeted += 1,
            _ if text.len() < 3 && !text.contains('\n') => {}
            _ => return Err(format!("a connection was greeted with {text:?}")),
        }
    }
    Ok(greeted)
}

/// Lets a worker run that may be stopped, also if the system refuses it a few times.
fn resume(worker: &WorkerHandle) {
    for _ in 0..100 {
        if worker.kill(Signal::SIGCONT).is_ok() || worker.is_dead() {
            return;
        }
    }
}

/// Whether a fault ended a connection, a channel or a worker.
fn is_fatal(fault: &Fault) -> bool {
    !is_passing(fault) || fault.call == "recvmsg(2) descriptors"
}

/// Whether a fault may have broken the channel of a worker that lives on: it is taken for dead.
fn breaks_channel(fault: &Fault) -> bool {
    !is_passing(fault) && matches!(fault.call, "recv(2)" | "send(2)" | "recvmsg(2)" | "sendmsg(2)")
}

/// Without deaths every connection is served, and by one worker.
pub(crate) fn hand_off(world: &World) -> Result<(), String> {
    let Some(site) = site(world, |settings| settings) else { return Ok(()) };
    serve_all(world, &site)
}

/// Workers that have few connections at a time refuse the others: those wait for a worker with room, and none is lost.
pub(crate) fn limits(world: &World) -> Result<(), String> {
    let options = ServerOptions::default().max_connections(Some(1 + world.choose(3) as usize));
    let settings = |settings: Settings| settings.policy(Policy::round_robin());
    let Some(site) = site_with(world, settings, options) else { return Ok(()) };
    serve_all(world, &site)
}

/// Connects many peers, each of which is to be greeted.
fn serve_all(world: &World, site: &Site) -> Result<(), String> {
    let listens = site.until_listening(world)?;
    // An invitation is sent at once or not at all: see `Primary::fork`.
    let is_refusal = |fault: &Fault| matches!(fault.kind, Kind::Refused(_)) || is_fatal(fault);
    if !listens && !world.has_met(is_refusal) {
        return Err("no worker could start".to_owned());
    }
    if listens {
        site.connect(world, 1 + world.choose(100));
        world.run_until(|| {
            site.peers.borrow().iter().all(Peer::is_ended) || site.primary.workers().is_empty()
        })?;
        let (greeted, all) = (site.greeted(world)?, site.peers.borrow().len());
        if (greeted < all || site.served.count() != all) && !world.has_met(is_fatal) {
            return Err(format!("{greeted} of {all} connections were greeted"));
        }
    }
    site.end(world)
}

/// All workers leave, one way or another. What waits in the kernel is served first, however short memory is meanwhile.
pub(crate) fn leaves(world: &World) -> Result<(), String> {
    let settings = |settings: Settings| settings.policy(Policy::round_robin());
    let Some(site) = site(world, settings) else { return Ok(()) };
    if site.until_listening(world)? {
        site.connect(world, 1 + world.choose(200));
        world.run_for(Duration::from_micros(world.choose(1_000)))?;
        match world.choose(3) {
            0 => site.primary.disconnect(),
            1 => site.primary.workers().iter().for_each(WorkerHandle::disconnect),
            // A worker that cannot be told stays, and serves.
            _ => site.primary.workers().iter().for_each(|worker| drop(worker.send(b"leave"))),
        }
        let has_ended = || site.peers.borrow().iter().all(Peer::is_ended);
        // Without poll(2) an EAGAIN of accept4(2) is the end of the queue.
        let may_lose = |fault: &Fault| is_fatal(fault) || fault.call == "poll(2)";
        world.run_until(|| has_ended() || world.has_met(may_lose))?;
        let (greeted, all) = (site.greeted(world)?, site.peers.borrow().len());
        if (greeted < all || site.served.count() != all) && !world.has_met(may_lose) {
            return Err(format!("{greeted} of {all} connections were greeted"));
        }
    }
    site.end(world)
}

/// A worker that stands still takes no connection: those that were on their way to it go to the others when it is killed.
pub(crate) fn stopped(world: &World) -> Result<(), String> {
    let settings = |settings: Settings| settings.policy(Policy::round_robin());
    let Some(site) = site(world, settings) else { return Ok(()) };
    let all_listen = || site.events.listening.get() == site.primary.workers().len();
    world.run_until(|| all_listen() || world.has_met(is_fatal))?;
    let workers = site.primary.workers();
    if !world.has_met(is_fatal) && workers.len() > 1 {
        let worker = &workers[world.choose(workers.len() as u64) as usize];
        // Fails by a fault, after which nothing is held.
        let _ = worker.kill(Signal::SIGSTOP);
        site.connect(world, 1 + world.choose(60));
        world.run_for(Duration::from_micros(world.choose(200_000)))?;
        let _ = worker.kill(Signal::SIGKILL);
        let has_ended = || site.peers.borrow().iter().all(Peer::is_ended);
        world.run_until(|| has_ended() || world.has_met(is_fatal))?;
        let (greeted, all) = (site.greeted(world)?, site.peers.borrow().len());
        if greeted < all && !world.has_met(is_fatal) {
            return Err(format!("{greeted} of {all} connections were greeted"));
        }
    }
    site.primary.workers().iter().for_each(resume);
    site.end(world)
}

/// Workers are killed, stopped and told to leave, and successors take their place: no connection is served twice, and each one
/// is served, unless its worker died before it had sent the greeting.
pub(crate) fn deaths(world: &World) -> Result<(), String> {
    let respawn = Backoff::default();
    let Some(site) = site(world, |settings| settings.respawn(respawn).keep_listening(true)) else {
        return Ok(());
    };
    if site.until_listening(world)? {
        let mut leaving = Leaving::default();
        for _ in 0..=world.choose(6) {
            site.connect(world, world.choose(40));
            if world.choose(2) == 0 {
                site.kill_who_serves(world)?;
                continue;
            }
            world.run_for(Duration::from_micros(world.choose(3_000)))?;
            let workers = site.primary.workers();
            let Some(worker) = workers.get(world.choose(workers.len() as u64) as usize) else { continue };
            // Each fails for a worker that has ended.
            let _ = match world.choose(5) {
                0 | 1 => worker.kill(Signal::SIGKILL),
                2 => worker.kill(Signal::SIGSTOP),
                3 => worker.kill(Signal::SIGCONT),
                _ => {
                    leaving.add(worker, &workers);
                    worker.disconnect();
                    Ok(())
                }
            };
            world.run_for(Duration::from_micros(world.choose(100_000)))?;
            site.greeted(world)?;
        }
        site.serve_rest(world)?;
        if !leaving.was_last && !world.has_met(may_lose) {
            site.check_served(world)?;
        }
    }
    site.end(world)?;
    site.greeted(world).map(drop)
}

/// The workers that were told to leave.
#[derive(Default)]
struct Leaving {
    ids: BTreeSet<u32>,
    /// The last one was, with which its socket closes.
    was_last: bool,
}

impl Leaving {
    fn add(&mut self, worker: &WorkerHandle, all: &[WorkerHandle]) {
        self.ids.insert(worker.id());
        self.was_last |= all.iter().all(|one| self.ids.contains(&one.id()));
    }
}

/// Whether a fault may have ended a connection. A signal that is refused, and a worker that is not started, end none.
fn may_lose(fault: &Fault) -> bool {
    is_fatal(fault) && !matches!(fault.call, "clone(2)" | "pidfd_send_signal(2)")
}

impl Site {
    /// Kills a worker right behind its next connection: it has acknowledged that, or another worker gets it, too.
    fn kill_who_serves(&self, world: &World) -> Result<(), String> {
        let before = self.served.count();
        for _ in 0..100 {
            if self.served.count() > before {
                break;
            }
            world.run_for(Duration::from_micros(1))?;
        }
        let workers = self.primary.workers();
        if let Some(worker) = workers.iter().find(|worker| worker.id() == self.served.last.get()) {
            // Fails by a fault.
            let _ = worker.kill(Signal::SIGKILL);
        }
        Ok(())
    }

    /// Waits until every connection has ended, with a worker at any time.
    fn serve_rest(&self, world: &World) -> Result<(), String> {
        let until = world.now() + PATIENCE;
        let have_ended = || self.peers.borrow().iter().all(Peer::is_ended);
        while !have_ended() && !world.has_met(may_lose) {
            self.primary.workers().iter().for_each(resume);
            if self.primary.workers().is_empty() {
                // Fails by a fault, and is tried again.
                let _ = self.primary.fork();
            }
            world.run_for(Duration::from_millis(100))?;
            if world.now() > until {
                return Err("a connection is not served".to_owned());
            }
        }
        self.primary.workers().iter().for_each(resume);
        Ok(())
    }

    /// Every connection was served, and greeted unless the greeting was lost with its worker.
    fn check_served(&self, world: &World) -> Result<(), String> {
        let (greeted, served, all) = (self.greeted(world)?, self.served.count(), self.peers.borrow().len());
        if served != all || greeted + self.served.unsent.get() < all {
            return Err(format!("{served} of {all} connections were served, and {greeted} greeted"));
        }
        Ok(())
    }
}

/// A primary that is lost takes its workers along, which serve what they have.
pub(crate) fn primary_lost(world: &World) -> Result<(), String> {
    let Some(site) = site(world, |settings| settings) else { return Ok(()) };
    if site.until_listening(world)? {
        site.connect(world, 1 + world.choose(40));
        world.run_for(Duration::from_micros(world.choose(20_000)))?;
    }
    world.kill_loop(&site.event_loop);
    let Site { primary, peers, served, .. } = site;
    // It keeps connections that wait for a worker.
    drop(primary);
    // Every worker leaves by itself.
    world.run()?;
    let peers = peers.take();
    world.run_until(|| peers.iter().all(Peer::is_ended))?;
    let (greeted, served) = (greeted(world, &peers, &served)?, served.count());
    if greeted != served && !world.has_met(may_lose) {
        return Err(format!("{served} connections were served, and {greeted} greeted"));
    }
    Ok(())
}
