//! Scenarios of `async-wrap`: random programs of tasks on two loops, against a model that knows how each task ends, what it
//! returns, and which values it has; and what the environment has to await.

mod gate;
mod program;
mod requests;
mod signals;
mod steps;
mod watched;

pub(crate) use self::requests::requests;
pub(crate) use self::signals::signals;

use self::gate::{Gate, Gates};
use self::program::{Handle, Panic, Program};
use crate::core::{dice, one_in};
use crate::net::hooks::Ledger;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use testing::World;

/// The longest pause between two acts from outside.
const PAUSE: u64 = 4_000;

/// Tasks that spawn, join and abort each other, sleep, and wake each other from the pool, from other loops and other threads. Each
/// ends once, its handle tells its end, and it is polled when it was woken, with its values. A loop that is dropped, and an
/// environment that is closed, drop them all.
pub(crate) fn tasks(world: &World) -> Result<(), String> {
    let (Ok(here), Ok(there)) = (world.environment("here"), world.environment("there")) else {
        return Ok(());
    };
    let gates: Gates = Rc::new((0..3).map(|_| Gate::default()).collect());
    let programs = [Program::new(&here, &gates, 0), Program::new(&there, &gates, 1_000)];
    let ledgers = one_in(2).then(|| [Ledger::open(&here), Ledger::open(&there)]);
    let caught = Caught::default();
    for _ in 0..1 + dice(60) {
        programs[dice(2) as usize].act();
        programs.iter().for_each(|program| program.check_outside());
        if one_in(2) {
            let time = Duration::from_micros(1 + dice(PAUSE));
            caught.during(|| world.run_for(time))?;
        }
    }
    match dice(8) {
        0 => {
            programs[0].drops();
            world.kill_loop(here.loop_handle());
            assert!(programs[0].have_ended(), "a dropped loop keeps tasks");
        }
        1 => {
            programs[0].drops();
            here.close();
        }
        _ => {}
    }
    programs.iter().for_each(|program| program.is_over.set(true));
    gates.iter().for_each(|gate| gate.open_for_good(&there));
    caught.during(|| world.run_until(|| programs.iter().all(|program| program.have_ended())))?;
    caught.during(|| world.run())?;
    for (index, program) in programs.iter().enumerate() {
        check(program, &caught.0.borrow());
        if let Some(ledgers) = ledgers.as_ref().filter(|_| !program.is_dropped()) {
            ledgers[index].check()?;
        }
    }
    gates.iter().for_each(Gate::clear);
    Ok(())
}

/// The panics that came out of a loop, by the numbers of their tasks.
#[derive(Default)]
struct Caught(RefCell<Vec<usize>>);

impl Caught {
    /// Runs loops until no panic interrupts them.
    fn during(&self, run: impl Fn() -> Result<(), String>) -> Result<(), String> {
        loop {
            match catch_unwind(AssertUnwindSafe(&run)) {
                Ok(result) => return result,
                Err(panic) => match panic.downcast::<Panic>() {
                    Ok(panic) => self.0.borrow_mut().push(panic.0),
                    Err(other) => resume_unwind(other),
                },
            }
        }
    }
}

/// Once everything has ended.
fn check(program: &Program, caught: &[usize]) {
    for mut held in program.held.take() {
        let record = Rc::clone(&held.record);
        let Handle::Join(handle) = &mut held.handle else { continue };
        assert!(handle.is_finished(), "the handle of task {} does not know its end", record.number);
        match pin!(handle).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => record.check(outcome),
            Poll::Pending => panic!("the handle of task {} has no outcome", record.number),
        }
    }
    program.records.borrow().iter().for_each(|record| record.check_end(caught));
    let calls = program.due_calls.get();
    assert!(calls == 0 || program.is_dropped(), "{calls} callbacks were not called");
}
