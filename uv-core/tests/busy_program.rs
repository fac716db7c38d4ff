//! Starting a program that is open for writing.

use log::{LevelFilter, Log, Metadata, Record};
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use uv_core::process::{ExitStatus, Process, SpawnOptions};
use uv_core::{Errno, Loop, RunMode};

/// The file of the program while it is being written.
static WRITER: Mutex<Option<File>> = Mutex::new(None);

/// The number of failed attempts.
static BUSY: Mutex<usize> = Mutex::new(0);

/// The attempt after which the file is closed.
static PATIENCE: Mutex<usize> = Mutex::new(1);

struct Closer;

impl Log for Closer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "uv_core"
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().contains("ETXTBSY") {
            let mut busy = BUSY.lock().expect("no thread panics with it");
            *busy += 1;
            if *busy == *PATIENCE.lock().expect("no thread panics with it") {
                drop(WRITER.lock().expect("no thread panics with it").take());
            }
        }
    }

    fn flush(&self) {}
}

// Go: golang/go#22315; libuv has the same race.
/// The only test of this process, because a process has one logger.
#[test]
fn a_program_that_is_written_for_a_moment_is_started_and_one_that_is_written_for_long_is_an_error() {
    log::set_logger(&Closer).expect("the first logger");
    log::set_max_level(LevelFilter::Debug);
    let path = std::env::temp_dir().join(format!("uv-core-busy-{}", std::process::id()));
    fs::write(&path, "#!/bin/sh\nexit 3\n").expect("a file");
    let open = || {
        let file = OpenOptions::new().append(true).open(&path).expect("a file of our own");
        file.set_permissions(Permissions::from_mode(0o755)).expect("a file of our own");
        *WRITER.lock().expect("no thread panics with it") = Some(file);
    };
    let event_loop = Loop::new().expect("a loop");
    let options = SpawnOptions::new(&path);
    let ends = |process: &Process, status: ExitStatus| {
        assert_eq!((status.code, status.signal), (3, 0));
        process.close();
    };
    open();
    Process::spawn(&event_loop, &options, ends).expect("the second try");
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    // Linux 6.11 and 6.12 execute a program that is open for writing.
    let is_refused = std::mem::take(&mut *BUSY.lock().expect("no thread panics with it")) == 1;

    *PATIENCE.lock().expect("no thread panics with it") = usize::MAX;
    open();
    let started = Process::spawn(&event_loop, &options, ends);
    if is_refused {
        let error = started.expect_err("the file is open for writing");
        assert_eq!((error.op(), error.errno()), ("spawn", Errno::ETXTBSY));
        assert_eq!(*BUSY.lock().expect("no thread panics with it"), 5, "a few times");
    }
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    fs::remove_file(&path).expect("a file of our own");
}
