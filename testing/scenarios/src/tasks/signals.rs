//! Signals that are awaited: each watcher gets each delivery since it watches, once, whichever futures are dropped at their awaits.

use crate::awaits::{Tasks, let_go, some_time};
use crate::core::{dice, one_in};
use async_wrap::Environment;
use async_wrap::task::Signals;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use testing::World;
use uv_core::{Errno, Signal, process};

/// Those that do no harm by default.
const SIGNALS: [i32; 2] = [Signal::SIGCHLD, Signal::SIGWINCH];

/// A watcher, whose task receives the deliveries.
struct Watch {
    signum: i32,
    task: Tasks,
    /// Deliveries since it watches.
    sent: Rc<Cell<u64>>,
    received: Rc<Cell<u64>>,
}

impl Watch {
    /// Fails by a fault.
    fn new(env: &Environment) -> Option<Self> {
        let signum = SIGNALS[dice(2) as usize];
        let signals = env.signal(signum).ok()?;
        assert_eq!(signals.signum(), signum, "the number of a signal");
        let (sent, received) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
        let task = Tasks::default();
        task.spawn(env, receive(env.clone(), signals, Rc::clone(&sent), Rc::clone(&received)));
        Some(Self { signum, task, sent, received })
    }

    fn is_complete(&self) -> bool {
        self.received.get() == self.sent.get()
    }
}

/// Receives until it is dropped.
async fn receive(env: Environment, mut signals: Signals, sent: Rc<Cell<u64>>, received: Rc<Cell<u64>>) {
    // Without the watcher the loop would end.
    let _alive = one_in(3).then(|| {
        signals.unref();
        env.keep_alive()
    });
    loop {
        if one_in(3) {
            env.sleep(some_time()).await;
        }
        if let Some(()) = let_go(&env, signals.recv()).await {
            received.set(received.get() + 1);
            assert!(received.get() <= sent.get(), "a delivery that was not sent");
        }
    }
}

/// Sends a signal to this process. Returns whether it was sent.
fn send(signum: i32) -> bool {
    process::kill(std::process::id().cast_signed(), signum).is_ok()
}

/// Watchers of two loops that come and go, and a program that ends by a signal.
pub(crate) fn signals(world: &World) -> Result<(), String> {
    let (Ok(left), Ok(right)) = (world.environment("left"), world.environment("right")) else {
        return Ok(());
    };
    let mut watches: Vec<Watch> = Vec::new();
    for _ in 0..dice(30) {
        match dice(8) {
            // A new watcher of a loop gets what the loop has not told yet.
            0 | 1 => {
                world.run_until(|| watches.iter().all(Watch::is_complete))?;
                watches.extend(Watch::new(if one_in(2) { &left } else { &right }));
            }
            2 if one_in(2) && !watches.is_empty() => {
                world.run_until(|| watches.iter().all(Watch::is_complete))?;
                let watch = watches.swap_remove(dice(watches.len() as u64) as usize);
                watch.task.abort();
            }
            3..6 => {
                let signum = SIGNALS[dice(2) as usize];
                if send(signum) {
                    let wants = watches.iter().filter(|watch| watch.signum == signum);
                    wants.for_each(|watch| watch.sent.set(watch.sent.get() + 1));
                }
            }
            _ => world.run_for(some_time())?,
        }
    }
    world.run_until(|| watches.iter().all(Watch::is_complete))?;
    world.run_for(some_time())?;
    assert!(watches.iter().all(Watch::is_complete), "a delivery came twice");
    if one_in(2) {
        stop(world, &left)?;
    }
    watches.iter().for_each(|watch| watch.task.abort());
    world.run()
}

/// A program that waits for the signal of its end.
fn stop(world: &World, env: &Environment) -> Result<(), String> {
    // Fails by a fault.
    let stopped = match env.stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => {
            assert!(world.has_met(|_| true), "{error}");
            assert_ne!(error.errno(), Errno::EINVAL, "{error}");
            return Ok(());
        }
    };
    let (task, told) = (Tasks::default(), Rc::new(RefCell::new(Vec::new())));
    let tell = Rc::clone(&told);
    task.spawn(env, async move {
        let signum = stopped.await;
        tell.borrow_mut().push(signum);
    });
    let signum = [Signal::SIGINT, Signal::SIGTERM][dice(2) as usize];
    if send(signum) {
        world.run_until(|| task.are_over())?;
        assert_eq!(*told.borrow(), [signum], "the signal of the end");
    }
    task.abort();
    Ok(())
}
