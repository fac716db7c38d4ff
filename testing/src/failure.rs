//! The report of a seed that failed, and which failures are the same.

use std::fmt;
use uv_core::faults::Fault;

/// Lines of the trace that are shown.
const LINES_SHOWN: usize = 120;

/// The report of a seed that failed. Its text is all of it, with the last lines of the trace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What failed: a law that was broken, the scenario's error or panic, or what was left.
    pub reason: String,
    /// The faults without which the run would not fail in the same way.
    pub faults: Vec<Fault>,
    /// The number of faults of the whole run.
    pub of: usize,
    /// Whether the run fails with each of `faults` only. Otherwise the search for such a set took too many runs.
    pub is_smallest: bool,
    /// Whether the run failed in the same way when it was repeated.
    pub is_repeated: bool,
    /// The trace of the run with these faults: its last 100,000 lines.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.reason)?;
        match (self.is_repeated, self.is_smallest) {
            (false, _) => writeln!(f, "it did not fail again; with {} faults:", self.faults.len())?,
            (true, true) => writeln!(f, "with {} of {} faults:", self.faults.len(), self.of)?,
            (true, false) => writeln!(
                f,
                "with {} of {} faults, and perhaps with fewer (the search took too long):",
                self.faults.len(),
                self.of
            )?,
        }
        for fault in &self.faults {
            writeln!(f, "  {fault}")?;
        }
        if !self.trace.is_empty() {
            writeln!(f, "the end of its trace:")?;
            let skipped = self.trace.len().saturating_sub(LINES_SHOWN);
            for line in &self.trace[skipped..] {
                writeln!(f, "  {line}")?;
            }
        }
        write!(f, "UPCALL_SEEDS={} runs this seed alone", self.seed)
    }
}

impl std::error::Error for Failure {}

/// Whether two runs failed in the same way, by the first lines of their reasons: numbers and quoted text are what a run has met,
/// and so is what follows a semicolon. The line of a panic counts.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    form(one) == form(other)
}

fn form(reason: &str) -> String {
    let line = reason.lines().next().unwrap_or_default();
    let mut form = String::new();
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ';' => break,
            '"' => {
                while let Some(quoted) = letters.next().filter(|quoted| *quoted != '"') {
                    // The letter behind a backslash does not end the text.
                    if quoted == '\\' {
                        letters.next();
                    }
                }
                form.push_str("\"\"");
            }
            '0'..='9' if !form.ends_with(".rs:") => {
                while letters.next_if(char::is_ascii_digit).is_some() {}
                // A list of numbers has any length.
                if let Some(before) = form.strip_suffix("0, ") {
                    form.truncate(before.len());
                }
                form.push('0');
            }
            _ => {
                form.push(letter);
                // The number of a source line.
                while let Some(digit) =
                    letters.next_if(|next| letter.is_ascii_digit() && next.is_ascii_digit())
                {
                    form.push(digit);
                }
            }
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn what_a_run_has_met_is_no_other_failure() {
        for (one, other) in [
            ("received \"> h\"", "received \"> hel\\\"lo\""),
            ("7 descriptors are left open", "12 descriptors are left open"),
            ("nothing happens any more; a: tcp", "nothing happens any more; b: pipe"),
            ("bytes [1, 2, 3]", "bytes [7]"),
            ("panic at a.rs:1: left\nleft: 1", "panic at a.rs:1: left\nleft: 2"),
        ] {
            assert!(is_same(one, other), "{one:?}, {other:?}");
        }
    }

    #[test]
    fn another_law_is_another_failure() {
        for (one, other) in [
            ("on_read after close", "on_write after close"),
            ("received \"a\"", "sent \"a\""),
            ("panic at src/a.rs:3: no entry", "panic at src/b.rs:3: no entry"),
            ("panic at src/a.rs:3: no entry", "panic at src/a.rs:31: no entry"),
            ("7 descriptors are left open", "7 bytes of memory are left"),
        ] {
            assert!(!is_same(one, other), "{one:?}, {other:?}");
        }
    }
}
