//! A second process for a test: the same test, started again, with a part of its own.
#![allow(dead_code, reason = "each test file uses its share")]

use std::cell::Cell;
use std::rc::Rc;
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio};
use uv_core::{LoopHandle, Pipe, os};

/// The variable that tells a process its part: the name of the test that has started it.
const HELPS: &str = "UV_CORE_TEST_HELPS";

/// Whether this process was started by the test.
pub(crate) fn is_helper_of(test: &str) -> bool {
    std::env::var_os(HELPS).is_some_and(|helps| helps == test)
}

/// How the other process ended.
#[derive(Clone, Default)]
pub(crate) struct Helper(Rc<Cell<Option<ExitStatus>>>);

impl Helper {
    /// Starts `test` again, in a process with these for its standard input and output.
    pub(crate) fn start(event_loop: &LoopHandle, test: &str, [stdin, stdout]: [Stdio; 2]) -> Self {
        let options = SpawnOptions::new(os::exe_path().expect("this program"))
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(HELPS, test)
            .stdio([stdin, stdout, Stdio::InheritFd(2)]);
        let helper = Self::default();
        let ended = helper.clone();
        let on_exit = move |process: &Process, status| {
            ended.0.set(Some(status));
            process.close();
        };
        Process::spawn(event_loop, &options, on_exit).expect("a test binary runs itself");
        helper
    }

    /// Starts `test` again with a channel as its standard input. Returns the test's end of it, too.
    pub(crate) fn with_channel(event_loop: &LoopHandle, test: &str) -> (Self, Pipe) {
        let channel = Pipe::new_ipc(event_loop);
        (Self::start(event_loop, test, [Stdio::Pipe(channel.clone()), Stdio::Ignore]), channel)
    }

    /// Whether it has ended without a failed assertion.
    pub(crate) fn succeeded(&self) -> bool {
        self.0.get().is_some_and(ExitStatus::success)
    }
}

/// The helper's end of the channel.
pub(crate) fn channel(event_loop: &LoopHandle) -> Pipe {
    let channel = Pipe::new_ipc(event_loop);
    channel.open(os::standard_input().expect("the channel")).expect("open");
    assert!(channel.is_readable() && channel.is_writable() && !channel.is_closing());
    channel
}
