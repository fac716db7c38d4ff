//! A loop whose phases are marked in the transcript, and a client in the same thread that takes its next step only when
//! the last one has had its effect. So the order of everything is certain.

use crate::transcript::{Scopes, Transcript};
use async_wrap::Environment;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;
use uv_core::{Check, Idle, Loop, LoopHandle, Prepare, RunMode, Timer};

/// How long a step may take to have its effect; never waited for if all is well.
const DEADLINE: Duration = Duration::from_secs(20);

/// What a party outside of the chain does next.
pub(crate) struct Step {
    what: &'static str,
    act: Box<dyn FnOnce()>,
}

pub(crate) fn step(what: &'static str, act: impl FnOnce() + 'static) -> Step {
    Step { what, act: Box::new(act) }
}

/// The client connects, sends `request`, reads until `answer` has come, and closes; then comes `close_server`.
pub(crate) fn conversation(
    address: SocketAddr,
    request: &'static str,
    answer: &'static str,
    close_server: impl FnOnce() + 'static,
) -> Vec<Step> {
    let closes =
        if answer.is_empty() { "the client closes" } else { "the client has the answer, and closes" };
    let client: Rc<RefCell<Option<TcpStream>>> = Rc::default();
    let (connected, sending, closing) = (Rc::clone(&client), Rc::clone(&client), client);
    vec![
        step("the client connects", move || {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
            *connected.borrow_mut() = Some(stream);
        }),
        step("the client sends a request", move || {
            let mut stream = sending.borrow_mut();
            stream.as_mut().expect("connected").write_all(request.as_bytes()).expect("the server reads");
        }),
        step(closes, move || {
            let mut stream = closing.take().expect("connected");
            let mut received = Vec::new();
            while !received.ends_with(answer.as_bytes()) {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("the answer comes");
                received.push(byte[0]);
            }
        }),
        step("the program closes the server", close_server),
    ]
}

/// A loop with marked phases. Its own handles do not keep it alive.
pub(crate) struct Rig {
    event_loop: Loop,
    transcript: Transcript,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let transcript = Transcript::default();
        transcript.phase("start");
        Self { event_loop: Loop::new().expect("a loop"), transcript }
    }

    pub(crate) fn loop_handle(&self) -> &LoopHandle {
        &self.event_loop
    }

    pub(crate) fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    /// An environment whose resources and scopes are written into the transcript. Id 1 is taken already, as in Node,
    /// where the main script has it.
    pub(crate) fn environment(&self) -> Environment {
        let env = Environment::new(&self.event_loop);
        // The environment is called in check phases from now on, after whatever is started later.
        env.set_immediate(|| {}).clear();
        env.hook(Scopes::new(&self.transcript)).enable();
        env
    }

    /// Runs the loop alone through `steps` to its end.
    pub(crate) fn run_loop(self, steps: Vec<Step>) -> Transcript {
        self.watch(steps);
        assert!(
            !self.event_loop.run(RunMode::Default).expect("the loop runs"),
            "{:?}",
            self.event_loop.handles()
        );
        self.finish()
    }

    /// Runs the loop with its environment through `steps` to its end.
    pub(crate) fn run(self, env: &Environment, steps: Vec<Step>) -> Transcript {
        // What was queued by the start belongs to it, and not to the first step.
        assert!(env.run(RunMode::NoWait).expect("the loop runs"), "there is nothing to wait for");
        self.watch(steps);
        assert!(
            !self.event_loop.run(RunMode::Default).expect("the loop runs"),
            "{:?}",
            self.event_loop.handles()
        );
        // The loop alone has told no hook what its last phase destroyed.
        self.transcript.phase("after the loop");
        assert!(!env.run(RunMode::Default).expect("the loop runs"));
        env.close();
        self.finish()
    }

    fn finish(self) -> Transcript {
        self.event_loop.close_all();
        assert!(!self.event_loop.run(RunMode::Default).expect("the loop runs"));
        self.event_loop.close().expect("nothing is left open");
        self.transcript
    }

    fn watch(&self, steps: Vec<Step>) {
        self.watch_for_a_standstill();
        let check = Check::new(&self.event_loop);
        check.unref();
        let prepare = Prepare::new(&self.event_loop);
        let mut client = Client { steps: steps.into(), seen: 0 };
        let transcript = self.transcript.clone();
        let on_prepare = move |_: &Prepare| {
            transcript.phase("prepare");
            client.go_on(&transcript);
            mark_check(&check, &transcript);
            transcript.phase("poll");
        };
        prepare.start(on_prepare).expect("a fresh watcher starts");
        prepare.unref();
    }

    fn watch_for_a_standstill(&self) {
        let timer = Timer::new(&self.event_loop);
        let transcript = self.transcript.clone();
        let panic = move |_: &Timer| panic!("nothing more happens after:\n{}", transcript.text());
        timer.start(DEADLINE, Duration::ZERO, panic).expect("a fresh timer starts");
        timer.unref();
    }
}

/// The steps to come, and how long the transcript was after the last one.
struct Client {
    steps: VecDeque<Step>,
    seen: usize,
}

impl Client {
    fn go_on(&mut self, transcript: &Transcript) {
        let had_effect = self.seen == 0 || transcript.len() > self.seen;
        if let Some(step) = self.steps.pop_front_if(|_| had_effect) {
            transcript.note(step.what);
            (step.act)();
            // A step calls downwards only: what it notes itself is not its effect.
            self.seen = transcript.len();
        }
    }
}

/// Has the check phase marked, and the phase of closing handles after it. The watcher started last runs first in its
/// phase, and so does the callback of the handle closed last.
fn mark_check(check: &Check, transcript: &Transcript) {
    check.stop();
    let transcript = transcript.clone();
    let on_check = move |check: &Check| {
        transcript.phase("check");
        let transcript = transcript.clone();
        Idle::new(check.loop_handle()).close_with(move || transcript.phase("close"));
    };
    check.start(on_check).expect("an open watcher starts");
}
