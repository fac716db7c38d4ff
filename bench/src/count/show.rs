//! The counts as a table in the terminal.

use crate::results::Count;
use crate::table::{line, or_nothing, ratio_text};

/// The columns: see [`line`].
const COLUMNS: &[isize] = &[-18, -18, 13, 8, 13, 12];

pub(crate) fn table(counts: &[Count]) -> String {
    let heads = ["per operation", "", "instructions", "× floor", "system calls", "allocations"];
    let mut text = line(COLUMNS, &heads);
    let mut last = "";
    for count in counts {
        let floor = counts.iter().find(|floor| floor.name == count.name && floor.subject == "floor");
        let floor = floor.and_then(|floor| floor.instructions).filter(|instructions| *instructions > 0.0);
        let ratio = count.instructions.zip(floor).map(|(own, floor)| ratio_text(own / floor));
        let name = if last == count.name { "" } else { &*count.name };
        let cells = [
            name.to_owned(),
            count.subject.clone(),
            cell(count.instructions, 0),
            or_nothing(ratio),
            cell(count.syscalls, 2),
            cell(count.allocations, 2),
        ];
        text += &line(COLUMNS, &cells);
        last = &count.name;
    }
    text.push_str("In user space: what the kernel does in a system call is in no count.\n");
    text
}

pub(crate) fn cell(value: Option<f64>, decimals: usize) -> String {
    or_nothing(value.filter(|value| value.is_finite()).map(|value| format!("{value:.decimals$}")))
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
            ..Count::default()
        };
        let text = table(&[count("floor", Some(200.0)), count("http", Some(3000.0)), count("hyper", None)]);
        assert!(text.contains("15.0"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert_eq!(text.matches("http/keep-alive").count(), 1, "{text}");
    }
}
