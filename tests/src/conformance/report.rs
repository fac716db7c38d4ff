//! What a run of the suite found.

use std::fmt;

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// How many cases were run.
    pub cases: usize,
    /// How many conversations were held: each case runs in up to three variants.
    pub runs: usize,
    /// What differed, in the order of the files.
    pub failures: Vec<Failure>,
}

/// One case that one variant of failed.
#[derive(Debug)]
pub struct Failure {
    /// The name of the case.
    pub case: String,
    /// File and line of the case.
    pub place: String,
    /// How the bytes were cut into writes.
    pub variant: &'static str,
    /// What the case expects, with its line.
    pub expected: String,
    /// What differed.
    pub why: String,
    /// What the server sent over the whole connection, escaped and shortened.
    pub received: String,
}

impl Report {
    /// Whether every case held.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}, {})", self.case, self.place, self.variant)?;
        writeln!(f, "  expected  {}", self.expected)?;
        writeln!(f, "  but       {}", self.why)?;
        write!(f, "  received  {}", if self.received.is_empty() { "nothing" } else { &self.received })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(f, "{failure}\n")?;
        }
        let mut failed: Vec<&str> = self.failures.iter().map(|failure| failure.place.as_str()).collect();
        failed.dedup();
        write!(f, "{} cases in {} runs: {} cases failed", self.cases, self.runs, failed.len())
    }
}
