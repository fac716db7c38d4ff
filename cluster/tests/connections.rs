//! Which worker gets a connection, and that no connection is lost.

mod common;

use cluster::scheduling::{Candidate, SchedulingPolicy};
use cluster::upcall::PrimaryHandler;
use cluster::{Backoff, Policy, Primary, Settings, WorkerHandle};
use common::{Cluster, LISTEN, Recorder, SIGCONT, SIGKILL, SIGSTOP, connect, read_all, role, tally};
use net::Address;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;
use uv_core::RunMode;
use uv_core::process::ExitStatus;

fn main() {
    common::main(&[
        ("idle_workers_take_strict_turns", strict_turns),
        ("a_burst_is_spread_evenly", burst),
        ("shared_sockets_serve_everybody", shared),
        ("a_custom_policy_decides", custom_policy),
        ("what_a_full_worker_refuses_goes_to_another", refused_goes_to_another),
        ("connections_wait_until_a_full_worker_has_room", waits_for_room),
        ("a_worker_forked_after_a_failed_fork_keeps_its_sockets", after_failed_fork),
        ("a_worker_that_only_asked_for_a_socket_gets_no_connections", only_asked),
        ("a_server_that_drops_above_its_limit_takes_all_and_reports_it", drops),
        ("a_worker_holds_a_limit_for_each_address", drops_by_address),
        ("a_worker_that_listens_again_while_it_refuses_a_late_connection_gets_others", listens_again),
        ("what_was_handed_to_a_worker_that_is_asked_to_go_is_served", handed_before_leave),
        ("a_leaving_worker_waits_for_its_connections", waits_for_connections),
        ("a_leaving_worker_closes_all_of_its_servers", closes_all_servers),
        ("a_worker_that_leaves_by_itself_ends_well", leaves_by_itself),
        ("a_dead_worker_is_replaced_and_its_successor_takes_its_share", replaced),
        ("a_dead_worker_is_replaced_although_the_handler_of_its_end_panics", replaced_after_panic),
        ("a_socket_that_is_kept_keeps_no_primary_alive", kept_alone),
        ("connections_wait_for_the_successor_of_the_only_worker", waits_for_successor),
        ("a_worker_that_cannot_start_is_tried_again_until_the_primary_disconnects", tried_again),
        ("a_worker_that_was_asked_to_go_is_not_replaced", not_replaced),
    ]);
}

fn greeters(count: usize) -> (Cluster, Vec<WorkerHandle>) {
    let cluster = Cluster::new("greeter", &["127.0.0.1:0"]);
    let workers = cluster.fork_listening(count);
    (cluster, workers)
}

/// The first byte that the server sends.
fn hear(visitor: &mut TcpStream) -> char {
    let mut byte = [0];
    visitor.read_exact(&mut byte).expect("a greeting");
    char::from(byte[0])
}

// Node: test-cluster-basic, with what RoundRobinHandle promises
fn strict_turns() {
    let (cluster, workers) = greeters(3);
    let greetings = cluster.visit_in_turn(12);
    let greetings: Vec<_> = greetings.iter().map(String::as_str).collect();
    assert_eq!(greetings, ["1", "2", "3"].repeat(4));
    for worker in workers {
        cluster.until(|| worker.counters().in_flight == 0);
        assert_eq!((worker.counters().taken, worker.counters().refused), (4, 0));
    }
    cluster.finish();
}

fn burst() {
    let (cluster, _) = greeters(3);
    let visitors = cluster.visitors(64);
    assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("1", 22), ("2", 21), ("3", 21)]));
    cluster.finish();
}

// Node: test-cluster-shared-handle-bind-error and others with SCHED_NONE
fn shared() {
    let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(Policy::shared()));
    let workers = cluster.fork_listening(2);
    assert!(cluster.visit_at_once(40).iter().all(|greeting| greeting == "1" || greeting == "2"));
    workers[0].kill(SIGKILL).expect("it lives");
    cluster.until_event("exit 1 0 9");
    assert_eq!(tally(&cluster.visit_at_once(20)), BTreeMap::from([("2", 20)]));
    assert_eq!(workers[1].counters().taken, 0, "the primary has no part in it");
    cluster.finish();
}

struct Favourite;

impl SchedulingPolicy for Favourite {
    fn choose(&mut self, candidates: &[Candidate]) -> usize {
        candidates.iter().position(|candidate| candidate.worker == 2).unwrap_or(usize::MAX)
    }
}

fn custom_policy() {
    let policy = Policy::distributed(|| Favourite);
    let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
    let workers = cluster.fork_listening(3);
    assert_eq!(cluster.visit(3), ["2", "2", "2"]);
    workers[1].disconnect();
    assert_eq!(cluster.visit(2), ["1", "1"], "an index beyond all stands for the first");
    cluster.finish();
}

fn holders(limit: &str, rest: &[&str], count: usize) -> (Cluster, Vec<WorkerHandle>) {
    let cluster = Cluster::new("holder", &[&[limit], rest].concat());
    let workers = cluster.fork_listening(count);
    (cluster, workers)
}

fn after_failed_fork() {
    let settings = role("greeter", &["127.0.0.1:0"]).program("/no/such/program");
    let cluster = Cluster::with(settings);
    assert!(cluster.primary.fork().is_err(), "there is no such program");
    let program = std::env::current_exe().expect("this program");
    cluster.primary.setup(|settings| settings.program(program)).expect("the same policy");
    // Its channel is about to be closed, in the loop.
    let workers = cluster.fork_listening(1);
    assert_eq!(workers[0].id(), 2, "an id is never used again");
    assert_eq!(cluster.visit(3), ["2", "2", "2"]);
    cluster.finish();
}

/// Stops the second worker as soon as it asks for the socket, so that it does not listen.
struct StopsSecond(Recorder, Rc<Cell<bool>>);

impl PrimaryHandler for StopsSecond {
    fn accepts_listen(&mut self, worker: &WorkerHandle, _: &Address) -> bool {
        if worker.id() == 2 {
            worker.kill(SIGSTOP).expect("it lives");
            self.1.set(true);
        }
        true
    }
    fn on_listening(&mut self, worker: &WorkerHandle, address: &Address) {
        self.0.on_listening(worker, address);
    }
    fn on_disconnected(&mut self, primary: &Primary) {
        self.0.on_disconnected(primary);
    }
}

fn only_asked() {
    let asked = Rc::new(Cell::new(false));
    let flag = Rc::clone(&asked);
    let settings = role("greeter", &["127.0.0.1:0"]);
    let cluster = Cluster::with_handler(settings, |recorder| StopsSecond(recorder, flag));
    cluster.fork_listening(1);
    let second = cluster.fork();
    cluster.until(|| asked.get());
    let visitors = cluster.visitors(20);
    assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("1", 20)]));
    assert_eq!((second.counters().in_flight, second.counters().refused), (0, 0));
    // The sockets are closed at once, so what the second worker had been handed would be reset when it dies.
    cluster.primary.disconnect();
    second.kill(SIGKILL).expect("it lives");
    cluster.until_event("disconnected");
    cluster.finished();
}

// Node: test-cluster-net-server-drop-connection
fn refused_goes_to_another() {
    let (cluster, workers) = holders("2", &[], 2);
    let address = cluster.address();
    let greeted = |by: char| {
        cluster.settle();
        cluster.meanwhile(move || {
            let mut visitor = connect(address);
            assert_eq!(hear(&mut visitor), by);
            visitor
        })
    };
    let (first, second, third) = (greeted('1'), greeted('2'), greeted('1'));
    drop(second);
    let mut visitors = vec![first, third];
    // Whether worker 1 is asked first or not: it is full, and worker 2 is not.
    for _ in 0..2 {
        visitors.push(greeted('2'));
    }
    assert!(workers[0].counters().refused > 0);
    drop(visitors);
    cluster.finish();
}

// Bun: PR 31829
fn waits_for_room() {
    let (cluster, workers) = holders("1", &[], 1);
    let address = cluster.address();
    let (first, others) = cluster.meanwhile(move || {
        let mut first = connect(address);
        hear(&mut first);
        (first, [(); 5].map(|()| connect(address)))
    });
    cluster.until(|| workers[0].counters().refused > 0);
    let (before, taken) = (workers[0].counters().refused, workers[0].counters().taken);
    assert_eq!(taken, 1);
    // One at a time and in order: each is served when the connection before it closes.
    cluster.meanwhile(move || {
        drop(first);
        for mut visitor in others {
            hear(&mut visitor);
        }
    });
    cluster.until(|| workers[0].counters().in_flight == 0);
    assert_eq!(workers[0].counters().taken, 6);
    assert!(workers[0].counters().refused - before < 64, "full workers are not asked again and again");
    cluster.finish();
}

// Node: test-net-server-drop-connections-in-cluster
fn drops() {
    let (cluster, workers) = holders("1", &["drop"], 1);
    let address = cluster.address();
    cluster.meanwhile(move || {
        let mut first = connect(address);
        hear(&mut first);
        assert_eq!(read_all(connect(address)), "");
    });
    cluster.until_event("message 1 dropped");
    assert_eq!((workers[0].counters().taken, workers[0].counters().refused), (2, 0));
    cluster.finish();
}

fn drops_by_address() {
    for policy in [Policy::round_robin(), Policy::shared()] {
        let cluster = Cluster::with(role("holder", &["-", "address"]).policy(policy));
        cluster.fork_listening(1);
        let address = cluster.address();
        cluster.meanwhile(move || {
            let mut first = connect(address);
            hear(&mut first);
            assert_eq!(read_all(connect(address)), "");
            drop(first);
            // The next one is served once the close of the first was noticed.
            let is_served = || !matches!(connect(address).read(&mut [0]), Ok(0) | Err(_));
            while !is_served() {}
        });
        cluster.until_event("message 1 dropped");
        cluster.finish();
    }
}

fn listens_again() {
    let cluster = Cluster::with(role("obedient", &[]).policy(Policy::distributed(|| Favourite)));
    let workers = cluster.fork_told_to_listen(2);
    let address = cluster.address();
    // The second worker closes and asks to listen again while a connection is on its way to it.
    workers[1].kill(SIGSTOP).expect("it lives");
    workers[1].send(b"close").expect("a channel");
    workers[1].send(LISTEN).expect("a channel");
    let late = cluster.meanwhile(move || connect(address));
    cluster.until(|| workers[1].counters().in_flight == 1);
    workers[1].kill(SIGCONT).expect("it lives");
    assert!(!cluster.meanwhile(move || read_all(late)).is_empty());
    assert_eq!(workers[1].counters().refused, 1);
    cluster.until(|| cluster.count("listening 2") == 2);
    // Its report of room may come after the first of these.
    while cluster.visit(1) != ["2"] {}
    cluster.finish();
}

/// Chooses the first worker, and in the same turn asks it to leave and chooses the second.
struct Farewell(bool);

thread_local! {
    static LEAVER: RefCell<Option<WorkerHandle>> = const { RefCell::new(None) };
}

impl SchedulingPolicy for Farewell {
    fn choose(&mut self, candidates: &[Candidate]) -> usize {
        if std::mem::replace(&mut self.0, true)
            && let Some(worker) = LEAVER.take()
        {
            assert_eq!(worker.counters().in_flight, 1, "handed and not looked at");
            worker.disconnect();
            // It ends before this turn does: messages sent later find the channel closed.
            while !has_ended(worker.pid()) {
                std::thread::yield_now();
            }
            return candidates.len() - 1;
        }
        0
    }
}

/// Whether the process has ended, before its end was collected.
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process or what is left of it");
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn handed_before_leave() {
    let policy = Policy::distributed(|| Farewell(false));
    let cluster = Cluster::with(role("obedient", &[]).policy(policy));
    let workers = cluster.fork_told_to_listen(2);
    LEAVER.set(Some(workers[0].clone()));
    // The loop does not run meanwhile, so it finds both at once.
    let visitors = [(); 2].map(|()| connect(cluster.address()));
    assert_eq!(cluster.meanwhile(move || visitors.map(read_all)), ["1", "2"]);
    cluster.until(|| cluster.has("disconnect 1") && cluster.has("exit 1 0 0"));
    assert_eq!((workers[0].counters().taken, workers[0].counters().refused), (1, 0));
    cluster.finish();
}

// Node: test-cluster-worker-disconnect, test-cluster-worker-wait-server-close
fn waits_for_connections() {
    for policy in [Policy::round_robin(), Policy::shared()] {
        let cluster = Cluster::with(role("holder", &["-"]).policy(policy));
        let worker = cluster.fork_listening(1).remove(0);
        let address = cluster.address();
        let visitor = cluster.meanwhile(move || {
            let mut visitor = connect(address);
            hear(&mut visitor);
            visitor
        });
        worker.disconnect();
        assert_eq!(worker.exited_after_disconnect(), Some(true));
        // Called before the servers are closed; the next message is sent when they are.
        cluster.until_event("message 1 leaving");
        cluster.until_event("message 1 still serving");
        // Once it has taken what the kernel had.
        cluster.meanwhile(move || while TcpStream::connect(address).is_ok() {});
        assert!(worker.is_connected() && !worker.is_dead());
        drop(visitor);
        cluster.until(|| cluster.has("disconnect 1") && cluster.has("exit 1 0 0"));
        cluster.finished();
    }
}

// Node: test-cluster-worker-handle-close, test-cluster-disconnect
fn closes_all_servers() {
    let any = "127.0.0.1:0";
    let cluster = Cluster::new("greeter", &[any, any, any]);
    cluster.fork();
    cluster.until(|| cluster.count("listening 1") == 3);
    cluster.finish();
    assert!(cluster.has("exit 1 0 0"));
}

// Node: test-cluster-process-disconnect, test-cluster-disconnect-unshared-tcp
fn leaves_by_itself() {
    for policy in [Policy::round_robin(), Policy::shared()] {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let worker = cluster.fork();
        worker.send(b"listen 127.0.0.1:0").expect("a channel");
        cluster.until_event("listening 1");
        worker.send(b"disconnect").expect("a channel");
        cluster.until(|| cluster.has("exit 1 0 0") && cluster.has("disconnect 1"));
        assert_eq!(worker.exited_after_disconnect(), Some(true));
        cluster.finished();
    }
}

/// Replaces workers soon, however early they died.
fn quick() -> Backoff {
    Backoff::default()
        .base(Duration::from_millis(1))
        .cap(Duration::from_millis(4))
        .long_lived(Duration::from_secs(60))
}

fn supervised(settings: Settings) -> Cluster {
    Cluster::with(settings.respawn(quick()))
}

fn replaced() {
    let cluster = supervised(role("greeter", &["127.0.0.1:0"]));
    let workers = cluster.fork_listening(2);
    workers[0].kill(SIGKILL).expect("it lives");
    cluster.until_event("listening 3");
    let greetings = cluster.visit_in_turn(4);
    assert_eq!(tally(&greetings), BTreeMap::from([("2", 2), ("3", 2)]));
    assert!(cluster.has("exit 1 0 9"));
    cluster.finish();
}

/// A program's handler that fails at each end of a worker.
struct FailsAtExit(Recorder);

impl PrimaryHandler for FailsAtExit {
    fn on_fork(&mut self, worker: &WorkerHandle) {
        self.0.on_fork(worker);
    }
    fn on_exit(&mut self, worker: &WorkerHandle, status: ExitStatus) {
        self.0.on_exit(worker, status);
        resume_unwind(Box::new(()));
    }
}

fn replaced_after_panic() {
    let cluster = Cluster::with_handler(role("exits", &["7"]).respawn(quick()), FailsAtExit);
    cluster.fork();
    let mut panics = 0;
    while cluster.count("fork") < 3 {
        let turn = || assert!(cluster.env.run(RunMode::Once).expect("the loop runs"), "no successor");
        match catch_unwind(AssertUnwindSafe(turn)) {
            Ok(()) => {}
            Err(panic) if panic.is::<()>() => panics += 1,
            Err(panic) => resume_unwind(panic),
        }
    }
    assert_eq!(panics, 2);
    cluster.primary.disconnect();
}

fn waits_for_successor() {
    let cluster = supervised(role("greeter", &["127.0.0.1:0"]).keep_listening(true));
    let worker = cluster.fork_listening(1).remove(0);
    let address: SocketAddr = cluster.address();
    worker.kill(SIGSTOP).expect("it lives");
    // One connection is with the worker that dies, the other comes when there is no worker.
    let early = cluster.meanwhile(move || connect(address));
    cluster.until(|| worker.counters().in_flight == 1);
    worker.kill(SIGKILL).expect("it lives");
    cluster.until_event("disconnect 1");
    let greetings = cluster.meanwhile(move || (read_all(connect(address)), read_all(early)));
    assert_eq!(greetings, ("2".into(), "2".into()));
    cluster.finish();
}

fn kept_alone() {
    let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).keep_listening(true));
    let worker = cluster.fork_listening(1).remove(0);
    let address = cluster.address();
    worker.kill(SIGKILL).expect("it lives");
    cluster.finished();
    let waiting = connect(address);
    cluster.fork();
    cluster.until_event("listening 2");
    assert_eq!(cluster.hear(vec![waiting]), ["2"]);
    cluster.finish();
}

fn tried_again() {
    let cluster = supervised(role("exits", &["7"]));
    cluster.fork();
    cluster.until_event("exit 4 7 0");
    cluster.finish();
    let forks = cluster.count("fork");
    assert_eq!(forks, cluster.count("exit"), "no successor comes after the end");
}

fn not_replaced() {
    let cluster = supervised(role("idle", &[]));
    let worker = cluster.fork();
    cluster.until_event("online 1");
    worker.disconnect();
    cluster.until(|| cluster.has("disconnect 1") && cluster.has("exit 1 0 0"));
    cluster.finished();
    assert_eq!(cluster.count("fork"), 1);
}
