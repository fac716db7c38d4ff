//! The order of ticks, microtasks, futures, immediates, timeouts and I/O beside Node's own. The cases are written twice, line
//! by line: in `cases.js`, and here. `node.txt` has what Node 20 says, and a test asks Node itself where it is there.

mod errors;
mod queues;
mod stage;
mod turns;

use stage::Case;
use std::path::Path;
use std::process::Command;

/// A case whose order is another than Node's, on purpose. The module `differences` of async-wrap names each.
struct Difference {
    case: &'static str,
    here: &'static [&'static str],
    why: &'static str,
}

const DIFFERENCES: [Difference; 7] = [
    Difference {
        case: "a timeout that throws",
        here: &[
            "immediate",
            "uncaught: timeout 1",
            "tick of timeout 1",
            "microtask of timeout 1",
            "timeout 2",
        ],
        why: "what a callback has queued before its panic runs first; in Node the next callback does",
    },
    Difference {
        case: "an immediate that throws",
        here: &["uncaught: immediate 1", "tick of immediate 1", "immediate 2"],
        why: "the same",
    },
    Difference {
        case: "an async function that throws, without a handler",
        here: &["uncaught: no disk", "tick 1", "microtask 1", "immediate"],
        why: "a panic passes out of `run` at once; Node waits whether a handler is added",
    },
    Difference {
        case: "a value that is there is awaited",
        here: &["async 1: 1", "async 2: 2", "callback", "microtask"],
        why: "a future that is ready is not waited for; in Node each `await` is a pass through the microtasks",
    },
    Difference {
        case: "an async function awaits another",
        here: &["inner", "outer: 7", "pass 1", "pass 2", "pass 3"],
        why: "a future that is awaited is a part of its task; in Node its return is a pass of its own",
    },
    Difference {
        case: "an async function returns what another promises",
        here: &["inner", "outer", "pass 1", "pass 2", "pass 3", "pass 4", "pass 5"],
        why: "the same; in Node three passes",
    },
    Difference {
        case: "a thousand awaits",
        here: &["immediate", "a thousand"],
        why: "a callback polls at most 64 times; the rest waits for the loop's next turn",
    },
];

fn cases() -> Vec<Case> {
    [queues::CASES, turns::CASES, errors::CASES].concat()
}

/// What Node said in each case.
fn recorded() -> Vec<(&'static str, Vec<&'static str>)> {
    let sections = include_str!("node.txt").split("# ").skip(1);
    sections
        .map(|section| {
            let mut lines = section.lines();
            (lines.next().unwrap_or_default(), lines.collect())
        })
        .collect()
}

#[test]
fn every_case_has_nodes_order_or_is_a_difference_that_is_named() {
    let recorded = recorded();
    let names: Vec<_> = recorded.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        cases().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "the cases of the two programs"
    );
    for ((name, case), (_, nodes)) in cases().into_iter().zip(recorded) {
        let here = stage::play(case);
        match DIFFERENCES.iter().find(|difference| difference.case == name) {
            None => assert_eq!(here, nodes, "{name}"),
            Some(difference) => {
                assert_eq!(here, difference.here, "{name}: {}", difference.why);
                assert_ne!(here, nodes, "{name}: no difference any more");
            }
        }
    }
}

#[test]
fn every_difference_is_documented() {
    let documented = include_str!("../../../async-wrap/src/differences.rs");
    let rows: Vec<_> =
        documented.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next()).collect();
    for Difference { case, .. } in &DIFFERENCES {
        assert!(cases().iter().any(|(name, _)| name == case), "no case: {case}");
        assert!(rows.contains(case), "async-wrap does not document: {case}");
    }
    // The first row is the head of the table.
    assert_eq!(rows.len(), DIFFERENCES.len() + 1, "{rows:?}");
}

#[test]
fn node_says_what_is_recorded() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/order/cases.js");
    match Command::new("node").arg(script).output() {
        Ok(ended) => {
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            assert_eq!(String::from_utf8_lossy(&ended.stdout), include_str!("node.txt"));
        }
        Err(error) => {
            assert!(std::env::var_os("POMELO_TESTS_NEED_NODE").is_none(), "node: {error}");
            println!("skipped: node: {error}");
        }
    }
}
