//! Which upstream gets a request, and which is left out. The choice is private to the crate, and depends on nothing of it, so
//! its file is compiled into this test.

#[path = "../../tests/shared/seeds.rs"]
mod seeds;
#[path = "../src/proxy/upstreams.rs"]
mod upstreams;

use seeds::{Dice, each_seed};
use std::time::Duration;
use upstreams::Outcome::{Answered, Failed, Unknown};
use upstreams::{Health, Tried, Upstreams};

const PAUSE: Duration = Duration::from_secs(10);

fn of(count: usize) -> Upstreams {
    Upstreams::new(count, Health { max_failures: 1, pause: PAUSE })
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The upstream of a new request.
fn choose(upstreams: &mut Upstreams, now: Duration) -> usize {
    upstreams.choose(&mut Tried::default(), now).expect("an upstream")
}

/// A request that is over at once.
fn send(upstreams: &mut Upstreams, now: Duration) -> usize {
    let index = choose(upstreams, now);
    upstreams.release(index, Answered, now);
    index
}

#[test]
fn the_least_used_one_gets_a_request_and_equals_take_turns() {
    let mut upstreams = of(3);
    let chosen: Vec<usize> = (0..6).map(|_| send(&mut upstreams, at(0))).collect();
    assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
    // A slow upstream gets nothing while others have less to do.
    let slow = choose(&mut upstreams, at(0));
    let chosen: Vec<usize> = (0..20).map(|_| send(&mut upstreams, at(0))).collect();
    assert!(!chosen.contains(&slow), "{chosen:?}");
}

#[test]
fn a_failed_one_is_left_out_for_its_pause_and_then_tried_by_one_request() {
    let mut upstreams = of(2);
    assert_eq!(choose(&mut upstreams, at(0)), 0);
    assert!(upstreams.release(0, Failed, at(0)), "this failure has it left out");
    for second in 0..10 {
        assert_eq!(send(&mut upstreams, at(second)), 1);
    }
    // One request tries it. Until that has ended no other is sent there.
    assert_eq!(choose(&mut upstreams, at(10)), 0);
    assert_eq!((choose(&mut upstreams, at(10)), choose(&mut upstreams, at(11))), (1, 1));
    assert!(!upstreams.release(0, Failed, at(11)), "it was left out already");
    assert_eq!((choose(&mut upstreams, at(20)), choose(&mut upstreams, at(21))), (1, 0));
    upstreams.release(0, Answered, at(22));
    assert_eq!(
        (choose(&mut upstreams, at(22)), choose(&mut upstreams, at(22))),
        (0, 0),
        "it has least to do"
    );
}

#[test]
fn a_client_that_leaves_tells_nothing_of_an_upstream() {
    let mut upstreams = of(1);
    for _ in 0..3 {
        let index = choose(&mut upstreams, at(0));
        assert!(!upstreams.release(index, Unknown, at(0)));
    }
    // A request that tried it behind its pause lets the next one try.
    let mut upstreams = of(2);
    choose(&mut upstreams, at(0));
    upstreams.release(0, Failed, at(0));
    assert_eq!(choose(&mut upstreams, at(10)), 0);
    upstreams.release(0, Unknown, at(10));
    assert_eq!(choose(&mut upstreams, at(10)), 0);
}

#[test]
fn only_failures_in_a_row_count() {
    let mut upstreams = Upstreams::new(2, Health { max_failures: 3, pause: PAUSE });
    for outcome in [Failed, Failed, Answered, Failed, Failed] {
        let mut tried = Tried::default();
        while upstreams.choose(&mut tried, at(0)) != Some(0) {
            upstreams.release(1, Answered, at(0));
        }
        assert!(!upstreams.release(0, outcome, at(0)), "{outcome:?}");
    }
}

#[test]
fn if_all_are_left_out_the_one_whose_pause_is_over_first_is_tried() {
    let mut upstreams = of(3);
    for (second, index) in [(0, 0), (2, 1), (1, 2)] {
        let mut tried = Tried::default();
        while let Some(chosen) = upstreams.choose(&mut tried, at(second)) {
            upstreams.release(chosen, if chosen == index { Failed } else { Unknown }, at(second));
        }
    }
    assert_eq!(choose(&mut upstreams, at(3)), 0);
}

#[test]
fn a_request_is_sent_to_each_upstream_once() {
    let mut upstreams = of(64);
    let mut tried = Tried::default();
    let mut chosen: Vec<usize> = std::iter::from_fn(|| upstreams.choose(&mut tried, at(0))).collect();
    chosen.sort_unstable();
    assert_eq!(chosen, (0..64).collect::<Vec<_>>());
}

/// Random requests and failures: every request gets an upstream, and a working one is never passed over for one left out.
#[test]
fn random_choices_keep_the_rules() {
    each_seed(500, |mut dice: Dice| {
        let count = 1 + dice.roll(5);
        let mut upstreams = of(count);
        let (mut now, mut under_way, mut left_out) = (at(0), Vec::new(), vec![None; count]);
        for _ in 0..200 {
            now += Duration::from_millis(dice.roll(3000) as u64);
            if under_way.is_empty() || dice.roll(2) == 0 {
                let index = choose(&mut upstreams, now);
                let works = |at: usize| left_out[at].is_none_or(|until| until <= now);
                assert!(
                    works(index) || !(0..count).any(|at| left_out[at].is_none()),
                    "{index} of {left_out:?}"
                );
                under_way.push(index);
            } else {
                let index = under_way.swap_remove(dice.roll(under_way.len()));
                let outcome = [Answered, Failed, Unknown][dice.roll(3)];
                upstreams.release(index, outcome, now);
                match outcome {
                    Answered => left_out[index] = None,
                    Failed => left_out[index] = Some(now + PAUSE),
                    Unknown => {}
                }
            }
        }
    });
}
