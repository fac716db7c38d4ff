//! The words after `upcall trace`.

use crate::args::number;
use std::path::PathBuf;

/// Requests of one trace: more than fit a reader's patience.
const MAX_REQUESTS: usize = 1000;

/// Workers of one trace: their lanes have to fit on a page.
const MAX_WORKERS: usize = 8;

/// What is traced, and how it is shown.
#[derive(clap::Args, Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Requests on one connection; without it as many as are sent at once
    #[arg(long, value_name = "N", value_parser = number(1, MAX_REQUESTS))]
    pub requests: Option<usize>,
    /// How many of them are sent at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number(1, MAX_REQUESTS))]
    pub pipeline: usize,
    /// Worker processes; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = number(0, MAX_WORKERS))]
    pub workers: usize,
    /// Where to write a page, instead of lines on standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Options {
    /// Requests on one connection.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.unwrap_or(self.pipeline)
    }
}
