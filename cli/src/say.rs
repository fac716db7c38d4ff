//! The output of the commands, and the log. A closed output is no reason to fail: the server goes on serving.
//!
//! A command that does its work and ends waits for its output, so that a pager gets all of it. A server does not
//! ([`aside`]): lines that its output does not take are dropped, and their number is printed when it takes bytes again.
//! What is still queued when the process ends, uv-core's `Spool` writes.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use uv_core::os::Spool;

/// Whether output is written by threads.
static ASIDE: AtomicBool = AtomicBool::new(false);

/// From now on no output blocks: neither the command's lines, nor its log, nor the message of a panic.
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

/// Prints a line on standard output.
pub fn out(line: impl Display) {
    let line = format!("{line}\n");
    if ASIDE.load(Ordering::Relaxed) {
        Spool::stdout().write(line.as_bytes());
    } else {
        // Fails only if the output is closed.
        let _ = io::stdout().write_all(line.as_bytes());
    }
}

/// Prints a line on standard error.
pub fn err(line: impl Display) {
    write_err(format!("{line}\n").as_bytes());
}

fn write_err(lines: &[u8]) {
    if ASIDE.load(Ordering::Relaxed) {
        Spool::stderr().write(lines);
    } else {
        // Fails only if the output is closed.
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
