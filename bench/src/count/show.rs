//! The counts as a table in the terminal.

use crate::results::Count;
use crate::table::{cut, ratio_text};
use std::fmt::Write;

/// Columns of the names.
const BENCH: usize = 18;
const SUBJECT: usize = 18;

/// What stands where nothing was counted.
const NOTHING: &str = "–";

pub(crate) fn table(counts: &[Count]) -> String {
    let mut text = format!(
        "{:BENCH$} {:SUBJECT$} {:>13} {:>8} {:>13} {:>12}\n",
        "per operation", "", "instructions", "× floor", "system calls", "allocations"
    );
    let mut last = "";
    for count in counts {
        let floor = counts.iter().find(|floor| floor.name == count.name && floor.subject == "floor");
        let floor = floor.and_then(|floor| floor.instructions).filter(|instructions| *instructions > 0.0);
        let ratio = count.instructions.zip(floor).map(|(own, floor)| ratio_text(own / floor));
        let name = if last == count.name { "" } else { &count.name };
        let _ = writeln!(
            text,
            "{:BENCH$} {:SUBJECT$} {:>13} {:>8} {:>13} {:>12}",
            cut(name, BENCH),
            cut(&count.subject, SUBJECT),
            cell(count.instructions, 0),
            ratio.unwrap_or_else(|| NOTHING.to_owned()),
            cell(count.syscalls, 2),
            cell(count.allocations, 2),
        );
        last = &count.name;
    }
    text.push_str("In user space: what the kernel does in a system call is in no count.\n");
    text
}

pub(crate) fn cell(value: Option<f64>, decimals: usize) -> String {
    let value = value.filter(|value| value.is_finite());
    value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_ratios_and_fits_a_hundred_columns() {
        let count = |subject: &str, instructions| Count {
            name: "http/keep-alive".to_owned(),
            subject: subject.to_owned(),
            instructions,
            syscalls: Some(3.0),
            allocations: None,
        };
        let text = table(&[count("floor", Some(200.0)), count("http", Some(3000.0)), count("hyper", None)]);
        assert!(text.contains("15.0"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.matches("http/keep-alive").count(), 1, "{text}");
    }
}
