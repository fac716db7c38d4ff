//! Children that the kernel kills when the thread or process that started them ends.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use uv_core::Loop;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};

/// Starts, in a thread that ends right after, a child that runs until `stdin` is closed. Returns the child's output.
fn outcome_of_child_of_ending_thread(killed: bool) -> String {
    let (stdin, hold) = std::io::pipe().expect("a pipe");
    let (output, stdout) = std::io::pipe().expect("a pipe");
    let (end, may_end) = mpsc::channel();
    let starter = thread::spawn(move || {
        let event_loop = Loop::new().expect("a loop");
        // The last line is written when its input ends. The shell starts no other process.
        let options = SpawnOptions::new("sh")
            .args(["-c", "echo started; read line; echo ended by itself"])
            .stdio([Stdio::InheritFd(stdin.as_raw_fd()), Stdio::InheritFd(stdout.as_raw_fd())])
            .killed_with_parent(killed);
        Process::spawn(&event_loop, &options, |_: &Process, _: ExitStatus| {}).expect("sh is everywhere");
        may_end.recv().expect("the test has read a line");
    });
    let mut output = BufReader::new(output);
    let mut said = String::new();
    output.read_line(&mut said).expect("a line");
    end.send(()).expect("it waits");
    starter.join().expect("no panic");
    if !killed {
        drop(hold);
        output.read_to_string(&mut said).expect("the rest");
        return said;
    }
    // Only the child's death ends this read: `hold` is still open.
    output.read_to_string(&mut said).expect("the rest");
    drop(hold);
    said
}

#[test]
fn a_child_that_is_killed_with_its_parent_ends_with_the_thread_that_started_it() {
    assert_eq!(outcome_of_child_of_ending_thread(true), "started\n");
    assert_eq!(outcome_of_child_of_ending_thread(false), "started\nended by itself\n");
}
