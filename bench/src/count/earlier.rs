//! A report shows times and counts side by side, and a run makes one of them: the other is taken from the report that is
//! there, if that is of the same commit and machine.

use crate::results::{FORMAT, Results};
use std::fs;
use std::path::Path;

/// What a reader is told.
const TIMES: &str = "The times are those of an earlier run at the same commit.";
const COUNTS: &str = "The counts are those of an earlier run at the same commit.";

/// Adds to `results` what they lack and the report in the file `data` has.
pub(crate) fn complete(results: &mut Results, data: &Path) {
    // Without a report, or with one of another kind, there is nothing to take.
    let earlier = fs::read_to_string(data).ok().and_then(|text| serde_json::from_str(&text).ok());
    if let Some(earlier) = earlier {
        add(results, earlier);
    }
}

fn add(results: &mut Results, earlier: Results) {
    let is_of_the_same = earlier.format == FORMAT
        && !results.commit.is_empty()
        && earlier.commit == results.commit
        && earlier.machine == results.machine;
    let (times, counts) = (results.benches.is_empty(), results.counts.is_empty());
    let has_more = (times && !earlier.benches.is_empty()) || (counts && !earlier.counts.is_empty());
    if !is_of_the_same || !has_more {
        return;
    }
    if times {
        results.benches = earlier.benches;
        results.notes.push(TIMES.to_owned());
    } else {
        results.counts = earlier.counts;
        results.notes.push(COUNTS.to_owned());
    }
    // What is to be known of the other run, but not what it said of its own report.
    let notes = earlier.notes.into_iter().filter(|note| note != TIMES && note != COUNTS);
    for note in notes {
        if !results.notes.contains(&note) {
            results.notes.push(note);
        }
    }
    for (name, version) in earlier.versions {
        results.versions.entry(name).or_insert(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Bench, Count};

    fn timed(commit: &str) -> Results {
        let bench = Bench { name: "http/keep-alive".to_owned(), ..Bench::default() };
        Results { format: FORMAT, commit: commit.to_owned(), benches: vec![bench], ..Results::default() }
    }

    fn counted(commit: &str) -> Results {
        let notes = vec!["No system calls are counted.".to_owned()];
        Results { counts: vec![Count::default()], notes, benches: Vec::new(), ..timed(commit) }
    }

    #[test]
    fn what_a_run_lacks_is_taken_from_the_one_before() {
        let mut results = timed("a");
        add(&mut results, counted("a"));
        assert_eq!((results.benches.len(), results.counts.len()), (1, 1));
        assert_eq!(results.notes, [COUNTS, "No system calls are counted."]);
        let mut results = counted("a");
        add(&mut results, timed("a"));
        assert_eq!((results.benches.len(), results.counts.len()), (1, 1));
        assert!(results.notes.iter().any(|note| note == TIMES));
    }

    #[test]
    fn another_commit_and_a_run_of_the_same_kind_add_nothing() {
        for (results, earlier) in [
            (timed("a"), counted("b")),
            (timed(""), counted("")),
            (timed("a"), timed("a")),
            (counted("a"), counted("a")),
        ] {
            let mut completed = results.clone();
            add(&mut completed, earlier);
            assert_eq!(completed, results);
        }
    }
}
