//! Random operations under a seed, for tests that compare code with a plain model of it. The tests of several crates
//! include this file.
//!
//! A failure names its seed as the thread: `thread 'seed 17' panicked`. `UPCALL_SEEDS=17` runs this seed alone,
//! `UPCALL_SEEDS=0..100000` many more than an ordinary run, as in `upcall-testing`. There is no crate for this: what comes next depends on what
//! an upcall has done, so there is no list of operations that could be made shorter, and a test whose seed is small and
//! fixed needs no file of failures.

use std::ops::Range;
use std::{env, panic, thread};

/// Pseudo-random numbers (splitmix64), the same for the same seed.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        (self.next() % sides as u64) as usize
    }
}

/// Runs `model` with each of so many seeds, or with those of `UPCALL_SEEDS`.
pub(crate) fn each_seed(usual: u64, model: impl Fn(Dice) + Copy + Send + 'static) {
    for seed in seeds().unwrap_or(0..usual) {
        let name = thread::Builder::new().name(format!("seed {seed}"));
        let run = name.spawn(move || model(Dice(seed))).expect("a thread");
        run.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

fn seeds() -> Option<Range<u64>> {
    let words = env::var_os("UPCALL_SEEDS")?;
    let words = words.to_string_lossy();
    let number = |word: &str| word.trim().parse::<u64>().ok();
    let range = match words.split_once("..") {
        Some((from, to)) => number(from).zip(number(to)),
        None => number(&words).and_then(|seed| Some((seed, seed.checked_add(1)?))),
    };
    let range = range.filter(|(from, to)| from < to);
    let (from, to) = range
        .unwrap_or_else(|| panic!("UPCALL_SEEDS is {words:?}, but has to be one seed, as in 17, or 0..1000"));
    Some(from..to)
}
