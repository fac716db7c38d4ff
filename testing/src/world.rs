//! The world of a scenario: its loops, peers and children, which take turns in an order that the seed decides, on a clock that
//! jumps to the next deadline when nothing is left to do.

use crate::check::Left;
use crate::children::{Main, Played};
use crate::names::{self, Names};
use crate::peer::{Peer, PeerInner};
use async_wrap::Environment;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use uv_core::faults::{self, Fault, Plan};
use uv_core::handle::{HandleInfo, HandleKind};
use uv_core::{Loop, LoopHandle, RunMode, Signal};

/// Rounds over all loops and peers after which a scenario does not end.
const ROUNDS: u64 = 200_000;

/// The virtual time that loops have to end in once a scenario is over.
const LAST_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How often, and after which real time each, a world looks again for what the kernel delivers.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(1);

/// Where a scenario runs: see [`explore`](crate::explore()).
#[derive(Debug)]
pub struct World {
    faults: faults::World,
    members: RefCell<Vec<Rc<Member>>>,
    peers: RefCell<Vec<Rc<PeerInner>>>,
    pub(crate) main: RefCell<Option<Rc<Main>>>,
    pub(crate) released: Option<Rc<Cell<Left>>>,
    rounds: Cell<u64>,
    /// A loop that was due did not run in the last round.
    has_stalled: Cell<bool>,
    names: RefCell<Names>,
}

/// A loop, and the child whose loop it is.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) event_loop: RefCell<Option<Loop>>,
    /// Of a loop that has one.
    env: RefCell<Option<Environment>>,
    /// Its thread does not run before.
    pub(crate) late_until: Cell<Duration>,
    pub(crate) played: Option<Played>,
}

impl World {
    /// With `released` it is counted what children leave that the kernel takes.
    pub(crate) fn enter(plan: Plan, released: Option<Rc<Cell<Left>>>) -> Self {
        Self {
            faults: faults::World::enter(plan),
            released,
            members: RefCell::default(),
            peers: RefCell::default(),
            main: RefCell::default(),
            rounds: Cell::new(0),
            has_stalled: Cell::new(false),
            names: RefCell::new(Names::new()),
        }
    }

    pub(crate) fn faults(&self) -> &faults::World {
        &self.faults
    }

    /// A new loop that takes turns with the others.
    ///
    /// # Errors
    /// The system's refusal, which is a fault of this world only if it is `EMFILE` or the like.
    pub fn event_loop(&self, name: &str) -> uv_core::Result<LoopHandle> {
        let event_loop = Loop::new()?;
        let handle = LoopHandle::clone(&event_loop);
        self.add(name, event_loop, None, None);
        Ok(handle)
    }

    /// A new loop with an environment.
    ///
    /// # Errors
    /// As for [`event_loop`](Self::event_loop).
    pub fn environment(&self, name: &str) -> uv_core::Result<Environment> {
        let event_loop = Loop::new()?;
        let env = Environment::new(&event_loop);
        self.add(name, event_loop, Some(env.clone()), None);
        Ok(env)
    }

    pub(crate) fn add(
        &self,
        name: &str,
        event_loop: Loop,
        env: Option<Environment>,
        played: Option<Played>,
    ) -> Rc<Member> {
        let (event_loop, env) = (RefCell::new(Some(event_loop)), RefCell::new(env));
        let (name, late_until) = (name.to_owned(), Cell::default());
        let member = Rc::new(Member { name, event_loop, env, late_until, played });
        self.members.borrow_mut().push(Rc::clone(&member));
        member
    }

    /// A Unix socket for a server of this world, which no other has. It is an abstract name, so it leaves no file and needs
    /// no port: for `ListenOptions::path`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.names.borrow_mut().path()
    }

    /// A loopback address for TCP servers of this process, which others do not use: a port that one world has closed may be
    /// another's a moment later, and a late client would reach it.
    #[must_use]
    pub fn loopback(&self) -> Ipv4Addr {
        names::loopback()
    }

    /// A client that connects to a Unix socket and speaks bytes. No fault meets the peer itself: it may be slow, and it may
    /// cut what it sends anywhere. If the server's backlog is full it tries again in each of its turns.
    ///
    /// # Errors
    /// The refusal of the connection. A later one is the peer's [`end`](Peer::end).
    pub fn peer(&self, path: &Path) -> io::Result<Peer> {
        Ok(self.add_peer(PeerInner::unix(path)?))
    }

    /// As [`peer`](Self::peer), over TCP.
    ///
    /// # Errors
    /// The refusal of the connection.
    pub fn tcp_peer(&self, address: SocketAddr) -> io::Result<Peer> {
        Ok(self.add_peer(PeerInner::tcp(address, None)?))
    }

    /// As [`tcp_peer`](Self::tcp_peer), from another address of this machine, for servers that tell their peers apart by it.
    ///
    /// # Errors
    /// The refusal of the address or the connection.
    pub fn tcp_peer_from(&self, host: Ipv4Addr, address: SocketAddr) -> io::Result<Peer> {
        Ok(self.add_peer(PeerInner::tcp(address, Some((host, 0).into()))?))
    }

    fn add_peer(&self, peer: Rc<PeerInner>) -> Peer {
        self.peers.borrow_mut().push(Rc::clone(&peer));
        Peer(peer)
    }

    /// A number below `bound` that the seed decides.
    #[must_use]
    pub fn choose(&self, bound: u64) -> u64 {
        faults::choose("choice of the scenario", bound)
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Duration {
        faults::now().unwrap_or_default()
    }

    /// Whether a fault was injected for which `is` holds, for laws that hold without it only.
    #[must_use]
    pub fn has_met(&self, is: impl Fn(&Fault) -> bool) -> bool {
        self.faults.report().faults.iter().any(is)
    }

    /// Drops a loop, as if its process were killed: its descriptors are closed, and nothing is called.
    pub fn kill_loop(&self, event_loop: &LoopHandle) {
        let fd = event_loop.backend_fd();
        let members = self.members.borrow().clone();
        let is_its = |member: &&Rc<Member>| member.handle().is_some_and(|handle| handle.backend_fd() == fd);
        if let Some(member) = members.iter().find(is_its) {
            member.end(Some(Signal::SIGKILL));
        }
    }

    /// Whether a loop that had something to do did not run when the others took their last turn: as a thread that the system
    /// runs later. What it was asked for is still to come then.
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        self.has_stalled.get()
    }

    /// Injects no further faults.
    pub fn calm(&self) {
        self.faults.calm();
    }

    /// Reports the breach of a law of the scenario's own. The run goes on.
    pub fn violate(&self, law: impl Into<String>) {
        self.faults.violate(law);
    }

    /// Lets everything take turns until `is_done`.
    ///
    /// # Errors
    /// A text that says what every loop waits for, if nothing is left that could happen.
    pub fn run_until(&self, is_done: impl Fn() -> bool) -> Result<(), String> {
        while !is_done() {
            if !self.round() && !self.await_kernel() && !is_done() {
                return Err(format!("nothing happens any more; {}", self.state()));
            }
        }
        Ok(())
    }

    /// TCP is delivered by a thread of the kernel, which may be late. Returns whether anything happens once it had its time.
    fn await_kernel(&self) -> bool {
        let is_tcp = |info: &HandleInfo| info.kind == HandleKind::Tcp;
        let has_tcp =
            |member: &Rc<Member>| member.handle().is_some_and(|handle| handle.handles().iter().any(is_tcp));
        self.members.borrow().iter().any(has_tcp)
            && (0..LOOKS).any(|_| {
                std::thread::sleep(LOOK);
                self.round()
            })
    }

    /// Lets everything take turns for this long, in virtual time.
    ///
    /// # Errors
    /// If nothing is left that could happen before the end of the clock.
    pub fn run_for(&self, time: Duration) -> Result<(), String> {
        let until = self.now().saturating_add(time).min(faults::END);
        while self.now() < until {
            if !self.round_before(Some(until)) && self.now() < until {
                return Err(self.state());
            }
        }
        Ok(())
    }

    /// Lets everything take turns until every loop has ended.
    ///
    /// # Errors
    /// As for [`run_until`](Self::run_until).
    pub fn run(&self) -> Result<(), String> {
        self.run_until(|| !self.is_alive())
    }

    fn is_alive(&self) -> bool {
        self.members.borrow().iter().any(|member| member.is_alive())
    }

    fn round(&self) -> bool {
        self.round_before(None)
    }

    /// One turn of everything. Returns whether anything happened or time passed.
    fn round_before(&self, until: Option<Duration>) -> bool {
        self.rounds.set(self.rounds.get() + 1);
        assert!(self.rounds.get() < ROUNDS, "the scenario does not end; {}", self.state());
        self.has_stalled.set(false);
        self.start_children();
        let began = self.now();
        let members = self.members.borrow().clone();
        let peers = self.peers.borrow().clone();
        faults::run_due_jobs();
        let mut acted = false;
        for index in shuffled(members.len() + peers.len()) {
            acted |= match members.get(index) {
                Some(member) => self.turn(member),
                None => peers[index - members.len()].turn(),
            };
        }
        self.peers.borrow_mut().retain(|peer| !peer.is_over());
        self.members.borrow_mut().retain(|member| member.event_loop.borrow().is_some());
        acted || self.pass_time(began, until)
    }

    fn turn(&self, member: &Rc<Member>) -> bool {
        self.deliver_signals(member);
        // A signal has ended it right now, which its parent has not seen.
        let Some(handle) = member.handle() else { return true };
        if member.is_stopped() {
            return false;
        }
        if member.has_ended(&handle) {
            drop(handle);
            self.end_by_itself(member);
            return true;
        }
        // A loop whose own timeout lets it sleep is not woken for what it has forgotten to wait for.
        let is_due = handle.is_alive() && (has_work(&handle) || faults::is_ready(&handle));
        if !is_due {
            return false;
        }
        if member.is_late() {
            self.has_stalled.set(true);
            return false;
        }
        let ran = member.play(|| handle.run(RunMode::NoWait));
        if let Err(error) = ran {
            self.violate(format!("{}: {error}", member.name));
        }
        if member.has_ended(&handle) {
            // It keeps descriptors of the loop.
            drop(handle);
            self.end_by_itself(member);
            return true;
        }
        true
    }

    /// Lets time pass to the next moment at which something may happen, behind a round that began then.
    fn pass_time(&self, began: Duration, until: Option<Duration>) -> bool {
        let now = self.now();
        let members = self.members.borrow();
        let running = members.iter().filter(|member| !member.is_stopped());
        let deadlines = running.filter_map(|member| {
            if member.late_until.get() > now {
                return Some(member.late_until.get());
            }
            let handle = member.handle().filter(|handle| handle.is_alive())?;
            Some(now.max(faults_time(&handle)? + handle.backend_timeout()?))
        });
        let peers = self.peers.borrow();
        let pauses = peers.iter().filter_map(|peer| peer.wakes_at());
        let others = [faults::next_ready_after(began), faults::next_job(), until].into_iter().flatten();
        let next = deadlines.chain(pauses).chain(others).min().filter(|next| *next <= faults::END);
        let Some(next) = next else { return false };
        faults::advance_to(next.max(now + Duration::from_nanos(1)));
        true
    }

    /// What every loop and peer waits for.
    fn state(&self) -> String {
        let members = self.members.borrow();
        let state = members.iter().filter_map(|member| {
            let handle = member.handle()?;
            let handles: Vec<_> = handle.handles().iter().map(ToString::to_string).collect();
            let requests = handle.active_requests();
            let wait =
                handle.backend_timeout().map_or_else(|| "an event".to_owned(), |wait| format!("{wait:?}"));
            Some(format!("{}: {} ({requests} requests) waits for {wait}", member.name, handles.join(", ")))
        });
        let peers = self.peers.borrow();
        let peers = peers.iter().map(|peer| format!("{peer:?}"));
        state.chain(peers).collect::<Vec<_>>().join("; ")
    }

    /// The end of a scenario: without further faults every loop ends by itself, with nothing left in it.
    pub(crate) fn finish(&self) -> Result<(), String> {
        self.calm();
        let until = self.now() + LAST_TIME;
        while self.is_alive() {
            if !self.round() && !self.await_kernel() && self.is_alive() || self.now() > until {
                return Err(format!("a loop does not end; {}", self.state()));
            }
        }
        let members = self.members.borrow();
        let left = members.iter().find_map(|member| member.leftovers());
        left.map_or(Ok(()), |left| Err(format!("a loop ends with something left in it: {left}")))
    }

    /// Drops all loops, and then the peers.
    pub(crate) fn clear(&self) {
        let members = self.members.take();
        members.iter().for_each(|member| member.clear());
        drop(self.peers.take());
        drop(self.main.take());
    }
}

/// The numbers below `count`, in an order that the seed decides.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    let mut number = faults::choose("order of turns", u64::MAX);
    for last in (1..count).rev() {
        order.swap(last, (number % (last as u64 + 1)) as usize);
        number /= last as u64 + 1;
    }
    order
}

/// Whether the loop has something to do at once.
fn has_work(handle: &LoopHandle) -> bool {
    handle.update_time();
    handle.is_alive() && handle.backend_timeout() == Some(Duration::ZERO)
}

/// The virtual time, which the loop's clock is set to: what is left until its next deadline is counted from there.
fn faults_time(handle: &LoopHandle) -> Option<Duration> {
    handle.update_time();
    faults::now()
}

impl Member {
    pub(crate) fn handle(&self) -> Option<LoopHandle> {
        self.event_loop.borrow().as_ref().map(|event_loop| LoopHandle::clone(event_loop))
    }

    /// Whether its thread does not run now, as it is stalled.
    fn is_late(&self) -> bool {
        let now = faults::now().unwrap_or_default();
        if self.late_until.get() <= now
            && let Some(until) = faults::stall()
        {
            self.late_until.set(until);
        }
        self.late_until.get() > now
    }

    /// What a program that has ended has left in its loop, in words: handles, also those that do not keep the loop alive, and
    /// requests. `None` if it has left nothing. Its environment ends here.
    pub(crate) fn leftovers(&self) -> Option<String> {
        let handle = self.handle()?;
        // The environment's own watchers close, so those that do not are the program's.
        self.play(|| self.env.borrow().iter().for_each(Environment::close));
        let handles = handle.handles();
        let of_program = handles.iter().filter(|info| !info.closing);
        let names: Vec<_> = of_program.map(ToString::to_string).collect();
        let requests = handle.active_requests();
        let env = self.env.borrow();
        let tasks = env.as_ref().filter(|env| env.tasks() > 0).map(Environment::why_pending);
        let left = || {
            let tasks = tasks.as_deref().unwrap_or("no task");
            format!("{}: {} ({requests} requests), {tasks}", self.name, names.join(", "))
        };
        (requests > 0 || !names.is_empty() || tasks.is_some()).then(left)
    }

    fn is_alive(&self) -> bool {
        self.handle().is_some_and(|handle| handle.is_alive())
    }

    /// Drops the loop, and nothing is called.
    pub(crate) fn clear(&self) {
        let (event_loop, env) = (self.event_loop.take(), self.env.take());
        event_loop.iter().for_each(|event_loop| faults::forget_loop(event_loop));
        self.play(|| drop((event_loop, env)));
        self.forget_child();
    }
}
