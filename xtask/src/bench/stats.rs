//! Medians, spreads and ratios.

use super::results::{Figure, Latency};
use crate::load::tally::new_histogram;

/// Quantiles of a latency curve: 1 − 2^(−n/2), up to 99.998 %, so that each step has its share of the tail.
const CURVE_STEPS: u32 = 32;

/// Samples of which none can be left out.
const FEW: usize = 5;

impl Figure {
    /// The figure of some samples; nothing of none.
    #[must_use]
    pub fn of(samples: Vec<f64>) -> Option<Self> {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median, least, greatest, samples })
    }

    /// Where the middle half of the samples begins and ends; all of them, if there are few.
    #[must_use]
    pub fn middle(&self) -> (f64, f64) {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        if sorted.len() < FEW {
            return (self.least, self.greatest);
        }
        let cut = (sorted.len() - 1) / 4;
        (sorted[cut], sorted[sorted.len() - 1 - cut])
    }

    /// Half of what lies between the least and the greatest value, by the median, in per cent.
    #[must_use]
    pub fn spread_percent(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.greatest - self.least) / 2.0 / self.median * 100.0 }
    }
}

/// The ratios of `costs` to `floors`, made within each round that has both.
#[must_use]
pub(crate) fn ratio(costs: &[Option<f64>], floors: &[Option<f64>]) -> Option<Figure> {
    let pairs = costs.iter().zip(floors).filter_map(|(cost, floor)| Some(((*cost)?, (*floor)?)));
    Figure::of(pairs.filter(|(_, floor)| *floor > 0.0).map(|(cost, floor)| cost / floor).collect())
}

/// The latencies of all rounds together, from pairs of nanoseconds and their number.
pub(crate) fn latency<'a>(rounds: impl IntoIterator<Item = &'a [(u64, u64)]>) -> Option<Latency> {
    let mut all = new_histogram().ok()?;
    for &(nanoseconds, times) in rounds.into_iter().flatten() {
        all.saturating_record_n(nanoseconds, times);
    }
    if all.is_empty() {
        return None;
    }
    let at = |quantile| all.value_at_quantile(quantile) as f64 / 1000.0;
    let quantiles = (0..=CURVE_STEPS).map(|step| 1.0 - (-f64::from(step) / 2.0).exp2());
    // Beyond one in so many there is nothing but the greatest value, again and again.
    let finest = 1.0 - 1.0 / all.len() as f64;
    let curve = quantiles.filter(|quantile| *quantile <= finest).map(|quantile| (quantile, at(quantile)));
    Some(Latency { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), curve: curve.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        let figure = Figure::of(vec![3.0, 1.0, 9.0]).expect("samples");
        assert_eq!((figure.median, figure.least, figure.greatest), (3.0, 1.0, 9.0));
        assert_eq!(figure.samples, [3.0, 1.0, 9.0]);
        assert_eq!(Figure::of(vec![4.0, 1.0, 2.0, 9.0]).expect("samples").median, 3.0);
        assert_eq!(Figure::of(Vec::new()), None);
    }

    #[test]
    fn the_spread_is_half_the_range() {
        let figure = Figure::of(vec![90.0, 100.0, 110.0]).expect("samples");
        assert_eq!(figure.spread_percent(), 10.0);
        assert_eq!(Figure::of(vec![0.0]).expect("a sample").spread_percent(), 0.0);
    }

    #[test]
    fn the_middle_half_is_without_outliers() {
        let middle = |samples: &[f64]| Figure::of(samples.to_vec()).expect("samples").middle();
        assert_eq!(middle(&[9.0, 1.0, 2.0]), (1.0, 9.0));
        assert_eq!(middle(&[3.0, 99.0, 2.0, 1.0, 4.0]), (2.0, 4.0));
        assert_eq!(middle(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]), (3.0, 7.0));
    }

    #[test]
    fn a_ratio_is_made_within_its_round() {
        let floors = [Some(10.0), Some(20.0), None, Some(0.0)];
        let costs = [Some(11.0), Some(24.0), Some(5.0), Some(5.0)];
        assert_eq!(ratio(&costs, &floors).expect("two rounds").samples, [1.1, 1.2]);
        assert_eq!(ratio(&[Some(1.0), None], &[None, Some(1.0)]), None);
    }

    #[test]
    fn latencies_of_all_rounds_are_one_curve() {
        let rounds: [&[(u64, u64)]; 2] = [&[(1_000, 500)], &[(2_000, 499), (50_000, 1)]];
        let latency = latency(rounds).expect("a thousand values");
        assert_eq!(latency.p50_us, 1.0);
        assert_eq!(latency.p99_us.round(), 2.0);
        assert!(latency.curve.is_sorted() && latency.curve.len() > 10);
        assert!(latency.curve.iter().all(|(quantile, _)| *quantile < 1.0));
        assert_eq!(super::latency([&[] as &[_]]), None);
    }
}
