//! The program of a played server, and the manners that the seed gives it: slow, deaf to SIGTERM, or crashing.

use super::facts::{Facts, Process};
use ::pomelo::upcall::Component;
use ::pomelo::{AppEvent, Application, Completion, Options};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use testing::Child;
use uv_core::{Signal, faults};

/// The time limit of a server's own stop: longer than any of its components takes.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// The times of a server that is quick enough for its master, whatever is late.
const QUICK: u64 = 500;

/// What the servers of a scenario do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manners {
    /// They start and stop at once.
    Plain,
    /// Some take seconds, and SIGTERM stops some or is ignored.
    Various,
}

/// Starts and stops slowly.
struct Slow {
    start: Duration,
    stop: Duration,
}

impl Component for Slow {
    fn on_start(&mut self, app: &Application, done: Completion) {
        app.environment().set_timeout(self.start, move || done.ok(()));
    }

    fn on_stop(&mut self, app: &Application, _: bool, done: Completion) {
        app.environment().set_timeout(self.stop, move || done.ok(()));
    }
}

/// A number below `bound` that the seed decides.
fn choose(bound: u64) -> u64 {
    faults::choose("manners of a server", bound)
}

/// The application of a child, which is being started. Nothing if it could not be made: the child ends then.
pub(super) fn play(child: &Child<'_>, base: &Path, facts: &Facts, manners: Manners) -> Option<Application> {
    let id = child.args().iter().find_map(|arg| arg.strip_prefix("id=")).unwrap_or_default();
    let process = facts.begin(id, child.pid());
    let exit = child.exit();
    let options = Options::new(base).args(&child.args()[1..]).stop_limit(STOP_LIMIT).on_exit(child.exit());
    let Ok(app) = Application::new(child.environment(), options) else {
        exit(1);
        return None;
    };
    process.listen(&app);
    if manners == Manners::Various {
        take_on(child, &app, &process);
    }
    // As in `main`: a server that cannot start ends.
    app.start(move |result| {
        if result.is_err() {
            exit(1);
        }
    });
    Some(app)
}

fn take_on(child: &Child<'_>, app: &Application, process: &Rc<Process>) {
    let time = || match choose(4) {
        0 => Duration::from_millis(choose(10_000)),
        1 => Duration::from_millis(choose(QUICK)),
        _ => Duration::ZERO,
    };
    let slow = Slow { start: time(), stop: time() };
    process.may_linger.set(slow.stop > Duration::from_millis(QUICK));
    app.load("slow", slow).expect("the first of its name");
    let is_deaf = match choose(4) {
        0 => true,
        1 => false,
        _ => return,
    };
    let signal = Signal::new(child.environment().loop_handle());
    let stopping = app.clone();
    let act = move |signal: &Signal, _: i32| {
        if !is_deaf {
            signal.close();
            stopping.stop(true);
        }
    };
    // Refused by a fault: then it has the manners of the others.
    if signal.start(Signal::SIGTERM, act).is_err() {
        return signal.close();
    }
    signal.unref();
    if is_deaf {
        process.may_linger.set(true);
    }
}

/// Has a server that is up end by itself after a time, with a code that is no success.
pub(super) fn crash_after(app: &Application, life: Duration, exit: impl Fn(i32) + 'static) {
    let mut exit = Some(exit);
    app.on(move |app: &Application, event: &AppEvent| {
        if let AppEvent::StartServer(_) = event
            && let Some(exit) = exit.take()
        {
            app.environment().set_timeout(life, move || exit(7));
        }
    });
}
