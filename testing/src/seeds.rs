//! Which seeds a test runs: its own, or those of the variable `UPCALL_SEEDS`.

use std::env::{self, VarError};
use std::ops::Range;

const VARIABLE: &str = "UPCALL_SEEDS";

/// Returns the seeds of `UPCALL_SEEDS`, or `usual` without it.
///
/// # Panics
/// If the variable names no seeds.
pub(crate) fn chosen(usual: Range<u64>) -> Range<u64> {
    let text = match env::var(VARIABLE) {
        Ok(text) => text,
        Err(VarError::NotPresent) => return usual,
        Err(VarError::NotUnicode(text)) => text.to_string_lossy().into_owned(),
    };
    parse(&text).unwrap_or_else(|| {
        panic!("{VARIABLE} is {text:?}, but has to be one seed, as in 17, or a range of seeds, as in 0..1000")
    })
}

fn parse(text: &str) -> Option<Range<u64>> {
    let number = |word: &str| word.trim().parse::<u64>().ok();
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => {
            let seed = number(text)?;
            seed..seed.checked_add(1)?
        }
    };
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_seed_or_a_range_is_taken_and_nothing_else() {
        assert_eq!(parse("17"), Some(17..18));
        assert_eq!(parse("0..1000"), Some(0..1000));
        for bad in ["", "x", "-1", "1..", "..5", "5..5", "9..3", "1,2", "0..=5", "18446744073709551615"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
