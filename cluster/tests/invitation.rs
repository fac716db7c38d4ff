//! A process that was forked as a worker becomes a worker or fails, and never goes on as a primary.

mod common;

use common::invited::{
    EMPTY, NO_CHANNEL, NO_WORKER, SPOKEN, STDIN, SYSTEM, VARIABLES, VERSION, WORKER, as_nobody, outcome,
    outcome_of_message, outcome_with, outcome_without_primary, through_shell,
};
use common::{Cluster, inode, role};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

fn main() {
    common::main(&[
        ("a_worker_short_of_descriptors_becomes_one_or_fails_and_is_never_none", short_of_descriptors),
        ("a_worker_without_its_standard_input_is_an_error", without_stdin),
        ("a_worker_whose_variables_are_damaged_is_an_error", damaged_variables),
        ("a_message_that_is_no_invitation_is_an_error", no_invitation),
        ("another_socket_in_place_of_the_invitation_is_not_read", another_socket),
        ("a_worker_whose_primary_ended_meanwhile_is_one_that_lost_its_channel", without_primary),
        ("a_worker_behind_a_shell_is_a_worker", behind_a_shell),
        ("a_process_forked_as_a_worker_cannot_fork", heedless),
        ("children_of_a_worker_with_threads_get_an_error_and_are_no_primaries", threaded),
        ("an_invitation_that_cannot_be_sent_is_an_error_of_fork", hindered),
    ]);
}

fn short_of_descriptors() {
    let script = "ulimit -n 64; exec \"$@\"";
    let outcomes: Vec<i32> = (0..12)
        .map(|spare| outcome(through_shell(script, "short_of_descriptors", &[&spare.to_string()])))
        .collect();
    let (first, last) = (outcomes[0], outcomes[outcomes.len() - 1]);
    assert_eq!((first, last), (SYSTEM, WORKER), "{outcomes:?}");
    assert!(outcomes.contains(&NO_CHANNEL), "with one too few the channel is cut off: {outcomes:?}");
    assert!(!outcomes.contains(&NO_WORKER), "{outcomes:?}");
}

fn without_stdin() {
    for redirection in ["<&-", "</dev/null", "</etc/passwd", "</dev/tty"] {
        let script = format!("exec \"$@\" {redirection}");
        // Without a terminal there is no worker.
        let is_terminal = redirection.ends_with("tty") && File::open("/dev/tty").is_err();
        if !is_terminal {
            assert_eq!(outcome(through_shell(&script, "would_be", &[])), STDIN, "{redirection}");
        }
    }
    // A child of the shell is not a child of the primary, but has the same variables.
    assert_eq!(outcome(through_shell("\"$@\" </dev/null; exit $?", "would_be", &[])), STDIN);
}

fn damaged_variables() {
    for change in [
        "unset UPCALL_STDIN",
        "unset UPCALL_UNIQUE_ID",
        "UPCALL_STDIN=",
        "UPCALL_STDIN=x",
        "UPCALL_STDIN=-1",
        "UPCALL_STDIN=99999999999999999999",
        "UPCALL_STDIN=$(printf '\\377')",
        "UPCALL_UNIQUE_ID=",
        "UPCALL_UNIQUE_ID=one",
        "UPCALL_UNIQUE_ID=4294967296",
        "UPCALL_UNIQUE_ID=$(printf '1\\377')",
    ] {
        let script = format!("{change}; exec \"$@\"");
        assert_eq!(outcome(through_shell(&script, "would_be", &[])), VARIABLES, "{change}");
    }
    let script = "UPCALL_STDIN=$((UPCALL_STDIN + 1)); exec \"$@\"";
    assert_eq!(outcome(through_shell(script, "would_be", &[])), STDIN);
    let script = "unset UPCALL_STDIN UPCALL_UNIQUE_ID; exec \"$@\"";
    assert_eq!(outcome(through_shell(script, "would_be", &[])), NO_WORKER, "not one of ours any more");
}

fn no_invitation() {
    for is_open in [false, true] {
        assert_eq!(outcome_of_message(b"", is_open), EMPTY);
        assert_eq!(outcome_of_message(&[255], is_open), VERSION);
        assert_eq!(outcome_of_message(&[255; 1000], is_open), VERSION);
        assert_eq!(outcome_of_message(&[SPOKEN - 1], is_open), VERSION, "an earlier one");
        assert_eq!(outcome_of_message(&[SPOKEN], is_open), NO_CHANNEL);
    }
    // A file that is not a socket and has the right inode number.
    let file = tempfile::tempfile().expect("a file");
    let (file, number) = inode(file.into());
    assert_eq!(outcome_with(file.into(), &number.to_string()), STDIN);
    assert_eq!(outcome_with(Stdio::null(), "1"), STDIN);
}

fn another_socket() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    ours.write_all(b"not for it").expect("room");
    let mut copy = theirs.try_clone().expect("a copy");
    let (theirs, inode) = inode(theirs.into());
    assert_eq!(outcome_with(theirs.into(), &(inode + 1).to_string()), STDIN);
    let mut kept = [0; 10];
    copy.read_exact(&mut kept).expect("all of it");
    assert_eq!(&kept, b"not for it");
}

fn without_primary() {
    assert_eq!(outcome_without_primary(), WORKER);
}

fn behind_a_shell() {
    assert_eq!(outcome(through_shell("exec \"$@\"", "would_be", &[])), WORKER);
    assert_eq!(outcome(through_shell("\"$@\"; exit $?", "would_be", &[])), WORKER);
}

// Node has no `cluster.fork` in a worker.
fn heedless() {
    assert_eq!(outcome(role("heedless", &[])), 0);
}

fn threaded() {
    let cluster = Cluster::new("threaded", &[]);
    cluster.fork();
    cluster.until(|| cluster.has("exit 1 0 0") && cluster.has("disconnect 1"));
    let children = cluster.shorts().into_iter().filter(|event| event.starts_with("message"));
    let expected = [format!("message 1 child {EMPTY}"), format!("message 1 child {STDIN}")];
    assert_eq!(children.collect::<Vec<_>>(), expected);
    cluster.finished();
}

fn hindered() {
    if let Some(status) = as_nobody("hindered") {
        assert!(status.success(), "{status}");
    }
}
