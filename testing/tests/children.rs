//! Children that a test plays end as real ones do: with their code, by their signals, and uncollected until their parent looks.
#![cfg(upcall_faults)]

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, Explorer, World};
use uv_core::process::{ExitStatus, Process, SpawnOptions, kill};
use uv_core::{Errno, Loop, LoopHandle, Pipe, RunMode, Signal, Timer};

const MOMENT: Duration = Duration::from_millis(10);

const SIGURG: i32 = 23;

/// Runs a scenario without faults. Returns why it failed.
fn failure(scenario: impl Fn(&World) -> Result<(), String>) -> Option<String> {
    let explorer = Explorer::new(move |world: &World| {
        world.calm();
        scenario(world)
    });
    explorer.check(0).err().map(|failure| failure.reason)
}

fn holds(scenario: impl Fn(&World) -> Result<(), String>) {
    assert_eq!(failure(scenario), None);
}

/// A child, and how it ended.
struct Started {
    process: Process,
    status: Rc<Cell<Option<ExitStatus>>>,
}

impl Started {
    fn new(event_loop: &LoopHandle) -> Self {
        let status = Rc::new(Cell::new(None));
        let ended = Rc::clone(&status);
        let on_exit = move |process: &Process, status| {
            ended.set(Some(status));
            process.close();
        };
        let process =
            Process::spawn(event_loop, &SpawnOptions::new("child"), on_exit).expect("without faults");
        Self { process, status }
    }

    fn kill(&self, signum: i32) {
        self.process.kill(signum).expect("the child is there");
    }

    /// The code and the signal.
    fn ended(&self) -> Option<(i32, i32)> {
        self.status.get().map(|status| (status.code, status.signal))
    }
}

/// Starts a child that runs `program`, and lets it come up.
fn start(world: &World, program: impl Fn(&Child<'_>) + 'static) -> Result<Started, String> {
    world.play_children(program);
    let parent = world.event_loop("parent").map_err(|error| error.to_string())?;
    let child = Started::new(&parent);
    world.run_for(MOMENT)?;
    Ok(child)
}

/// Keeps the child's loop alive for an hour.
fn wait(child: &Child<'_>) -> Timer {
    let timer = Timer::new(child.environment().loop_handle());
    let started = timer.start(Duration::from_secs(3_600), Duration::ZERO, |timer: &Timer| timer.close());
    assert!(started.is_ok());
    timer
}

#[test]
fn a_child_ends_with_the_code_that_it_was_told() {
    holds(|world| {
        let child = start(world, |child| child.set_exit_code(7))?;
        world.run()?;
        assert_eq!(child.ended(), Some((7, 0)));
        Ok(())
    });
}

#[test]
fn the_parent_learns_of_the_low_byte_of_a_code() {
    holds(|world| {
        let child = start(world, |child| {
            let exit = child.exit();
            drop(wait(child));
            exit(0x305);
        })?;
        world.run()?;
        assert_eq!(child.ended(), Some((5, 0)));
        Ok(())
    });
}

#[test]
fn a_stopped_child_gets_its_signals_once_it_continues() {
    holds(|world| {
        let child = start(world, |child| drop(wait(child)))?;
        child.kill(Signal::SIGSTOP);
        world.run_for(MOMENT)?;
        child.kill(Signal::SIGTERM);
        world.run_for(MOMENT)?;
        assert_eq!(child.ended(), None, "a stopped child is ended by SIGTERM");
        child.kill(Signal::SIGCONT);
        world.run()?;
        assert_eq!(child.ended(), Some((0, Signal::SIGTERM)));
        Ok(())
    });
}

#[test]
fn sigkill_ends_a_stopped_child_at_once() {
    holds(|world| {
        let child = start(world, |child| drop(wait(child)))?;
        child.kill(Signal::SIGSTOP);
        world.run_for(MOMENT)?;
        child.kill(Signal::SIGTERM);
        child.kill(Signal::SIGKILL);
        world.run()?;
        assert_eq!(child.ended(), Some((0, Signal::SIGKILL)));
        Ok(())
    });
}

#[test]
fn a_child_ignores_by_default_what_real_ones_ignore() {
    holds(|world| {
        let child = start(world, |child| drop(wait(child)))?;
        for signum in [0, Signal::SIGWINCH, Signal::SIGCHLD, SIGURG, Signal::SIGCONT] {
            child.kill(signum);
            world.run_for(MOMENT)?;
            assert_eq!(child.ended(), None, "signal {signum} ends a child that ignores it");
        }
        assert_eq!(child.process.kill(65).map_err(|error| error.errno()), Err(Errno::EINVAL));
        child.kill(Signal::SIGHUP);
        world.run()?;
        assert_eq!(child.ended(), Some((0, Signal::SIGHUP)));
        Ok(())
    });
}

/// The signals that a child's watchers were called for.
type Heard = Rc<RefCell<Vec<i32>>>;

/// A child that watches SIGTERM, and ends with code 3 when it comes.
fn leaves_on_sigterm(child: &Child<'_>, heard: &Heard) {
    let (timer, heard, exit_code) = (wait(child), Rc::clone(heard), 3);
    child.set_exit_code(exit_code);
    let signal = Signal::new(child.environment().loop_handle());
    let started = signal.start(Signal::SIGTERM, move |signal: &Signal, signum| {
        heard.borrow_mut().push(signum);
        timer.close();
        signal.close();
    });
    assert!(started.is_ok());
}

#[test]
fn a_childs_own_watchers_are_called() {
    let heard = Heard::default();
    let hears = Rc::clone(&heard);
    holds(move |world| {
        hears.take();
        let child = start(world, {
            let heard = Rc::clone(&hears);
            move |child| leaves_on_sigterm(child, &heard)
        })?;
        child.kill(Signal::SIGSTOP);
        world.run_for(MOMENT)?;
        // The two are one while they wait.
        child.kill(Signal::SIGTERM);
        child.kill(Signal::SIGTERM);
        world.run_for(MOMENT)?;
        assert!(hears.borrow().is_empty(), "a stopped child runs");
        child.kill(Signal::SIGCONT);
        world.run()?;
        assert_eq!(child.ended(), Some((3, 0)));
        assert_eq!(*hears.borrow(), [Signal::SIGTERM]);
        Ok(())
    });
}

#[test]
fn a_second_signal_ends_a_child_whose_watcher_is_one_shot() {
    holds(|world| {
        let child = start(world, |child| {
            drop(wait(child));
            let signal = Signal::new(child.environment().loop_handle());
            assert!(signal.start_oneshot(Signal::SIGINT, |_: &Signal, _| {}).is_ok());
        })?;
        child.kill(Signal::SIGINT);
        world.run_for(MOMENT)?;
        assert_eq!(child.ended(), None);
        child.kill(Signal::SIGINT);
        world.run()?;
        assert_eq!(child.ended(), Some((0, Signal::SIGINT)));
        Ok(())
    });
}

#[test]
fn a_childs_watcher_does_not_hear_its_parents_signals() {
    let heard = Heard::default();
    holds(move |world| {
        heard.take();
        let child = start(world, {
            let heard = Rc::clone(&heard);
            move |child| {
                drop(wait(child));
                let (signal, heard) = (Signal::new(child.environment().loop_handle()), Rc::clone(&heard));
                let on_signal = move |_: &Signal, signum| heard.borrow_mut().push(signum);
                assert!(signal.start(Signal::SIGWINCH, on_signal).is_ok());
            }
        })?;
        kill(std::process::id().cast_signed(), Signal::SIGWINCH).map_err(|error| error.to_string())?;
        world.run_for(MOMENT)?;
        assert!(heard.borrow().is_empty(), "a child hears of its parent's signal");
        child.kill(Signal::SIGWINCH);
        world.run_for(MOMENT)?;
        assert_eq!(*heard.borrow(), [Signal::SIGWINCH]);
        child.kill(Signal::SIGKILL);
        world.run()
    });
}

#[test]
fn a_child_that_ended_is_there_until_it_is_collected() {
    holds(|world| {
        world.play_children(|_| {});
        // A loop that the world gives no turns to.
        let parent = Loop::new().map_err(|error| error.to_string())?;
        let child = Started::new(&parent);
        world.run_for(MOMENT)?;
        let pid = child.process.pid();
        assert_eq!(child.ended(), None);
        for signum in [0, Signal::SIGTERM] {
            assert!(kill(pid, signum).is_ok(), "an uncollected child is not found by its id");
            assert!(child.process.kill(signum).is_ok(), "an uncollected child is not found by its pidfd");
        }
        parent.run(RunMode::Default).map_err(|error| error.to_string())?;
        assert_eq!(child.ended(), Some((0, 0)));
        assert_eq!(kill(pid, 0).map_err(|error| error.errno()), Err(Errno::ESRCH));
        Ok(())
    });
}

#[test]
fn a_child_without_a_handle_is_collected_when_it_ends() {
    holds(|world| {
        let child = start(world, |child| drop(wait(child)))?;
        child.process.close();
        world.run_for(MOMENT)?;
        let pid = child.process.pid();
        assert!(kill(pid, Signal::SIGTERM).is_ok());
        world.run()?;
        assert_eq!(kill(pid, 0).map_err(|error| error.errno()), Err(Errno::ESRCH));
        Ok(())
    });
}

#[test]
fn a_timer_that_a_child_has_left_is_found() {
    let reason = failure(|world| {
        world.play_children(|child| wait(child).unref());
        let parent = world.event_loop("parent").map_err(|error| error.to_string())?;
        let child = Started::new(&parent);
        world.run()?;
        assert_eq!(child.ended(), Some((0, 0)));
        Ok(())
    });
    let reason = reason.unwrap_or_default();
    assert!(reason.starts_with("a child ends with something left in its loop: "), "{reason:?}");
    assert!(reason.contains("[-A-] timer"), "{reason:?}");
}

#[test]
fn a_handle_that_a_child_has_left_is_found() {
    let reason = failure(|world| {
        let _child = start(world, |child| drop(Pipe::new(child.environment().loop_handle())))?;
        world.run()
    });
    assert!(reason.is_some_and(|reason| reason.contains("left in its loop")));
}

#[test]
fn a_timer_that_is_left_in_a_loop_is_found() {
    let timer_in = |event_loop: &LoopHandle| {
        let timer = Timer::new(event_loop);
        timer.unref();
        timer.start(Duration::from_secs(1), Duration::ZERO, |_: &Timer| {}).map_err(|error| error.to_string())
    };
    let reason = failure(|world| timer_in(&world.event_loop("program").map_err(|error| error.to_string())?));
    assert!(reason.is_some_and(|reason| reason.contains("left in it: program: [-A-] timer")));
    let reason = failure(|world| {
        timer_in(world.environment("program").map_err(|error| error.to_string())?.loop_handle())
    });
    assert!(reason.is_some_and(|reason| reason.contains("left in it: program: [-A-] timer")));
    holds(|world| world.environment("program").map(drop).map_err(|error| error.to_string()));
}

/// Leaves a descriptor and memory.
fn forget_some() {
    std::mem::forget((UnixStream::pair().expect("two descriptors"), vec![0_u8; 5_000]));
}

#[test]
fn what_a_killed_child_leaves_is_the_kernels() {
    holds(|world| {
        let child = start(world, |child| {
            forget_some();
            drop(wait(child));
        })?;
        child.kill(Signal::SIGKILL);
        world.run()
    });
    holds(|world| {
        let _child = start(world, |child| {
            forget_some();
            child.exit()(0);
        })?;
        world.run()
    });
}

#[test]
fn what_a_child_forgets_that_ends_by_itself_is_found() {
    let reason = failure(|world| {
        let _child = start(world, |_| forget_some())?;
        world.run()
    });
    assert_eq!(reason.as_deref(), Some("2 descriptors are left open"));
    let reason = failure(|world| {
        let _child = start(world, |_| std::mem::forget(vec![0_u8; 5_000]))?;
        world.run()
    });
    assert_eq!(reason.as_deref(), Some("5000 bytes of memory are left"));
}

#[test]
fn what_the_parent_of_a_killed_child_forgets_is_found() {
    let reason = failure(|world| {
        let child = start(world, |child| drop(wait(child)))?;
        forget_some();
        child.kill(Signal::SIGKILL);
        world.run()
    });
    assert_eq!(reason.as_deref(), Some("2 descriptors are left open"));
}
