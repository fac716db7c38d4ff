//! Numbers as a reader wants them: three digits, a fitting unit, and a dash for what is no number.

use crate::results::{Figure, Unit};

/// Stands for a value that is missing or no number.
pub(super) const NONE: &str = "–";

/// What values of a chart are divided by, and the unit that they then have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    divisor: f64,
    unit: &'static str,
}

impl Step {
    /// The step in which `magnitude` reads best.
    pub(super) fn of(unit: Unit, magnitude: f64) -> Self {
        let steps: &[(f64, &'static str)] = match unit {
            Unit::Ns => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
            Unit::Bytes => &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")],
            Unit::Spread => &[(1.0, "conn.")],
        };
        // Nanoseconds read well up to 999, bytes up to four digits, as the targets have them.
        let enough = if unit == Unit::Bytes { 9.75 } else { 1.0 };
        let fitting = steps.iter().rev().find(|(divisor, _)| magnitude.abs() >= divisor * enough);
        let (divisor, unit) = *fitting.unwrap_or(&steps[0]);
        Self { divisor, unit }
    }

    /// The step of instructions.
    pub(super) fn instructions(magnitude: f64) -> Self {
        let (divisor, unit) = match magnitude.abs() {
            m if m >= 1e6 => (1e6, "M instr."),
            m if m >= 1e4 => (1e3, "k instr."),
            _ => (1.0, "instr."),
        };
        Self { divisor, unit }
    }

    /// The value with its unit.
    pub(super) fn with_unit(self, value: f64) -> String {
        format!("{}\u{a0}{}", self.bare(value), self.unit)
    }

    /// The value without its unit.
    pub(super) fn bare(self, value: f64) -> String {
        // There are no parts of a byte, a connection or an instruction worth telling.
        let whole = self.divisor == 1.0 && self.unit != "ns" && (value.abs() >= 10.0 || value.fract() == 0.0);
        if whole { grouped(value) } else { digits(value / self.divisor) }
    }

    /// A round value of an axis, without needless zeros.
    pub(super) fn tick(self, value: f64) -> String {
        format!("{}\u{a0}{}", round(value / self.divisor), self.unit)
    }
}

/// `5.96 µs`.
pub(super) fn cost(unit: Unit, value: f64) -> String {
    if value.is_finite() { Step::of(unit, value).with_unit(value) } else { NONE.to_owned() }
}

/// `5.91–6.08`, in the unit of the median; a dash where there was but one value.
pub(super) fn spread(unit: Unit, figure: &Figure) -> String {
    let step = Step::of(unit, figure.median);
    if !has_spread(figure) {
        return String::new();
    }
    format!("{}–{}", step.bare(figure.least), step.bare(figure.greatest))
}

/// Whether the least and the greatest are two numbers.
pub(super) fn has_spread(figure: &Figure) -> bool {
    figure.least.is_finite() && figure.greatest.is_finite() && figure.least < figure.greatest
}

/// `1.04×`.
pub(super) fn ratio(value: f64) -> String {
    if value.is_finite() { format!("{}×", digits(value)) } else { NONE.to_owned() }
}

/// `1.046×`: a target is met or missed by the third place.
pub(super) fn exact_ratio(value: f64) -> String {
    let text = format!("{value:.3}");
    let needed = (0.01..10.0).contains(&value) && !text.ends_with('0');
    if needed { format!("{text}×") } else { ratio(value) }
}

/// `+62 ns`, `−8.1 ns`.
pub(super) fn signed(value: f64, write: impl FnOnce(f64) -> String) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let sign = if value < 0.0 { '−' } else { '+' };
    format!("{sign}{}", write(value.abs()))
}

/// `184 k/s`.
pub(super) fn rate(value: f64) -> String {
    let (divisor, unit) = match value.abs() {
        v if !v.is_finite() => return NONE.to_owned(),
        v if v >= 1e9 => (1e9, "G/s"),
        v if v >= 1e6 => (1e6, "M/s"),
        v if v >= 1e3 => (1e3, "k/s"),
        _ => (1.0, "/s"),
    };
    format!("{}\u{a0}{unit}", digits(value / divisor))
}

/// Microseconds as `412 µs` or `1.20 ms`.
pub(super) fn micros(value: f64) -> String {
    cost(Unit::Ns, value * 1e3)
}

/// Microseconds of an axis: `200 µs`, `1 ms`.
pub(super) fn micros_tick(value: f64) -> String {
    Step::of(Unit::Ns, value * 1e3).tick(value * 1e3)
}

/// A count without parts, its thousands apart.
pub(super) fn grouped(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 1e15 {
        return digits(value);
    }
    let plain = format!("{:.0}", value.abs());
    let mut text = if value <= -0.5 { "−".to_owned() } else { String::new() };
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) && plain.len() > 4 {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Three digits, as far as they say something.
pub(super) fn digits(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if !value.is_finite() => NONE.to_owned(),
        0.0 => "0".to_owned(),
        s if s >= 1e6 => format!("{value:.2e}"),
        s if s >= 100.0 => format!("{value:.0}"),
        s if s >= 10.0 => format!("{value:.1}"),
        s if s >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.1e}"),
    };
    text.replace('-', "−")
}

/// A round number, without needless zeros.
pub(super) fn round(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 1e6 || (value != 0.0 && value.abs() < 1e-3) {
        return digits(value);
    }
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

/// The first characters of a name that has to fit a chart.
pub(super) fn short(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `7.8 GiB`.
pub(super) fn memory(mib: u64) -> String {
    if mib >= 1024 { format!("{:.1} GiB", mib as f64 / 1024.0) } else { format!("{mib} MiB") }
}

/// `2 min 44 s`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if !s.is_finite() || s < 0.0 => NONE.to_owned(),
        _ if whole < 60 => format!("{} s", digits(seconds)),
        _ => format!("{} min {:02} s", whole / 60, whole % 60),
    }
}
