//! Transient failures of the system between a primary and its workers. Each test is a primary in a process of its own,
//! in which system calls fail as the test wants.

mod common;
#[path = "../../uv-core/tests/shim/mod.rs"]
mod shim;

use cluster::{Policy, WorkerHandle};
use common::{Cluster, role, tally};
use shim::Failing;
use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;
use std::time::Duration;

fn main() {
    common::main(&[
        ("connections_that_cannot_be_sent_now_are_sent_later_and_no_worker_is_killed", handing_over),
        ("a_lasting_failure_to_send_connections_is_waited_for_without_spinning", handing_over_for_long),
        ("a_message_whose_descriptors_the_system_refuses_is_an_error_and_nothing_else", refused_message),
        ("a_failing_accept_of_the_primary_or_of_its_workers_ends_nothing", accepting),
        ("a_worker_that_cannot_accept_leaves_connections_to_the_others", accepting_elsewhere),
    ]);
}

const EPERM: i32 = 1;
const EBADF: i32 = 9;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const EPROTO: i32 = 71;
const EOPNOTSUPP: i32 = 95;
const ENOBUFS: i32 = 105;
const ETOOMANYREFS: i32 = 109;

/// Long enough for several attempts.
const LONG: Duration = Duration::from_millis(450);

/// Marks the process that is the primary of a test.
const PRIMARY: &str = "UPCALL_TEST_PRIMARY";

/// Runs this test again in a process in which calls can fail; there it runs the body.
fn with_failures(test: &str, body: impl FnOnce(&Failing)) {
    if std::env::var_os(PRIMARY).is_some() {
        return body(&Failing::here());
    }
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(test).env(PRIMARY, "1");
    Failing::preload(&mut command);
    assert!(command.status().expect("a process").success());
}

fn me() -> i32 {
    std::process::id() as i32
}

/// Two workers that greet.
fn greeters(policy: Policy) -> (Cluster, Vec<WorkerHandle>) {
    let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
    let workers = cluster.fork_listening(2);
    (cluster, workers)
}

/// Everything works as before the failure.
fn finish(cluster: &Cluster, workers: &[WorkerHandle]) {
    assert_eq!((cluster.count("exit"), cluster.count("disconnect"), cluster.count("error")), (0, 0, 0));
    assert!(workers.iter().all(WorkerHandle::is_connected));
    assert_eq!(tally(&cluster.visit_in_turn(4)), BTreeMap::from([("1", 2), ("2", 2)]));
    cluster.finish();
}

fn handing_over() {
    with_failures("connections_that_cannot_be_sent_now", |failing| {
        for errno in [ETOOMANYREFS, ENOMEM, ENOBUFS, EPERM, EINVAL, EBADF] {
            let (cluster, workers) = greeters(Policy::round_robin());
            failing.fail_in(me(), "sendmsg+fds", errno, 2);
            let visitors = cluster.visitors(20);
            let heard = cluster.hear(visitors);
            assert_eq!(tally(&heard), BTreeMap::from([("1", 10), ("2", 10)]), "{errno}");
            assert!(failing.is_over());
            finish(&cluster, &workers);
        }
    });
}

fn handing_over_for_long() {
    with_failures("a_lasting_failure_to_send_connections", |failing| {
        for errno in [ETOOMANYREFS, ENOMEM, ENOBUFS, EPERM] {
            let (cluster, workers) = greeters(Policy::round_robin());
            failing.fail_always_in(me(), "sendmsg+fds", errno);
            let visitors = cluster.visitors(4);
            cluster.run_for(LONG);
            let tried = failing.stop();
            assert!((2..20).contains(&tried), "{errno}: {tried} attempts");
            let heard = cluster.hear(visitors);
            assert_eq!(tally(&heard), BTreeMap::from([("1", 2), ("2", 2)]), "each once");
            cluster.until(|| workers.iter().all(|worker| worker.counters().in_flight == 0));
            finish(&cluster, &workers);
        }
    });
}

fn refused_message() {
    with_failures("a_message_whose_descriptors_the_system_refuses", |failing| {
        let cluster = Cluster::new("obedient", &[]);
        let worker = cluster.fork();
        cluster.until_event("online 1");
        let null = || File::open("/dev/null").expect("a file").into();
        for (errno, name) in [(EINVAL, "EINVAL"), (EBADF, "EBADF")] {
            failing.fail_in(me(), "sendmsg+fds", errno, 6);
            worker.send_fds(b"echo never heard", vec![null()]).expect("a channel");
            worker.send_fds(format!("echo {name}").as_bytes(), vec![null()]).expect("a channel");
            cluster.until(|| cluster.count(&format!("message 1 echo {name}")) == 1);
            let error = cluster.shorts().into_iter().find(|event| event.contains(name)).expect("an event");
            assert!(error.starts_with("error Some(1) write: ") && failing.is_over(), "{error}");
        }
        assert_eq!((cluster.count("message"), cluster.count("error"), cluster.count("exit")), (2, 2, 0));
        cluster.finish();
    });
}

fn accepting() {
    with_failures("a_failing_accept_of_the_primary", |failing| {
        for policy in common::policies() {
            for errno in [ENOMEM, ENOBUFS, EPERM, EPROTO, EOPNOTSUPP, EINVAL] {
                let (cluster, workers) = greeters(policy.clone());
                failing.fail_always("accept4", errno);
                let visitors = cluster.visitors(2);
                cluster.run_for(LONG);
                // Both workers accept from the shared socket.
                let tried = failing.stop();
                assert!((1..2 * 8 * 64).contains(&tried), "{errno}: {tried} attempts");
                assert_eq!(cluster.hear(visitors).len(), 2);
                assert_eq!((cluster.count("exit"), cluster.count("disconnect")), (0, 0));
                assert!(workers.iter().all(WorkerHandle::is_connected));
                // Each worker that met the failure has reported it once.
                let said = cluster.count("message 1 error accept") + cluster.count("message 2 error accept");
                assert!(said <= 2, "{:#?}", cluster.shorts());
                cluster.finish();
            }
        }
    });
}

fn accepting_elsewhere() {
    with_failures("a_worker_that_cannot_accept", |failing| {
        for errno in [ENOMEM, EPROTO, EOPNOTSUPP] {
            let (cluster, workers) = greeters(Policy::shared());
            failing.fail_always_in(workers[0].pid(), "accept4", errno);
            assert_eq!(tally(&cluster.visit(10)), BTreeMap::from([("2", 10)]), "{errno}");
            failing.stop();
            cluster.finish();
        }
    });
}
