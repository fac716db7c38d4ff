//! Idle, prepare and check watchers.

mod common;

use common::*;
use std::cell::RefCell;
use std::rc::Rc;
use uv_core::{Check, Errno, Idle, Prepare, RunMode};

fn log_as(log: &Log, name: &'static str) -> impl FnMut(&Check) + 'static + use<> {
    let log = log.clone();
    move |_: &Check| log.add(name)
}

// libuv: queue_foreach_delete, loop_handles
#[test]
fn a_watcher_may_stop_or_close_itself_and_others_and_the_rest_run_once() {
    let event_loop = test_loop();
    let log = Log::new();
    let watchers: Rc<RefCell<Vec<Check>>> = Rc::default();
    for (index, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let (log, all) = (log.clone(), Rc::clone(&watchers));
        let check = Check::new(&event_loop);
        check
            .start(move |check: &Check| {
                log.add(name);
                match index {
                    // The watcher started last runs first: it stops itself and closes the next one.
                    4 => {
                        check.stop();
                        all.borrow()[3].close();
                    }
                    2 => check.close(),
                    _ => {}
                }
            })
            .expect("start");
        watchers.borrow_mut().push(check);
    }
    event_loop.turn();
    assert_eq!(log.take(), ["e", "c", "b", "a"]);
    event_loop.turn();
    assert_eq!(log.take(), ["b", "a"]);
    watchers.borrow_mut().clear();
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn watchers_of_a_kind_run_in_the_reverse_order_of_their_starts() {
    let event_loop = test_loop();
    let log = Log::new();
    for name in ["first", "second", "third"] {
        Check::new(&event_loop).start(log_as(&log, name)).expect("start");
    }
    event_loop.turn();
    assert_eq!(log.take(), ["third", "second", "first"]);
    event_loop.close_and_finish();
}

// unpinned in libuv
#[test]
fn starting_a_started_watcher_keeps_the_old_callback() {
    let event_loop = test_loop();
    let log = Log::new();
    let check = Check::new(&event_loop);
    check.start(log_as(&log, "old")).expect("start");
    assert_eq!(check.start(log_as(&log, "new")), Ok(()));
    event_loop.turn();
    check.stop();
    check.stop();
    check.start(log_as(&log, "new")).expect("start");
    event_loop.turn();
    assert_eq!(log.take(), ["old", "new"]);
    event_loop.close_and_finish();
}

#[test]
fn one_stopped_and_started_again_during_its_phase_waits_for_the_next_iteration() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = (Check::new(&event_loop), Check::new(&event_loop));
    a.start(log_as(&log, "a")).expect("start");
    let (other, seen) = (a, log.clone());
    b.start(move |b: &Check| {
        seen.add("b");
        for watcher in [&other, b] {
            watcher.stop();
            watcher.start(log_as(&seen, "again")).expect("start");
        }
    })
    .expect("start");
    event_loop.turn();
    assert_eq!(log.take(), ["b"]);
    event_loop.turn();
    assert_eq!(log.take(), ["again", "again"], "the replaced callback takes over");
    event_loop.close_and_finish();
}

// libuv: active
#[test]
fn a_closing_watcher_is_inactive_and_does_not_start() {
    let event_loop = test_loop();
    let (idle, prepare) = (Idle::new(&event_loop), Prepare::new(&event_loop));
    idle.start(|_: &Idle| {}).expect("start");
    assert!(idle.is_active());
    idle.close();
    prepare.close();
    assert!(!idle.is_active() && idle.is_closing());
    assert_eq!(errno(idle.start(|_: &Idle| {})), Errno::EINVAL);
    assert_eq!(errno(prepare.start(|_: &Prepare| {})), Errno::EINVAL);
    event_loop.finish();
}

#[test]
fn the_three_kinds_run_in_their_phases_of_every_iteration() {
    let event_loop = test_loop();
    let log = Log::new();
    let (a, b) = (log.clone(), log.clone());
    Check::new(&event_loop).start(log_as(&log, "check")).expect("start");
    Prepare::new(&event_loop).start(move |_: &Prepare| a.add("prepare")).expect("start");
    Idle::new(&event_loop).start(move |_: &Idle| b.add("idle")).expect("start");
    for _ in 0..2 {
        assert_eq!(event_loop.run(RunMode::Once), Ok(true));
        assert_eq!(log.take(), ["idle", "prepare", "check"]);
    }
    event_loop.close_and_finish();
}
