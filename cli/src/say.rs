//! What the commands say, and the log. Nobody listening is no reason to fail: a server whose output is closed goes on
//! serving.
//!
//! A command that does its work and ends waits for its output, so that a pager gets all of it. One that serves does not
//! ([`aside`]): what its output does not take is dropped, counted, and said when it takes something again.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use uv_core::os::Spool;

/// How long the end of a process waits for its last words to be written.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Whether output is written by threads.
static ASIDE: AtomicBool = AtomicBool::new(false);

/// From now on nothing waits for output: neither what the command says, nor its log, nor the message of a panic.
pub fn aside() {
    if !ASIDE.swap(true, Ordering::Relaxed) {
        panic::set_hook(Box::new(|panic| {
            let thread = thread::current();
            let backtrace = Backtrace::capture();
            err(format_args!("thread '{}' {panic}", thread.name().unwrap_or("<unnamed>")));
            if backtrace.status() == BacktraceStatus::Captured {
                err(backtrace);
            }
        }));
    }
}

/// What `main` holds: at its end, also by a panic, what was said is written.
#[derive(Debug)]
pub struct LastWords;

impl Drop for LastWords {
    fn drop(&mut self) {
        flush();
    }
}

/// Waits until what was said is written, for half a second at most. Called before `exit`.
pub fn flush() {
    if ASIDE.load(Ordering::Relaxed) {
        Spool::flush_standard(LAST_WORDS);
    }
}

/// Says a line on standard output.
pub fn out(line: impl Display) {
    let line = format!("{line}\n");
    if ASIDE.load(Ordering::Relaxed) {
        Spool::stdout().write(line.as_bytes());
    } else {
        // Refused only if nobody reads it.
        let _ = io::stdout().write_all(line.as_bytes());
    }
}

/// Says a line on standard error.
pub fn err(line: impl Display) {
    write_err(format!("{line}\n").as_bytes());
}

fn write_err(lines: &[u8]) {
    if ASIDE.load(Ordering::Relaxed) {
        Spool::stderr().write(lines);
    } else {
        // Refused only if nobody reads it.
        let _ = io::stderr().write_all(lines);
    }
}

/// Where the log goes: to standard error, as [`err`] does.
#[derive(Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        write_err(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
