//! Workers and policies in trouble, which must not harm other workers.

mod common;

use cluster::scheduling::{Candidate, RoundRobin, SchedulingPolicy};
use cluster::{Policy, WorkerHandle};
use common::{Cluster, SIGCONT, SIGKILL, SIGSTOP, SIGUSR1, limited, policies, role, tally};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::time::Duration;

fn main() {
    common::main(&[
        ("what_a_dying_worker_has_not_acknowledged_goes_to_another_once", dying_worker),
        ("a_worker_that_stands_still_gets_no_more_than_its_window", window),
        ("a_worker_that_stands_still_is_passed_over_until_it_moves", passed_over),
        ("while_all_workers_stand_still_connections_wait_for_the_first_to_move", all_stand_still),
        ("what_a_worker_out_of_descriptors_cannot_take_goes_to_another", out_of_descriptors),
        ("connections_wait_until_a_worker_has_descriptors_again", waits_for_descriptors),
        ("a_worker_out_of_descriptors_cannot_listen_and_may_try_again", listens_without_descriptors),
        ("a_message_whose_descriptors_find_no_room_in_a_worker_is_an_error", message_to_worker_lost),
        ("a_message_whose_descriptors_find_no_room_in_a_primary_is_an_error", message_to_primary_lost),
        ("a_worker_that_asks_and_does_not_listen_is_not_heard_until_it_does", asker),
        ("a_worker_that_asks_behind_a_long_message_is_heard_once_it_listens", asker_behind_a_message),
        ("acknowledgements_overtake_what_a_worker_has_to_say", talkative),
        ("a_connection_is_served_once_the_kernel_has_its_acknowledgement", acknowledged_first),
        ("what_a_worker_has_still_to_say_is_sent_before_it_goes", last_words),
        ("a_policy_that_panics_loses_no_connection", panicking_policy),
    ]);
}

/// More than the time after which a worker is passed over.
const LONG: Duration = Duration::from_millis(200);

fn greeters(count: usize) -> (Cluster, Vec<WorkerHandle>) {
    let cluster = Cluster::new("greeter", &["127.0.0.1:0"]);
    let workers = cluster.fork_listening(count);
    (cluster, workers)
}

// Node: test-cluster-worker-death, test-cluster-disconnect-leak; Bun: PR 31829
fn dying_worker() {
    let (cluster, workers) = greeters(2);
    workers[0].kill(SIGSTOP).expect("it lives");
    let visitors = cluster.visitors(20);
    cluster.until(|| workers[0].counters().in_flight == 10);
    workers[0].kill(SIGKILL).expect("it lives");
    assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("2", 20)]), "all, and each once");
    cluster.until(|| workers[1].counters().in_flight == 0);
    assert_eq!((workers[0].counters().taken, workers[1].counters().taken), (0, 20));
    cluster.finish();
}

fn window() {
    let (cluster, workers) = greeters(2);
    workers[0].kill(SIGSTOP).expect("it lives");
    let visitors = cluster.visitors(200);
    // All connections that the first worker does not hold back.
    let held = || workers[0].counters().in_flight;
    cluster.until(|| workers[1].counters().taken + held() as u64 == 200);
    assert!((1..=64).contains(&held()));
    assert_eq!(workers[0].counters().taken, 0);
    let held = held();
    workers[0].kill(SIGCONT).expect("it lives");
    let shares = BTreeMap::from([("1", held), ("2", 200 - held)]);
    assert_eq!(tally(&cluster.hear(visitors)), shares);
    cluster.finish();
}

fn passed_over() {
    let distributed = Policy::distributed(RoundRobin::default);
    for policy in policies().into_iter().chain([distributed]) {
        let is_shared = format!("{policy:?}").contains("shared");
        let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
        let workers = cluster.fork_listening(2);
        workers[0].kill(SIGSTOP).expect("it lives");
        let held = if is_shared { 0 } else { 1 };
        let visitor = cluster.visitors(held);
        cluster.until(|| workers[0].counters().in_flight == held);
        cluster.run_for(LONG);
        assert_eq!(tally(&cluster.visit(20)), BTreeMap::from([("2", 20)]));
        assert_eq!(tally(&cluster.visit_at_once(100)), BTreeMap::from([("2", 100)]));
        assert_eq!(workers[0].counters().in_flight, held, "it got nothing more");
        workers[0].kill(SIGCONT).expect("it lives");
        assert!(cluster.hear(visitor).iter().all(|greeting| greeting == "1"));
        if !is_shared {
            cluster.until(|| workers[0].counters().in_flight == 0);
            assert_eq!(tally(&cluster.visit_in_turn(10)), BTreeMap::from([("1", 5), ("2", 5)]), "even again");
        }
        cluster.finish();
    }
}

fn all_stand_still() {
    let (cluster, workers) = greeters(2);
    for worker in &workers {
        worker.kill(SIGSTOP).expect("it lives");
    }
    let mut visitors = cluster.visitors(2);
    cluster.until(|| workers.iter().all(|worker| worker.counters().in_flight == 1));
    cluster.run_for(LONG);
    visitors.extend(cluster.visitors(10));
    cluster.run_for(LONG);
    assert_eq!(workers[0].counters().in_flight + workers[1].counters().in_flight, 2);
    workers[1].kill(SIGCONT).expect("it lives");
    let first = visitors.remove(0);
    assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("2", 11)]));
    workers[0].kill(SIGKILL).expect("it lives");
    assert_eq!(cluster.hear(vec![first]), ["2"]);
    cluster.finish();
}

fn out_of_descriptors() {
    let cluster = Cluster::with(limited("obedient"));
    let workers = cluster.fork_told_to_listen(2);
    workers[0].send(b"hoard 0").expect("a channel");
    cluster.until_event("message 1 hoarded");
    assert_eq!(tally(&cluster.visit_at_once(20)), BTreeMap::from([("2", 20)]), "all, and each once");
    assert!(workers[0].is_connected() && workers[0].counters().refused > 0);
    assert_eq!(workers[0].counters().taken, 0);
    workers[0].send(b"release").expect("a channel");
    while cluster.visit(1) != ["1"] {}
    assert_eq!(cluster.count("error"), 0);
    cluster.finish();
}

fn waits_for_descriptors() {
    let cluster = Cluster::with(limited("obedient"));
    let worker = cluster.fork_told_to_listen(1).remove(0);
    worker.send(b"hoard 3").expect("a channel");
    cluster.until_event("message 1 hoarded");
    // More connections than it can have at once: it takes some, and the others when those are closed.
    worker.kill(SIGSTOP).expect("it lives");
    let visitors = cluster.visitors(10);
    cluster.until(|| worker.counters().in_flight == 10);
    worker.kill(SIGCONT).expect("it lives");
    assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("1", 10)]));
    assert!(worker.counters().refused > 0);
    // The worker closes descriptors after the client saw the end of the connection: it takes these connections too.
    let visitor = (2..).find_map(|times| {
        worker.send(b"hoard 0").expect("a channel");
        cluster.until(|| cluster.count("message 1 hoarded") == times);
        let (before, visitor) = (worker.counters(), cluster.visitors(1));
        cluster.until(|| worker.counters() != before && worker.counters().in_flight == 0);
        if worker.counters().refused > before.refused {
            return Some(visitor);
        }
        assert_eq!(cluster.hear(visitor), ["1"]);
        None
    });
    let visitor = visitor.expect("at last there is none");
    worker.send(b"release").expect("a channel");
    assert_eq!(cluster.hear(visitor), ["1"]);
    assert_eq!(cluster.count("error"), 0);
    cluster.finish();
}

fn listens_without_descriptors() {
    let cluster = Cluster::with(limited("obedient").policy(Policy::shared()));
    let worker = cluster.fork();
    worker.send(b"hoard 0").expect("a channel");
    worker.send(common::LISTEN).expect("a channel");
    assert_eq!(cluster.message(1, "error "), "listen EMFILE");
    worker.send(b"release").expect("a channel");
    worker.send(common::LISTEN).expect("a channel");
    cluster.until_event("listening 1");
    assert_eq!(cluster.visit(2), ["1", "1"]);
    cluster.finish();
}

fn message_to_worker_lost() {
    let cluster = Cluster::with(limited("obedient"));
    let worker = cluster.fork();
    let null = || std::fs::File::open("/dev/null").expect("a file").into();
    for spare in [0, 1] {
        worker.send(format!("hoard {spare}").as_bytes()).expect("a channel");
        cluster.until(|| cluster.count("message 1 hoarded") == spare + 1);
        worker.send_fds(b"keep", vec![null(), null()]).expect("a channel");
        let lost = format!("message 1 error a message is lost: {spare} of its 2 descriptors arrived");
        cluster.until_event(&lost);
        worker.send(b"release").expect("a channel");
        cluster.until(|| cluster.count("message 1 released") == spare + 1);
    }
    worker.send_fds(b"keep", vec![null(), null()]).expect("a channel");
    cluster.until_event("message 1 kept");
    assert_eq!(cluster.count("error"), 0);
    cluster.finish();
}

fn message_to_primary_lost() {
    // The primary is another process here, which may have few descriptors.
    let program = std::env::current_exe().expect("this program");
    let script = "ulimit -n 64; exec \"$0\" --as crowded";
    let status = Command::new("/bin/sh").args(["-c", script]).arg(program).status().expect("a shell");
    assert!(status.success());
}

fn asker() {
    let (cluster, _) = greeters(1);
    cluster.change_role("asker", &[]);
    let [heard, killed] = [2, 3].map(|id| {
        let worker = cluster.fork();
        cluster.until_event(&format!("listening {id}"));
        worker
    });
    // Many turns of the loop, each of which could read more than the worker sends.
    assert_eq!(tally(&cluster.visit(200)), BTreeMap::from([("1", 200)]));
    assert_eq!((cluster.count("message 2 done"), cluster.count("message 3 done")), (0, 0));
    heard.kill(SIGUSR1).expect("it lives");
    cluster.until_event("message 2 done");
    // The end of a worker that is not read from is noticed as well.
    killed.kill(SIGKILL).expect("it lives");
    cluster.until(|| cluster.has("exit 3 0 9") && cluster.has("disconnect 3"));
    heard.kill(SIGKILL).expect("it lives");
    cluster.finish();
}

fn asker_behind_a_message() {
    let (cluster, _) = greeters(1);
    cluster.change_role("asker", &[]);
    let worker = cluster.fork();
    // All answers wait behind this, and follow it without a pause.
    worker.send(&[b'x'; 1 << 20]).expect("a channel");
    cluster.until_event("listening 2");
    assert_eq!(tally(&cluster.visit(200)), BTreeMap::from([("1", 200)]));
    assert_eq!(cluster.count("message 2 done"), 0);
    worker.kill(SIGUSR1).expect("it lives");
    cluster.until_event("message 2 done");
    worker.kill(SIGKILL).expect("it lives");
    cluster.finish();
}

fn talkative() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork_told_to_listen(1).remove(0);
    let messages = || cluster.count("message 1 x");
    worker.send(b"flood 16 1048576").expect("a channel");
    let visitor = cluster.visitors(1);
    cluster.until(|| worker.counters().taken == 1);
    assert!(messages() < 16, "it came after all of them");
    assert_eq!(cluster.hear(visitor), ["1"]);
    cluster.until(|| messages() == 16);
    cluster.finish();
}

fn acknowledged_first() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork_told_to_listen(1).remove(0);
    worker.send(b"flood 16 1048576").expect("a channel");
    let visitor = cluster.visitors(1).remove(0);
    cluster.until(|| worker.counters().in_flight == 1);
    // The primary reads nothing meanwhile, so the acknowledgement cannot leave the worker.
    visitor.set_read_timeout(Some(Duration::from_millis(300))).expect("a time");
    let early = visitor.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(ErrorKind::WouldBlock), "another worker would serve it too if this one died");
    visitor.set_read_timeout(None).expect("no time");
    assert_eq!(cluster.hear(vec![visitor]), ["1"]);
    // The kernel has the acknowledgement; the primary reads it in its next turn.
    cluster.until(|| worker.counters().taken == 1);
    cluster.finish();
}

fn last_words() {
    // Messages longer than what the kernel takes at once, and many short messages that it takes together.
    for (count, bytes) in [(8, 1 << 20), (400, 10_000), (10_000, 300)] {
        let cluster = Cluster::new("obedient", &[]);
        let worker = cluster.fork();
        worker.send(format!("flood {count} {bytes}").as_bytes()).expect("a channel");
        worker.disconnect();
        cluster.until(|| cluster.has("exit 1 0 0") && cluster.has("disconnect 1"));
        assert_eq!(cluster.count("message 1 x"), count);
        cluster.finished();
    }
}

/// Panics once, at the connection of this number.
struct Panicking {
    over: u32,
    asked: u32,
    turns: RoundRobin,
}

impl SchedulingPolicy for Panicking {
    fn choose(&mut self, candidates: &[Candidate]) -> usize {
        self.asked += 1;
        if self.asked == self.over {
            resume_unwind(Box::new("the policy does not know what to do"));
        }
        self.turns.choose(candidates)
    }
}

fn panicking_policy() {
    // With one connection nothing else happens; several connections keep their order.
    for (over, expected) in [(3, &["1"][..]), (4, &["1", "2", "1", "2"])] {
        let policy = Policy::distributed(move || Panicking { over, asked: 0, turns: RoundRobin::default() });
        let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
        let workers = cluster.fork_listening(2);
        assert_eq!(cluster.visit_in_turn(2), ["1", "2"]);
        cluster.until(|| workers.iter().all(|worker| worker.counters().taken == 1));
        let visitors = cluster.visitors(expected.len());
        let panicked = catch_unwind(AssertUnwindSafe(|| cluster.until(|| false)));
        assert!(panicked.is_err());
        assert_eq!(cluster.hear(visitors), expected);
        cluster.finish();
    }
}
