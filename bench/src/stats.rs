//! What samples come to: the quiet ones of many, ratios, medians, and how uncertain these are.
//!
//! The noise of a shared machine only adds, comes in plateaus of some tenths of a second, and at times stays for seconds;
//! and in noise a ratio is another one, as not all work suffers alike. So the windows of all rounds are put together, and
//! only those count that are near the quietest. A noisy round then counts for little, and where there is no noise nearly
//! all windows count. What the result is without one of the rounds, for each of them, shows how much it depends on chance
//! (the jackknife): on the noise that is left, and on what differs from launch to launch.
//!
//! A window that the machine made dear looks like a window that the subject made dear. So work which a subject does in
//! fewer than half of its windows, such as a garbage collection or a sweep, counts as noise and does not show.

use super::results::{Figure, Latency};
use crate::load::tally::new_histogram;

/// Quantiles of a latency curve: 1 − 2^(−n/2), up to 99.998 %, so that each step has its share of the tail.
const CURVE_STEPS: u32 = 32;

/// A window is quiet if it costs at most so many times what the quietest tenth does: more than chance makes of windows
/// without noise, less than a plateau of noise.
const NEAR: f64 = 1.1;
const QUIETEST: f64 = 0.1;

/// So many of a few count in any case.
const FEW: usize = 3;

/// Student's quantile by the degrees of freedom, from one on: an interval has what is looked for in about 95 of 100
/// cases. About, as the rounds are few and their noise is not quite normal.
const STUDENT: &[f64] = &[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/// The same for more: it goes down to 1.96.
const STUDENT_OF_MANY: f64 = 2.2;

/// How much more a median varies than a mean does, with normal noise: the root of half of pi.
const MEDIAN_TO_MEAN: f64 = 1.2533;

impl Figure {
    /// The figure of some samples; nothing of none.
    pub(crate) fn of(samples: Vec<f64>) -> Option<Self> {
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let margin = student_margin(&samples, median);
        Some(Self { median, least, greatest, margin, samples })
    }

    /// What `estimate` makes of all rounds together, with what it makes of each as its samples.
    pub(crate) fn of_rounds<T>(rounds: &[T], estimate: impl Fn(&[&T]) -> Option<f64>) -> Option<Self> {
        let samples = rounds.iter().filter_map(|round| estimate(&[round])).collect();
        let median = estimate(&rounds.iter().collect::<Vec<_>>())?;
        let without = |left_out: usize| {
            let others = rounds.iter().enumerate().filter(|(index, _)| *index != left_out);
            estimate(&others.map(|(_, round)| round).collect::<Vec<_>>())
        };
        let without: Vec<f64> = (0..rounds.len()).filter_map(without).collect();
        Some(Self { median, margin: jackknife_margin(&without, median), ..Self::of(samples)? })
    }
}

/// Student's margin of a median, as a part of it; nothing for a single sample.
fn student_margin(samples: &[f64], median: f64) -> Option<f64> {
    let freedom = samples.len().checked_sub(1)?;
    let error = (squares(samples) / freedom as f64 / samples.len() as f64).sqrt();
    Some(student(freedom)? * MEDIAN_TO_MEAN * part_of(error, median)?)
}

/// The margin of an estimate, as a part of it, from what it is `without` each of the rounds.
fn jackknife_margin(without: &[f64], estimate: f64) -> Option<f64> {
    let freedom = without.len().checked_sub(1)?;
    let error = (squares(without) * freedom as f64 / without.len() as f64).sqrt();
    Some(student(freedom)? * part_of(error, estimate)?)
}

fn squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

fn student(freedom: usize) -> Option<f64> {
    Some(STUDENT.get(freedom.checked_sub(1)?).copied().unwrap_or(STUDENT_OF_MANY))
}

fn part_of(error: f64, value: f64) -> Option<f64> {
    (value != 0.0).then(|| error / value.abs())
}

/// What the windows of these rounds cost: the middle one of the quiet ones.
pub(crate) fn cost(rounds: &[&Vec<f64>]) -> Option<f64> {
    let windows: Vec<f64> = rounds.iter().copied().flatten().copied().collect();
    let base = quietest(&windows)?;
    middle_of_quiet(windows.into_iter().map(|cost| (cost / base, cost)).collect())
}

/// A subject's cost and the floor's in each turn of a round.
pub(crate) type Turns = Vec<(f64, f64)>;

/// The ratio to the floor in the turns of these rounds: the middle one of those that were quiet for both.
pub(crate) fn ratio(rounds: &[&Turns]) -> Option<f64> {
    let turns = || rounds.iter().copied().flatten().copied().filter(|(_, floor)| *floor > 0.0);
    let costs = quietest(&turns().map(|(cost, _)| cost).collect::<Vec<_>>())?;
    let floors = quietest(&turns().map(|(_, floor)| floor).collect::<Vec<_>>())?;
    middle_of_quiet(turns().map(|(cost, floor)| ((cost / costs).max(floor / floors), cost / floor)).collect())
}

/// The ratio to the floor where each round is one value, which all turns of it have made together: the mean. The middle of
/// so few jumps from one to the next when a round is left out, and so does what is quiet; then the margin is luck.
pub(crate) fn mean_ratio(rounds: &[&Turns]) -> Option<f64> {
    let turns = rounds.iter().copied().flatten().filter(|(_, floor)| *floor > 0.0);
    let ratios: Vec<f64> = turns.map(|(cost, floor)| cost / floor).collect();
    (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64)
}

/// What the quietest windows cost: the last of the first tenth.
fn quietest(windows: &[f64]) -> Option<f64> {
    let mut sorted = windows.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() as f64 * QUIETEST) as usize).copied()
}

/// The median of those values whose noise, which stands before each, is small; of the few with the least if there are
/// no more.
fn middle_of_quiet(mut values: Vec<(f64, f64)>) -> Option<f64> {
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let quiet = values.partition_point(|(noise, _)| *noise <= NEAR);
    values.truncate(quiet.max(FEW));
    Some(Figure::of(values.into_iter().map(|(_, value)| value).collect())?.median)
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
    fn the_margin_of_samples_is_that_of_student() {
        // The mean of 9, 10 and 11 is 10 ± 4.303 / √3; a median is 1.2533 times as uncertain.
        let margin = Figure::of(vec![9.0, 10.0, 11.0]).expect("samples").margin.expect("three samples");
        assert!((margin - 4.303 / 3f64.sqrt() * 1.2533 / 10.0).abs() < 1e-9, "{margin}");
        assert_eq!(Figure::of(vec![7.0; 5]).expect("samples").margin, Some(0.0));
        assert_eq!(Figure::of(vec![7.0]).expect("a sample").margin, None);
        assert_eq!(Figure::of(vec![-1.0, 1.0]).expect("samples").margin, None, "a part of nothing");
    }

    #[test]
    fn the_margin_of_rounds_is_that_of_the_jackknife() {
        // Of a mean, the jackknife's error is that of Student.
        let mean = |rounds: &[&f64]| Some(rounds.iter().copied().sum::<f64>() / rounds.len() as f64);
        let figure = Figure::of_rounds(&[9.0, 10.0, 11.0], mean).expect("rounds");
        assert_eq!((figure.median, &figure.samples[..]), (10.0, &[9.0, 10.0, 11.0][..]));
        let margin = figure.margin.expect("three rounds");
        assert!((margin - 4.303 / 3f64.sqrt() / 10.0).abs() < 1e-9, "{margin}");
        assert_eq!(Figure::of_rounds(&[9.0], mean).expect("a round").margin, None);
        assert_eq!(Figure::of_rounds(&[], mean), None);
    }

    /// Numbers from 0 to 1 that look like chance and repeat.
    fn dice() -> impl FnMut() -> f64 {
        let mut state = 1u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1u64 << 31) as f64
        }
    }

    /// Nearly normal noise with a deviation of 1: the sum of twelve dice.
    fn normal(die: &mut impl FnMut() -> f64) -> f64 {
        (0..12).map(|_| die()).sum::<f64>() - 6.0
    }

    /// Rounds in which a subject costs `times` the floor. Each launch differs by 0.5 %, each window by 2 %, and half of
    /// the time, for five turns on end, everything costs up to twice as much.
    fn noisy_rounds(die: &mut impl FnMut() -> f64, times: f64) -> Vec<Turns> {
        let round = |_| {
            let (mut noise, launch) = (1.0, 1.0 + 0.005 * normal(die));
            let turn = |index| {
                if index % 5 == 0 {
                    noise = 1.0 + (die() * 2.0 - 1.0).max(0.0);
                }
                let window = |cost: f64, die: &mut _| cost * noise * (1.0 + 0.02 * normal(die));
                (window(100.0 * times * launch, die), window(100.0, die))
            };
            (0..30).map(turn).collect()
        };
        (0..8).map(round).collect()
    }

    #[test]
    fn the_margin_holds_what_it_promises() {
        let mut die = dice();
        let mut held = 0;
        for _ in 0..500 {
            let figure = Figure::of_rounds(&noisy_rounds(&mut die, 1.1), ratio).expect("rounds");
            let margin = figure.margin.expect("eight rounds");
            assert!(margin < 0.05, "{margin}: far more than the noise that is not the machine's");
            held += u32::from((figure.median / 1.1 - 1.0).abs() <= margin);
        }
        assert!(held >= 460, "{held} of 500 intervals have the true ratio");
    }

    #[test]
    fn a_noisy_round_counts_for_little() {
        let mut die = dice();
        let mut rounds = noisy_rounds(&mut die, 1.1);
        let quiet = Figure::of_rounds(&rounds, ratio).expect("rounds");
        // All of it costs three times as much, and the subject a half more yet.
        rounds[3].iter_mut().for_each(|(cost, floor)| (*cost, *floor) = (*cost * 4.5, *floor * 3.0));
        let noisy = Figure::of_rounds(&rounds, ratio).expect("rounds");
        assert!((noisy.median / quiet.median - 1.0).abs() < 0.01, "{noisy:?} {quiet:?}");
        assert!(noisy.margin < Some(0.02), "{noisy:?}");
    }

    #[test]
    fn noise_from_above_does_not_move_a_cost() {
        let cost = |windows: &[f64]| cost(&[&windows.to_vec()]);
        assert_eq!(cost(&[4.0, 4.1, 4.2, 4.3, 4.39, 5.0, 6.0]), Some(4.2));
        assert_eq!(cost(&[4.0, 4.1, 4.2, 4.3, 4.39, 500.0, 60.0]), Some(4.2));
        assert_eq!(cost(&[9.0, 5.0, 3.0, 4.0]), Some(4.0), "a few count in any case");
        assert_eq!((cost(&[1.0, 2.0]), cost(&[])), (Some(1.5), None));
    }

    #[test]
    fn a_ratio_is_made_of_the_turns_that_were_quiet_for_both() {
        let turns = vec![(12.0, 10.0), (90.0, 10.0), (12.6, 10.0), (12.5, 10.0), (12.1, 30.0), (99.0, 30.0)];
        assert_eq!(ratio(&[&turns]), Some(1.25));
        assert_eq!(ratio(&[&vec![(12.0, 10.0)], &vec![(12.0, 10.0), (5.0, 0.0)]]), Some(1.2));
        assert_eq!(ratio(&[]), None);
    }

    #[test]
    fn the_ratio_of_rounds_of_one_value_is_their_mean() {
        let rounds = [vec![(15.0, 10.0)], vec![(20.0, 10.0)], vec![(50.0, 20.0)], vec![(5.0, 0.0)]];
        assert_eq!(mean_ratio(&rounds.each_ref()), Some(2.0));
        assert_eq!(mean_ratio(&[]), None);
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
