//! The lives of workers: start, messages, disconnect, end.

mod common;

use cluster::{Error, Output, Policy, ProtocolError, Settings};
use common::{Cluster, Event, SIGKILL, SIGSTOP, SIGTERM, policies, read_all, role};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};

fn main() {
    common::main(&[
        ("a_worker_is_forked_comes_online_listens_disconnects_and_exits", events_in_order),
        ("exit_code_and_signal_are_reported_apart", exit_code_and_signal),
        ("a_worker_that_only_ends_is_no_worker_any_more_after_exit_and_disconnect", leaves_after_both),
        ("exited_after_disconnect_is_unknown_then_false_after_a_crash", false_after_crash),
        ("exited_after_disconnect_is_true_before_the_channel_of_a_leaving_worker_closes", true_after_leave),
        ("dead_and_connected_follow_the_process", dead_and_connected),
        ("kill_sends_the_given_signal", kill_signal),
        ("kill_ends_a_worker_that_never_looks_at_its_loop", kill_busy),
        ("disconnect_without_workers_is_reported_too_and_later", disconnect_without_workers),
        ("disconnects_at_the_same_time_are_one", concurrent_disconnects),
        ("only_the_programs_own_messages_are_messages", messages),
        ("descriptors_arrive_with_their_messages_also_big_ones_and_in_order", descriptors),
        ("a_message_that_is_too_long_is_refused", long_message),
        ("settings_add_up_and_their_changes_are_announced", setup_is_cumulative),
        ("the_policy_is_fixed_by_the_first_fork", policy_is_frozen),
        ("variables_reach_the_worker_and_its_children_are_no_workers", environment),
        ("a_program_that_does_not_exist_is_an_error_and_leaves_nothing", missing_program),
        ("a_silent_worker_that_cannot_start_leaves_no_pipe", missing_silent_program),
        ("a_worker_that_sends_garbage_is_killed_and_reported", garbage),
        ("a_worker_that_kills_itself_ends_at_once_and_well", kills_itself),
        ("what_silent_workers_write_reaches_the_primary_to_the_last_word", silent),
        ("what_keeps_primary_and_workers_alive_are_lines_of_the_program", why_alive),
        ("a_lost_primary_ends_its_workers", lost_primary),
        (
            "a_worker_that_stands_still_keeps_no_shared_port_of_a_lost_primary",
            lost_primary_of_a_stopped_worker,
        ),
        ("outside_of_a_cluster_nobody_is_a_worker", nobody),
        ("a_loop_dropped_with_workers_ends_them", dropped_loop),
    ]);
}

// Node: test-cluster-worker-events, test-cluster-basic
fn events_in_order() {
    let cluster = Cluster::new("greeter", &["127.0.0.1:0"]);
    let worker = cluster.fork_listening(1).remove(0);
    let address = cluster.address();
    assert!(address.port() != 0 && address.ip().is_loopback());
    assert_eq!(cluster.primary.workers().len(), 1);
    cluster.message(1, "address");
    worker.disconnect();
    cluster.until(|| cluster.has("disconnect 1") && cluster.has("exit 1 0 0"));
    let events: Vec<_> = cluster.shorts().into_iter().filter(|event| !event.starts_with("message")).collect();
    assert_eq!(&events[..3], ["fork 1", "online 1", "listening 1"]);
    assert_eq!(events.len(), 5);
    cluster.finished();
}

// Node: test-cluster-worker-exit
fn exit_code_and_signal() {
    let cluster = Cluster::new("obedient", &[]);
    let [one, two] = [cluster.fork(), cluster.fork()];
    one.send(b"exit 42").expect("a channel");
    cluster.until_event("exit 1 42 0");
    cluster.until_event("online 2");
    two.kill(SIGKILL).expect("it lives");
    cluster.until_event("exit 2 0 9");
    assert_eq!(two.status().map(|status| (status.code, status.signal)), Some((0, 9)));
    cluster.until(|| cluster.count("disconnect") == 2);
    cluster.finished();
}

// Node: test-cluster-worker-exit, test-cluster-worker-forced-exit
fn leaves_after_both() {
    let cluster = Cluster::new("exits", &["3"]);
    cluster.fork();
    cluster.until(|| cluster.has("exit 1 3 0") && cluster.has("disconnect 1"));
    let left = |event: &Event| match event {
        Event::Disconnect(_, left) | Event::Exit(_, _, left) => Some(*left),
        _ => None,
    };
    let left: Vec<_> = cluster.events().iter().filter_map(left).collect();
    assert_eq!(left, [1, 0], "one of the two is not enough, whichever is first");
    cluster.finished();
}

// Node: test-cluster-worker-exit
fn false_after_crash() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    cluster.until_event("online 1");
    assert_eq!(worker.exited_after_disconnect(), None);
    worker.send(b"exit 0").expect("a channel");
    cluster.until(|| cluster.has("exit 1 0 0") && cluster.has("disconnect 1"));
    assert_eq!(worker.exited_after_disconnect(), Some(false), "it was not asked to leave");
    cluster.finished();
}

// Node: test-cluster-disconnect-exitedAfterDisconnect-race, test-cluster-worker-disconnect
fn true_after_leave() {
    let cluster = Cluster::new("leaver", &[]);
    let worker = cluster.fork();
    cluster.until(|| worker.exited_after_disconnect().is_some());
    assert_eq!(worker.exited_after_disconnect(), Some(true));
    assert!(worker.is_connected(), "known before the channel closes");
    cluster.until(|| cluster.has("exit 1 0 0") && cluster.has("disconnect 1"));
    assert_eq!(worker.exited_after_disconnect(), Some(true));
    cluster.finished();
}

// Node: test-cluster-worker-isdead, test-cluster-worker-isconnected
fn dead_and_connected() {
    let cluster = Cluster::new("idle", &[]);
    let worker = cluster.fork();
    assert!(worker.is_connected() && !worker.is_dead());
    worker.disconnect();
    assert!(worker.is_connected(), "asking changes nothing yet");
    cluster.until_event("disconnect 1");
    assert!(!worker.is_connected());
    assert_eq!(worker.send(b"late"), Err(Error::Disconnected));
    cluster.until_event("exit 1 0 0");
    assert!(worker.is_dead());
    assert!(worker.kill(0).is_err());
    cluster.finished();
}

// Node: test-cluster-worker-kill, test-cluster-worker-kill-signal
fn kill_signal() {
    let cluster = Cluster::new("idle", &[]);
    for (id, signal) in [(1, SIGTERM), (2, SIGKILL)] {
        let worker = cluster.fork();
        cluster.until_event(&format!("online {id}"));
        worker.kill(signal).expect("it lives");
        cluster.until_event(&format!("exit {id} 0 {signal}"));
        cluster.until_event(&format!("disconnect {id}"));
        assert_eq!(worker.exited_after_disconnect(), Some(false), "a signal is not a request");
    }
    cluster.finished();
}

// Node: test-cluster-kill-infinite-loop
fn kill_busy() {
    let cluster = Cluster::new("busy", &[]);
    let worker = cluster.fork();
    worker.send(b"begin").expect("a channel");
    cluster.message(1, "busy");
    worker.disconnect();
    worker.kill(SIGTERM).expect("it lives");
    cluster.until_event("exit 1 0 15");
    cluster.until_event("disconnect 1");
    cluster.finished();
}

// Node: test-cluster-disconnect-with-no-workers
fn disconnect_without_workers() {
    let cluster = Cluster::new("idle", &[]);
    cluster.primary.disconnect();
    assert!(cluster.events().is_empty(), "a downcall does not call back");
    cluster.until_event("disconnected");
    cluster.finished();
}

// Node: test-cluster-concurrent-disconnect
fn concurrent_disconnects() {
    let cluster = Cluster::new("greeter", &["127.0.0.1:0"]);
    let workers = cluster.fork_listening(3);
    cluster.primary.disconnect();
    workers[1].disconnect();
    cluster.primary.disconnect();
    cluster.until_event("disconnected");
    assert_eq!(cluster.count("exit"), 3);
    assert_eq!(cluster.count("disconnected"), 1);
    cluster.finished();
}

// Node: test-cluster-message, test-cluster-invalid-message
fn messages() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    // Before it is online too.
    worker.send(b"echo first").expect("a channel");
    worker.send(b"listen 127.0.0.1:0").expect("a channel");
    cluster.until_event("listening 1");
    worker.send(b"").expect("a channel");
    worker.send(b"echo last").expect("a channel");
    cluster.message(1, "echo last");
    let messages: Vec<_> =
        cluster.shorts().into_iter().filter(|event| event.starts_with("message 1")).collect();
    let address = format!("message 1 address {}", cluster.address());
    assert_eq!(messages, ["message 1 echo first", &address, "message 1 ", "message 1 echo last"]);
    cluster.finish();
}

// Node: test-cluster-send-handle-twice, test-cluster-send-handle-large-payload, test-cluster-send-deadlock
fn descriptors() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let sizes = [10, 1 << 20, 0, 300_000];
    for (number, size) in (1..).zip(sizes) {
        let mut data = format!("echo {number} ").into_bytes();
        data.resize(data.len().max(size), b'x');
        let fds = (0..number).map(|_| OwnedFd::from(listener.try_clone().expect("a copy"))).collect();
        worker.send_fds(&data, fds).expect("a channel");
    }
    cluster.until(|| cluster.count("message 1") == sizes.len());
    for (number, event) in
        (1..).zip(cluster.events().iter().filter(|event| matches!(event, Event::Message(..))))
    {
        let Event::Message(_, data, fds) = event else { unreachable!("filtered") };
        assert!(data.starts_with(format!("echo {number} ").as_bytes()));
        assert_eq!(fds.len(), number);
        for fd in fds {
            let same = TcpListener::from(fd.try_clone().expect("a copy"));
            assert_eq!(same.local_addr().expect("an address"), address);
        }
    }
    cluster.finish();
}

fn long_message() {
    let cluster = Cluster::new("idle", &[]);
    let worker = cluster.fork();
    let long = vec![0; (1 << 20) + 1];
    assert_eq!(worker.send(&long), Err(Error::MessageTooLong(long.len())));
    let fds = (0..254).map(|_| OwnedFd::from(File::open("/dev/null").expect("a file"))).collect();
    assert!(matches!(worker.send_fds(b"many", fds), Err(Error::System(_))));
    assert_eq!(worker.send(&long[1..]), Ok(false), "so much is enough for now");
    cluster.finish();
}

// Node: test-cluster-setup-primary-cumulative, test-cluster-setup-primary-emit
fn setup_is_cumulative() {
    let cluster = Cluster::new("environment", &[]);
    cluster.primary.setup(|settings| settings.env("ONE", "1")).expect("no change of policy");
    cluster.primary.setup(|settings| settings.env("TWO", "2")).expect("no change of policy");
    assert!(cluster.events().is_empty(), "announced later");
    cluster.fork();
    let environment = cluster.message(1, "ONE=");
    assert!(environment.starts_with("1 TWO=2 "), "{environment}");
    assert_eq!(cluster.count("setup"), 2);
    assert_eq!(&cluster.shorts()[..3], ["setup", "setup", "fork 1"]);
    cluster.finish();
}

// Node: test-cluster-setup-primary
fn policy_is_frozen() {
    let cluster = Cluster::new("idle", &[]);
    cluster.primary.setup(|settings| settings.policy(Policy::shared())).expect("before the first fork");
    cluster.fork();
    let change = cluster.primary.setup(|settings| settings.policy(Policy::round_robin()));
    assert_eq!(change, Err(Error::PolicyFrozen));
    cluster
        .primary
        .setup(|settings| settings.policy(Policy::shared()).silent(true))
        .expect("the same policy");
    cluster.finish();
}

// Node: test-cluster-fork-env
fn environment() {
    let cluster = Cluster::new("environment", &[]);
    cluster.primary.fork_with([("ONE", "one"), ("TWO", "two")]).expect("a worker");
    let environment = cluster.message(1, "ONE=");
    let home = std::env::var("HOME").unwrap_or_default();
    assert_eq!(environment, format!("one TWO=two HOME={home}"));
    cluster.until(|| cluster.count("message 1 grandchild") == 2);
    assert_eq!(cluster.count("message 1 grandchild Some(0)"), 2, "whatever their standard input is");
    cluster.finish();
}

fn missing_program() {
    let cluster = Cluster::with(Settings::default().program("/no/such/program"));
    let Err(Error::System(error)) = cluster.primary.fork() else { panic!("there is no such program") };
    assert_eq!((error.op(), error.errno().name()), ("spawn", "ENOENT"));
    assert!(cluster.primary.workers().is_empty());
    cluster.finished();
    assert!(cluster.events().is_empty());
    cluster.primary.setup(|settings| settings.policy(Policy::shared())).expect("that was no fork");
}

fn missing_silent_program() {
    let missing = Cluster::with(Settings::default().program("/no/such/program").silent(true));
    let before = missing.event_loop.handles().len();
    missing.primary.fork().expect_err("there is no such program");
    missing.finished();
    assert_eq!(missing.event_loop.handles().len(), before, "{:?}", missing.event_loop.handles());
}

fn garbage() {
    let lies = [
        ("ffffffff", ProtocolError::TooLong),
        ("020000006300", ProtocolError::Malformed),
        // An answer to a primary; an acknowledgement of a batch that was never sent; a descriptor that did not arrive.
        ("020000000900", ProtocolError::Unexpected),
        ("0e0000000300010000000000000000000000", ProtocolError::Unexpected),
        ("020000000001", ProtocolError::Descriptors),
    ];
    for (bytes, error) in lies {
        let cluster = Cluster::new("liar", &[bytes]);
        cluster.fork();
        cluster.until(|| cluster.has("exit 1 0 9") && cluster.has("disconnect 1"));
        assert!(cluster.has(&format!("error Some(1) channel: {error}")), "{:?}", cluster.shorts());
        cluster.finished();
    }
}

// Node: test-cluster-worker-kill, test-cluster-worker-destroy
fn kills_itself() {
    for policy in policies() {
        let cluster = Cluster::with(role("holder", &["-"]).policy(policy));
        let worker = cluster.fork_listening(1).remove(0);
        let visitor = TcpStream::connect(cluster.address()).expect("a connection");
        let greeted = visitor.try_clone().expect("a copy");
        cluster.meanwhile(move || greeted.take(1).read_exact(&mut [0])).expect("a greeting");
        worker.send(b"kill").expect("a channel");
        // Its connection is still open.
        cluster.until(|| cluster.has("exit 1 0 0") && cluster.has("disconnect 1"));
        assert_eq!(worker.exited_after_disconnect(), Some(true), "it said so before");
        assert_eq!(cluster.count("message 1 leaving"), 0, "it waits for no connection");
        drop(visitor);
        cluster.finished();
    }
}

// Node: test-cluster-setup-primary-argv and others, which read `worker.process.stdout`
fn silent() {
    let written = |cluster: &Cluster, output: Output| -> Vec<u8> {
        let pieces = cluster.events();
        let pieces = pieces.iter().filter_map(|event| match event {
            Event::Output(1, of, data) if *of == output => Some(data.as_slice()),
            _ => None,
        });
        pieces.flatten().copied().collect()
    };
    let cluster = Cluster::with(role("obedient", &[]).silent(true));
    let worker = cluster.fork();
    worker.send(b"say something").expect("a channel");
    cluster.until(|| !written(&cluster, Output::Stdout).is_empty());
    let long = "word ".repeat(50_000);
    worker.send(format!("say {long}").as_bytes()).expect("a channel");
    worker.send(b"exit 0").expect("a channel");
    cluster.until_event("exit 1 0 0");
    cluster.finished();
    assert!(written(&cluster, Output::Stdout) == format!("something\n{long}\n").into_bytes());
    assert!(written(&cluster, Output::Stderr) == format!("not something\nnot {long}\n").into_bytes());
}

// Node: test-cluster-primary-error, test-cluster-primary-kill
fn lost_primary() {
    let (mut primary, output, _) = primary(&["primary"]);
    primary.kill().expect("it lives");
    primary.wait().expect("a status");
    // The worker writes to the pipe of its primary: the end of the pipe is the end of the worker.
    assert_eq!(read_all(output), "outsider ends\n");
}

fn lost_primary_of_a_stopped_worker() {
    let (mut primary, output, worker) = primary(&["primary", "shared"]);
    uv_core::process::kill(worker, SIGSTOP).expect("it lives");
    primary.kill().expect("it lives");
    primary.wait().expect("a status");
    assert_eq!(read_all(output), "", "it is killed");
}

/// A primary in a process of its own, the output of it and its worker, and the process of the worker, which serves.
fn primary(role: &[&str]) -> (Child, BufReader<ChildStdout>, i32) {
    let program = std::env::current_exe().expect("this program");
    let mut primary = Command::new(program)
        .arg("--as")
        .args(role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a primary");
    let mut output = BufReader::new(primary.stdout.take().expect("a pipe"));
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    let worker = line.trim_end().strip_prefix("outsider serves ").and_then(|pid| pid.parse().ok());
    (primary, output, worker.unwrap_or_else(|| panic!("it says {line:?}")))
}

fn nobody() {
    let event_loop = uv_core::Loop::new().expect("a loop");
    let env = async_wrap::Environment::new(&event_loop);
    assert!(cluster::Worker::from_env(&env).expect("no error").is_none());
}

fn dropped_loop() {
    let cluster = Cluster::new("obedient", &[]);
    let worker = cluster.fork();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    worker.send_fds(b"keep", vec![theirs.into()]).expect("a channel");
    cluster.message(1, "kept");
    drop(worker);
    cluster.abandon();
    // Ends with the worker, which has the other end.
    assert_eq!(read_all(ours), "");
}

/// Holds that so many handles keep a loop alive, all of which were made for lines of this program.
fn are_of_program(why: &str, count: usize) {
    // Others are requests and results, which have no place.
    let handles = why.lines().filter(|line| !line.starts_with(|first: char| first.is_ascii_digit()));
    let is_own = |line: &str| line.contains(", made at cluster/tests/") || !cfg!(debug_assertions);
    assert!(handles.clone().all(is_own) && handles.count() == count, "{why}");
}

fn why_alive() {
    for policy in policies() {
        let cluster = Cluster::with(role("obedient", &[]).policy(policy));
        let worker = cluster.fork_told_to_listen(1).remove(0);
        let event_loop = cluster.primary.environment().loop_handle().clone();
        // The process, the channel, and the listening socket where the primary accepts.
        let of_primary = if event_loop.why_alive().contains("listens on") { 3 } else { 2 };
        are_of_program(&event_loop.why_alive(), of_primary);
        worker.send(b"why").expect("a channel");
        let asked = |event: &Event| match event {
            Event::Message(_, data, _) => String::from_utf8(data.clone()).ok(),
            _ => None,
        };
        let told = || cluster.events().iter().filter_map(asked).find(|text| text.contains("pipe"));
        cluster.until(|| told().is_some());
        // Its channel, and its listening handle.
        are_of_program(&told().unwrap_or_default(), 2);
        cluster.finish();
    }
}
