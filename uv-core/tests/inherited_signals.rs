//! Signals that the parent of a process blocks or ignores: a process inherits that through `exec`.

mod alone;

use std::cell::Cell;
use std::rc::Rc;
use uv_core::process::{ExitStatus, Process, SpawnOptions, kill};
use uv_core::{Errno, Loop, RunMode, Signal};

fn finish(event_loop: &Loop) {
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"), "nothing is left alive");
    event_loop.close().expect("nothing is left open");
}

// Node: PlatformInit, which clears the mask that it inherits.
#[test]
fn a_signal_that_the_parent_has_blocked_still_comes_to_its_watcher() {
    let name = "a_signal_that_the_parent_has_blocked_still_comes_to_its_watcher";
    let status = alone::status(
        name,
        // All threads of the new process block it, because its first thread has inherited that.
        |command| alone::wrap(command, &["env", "--block-signal=TERM"]),
        || {
            let own = i32::try_from(std::process::id()).expect("process ids are positive");
            let event_loop = Loop::new().expect("a loop");
            let count = Rc::new(Cell::new(0));
            let counted = Rc::clone(&count);
            let signal = Signal::new(&event_loop);
            let started = signal.start(libc::SIGTERM, move |signal: &Signal, _| {
                counted.set(counted.get() + 1);
                signal.close();
            });
            started.expect("SIGTERM may be watched");
            kill(own, libc::SIGTERM).expect("a process may signal itself");
            // A signal that is still blocked when the process sends it to itself is not delivered later either.
            event_loop.run(RunMode::NoWait).expect("the loop runs");
            assert_eq!(count.get(), 1);
            finish(&event_loop);
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}

// libuv gives a child the default action of every signal: a child of a program under nohup ends with the terminal.
#[test]
fn a_child_of_a_process_that_ignores_sighup_ignores_it_too() {
    let name = "a_child_of_a_process_that_ignores_sighup_ignores_it_too";
    let status = alone::status(
        name,
        |command| alone::wrap(command, &["env", "--ignore-signal=HUP", "--ignore-signal=TERM"]),
        || {
            for (signal, code) in [("HUP", 7), ("TERM", 0)] {
                let event_loop = Loop::new().expect("a loop");
                let options = SpawnOptions::new("sh").args(["-c", &format!("kill -{signal} $$; exit 7")]);
                let process =
                    Process::spawn(&event_loop, &options, move |process: &Process, status: ExitStatus| {
                        // Every other signal has its default action again.
                        assert_eq!(status.code, code, "{signal}");
                        process.close();
                    });
                process.expect("there is a shell");
                finish(&event_loop);
            }
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}

// libuv: kill
#[test]
fn a_child_of_a_process_that_blocks_and_ignores_a_signal_can_be_killed_by_it() {
    let name = "a_child_of_a_process_that_blocks_and_ignores_a_signal_can_be_killed_by_it";
    let status = alone::status(
        name,
        |command| alone::wrap(command, &["env", "--block-signal=TERM", "--ignore-signal=TERM"]),
        || {
            let event_loop = Loop::new().expect("a loop");
            let options = SpawnOptions::new("sleep").arg("1000");
            let ended = Rc::new(Cell::new(None));
            let into = Rc::clone(&ended);
            let process =
                Process::spawn(&event_loop, &options, move |process: &Process, status: ExitStatus| {
                    into.set(Some((status.code, status.signal)));
                    process.close();
                });
            let pid = process.expect("there is such a program").pid();
            kill(pid, 0).expect("it is there");
            kill(pid, libc::SIGTERM).expect("it may be signalled");
            finish(&event_loop);
            assert_eq!(ended.get(), Some((0, libc::SIGTERM)));
            assert_eq!(kill(pid, 0).expect_err("it is collected").errno(), Errno::ESRCH);
        },
    );
    assert!(status.is_none_or(|status| status.success()));
}
