//! Child processes that are played in this thread: their output, their end, signals to them, and handles that close first.

use super::{byte_at, bytes_at, dice, one_in};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, World};
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio, kill as kill_by_pid};
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, LoopHandle, Pipe, Result, Signal, Stream, Timer};

/// What a child has done.
#[derive(Default)]
struct Done {
    /// Bytes of its output that were taken.
    written: Cell<u64>,
    /// The code that it ends with by itself.
    code: Cell<i32>,
    has_failed: Cell<bool>,
}

type Children = Rc<RefCell<BTreeMap<i32, Rc<Done>>>>;

/// A child as its parent sees it.
#[derive(Default)]
struct Known {
    exits: Cell<u64>,
    signals: RefCell<Vec<i32>>,
    received: Cell<u64>,
    has_ended: Cell<bool>,
    has_failed: Cell<bool>,
}

/// Children that write, read until their input ends, and end before or after that.
pub(crate) fn output_and_end(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("parent") else { return Ok(()) };
    let children = Children::default();
    let plays = Rc::clone(&children);
    world.play_children(move |child| play(child, &plays));
    let mut all = Vec::new();
    for _ in 0..=dice(3) {
        if let Some(started) = start(&event_loop) {
            all.push(started);
        }
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    for _ in 0..dice(12) {
        let Some((process, input, _, known)) = all.get(dice(all.len() as u64) as usize) else { break };
        match dice(8) {
            0 => kill(process, known),
            1 if one_in(4) => process.close(),
            2 => input.close(),
            3 => drop(input.write(vec![0; dice(500) as usize])),
            _ => world.run_for(Duration::from_micros(1 + dice(3_000)))?,
        }
    }
    for (process, input, _, known) in &all {
        input.close();
        if known.signals.borrow().contains(&Signal::SIGSTOP) {
            // A stopped child does not end. Its handle may be closed. Fails if it has ended.
            let _ = kill_by_pid(process.pid(), Signal::SIGCONT);
        }
    }
    world.run_until(|| {
        all.iter().all(|(process, _, output, known)| {
            let has_output = known.has_ended.get() || known.has_failed.get() || output.is_closing();
            (process.is_closing() || known.exits.get() > 0) && has_output
        })
    })?;
    for (process, _, output, _) in &all {
        process.close();
        output.close();
    }
    world.run()?;
    // A child may hear of a failure later than its parent.
    for (process, _, _, known) in &all {
        check(process, known, children.borrow().get(&process.pid()));
    }
    Ok(())
}

fn check(process: &Process, known: &Known, done: Option<&Rc<Done>>) {
    assert!(known.exits.get() <= 1, "on_exit twice");
    let Some(done) = done else { return };
    let received = known.received.get();
    assert!(received <= done.written.get(), "more output than the child has written");
    let is_killed = known.signals.borrow().iter().any(|signal| is_deadly(*signal));
    if known.has_ended.get() && !known.has_failed.get() && !done.has_failed.get() && !is_killed {
        assert_eq!(received, done.written.get(), "output of child {} is lost", process.pid());
    }
}

fn is_deadly(signal: i32) -> bool {
    signal != Signal::SIGSTOP && signal != Signal::SIGCONT && signal != 0
}

fn start(event_loop: &LoopHandle) -> Option<(Process, Pipe, Pipe, Rc<Known>)> {
    let (input, output) = (Pipe::new(event_loop), Pipe::new(event_loop));
    let known = Rc::new(Known::default());
    output.set_upcall(Output(Rc::clone(&known)));
    let slots = [Stdio::Pipe(input.clone()), Stdio::Pipe(output.clone()), Stdio::Ignore];
    let exits = Rc::clone(&known);
    let spawned = Process::spawn(
        event_loop,
        &SpawnOptions::new("child").env_clear().stdio(slots),
        move |process: &Process, status| exited(process, status, &exits),
    );
    let Ok(process) = spawned else {
        input.close();
        output.close();
        return None;
    };
    if output.read_start().is_err() {
        known.has_failed.set(true);
    }
    Some((process, input, output, known))
}

fn exited(process: &Process, status: ExitStatus, known: &Known) {
    known.exits.set(known.exits.get() + 1);
    assert!(!process.is_closing(), "on_exit of a closed handle");
    let signals = known.signals.borrow();
    match status.signal {
        0 => assert!(status.code == 0 || status.code == 7 || status.code == 1, "another code"),
        signal => assert!(signals.contains(&signal), "ended by signal {signal}, which was not sent"),
    }
    assert_eq!(process.kill(0).map_err(|error| error.errno()), Err(Errno::ESRCH), "an ended child is there");
    if one_in(3) {
        process.close();
    }
}

fn kill(process: &Process, known: &Known) {
    let signals = [0, Signal::SIGTERM, Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGCONT];
    let signum = signals[dice(5) as usize];
    match process.kill(signum) {
        Ok(()) => {
            assert!(!process.is_closing(), "a signal through a closed handle");
            known.signals.borrow_mut().push(signum);
        }
        Err(error) => {
            assert!(matches!(error.errno(), Errno::ESRCH | Errno::EPERM), "{error}");
        }
    }
}

/// The parent's end of a child's output.
struct Output(Rc<Known>);

impl StreamUpcall for Output {
    fn on_read(&mut self, _: &Stream, data: &[u8]) {
        let place = self.0.received.get();
        for (place, byte) in (place..).zip(data) {
            assert_eq!(*byte, byte_at(1, place), "the output is not what was written");
        }
        self.0.received.set(place + data.len() as u64);
    }

    fn on_end(&mut self, stream: &Stream) {
        self.0.has_ended.set(true);
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        self.0.has_failed.set(true);
        stream.close();
    }
}

/// The program of a child.
fn play(child: &Child<'_>, children: &Children) {
    let done = Rc::new(Done::default());
    children.borrow_mut().insert(child.pid(), Rc::clone(&done));
    let event_loop = child.environment().loop_handle();
    done.code.set(if one_in(2) { 7 } else { 0 });
    child.set_exit_code(done.code.get());
    let (Some(stdin), Some(stdout)) = (child.take_fd(0), child.take_fd(1)) else {
        panic!("a child without its descriptors")
    };
    let (input, output) = (Pipe::new(event_loop), Pipe::new(event_loop));
    output.set_upcall(Writes(Rc::clone(&done)));
    input.set_upcall(Reads);
    if output.open(stdout).is_err() || input.open(stdin).is_err() {
        done.has_failed.set(true);
        event_loop.close_all();
        return;
    }
    for _ in 0..dice(4) {
        let len = dice(60_000);
        if output.write(bytes_at(1, done.written.get(), len)).is_ok() {
            done.written.set(done.written.get() + len);
        }
    }
    if output.shutdown().is_err() {
        done.has_failed.set(true);
        output.close();
    }
    match dice(3) {
        // Ends by itself, after its output at the earliest.
        0 => input.close(),
        1 => {
            let timer = Timer::new(event_loop);
            let after = Duration::from_micros(dice(5_000));
            let started = timer.start(after, Duration::ZERO, move |timer: &Timer| {
                timer.close();
                input.close();
            });
            assert!(started.is_ok());
        }
        _ if input.read_start().is_ok() => {}
        _ => input.close(),
    }
}

struct Writes(Rc<Done>);

impl StreamUpcall for Writes {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        self.0.has_failed.set(true);
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        if result.is_err() {
            self.0.has_failed.set(true);
            stream.close();
        }
    }

    fn on_shutdown(&mut self, stream: &Stream, result: Result<()>) {
        if result.is_err() {
            self.0.has_failed.set(true);
        }
        stream.close();
    }
}

/// Reads the input to its end.
struct Reads;

impl StreamUpcall for Reads {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }
}
