//! From a value to its place on an axis, in per cent of the chart's width, and the round values that the axis names.

/// More ticks than any axis has: a bound for odd values.
const MOST_TICKS: usize = 16;

/// Values beyond are drawn as this one: far from where arithmetic overflows.
const GREATEST: f64 = 1e18;

/// An axis from 0 % to 100 %.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    pub(super) high: f64,
    log: bool,
}

impl Scale {
    /// Equal steps are equally long.
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let low = if low.is_finite() { low.clamp(-GREATEST, GREATEST) } else { 0.0 };
        let high = if high.is_finite() { high.clamp(-GREATEST, GREATEST) } else { low + 1.0 };
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        Self { low, high, log: false }
    }

    /// Equal ratios are equally long.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 { low.clamp(1.0 / GREATEST, GREATEST) } else { 1.0 };
        let high = if high.is_finite() && high > low { high.min(GREATEST * 10.0) } else { low * 10.0 };
        Self { low, high, log: true }
    }

    /// Where a value lies, 0 to 100; what lies outside lies at the nearer end, and what is no number at 0.
    pub(super) fn percent(self, value: f64) -> f64 {
        let share = match self.log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) * 100.0 }
    }

    /// About `wanted` round values on the axis.
    pub(super) fn ticks(self, wanted: usize) -> Vec<f64> {
        if !self.log {
            let step = nice((self.high - self.low) / wanted as f64);
            let first = (self.low / step).ceil();
            let ticks = (0..MOST_TICKS).map(|i| (first + i as f64) * step);
            return ticks.take_while(|tick| *tick <= self.high + step * 1e-6).collect();
        }
        let decades = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let each = |steps: &'static [f64]| -> Vec<f64> {
            let all = decades.clone().flat_map(|e| steps.iter().map(move |s| s * 10f64.powi(e)));
            all.filter(|tick| (self.low * 0.999..=self.high * 1.001).contains(tick)).collect()
        };
        let (fine, coarse) = (each(&[1.0, 2.0, 5.0]), each(&[1.0]));
        let skip = coarse.len().div_ceil(wanted).max(1);
        if fine.len() <= wanted { fine } else { coarse.into_iter().step_by(skip).collect() }
    }
}

/// The least of 1, 2, 5, 10 times a power of ten that is at least `step`.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= step * 0.999_999);
    factor.unwrap_or(10.0) * power
}

/// The style of what stands between two values, or at one: `--x` is where it begins, `--w` how wide it is.
pub(super) fn place(scale: Scale, from: f64, to: f64) -> String {
    let (from, to) = (scale.percent(from), scale.percent(to));
    format!("--x:{:.2}%;--w:{:.2}%", from.min(to), (to - from).abs())
}
