//! Numbers as the report shows them: those of the tables, with a dash for what is no number.

use crate::results::{Figure, Unit};
pub(super) use crate::table::NOTHING as NONE;
use crate::table::{cost_text, exact_ratio as exact, ratio_text, step, thousands};

/// The value as `write` has it, if it is finite and of a plausible size.
fn known(value: f64, write: impl FnOnce(f64) -> String) -> String {
    match value.abs() {
        size if !size.is_finite() => NONE.to_owned(),
        size if size >= 1e15 => format!("{value:.2e}"),
        _ => write(value),
    }
}

pub(super) fn cost(unit: Unit, value: f64) -> String {
    known(value, |value| cost_text(unit, value))
}

/// Microseconds as `412 µs` or `1.20 ms`.
pub(super) fn micros(value: f64) -> String {
    cost(Unit::Ns, value * 1e3)
}

pub(super) fn instructions(value: f64) -> String {
    known(value, |value| format!("{} instr.", thousands(value)))
}

pub(super) fn ratio(value: f64) -> String {
    known(value, |value| ratio_text(value) + "×")
}

/// `1.046×`: a target is met or missed by the third place.
pub(super) fn exact_ratio(value: f64) -> String {
    known(value, |value| exact(value) + "×")
}

pub(super) fn rate(value: f64) -> String {
    let steps = [(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")];
    let (divisor, unit) = steps.into_iter().find(|(divisor, _)| value >= *divisor).unwrap_or(steps[3]);
    known(value, |value| format!("{} {unit}", ratio_text(value / divisor)))
}

/// A difference with its sign, the rest as `write` has it.
pub(super) fn signed(value: f64, write: impl FnOnce(f64) -> String) -> String {
    let sign = if value < 0.0 { '−' } else { '+' };
    known(value, |value| format!("{sign}{}", write(value.abs())))
}

/// A round value of an axis that ends at `high`: `200 ns`, `0.5 ms`.
pub(super) fn tick(unit: Unit, high: f64, value: f64) -> String {
    let (divisor, unit) = step(unit, high);
    known(value, |value| format!("{} {unit}", (value / divisor * 1e3).round() / 1e3))
}

/// `5.91–6.08`, in the unit of the median; nothing where there was but one value.
pub(super) fn spread(unit: Unit, figure: &Figure) -> String {
    let (divisor, _) = step(unit, figure.median);
    let write = |value: f64| match unit {
        Unit::Ns => ratio_text(value / divisor),
        _ => thousands(value / divisor),
    };
    let ends = || format!("{}–{}", known(figure.least, write), known(figure.greatest, write));
    if has_spread(figure) { ends() } else { String::new() }
}

/// Whether the least and the greatest are two numbers.
pub(super) fn has_spread(figure: &Figure) -> bool {
    figure.least.is_finite() && figure.greatest.is_finite() && figure.least < figure.greatest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_fitting_unit() {
        let time = |value| cost(Unit::Ns, value);
        assert_eq!([5.964e3, 0.0, f64::NAN, f64::MAX].map(time), ["5.96 µs", "0.00 ns", "–", "1.80e308"]);
        assert_eq!([1.0459, 1.05, 26.2].map(exact_ratio), ["1.046×", "1.050×", "26.2×"]);
        assert_eq!([184.2e3, 12.0, -1.0].map(rate), ["184 k/s", "12.0 /s", "-1.00 /s"]);
        assert_eq!([0.0, 500.0].map(|value| tick(Unit::Ns, 2e3, value)), ["0 µs", "0.5 µs"]);
    }
}
