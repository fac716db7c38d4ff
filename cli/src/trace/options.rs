//! The words after `cargo xtask trace`.

use crate::args::Result;
use lexopt::prelude::{Long, Short};
use std::path::PathBuf;

/// Requests of one trace: more than anybody reads.
const MAX_REQUESTS: usize = 1000;

/// Workers of one trace: their lanes have to fit on a page.
const MAX_WORKERS: usize = 8;

/// What is traced, and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Requests on one connection.
    pub requests: usize,
    /// How many of them are sent at once.
    pub pipeline: usize,
    /// Worker processes; 0 for none.
    pub workers: usize,
    /// Where to write a page, instead of lines on standard output.
    pub html: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { requests: 1, pipeline: 1, workers: 0, html: None }
    }
}

impl Options {
    /// Reads the words; `None` if help is asked for.
    ///
    /// # Errors
    /// Names the word that is unknown, missing or out of range.
    pub fn parse(words: &mut lexopt::Parser) -> Result<Option<Self>> {
        let (mut options, mut requests) = (Self::default(), None);
        while let Some(word) = words.next()? {
            match word {
                Long("requests") => requests = Some(number(words, "--requests", 1, MAX_REQUESTS)?),
                Long("pipeline") => options.pipeline = number(words, "--pipeline", 1, MAX_REQUESTS)?,
                Long("workers") => options.workers = number(words, "--workers", 0, MAX_WORKERS)?,
                Long("html") => options.html = Some(words.value()?.into()),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected().into()),
            }
        }
        options.requests = requests.unwrap_or(options.pipeline);
        Ok(Some(options))
    }
}

fn number(words: &mut lexopt::Parser, name: &str, from: usize, to: usize) -> Result<usize> {
    let value = words.value()?;
    let number = value.to_str().and_then(|value| value.parse().ok());
    number
        .filter(|number| (from..=to).contains(number))
        .ok_or_else(|| format!("{name} {}: not a number from {from} to {to}", value.display()).into())
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(words: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(&mut lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_one_request_in_one_process() {
        assert_eq!(parse(&[]), Ok(Some(Options::default())));
        let piped = Options { requests: 4, pipeline: 4, ..Options::default() };
        assert_eq!(parse(&["--pipeline", "4"]), Ok(Some(piped)));
        let batches = Options { requests: 5, pipeline: 2, workers: 2, html: Some("a.html".into()) };
        let words = ["--html", "a.html", "--workers=2", "--pipeline", "2", "--requests", "5"];
        assert_eq!(parse(&words), Ok(Some(batches)));
        assert_eq!(parse(&["--help"]), Ok(None));
    }

    #[test]
    fn a_wrong_word_is_named() {
        for (words, named) in [
            (&["--requests", "0"][..], "--requests 0"),
            (&["--pipeline", "x"], "--pipeline x"),
            (&["--workers", "99"], "--workers 99"),
            (&["--colour"], "--colour"),
            (&["now"], "now"),
        ] {
            let error = parse(words).expect_err("a wrong word");
            assert!(error.contains(named), "{error:?} does not name {named:?}");
        }
    }
}
