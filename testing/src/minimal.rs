//! The smallest set of faults with which a run still fails, by leaving out halves, quarters and so on (delta debugging).

/// Runs that are tried at most: a scenario of many seconds must not be run without end.
const TRIES: u32 = 1_000;

/// A part of what a run fails with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Smallest<T> {
    pub(crate) kept: Vec<T>,
    /// It fails with each one of these only. Otherwise the tries ran out.
    pub(crate) is_proven: bool,
}

/// Looks for a part of `all` from which no single one can be left out. `fails` runs with what it gets, and returns those that
/// the run has met if it fails in the same way.
pub(crate) fn minimal<T: Clone>(all: &[T], mut fails: impl FnMut(&[T]) -> Option<Vec<T>>) -> Smallest<T> {
    if fails(&[]).is_some() {
        return Smallest { kept: Vec::new(), is_proven: true };
    }
    let mut kept = all.to_vec();
    let mut chunk = kept.len().div_ceil(2);
    let mut tries = 0;
    loop {
        let mut is_smaller = false;
        let mut at = 0;
        while at < kept.len() {
            if tries == TRIES {
                return Smallest { kept, is_proven: false };
            }
            tries += 1;
            let mut fewer = kept.clone();
            fewer.drain(at..(at + chunk).min(kept.len()));
            match fails(&fewer) {
                // Others may not be met either without those that were left out.
                Some(met) if met.len() <= fewer.len() => (kept, is_smaller) = (met, true),
                _ => at += chunk,
            }
        }
        // A fault that was needed beside a later one may not be any more: only a whole pass without success ends this.
        if chunk <= 1 && !is_smaller {
            return Smallest { kept, is_proven: true };
        }
        chunk = (chunk / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[u32], fails: impl Fn(&[u32]) -> bool) -> Smallest<u32> {
        minimal(all, |some| fails(some).then(|| some.to_vec()))
    }

    #[test]
    fn what_is_needed_only_beside_a_later_one_is_left_out_with_it() {
        // The 1 can be left out only once the 2 is: a single pass keeps it.
        let fails = |some: &[u32]| some.contains(&3) && (!some.contains(&2) || some.contains(&1));
        assert_eq!(of(&[1, 2, 3], fails), Smallest { kept: vec![3], is_proven: true });
    }

    #[test]
    fn some_of_many_are_found() {
        let all: Vec<u32> = (0..200).collect();
        let smallest = of(&all, |some| [17, 120, 199].iter().all(|one| some.contains(one)));
        assert_eq!(smallest, Smallest { kept: vec![17, 120, 199], is_proven: true });
        assert_eq!(of(&all, |_| true), Smallest { kept: Vec::new(), is_proven: true });
        assert_eq!(of(&[], |_| false), Smallest { kept: Vec::new(), is_proven: true });
    }

    #[test]
    fn the_search_ends_and_says_that_it_was_cut_short() {
        let all: Vec<u32> = (0..2_000).collect();
        let smallest = of(&all, |some| some.len() == 2_000);
        assert_eq!((smallest.kept.len(), smallest.is_proven), (2_000, false));
    }

    #[test]
    fn what_is_not_met_any_more_is_left_out_at_once() {
        // The 2 is met only behind the 1.
        let smallest = minimal(&[1, 2, 3], |some: &[u32]| {
            let met = some.iter().copied().filter(|one| *one != 2 || some.contains(&1));
            some.contains(&3).then(|| met.collect())
        });
        assert_eq!(smallest, Smallest { kept: vec![3], is_proven: true });
    }
}
