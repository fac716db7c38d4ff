//! The progress line: what runs, and how long it will still take. On a terminal it is rewritten in place.

use super::budget::Budget;
use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};
use upcall::say;

/// How often a line is written where it cannot be rewritten.
const SPARSE: Duration = Duration::from_secs(15);

/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;

const ERASE: &str = "\r\x1b[2K";

#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    /// When a line was last written where it stays.
    written: Option<Instant>,
    /// Whether a line stands there that has to be erased.
    shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), written: None, shown: false }
    }

    /// Says what runs now and how long everything will still take.
    pub(crate) fn show(&mut self, what: &str, budget: &Budget) {
        let line = line(what, budget.place(), budget.left());
        if self.terminal {
            let width = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
            let width = if width == 0 { USUAL_WIDTH } else { width };
            let line: String = line.chars().take(width.saturating_sub(1)).collect();
            // Fails only if standard error is closed.
            let _ = write!(io::stderr(), "{ERASE}{line}");
            self.shown = true;
        } else if self.written.is_none_or(|written| written.elapsed() >= SPARSE) {
            say::err(line);
            self.written = Some(Instant::now());
        }
    }

    /// Makes room for what is printed.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            // Fails only if standard error is closed.
            let _ = write!(io::stderr(), "{ERASE}");
            self.shown = false;
        }
    }
}

fn line(what: &str, (number, all): (usize, usize), left: Duration) -> String {
    format!("[{number}/{all}] {what}; {} left", in_words(left))
}

/// `1 run`, `2 runs`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `40 s`, `2 min 5 s`, `1 h 3 min`.
pub(crate) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_words() {
        for (seconds, words) in [(0.2, "1 s"), (59.0, "59 s"), (125.0, "2 min 5 s"), (3780.0, "1 h 3 min")] {
            assert_eq!(in_words(Duration::from_secs_f64(seconds)), words);
        }
    }

    #[test]
    fn the_line_says_what_runs_and_how_long_it_still_takes() {
        let line = line("tcp/pump, libuv, round 2 of 3", (4, 12), Duration::from_secs(70));
        assert_eq!(line, "[4/12] tcp/pump, libuv, round 2 of 3; 1 min 10 s left");
    }
}
