//! No connection is lost when workers leave.

mod common;

use cluster::Policy;
use common::{Cluster, LISTEN, SIGCONT, SIGSTOP, connect, role, tally};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

fn main() {
    common::main(&[
        ("what_waits_in_the_kernel_is_served_when_all_workers_are_asked_to_go", waits_in_the_kernel),
        ("what_waits_in_the_kernel_is_served_when_the_only_worker_is_asked_to_go", waits_for_the_only_worker),
        (
            "what_waits_in_the_kernel_is_served_although_the_primary_has_few_descriptors",
            waits_for_descriptors,
        ),
        ("what_waits_in_the_kernel_is_served_when_workers_leave_by_themselves", waits_for_leavers),
        ("what_waits_in_the_kernel_is_served_when_primary_and_workers_get_the_same_signal", waits_for_all),
        ("what_waits_in_the_kernel_is_served_when_the_only_server_is_shut_down", waits_for_the_only_server),
        ("no_busy_client_is_reset_while_all_workers_leave", busy),
        ("a_worker_leaves_although_its_program_shut_the_server_down_itself", shuts_down_itself),
        ("connections_wait_for_the_successor_of_a_worker_that_left_by_itself", waits_after_leaver),
    ]);
}

fn waits_in_the_kernel() {
    for policy in common::policies() {
        let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
        let workers = cluster.fork_listening(2);
        // Workers that share a socket accept by themselves.
        for worker in &workers {
            worker.kill(SIGSTOP).expect("it lives");
        }
        // More than a window per worker.
        let visitors = cluster.visitors(300);
        cluster.primary.disconnect();
        for worker in &workers {
            worker.kill(SIGCONT).expect("it lives");
        }
        assert_eq!(cluster.hear(visitors).iter().filter(|greeting| !greeting.is_empty()).count(), 300);
        cluster.until_event("disconnected");
        cluster.finished();
    }
}

fn waits_for_the_only_worker() {
    let cluster = Cluster::new("greeter", &["127.0.0.1:0"]);
    let workers = cluster.fork_listening(1);
    let visitors = cluster.visitors(100);
    workers[0].disconnect();
    assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("1", 100)]));
    cluster.until_event("exit 1 0 0");
    cluster.finish();
}

/// Marks the process of this test that has few descriptors.
const IS_LIMITED: &str = "CLUSTER_TEST_IS_LIMITED";

/// Runs the test of this name in a process with a low limit of descriptors.
fn with_few_descriptors(name: &str, test: fn()) {
    if std::env::var_os(IS_LIMITED).is_some() {
        return test();
    }
    let tests = std::env::current_exe().expect("this test");
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 300; exec \"$0\" \"$1\""]).arg(tests).arg(name).env(IS_LIMITED, "1");
    assert!(limited.status().expect("sh").success());
}

fn waits_for_descriptors() {
    with_few_descriptors(
        "what_waits_in_the_kernel_is_served_although_the_primary_has_few_descriptors",
        || {
            let cluster = Cluster::new("obedient", &[]);
            let worker = cluster.fork_told_to_listen(1).remove(0);
            let visitors = cluster.visitors(100);
            let mut fillers: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
            // A few more each time that the worker has taken some.
            fillers.truncate(fillers.len() - 10);
            worker.disconnect();
            assert_eq!(tally(&cluster.hear(visitors)), BTreeMap::from([("1", 100)]));
            cluster.until_event("exit 1 0 0");
            drop(fillers);
            cluster.finish();
        },
    );
}

/// Workers that begin to leave by themselves, and connections made before that. The primary knows of neither yet.
fn leavers(policy: Policy, count: usize) -> (Cluster, Vec<TcpStream>) {
    let cluster = Cluster::with(role("obedient", &[]).policy(policy));
    let workers = cluster.fork_told_to_listen(count);
    for worker in &workers {
        worker.send(b"disconnect").expect("a channel");
    }
    let visitors = cluster.visitors(300);
    (cluster, visitors)
}

fn all_are_served(cluster: &Cluster, visitors: Vec<TcpStream>) {
    assert_eq!(cluster.hear(visitors).iter().filter(|greeting| !greeting.is_empty()).count(), 300);
}

fn waits_for_leavers() {
    for count in [1, 2] {
        let (cluster, visitors) = leavers(Policy::round_robin(), count);
        all_are_served(&cluster, visitors);
        cluster.until(|| cluster.count("disconnect") == count && cluster.count("exit") == count);
        cluster.finished();
    }
}

fn waits_for_all() {
    for count in [1, 2] {
        let (cluster, visitors) = leavers(Policy::round_robin(), count);
        cluster.primary.disconnect();
        all_are_served(&cluster, visitors);
        cluster.until_event("disconnected");
        cluster.finished();
    }
}

fn waits_for_the_only_server() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork_told_to_listen(1).remove(0);
    let address = cluster.address();
    worker.send(b"shutdown").expect("a channel");
    let visitors = cluster.visitors(300);
    all_are_served(&cluster, visitors);
    cluster.until_event("message 1 shut down");
    assert!(cluster.meanwhile(move || TcpStream::connect(address).is_err()), "the port is closed");
    assert!(worker.is_connected());
    cluster.finish();
}

/// Visits until the server is closed. Returns how many connections had no greeting.
fn unserved(address: SocketAddr) -> usize {
    let mut unserved = 0;
    while let Ok(mut visitor) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        unserved += usize::from(!visitor.read(&mut [0]).is_ok_and(|bytes| bytes == 1));
    }
    unserved
}

fn busy() {
    for policy in common::policies() {
        let cluster = Cluster::with(role("greeter", &["127.0.0.1:0"]).policy(policy));
        let _workers = cluster.fork_listening(2);
        let address = cluster.address();
        let clients: Vec<_> = (0..12).map(|_| thread::spawn(move || unserved(address))).collect();
        cluster.run_for(Duration::from_millis(100));
        cluster.primary.disconnect();
        cluster.until_event("disconnected");
        let unserved: Vec<_> = clients.into_iter().map(|client| client.join().expect("no panic")).collect();
        assert_eq!(unserved, [0; 12]);
        cluster.finished();
    }
}

fn shuts_down_itself() {
    for policy in common::policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let worker = cluster.fork_told_to_listen(1).remove(0);
        worker.send(b"own-shutdown").expect("a channel");
        cluster.until_event("message 1 noted");
        worker.disconnect();
        cluster.until(|| cluster.has("disconnect 1") && cluster.has("exit 1 0 0"));
        assert!(cluster.has("message 1 shut down"));
        cluster.finished();
    }
}

fn waits_after_leaver() {
    for policy in common::policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy).keep_listening(true));
        let worker = cluster.fork_told_to_listen(1).remove(0);
        let address = cluster.address();
        worker.send(b"disconnect").expect("a channel");
        cluster.until(|| cluster.has("disconnect 1") && cluster.has("exit 1 0 0"));
        let visitor = cluster.meanwhile(move || connect(address));
        let successor = cluster.fork();
        successor.send(LISTEN).expect("a channel");
        assert_eq!(cluster.hear(vec![visitor]), ["2"]);
        cluster.finish();
    }
}
