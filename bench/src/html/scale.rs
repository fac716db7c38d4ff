//! From a value to its place on an axis, in per cent of the chart's width, and the round values that the axis names.

/// More ticks than any axis has: a bound for odd values.
const MOST_TICKS: usize = 16;

/// Values beyond are drawn as this one: far from where arithmetic overflows.
const GREATEST: f64 = 1e18;

/// An axis from 0 % to 100 %.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
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

    /// The end of the axis.
    pub(super) fn high(self) -> f64 {
        self.high
    }

    /// Where a value lies, 0 to 100; what lies outside lies at the nearer end, and what is no number at 0.
    pub(super) fn percent(self, value: f64) -> f64 {
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if share.is_finite() {
            (share * 100.0).clamp(0.0, 100.0)
        } else if share == f64::INFINITY {
            100.0
        } else {
            0.0
        }
    }

    /// About `wanted` round values on the axis.
    pub(super) fn ticks(self, wanted: usize) -> Vec<f64> {
        if self.log { self.log_ticks(wanted) } else { self.linear_ticks(wanted) }
    }

    fn linear_ticks(self, wanted: usize) -> Vec<f64> {
        let step = nice((self.high - self.low) / wanted.max(1) as f64);
        let first = (self.low / step).ceil();
        let ticks = (0..MOST_TICKS).map(|i| (first + i as f64) * step);
        ticks.take_while(|tick| *tick <= self.high + step * 1e-6).collect()
    }

    fn log_ticks(self, wanted: usize) -> Vec<f64> {
        let decades = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let inside = |tick: &f64| *tick >= self.low * 0.999 && *tick <= self.high * 1.001;
        let each = |steps: &'static [f64]| -> Vec<f64> {
            let all = decades.clone().flat_map(|e| steps.iter().map(move |s| s * 10f64.powi(e)));
            all.filter(inside).collect()
        };
        let fine = each(&[1.0, 2.0, 5.0]);
        if fine.len() <= wanted {
            return fine;
        }
        let coarse = each(&[1.0]);
        let skip = coarse.len().div_ceil(wanted.max(1)).max(1);
        coarse.into_iter().step_by(skip).collect()
    }
}

/// The least of 1, 2, 5, 10 … times a power of ten that is at least `step`.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= step * 0.999_999);
    factor.unwrap_or(10.0) * power
}
