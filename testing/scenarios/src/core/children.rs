//! Child processes that are played in this thread: their output, their code, signals to them, and handles that close first.

use super::fate::Fate;
use super::{byte_at, bytes_at, dice, one_in};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use testing::{Child, World};
use uv_core::process::{ExitStatus, Process, SpawnOptions, Stdio, kill as kill_by_pid};
use uv_core::upcall::StreamUpcall;
use uv_core::{Errno, Error, LoopHandle, Pipe, Result, Signal, Stream, Timer};

/// The code of a child that cannot come up.
const NO_START: i32 = 1;

/// Codes below this are drawn: some have more than the byte that the parent learns.
const CODES: u64 = 1_000;

/// What a child has done.
#[derive(Default)]
struct Done {
    /// Bytes of its output that were taken.
    written: Cell<u64>,
    /// The code that it ends with by itself.
    code: Cell<i32>,
    has_failed: Cell<bool>,
    /// It stays until SIGTERM, which it handles once.
    stays: Cell<bool>,
    /// It called `exit(3)`, with or without its output.
    has_exited: Cell<bool>,
    /// Its handles that keep it alive.
    lives: Cell<u64>,
}

/// A handle of the child that keeps it alive, from its first to its last moment.
struct Life(Rc<Done>);

impl Life {
    fn new(done: &Rc<Done>) -> Self {
        done.lives.set(done.lives.get() + 1);
        Self(Rc::clone(done))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.lives.set(self.0.lives.get() - 1);
    }
}

type Children = Rc<RefCell<BTreeMap<i32, Rc<Done>>>>;

/// A child as its parent sees it.
struct Known {
    process: Process,
    input: Pipe,
    output: Pipe,
    story: Rc<Story>,
}

/// What the parent has done and seen.
#[derive(Default)]
struct Story {
    exits: Cell<u64>,
    fate: RefCell<Fate>,
    received: Cell<u64>,
    has_ended: Cell<bool>,
    has_failed: Cell<bool>,
    /// What the child does.
    children: Children,
}

/// Children that write, read until their input ends, and end before or after that.
pub(crate) fn output_and_end(world: &World) -> Result<(), String> {
    let Ok(event_loop) = world.event_loop("parent") else { return Ok(()) };
    let children = Children::default();
    let plays = Rc::clone(&children);
    world.play_children(move |child| play(child, &plays));
    let mut all = Vec::new();
    for _ in 0..=dice(3) {
        if let Some(started) = start(&event_loop, &children) {
            all.push(started);
        }
        if one_in(2) {
            world.run_for(Duration::from_micros(1 + dice(2_000)))?;
        }
    }
    for _ in 0..dice(12) {
        let Some(known) = all.get(dice(all.len() as u64) as usize) else { break };
        match dice(8) {
            0..3 => known.kill(),
            3 if one_in(4) => known.process.close(),
            4 => known.input.close(),
            5 => drop(known.input.write(vec![0; dice(500) as usize])),
            _ => world.run_for(Duration::from_micros(1 + dice(3_000)))?,
        }
    }
    // The last one comes up.
    world.run_for(Duration::from_micros(1))?;
    all.iter().for_each(Known::let_end);
    world.run_until(|| all.iter().all(Known::is_over))?;
    for known in &all {
        known.process.close();
        known.output.close();
    }
    world.run()?;
    // A child may hear of a failure later than its parent.
    all.iter().for_each(Known::check);
    Ok(())
}

fn start(event_loop: &LoopHandle, children: &Children) -> Option<Known> {
    let (input, output) = (Pipe::new(event_loop), Pipe::new(event_loop));
    let story = Rc::new(Story { children: Rc::clone(children), ..Story::default() });
    output.set_upcall(Output(Rc::clone(&story)));
    let slots = [Stdio::Pipe(input.clone()), Stdio::Pipe(output.clone()), Stdio::Ignore];
    let exits = Rc::clone(&story);
    let spawned = Process::spawn(
        event_loop,
        &SpawnOptions::new("child").env_clear().stdio(slots),
        move |process: &Process, status| exits.exited(process, status),
    );
    let Ok(process) = spawned else {
        input.close();
        output.close();
        return None;
    };
    if output.read_start().is_err() {
        story.has_failed.set(true);
    }
    Some(Known { process, input, output, story })
}

impl Known {
    fn done(&self) -> Option<Rc<Done>> {
        self.story.children.borrow().get(&self.process.pid()).cloned()
    }

    /// A signal, which a fault may refuse.
    fn kill(&self) {
        let signums = [
            0,
            Signal::SIGTERM,
            Signal::SIGKILL,
            Signal::SIGSTOP,
            Signal::SIGSTOP,
            Signal::SIGCONT,
            Signal::SIGCONT,
            Signal::SIGWINCH,
            Signal::SIGCHLD,
            Signal::SIGHUP,
            Signal::SIGQUIT,
        ];
        let signum = signums[dice(signums.len() as u64) as usize];
        match self.process.kill(signum) {
            Ok(()) => {
                assert!(!self.process.is_closing(), "a signal through a closed handle");
                self.sent(signum);
            }
            Err(error) if error.errno() == Errno::ESRCH => {
                let is_there = self.done().is_some_and(|done| done.lives.get() > 0);
                assert!(self.process.is_closing() || !is_there, "a child that runs is not found");
            }
            Err(error) => assert_eq!(error.errno(), Errno::EPERM, "{error}"),
        }
    }

    /// The kernel has taken a signal for the child.
    fn sent(&self, signum: i32) {
        let done = self.done();
        if done.as_ref().is_none_or(|done| done.lives.get() > 0) {
            let is_handled = signum == Signal::SIGTERM && done.is_some_and(|done| done.stays.get());
            self.story.fate.borrow_mut().send(signum, is_handled);
        }
    }

    /// Gives a child what it waits for, also if it has lost its handle.
    fn let_end(&self) {
        self.input.close();
        let stays = self.done().is_some_and(|done| done.stays.get());
        for signum in [Signal::SIGCONT, Signal::SIGTERM].into_iter().take(1 + usize::from(stays)) {
            // Fails if it was collected.
            if kill_by_pid(self.process.pid(), signum).is_ok() {
                self.sent(signum);
            }
        }
    }

    fn is_over(&self) -> bool {
        let story = &self.story;
        let has_output = story.has_ended.get() || story.has_failed.get() || self.output.is_closing();
        (self.process.is_closing() || story.exits.get() > 0) && has_output
    }

    fn check(&self) {
        let (story, pid) = (&self.story, self.process.pid());
        assert!(story.exits.get() <= 1, "on_exit twice");
        assert_eq!(
            kill_by_pid(pid, 0).map_err(|error| error.errno()),
            Err(Errno::ESRCH),
            "child {pid} was never collected"
        );
        let Some(done) = self.done() else { return };
        let received = story.received.get();
        assert!(received <= done.written.get(), "more output than the child has written");
        let is_cut = story.fate.borrow().may_be_killed() || done.has_exited.get() || done.has_failed.get();
        if story.has_ended.get() && !story.has_failed.get() && !is_cut {
            assert_eq!(received, done.written.get(), "output of child {pid} is lost");
        }
    }
}

impl Story {
    /// The child has ended, with its own code or by a signal that was sent.
    fn exited(&self, process: &Process, status: ExitStatus) {
        self.exits.set(self.exits.get() + 1);
        assert!(!process.is_closing(), "on_exit of a closed handle");
        let done = self.children.borrow().get(&process.pid()).cloned();
        let fate = self.fate.borrow();
        if status.signal == 0 {
            let code = done.as_ref().map_or(NO_START, |done| done.code.get() & 0xff);
            assert_eq!(status.code, code, "another code");
            assert!(done.is_none() || !fate.is_doomed(), "{fate:?} and ended by itself");
        } else {
            assert_eq!(status.code, 0, "a code beside a signal");
            assert!(fate.may_end_by(status.signal), "{fate:?} and ended by signal {}", status.signal);
        }
        let is_there = process.kill(0).map_err(|error| error.errno());
        assert_eq!(is_there, Err(Errno::ESRCH), "an ended child is there");
        if one_in(3) {
            process.close();
        }
    }
}

/// The parent's end of a child's output.
struct Output(Rc<Story>);

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
    done.code.set(dice(CODES) as i32);
    child.set_exit_code(done.code.get());
    let (Some(stdin), Some(stdout)) = (child.take_fd(0), child.take_fd(1)) else {
        panic!("a child without its descriptors")
    };
    let (input, output) = (Pipe::new(event_loop), Pipe::new(event_loop));
    output.set_upcall(Writes(Life::new(&done)));
    input.set_upcall(Reads(Life::new(&done)));
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
    match dice(4) {
        // Ends by itself, after its output at the earliest.
        0 => input.close(),
        1 => close_later(&input, &done),
        2 => stay(child, &input, &done),
        _ if input.read_start().is_ok() => {}
        _ => input.close(),
    }
}

fn close_later(input: &Pipe, done: &Rc<Done>) {
    let timer = Timer::new(input.loop_handle());
    let after = Duration::from_micros(dice(5_000));
    let (input, life) = (input.clone(), Life::new(done));
    let started = timer.start(after, Duration::ZERO, move |timer: &Timer| {
        let _ = &life;
        timer.close();
        input.close();
    });
    assert!(started.is_ok());
}

/// Waits for SIGTERM, whatever becomes of the input and the output.
fn stay(child: &Child<'_>, input: &Pipe, done: &Rc<Done>) {
    let signal = Signal::new(input.loop_handle());
    let (leaves, exit, life) = (input.clone(), child.exit(), Life::new(done));
    let started = signal.start(Signal::SIGTERM, move |signal: &Signal, signum| {
        assert_eq!(signum, Signal::SIGTERM, "another signal");
        let done = &life.0;
        // A second one ends it.
        done.stays.set(false);
        if one_in(2) {
            done.has_exited.set(true);
            exit(done.code.get());
        }
        leaves.close();
        signal.close();
    });
    // A fault may keep it from watching.
    if started.is_ok() {
        done.stays.set(true);
    } else {
        signal.close();
        input.close();
    }
}

struct Writes(Life);

impl StreamUpcall for Writes {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, _: &Stream) {}

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        self.0.0.has_failed.set(true);
        stream.close();
    }

    fn on_write(&mut self, stream: &Stream, result: Result<()>) {
        if result.is_err() {
            self.0.0.has_failed.set(true);
            stream.close();
        }
    }

    fn on_shutdown(&mut self, stream: &Stream, result: Result<()>) {
        if result.is_err() {
            self.0.0.has_failed.set(true);
        }
        stream.close();
    }
}

/// Reads the input to its end.
struct Reads(#[allow(dead_code, reason = "it lives as long as the handle")] Life);

impl StreamUpcall for Reads {
    fn on_read(&mut self, _: &Stream, _: &[u8]) {}

    fn on_end(&mut self, stream: &Stream) {
        stream.close();
    }

    fn on_read_error(&mut self, stream: &Stream, _: Error) {
        stream.close();
    }
}
