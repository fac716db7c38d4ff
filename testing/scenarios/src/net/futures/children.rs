//! Child processes that are awaited: their output is what they have written, their end is told as it was, and a child whose future
//! or handle is dropped ends. The children are played in this thread, and are async programs, too.

use crate::awaits::{Tasks, let_go, some_time};
use crate::core::fate::Fate;
use crate::core::{byte_at, bytes_at, dice, one_in};
use crate::is_passing;
use ::net::Socket;
use ::net::futures::AsyncSocket;
use ::net::process::{Child, Command, ExitStatus, Stdio};
use async_wrap::Environment;
use async_wrap::layer::OnDrop;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use testing::World;
use uv_core::process::kill as kill_by_pid;
use uv_core::{Errno, Signal};

/// The code of a child that cannot come up.
const NO_START: i32 = 1;

/// The writers of the bytes of a child's input, of its output, and of its errors.
const WRITERS: [usize; 3] = [3, 1, 2];

/// A child: what it is to do, and what it has done.
#[derive(Default)]
struct Plan {
    code: i32,
    /// The bytes of its output and of its errors.
    lens: [u64; 2],
    /// What it reads of its input.
    reads: u64,
    /// How long it stays at least.
    stays: Duration,
    pid: Cell<Option<i32>>,
    /// Its tasks that have not ended. Without one it is about to end.
    tasks: Cell<u32>,
    /// Signals that came then.
    late: RefCell<Vec<i32>>,
    has_failed: Cell<bool>,
    /// What was taken of its outputs.
    written: [Cell<u64>; 2],
    /// All of its outputs was taken, with the ends behind them.
    has_written: [Cell<bool>; 2],
    received: Cell<u64>,
    /// It has read its input to the end.
    has_read: Cell<bool>,
    /// What its parent has sent it.
    fate: RefCell<Fate>,
    /// Its parent has dropped it.
    is_dropped: Cell<bool>,
}

impl Plan {
    fn new() -> Self {
        let len = || dice([1, 100, 60_000][dice(3) as usize]);
        Self {
            code: dice(1_000) as i32,
            lens: [len(), len()],
            reads: [0, 10, u64::MAX, u64::MAX][dice(4) as usize],
            stays: Duration::from_micros([0, 0, dice(5_000), 3_600_000_000][dice(4) as usize]),
            ..Self::default()
        }
    }

    /// Whether nothing but the child itself has ended it.
    fn is_whole(&self) -> bool {
        let is_killed = self.fate.borrow().may_be_killed() || !self.late.borrow().is_empty();
        !self.has_failed.get() && !is_killed && !self.is_dropped.get()
    }

    fn check_status(&self, status: ExitStatus) {
        let fate = self.fate.borrow();
        if status.signal == 0 {
            let code = self.pid.get().map_or(NO_START, |_| self.code & 0xff);
            assert_eq!(status.code, code, "another code");
            assert!(self.pid.get().is_none() || !fate.is_doomed(), "{fate:?} and ended by itself");
        } else {
            assert_eq!(status.code, 0, "a code beside a signal");
            let may_be = fate.may_end_by(status.signal) || self.late.borrow().contains(&status.signal);
            assert!(may_be, "{fate:?} and ended by signal {}", status.signal);
        }
    }

    /// The kernel has taken a signal for it.
    fn sent(&self, signum: i32) {
        if self.pid.get().is_none() || self.tasks.get() > 0 {
            self.fate.borrow_mut().send(signum, false);
        } else {
            self.late.borrow_mut().push(signum);
        }
    }

    /// Output that has ended with all that was read.
    fn check_output(&self, index: usize, received: u64) {
        assert!(received <= self.written[index].get(), "more output than the child has written");
        if self.is_whole() {
            assert_eq!(received, self.written[index].get(), "output {index} is cut");
        }
    }
}

fn check_bytes(writer: usize, place: u64, data: &[u8]) {
    for (place, byte) in (place..).zip(data) {
        assert_eq!(*byte, byte_at(writer, place), "the byte at {place} is not what was written");
    }
}

/// All children, by their numbers.
type Plans = Rc<RefCell<Vec<Rc<Plan>>>>;

/// The program of a child.
fn play(child: &testing::Child<'_>, plans: &Plans) {
    let number: usize = child.args().last().and_then(|number| number.parse().ok()).expect("a number");
    let plan = Rc::clone(&plans.borrow()[number]);
    plan.pid.set(Some(child.pid()));
    child.set_exit_code(plan.code);
    let env = child.environment();
    let open = |number| Some(Socket::from_fd(env, child.take_fd(number)?).map(AsyncSocket::new));
    let (Ok(input), Ok(output), Ok(errors)) = (open(0).transpose(), open(1).transpose(), open(2).transpose())
    else {
        return plan.has_failed.set(true);
    };
    begin(env, &plan, env.sleep(plan.stays));
    for (index, socket) in [output, errors].into_iter().enumerate() {
        if let Some(socket) = socket {
            begin(env, &plan, write_all(Rc::clone(&plan), index, socket));
        }
    }
    if let Some(input) = input {
        begin(env, &plan, read_all(Rc::clone(&plan), input));
    }
}

/// Begins a task of a child.
fn begin(env: &Environment, plan: &Rc<Plan>, task: impl Future<Output = ()> + 'static) {
    let counted = Rc::clone(plan);
    counted.tasks.set(counted.tasks.get() + 1);
    let over = OnDrop::new(move || counted.tasks.set(counted.tasks.get() - 1));
    env.spawn_detached(async move {
        let _over = over;
        task.await;
    });
}

async fn write_all(plan: Rc<Plan>, index: usize, mut socket: AsyncSocket) {
    let beneath = socket.socket().clone();
    let note = || plan.written[index].set(beneath.bytes_written());
    let _noted = OnDrop::new(note);
    let mut place = 0;
    while place < plan.lens[index] {
        let len = (1 + dice(20_000)).min(plan.lens[index] - place);
        // What is handed over can be received before this task goes on.
        plan.written[index].set(place + len);
        if socket.write_all(&bytes_at(WRITERS[1 + index], place, len)).await.is_err() {
            return plan.has_failed.set(true);
        }
        place += len;
    }
    match socket.finish().await {
        Ok(()) => plan.has_written[index].set(true),
        Err(_) => plan.has_failed.set(true),
    }
}

async fn read_all(plan: Rc<Plan>, mut socket: AsyncSocket) {
    let mut buffer = [0; 5_000];
    while plan.received.get() < plan.reads {
        match socket.read(&mut buffer).await {
            Ok(0) => return plan.has_read.set(true),
            Ok(count) => {
                check_bytes(WRITERS[0], plan.received.get(), &buffer[..count]);
                plan.received.set(plan.received.get() + count as u64);
            }
            Err(_) => return plan.has_failed.set(true),
        }
    }
}

/// What the parent has and knows.
#[derive(Clone)]
struct Parent {
    env: Environment,
    plans: Plans,
    failures: Rc<RefCell<Vec<String>>>,
}

impl Parent {
    fn plan(&self) -> (Rc<Plan>, Command) {
        let (number, plan) = (self.plans.borrow().len(), Rc::new(Plan::new()));
        self.plans.borrow_mut().push(Rc::clone(&plan));
        (plan, Command::new("child").arg(number.to_string()))
    }

    /// What only a fault explains.
    fn fail(&self, what: impl ToString) {
        self.failures.borrow_mut().push(what.to_string());
    }

    /// Runs a child to its end.
    async fn run(self) {
        let (plan, mut command) = self.plan();
        let limit = [60_000, 60_000, 1_000, 0][dice(4) as usize];
        command = command.limit(limit as usize);
        let input = one_in(2).then(|| dice(30_000));
        if let Some(len) = input {
            command = command.input(bytes_at(WRITERS[0], 0, len));
        }
        let shown = [true, !one_in(4)];
        if !shown[1] {
            command = command.stderr(Stdio::Null);
        }
        let output = match let_go(&self.env, command.output(&self.env)).await {
            None => return plan.is_dropped.set(true),
            Some(Ok(output)) => output,
            Some(Err(error)) => {
                plan.is_dropped.set(true);
                let is_too_long =
                    error.errno() == Some(Errno::ENOBUFS) && error.to_string().contains("limit");
                if is_too_long {
                    let is_more = |index: usize| shown[index] && plan.lens[index] > limit;
                    assert!(is_more(0) || is_more(1), "too long: {error}");
                } else {
                    self.fail(error);
                }
                return;
            }
        };
        plan.check_status(output.status);
        for (index, data) in [&output.stdout, &output.stderr].into_iter().enumerate() {
            assert!(data.len() as u64 <= limit, "more than the limit");
            check_bytes(WRITERS[1 + index], 0, data);
            if shown[index] {
                plan.check_output(index, data.len() as u64);
            } else {
                assert!(data.is_empty(), "output of the null device");
            }
        }
        assert!(plan.received.get() <= input.unwrap_or(0), "more input than was written");
        if plan.has_read.get() && plan.received.get() < input.unwrap_or(0) {
            self.fail("the input is cut");
        }
    }

    /// Starts a child and does one thing after the other with it.
    async fn use_one(self) {
        let (plan, mut command) = self.plan();
        let stdio = || if one_in(4) { Stdio::Null } else { Stdio::Pipe };
        command = command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let mut child = match command.spawn(&self.env) {
            Ok(child) => child,
            Err(error) => return self.fail(error),
        };
        let mut using = Using { parent: &self, plan: &plan, sent: 0, received: [0; 2], status: None };
        let dropped = OnDrop::new(|| plan.is_dropped.set(true));
        for _ in 0..dice(12) {
            using.step(&mut child).await;
        }
        if one_in(4) {
            child.detach();
            return drop(dropped);
        }
        if one_in(2) {
            // Its end, with all of its output.
            let mut has_ended = [false; 2];
            for (index, has_ended) in has_ended.iter_mut().enumerate() {
                while !*has_ended && let Some(more) = using.read(&mut child, index).await {
                    *has_ended = !more;
                }
            }
            let status = child.wait().await;
            using.ended(&child, status);
            for (index, received) in using.received.into_iter().enumerate().filter(|it| has_ended[it.0]) {
                plan.check_output(index, received);
            }
        }
    }
}

/// A child in the hand of a task.
struct Using<'a> {
    parent: &'a Parent,
    plan: &'a Plan,
    sent: u64,
    received: [u64; 2],
    status: Option<ExitStatus>,
}

impl Using<'_> {
    async fn step(&mut self, child: &mut Child) {
        let env = &self.parent.env;
        match dice(10) {
            0 => drop(child.stdin.take()),
            1 => self.kill(child),
            2 => {
                if let Some(status) = let_go(env, child.wait()).await {
                    self.ended(child, status);
                }
            }
            3 => self.write(child).await,
            4 | 5 => drop(self.read(child, dice(2) as usize).await),
            6 => drop(child.stdout.take().filter(|_| one_in(4))),
            7 => env.sleep(some_time()).await,
            _ => {
                let status = child.status();
                assert!(status.is_some() || self.status.is_none(), "the status is lost");
                status.into_iter().for_each(|status| self.ended(child, status));
            }
        }
    }

    fn ended(&mut self, child: &Child, status: ExitStatus) {
        self.plan.check_status(status);
        assert!(self.status.replace(status).is_none_or(|before| before == status), "another status");
        assert_eq!(child.status(), Some(status), "the status of a child that was awaited");
        let is_there = child.kill(0).map_err(|error| error.errno());
        assert_eq!(is_there, Err(Errno::ESRCH), "an ended child is there");
    }

    fn kill(&self, child: &Child) {
        let signum = [Signal::SIGTERM, Signal::SIGKILL][dice(2) as usize];
        match child.kill(signum) {
            Ok(()) => {
                assert_eq!(self.status, None, "a signal to a child that has ended");
                self.plan.sent(signum);
            }
            Err(error) if error.errno() == Errno::ESRCH => {}
            Err(error) => self.parent.fail(error),
        }
    }

    async fn write(&mut self, child: &mut Child) {
        let Some(stdin) = &mut child.stdin else { return };
        let data = bytes_at(WRITERS[0], self.sent, 1 + dice(10_000));
        // An error means that the child has ended or does not read.
        let _ = let_go(&self.parent.env, stdin.write_all(&data)).await;
        self.sent = stdin.socket().bytes_written();
    }

    /// Reads some of an output. Returns whether there may be more, `None` if that is not known.
    async fn read(&mut self, child: &mut Child, index: usize) -> Option<bool> {
        let socket = if index == 0 { &mut child.stdout } else { &mut child.stderr };
        let mut buffer = vec![0; [1, 100, 10_000][dice(3) as usize]];
        let Some(socket) = socket else { return None };
        match let_go(&self.parent.env, socket.read(&mut buffer)).await {
            None => Some(true),
            Some(Ok(count)) => {
                check_bytes(WRITERS[1 + index], self.received[index], &buffer[..count]);
                self.received[index] += count as u64;
                assert!(self.received[index] <= self.plan.written[index].get(), "more than was written");
                Some(count > 0)
            }
            Some(Err(error)) => {
                self.parent.fail(error);
                None
            }
        }
    }
}

/// Children of several tasks, at the same time.
pub(crate) fn children(world: &World) -> Result<(), String> {
    let Ok(env) = world.environment("parent") else { return Ok(()) };
    let plans = Plans::default();
    let played = Rc::clone(&plans);
    world.play_children(move |child| play(child, &played));
    let (parent, tasks) = (Parent { env: env.clone(), plans, failures: Rc::default() }, Tasks::default());
    for _ in 0..=dice(4) {
        if one_in(2) {
            tasks.spawn(&env, parent.clone().run());
        } else {
            tasks.spawn(&env, parent.clone().use_one());
        }
        if one_in(2) {
            world.run_for(some_time())?;
        }
    }
    if one_in(5) {
        // Everything is dropped at some await.
        world.run_for(some_time())?;
        parent.plans.borrow().iter().for_each(|plan| plan.is_dropped.set(true));
        tasks.abort();
    }
    world.run_until(|| tasks.are_over())?;
    world.run()?;
    for pid in parent.plans.borrow().iter().filter_map(|plan| plan.pid.get()) {
        let is_there = kill_by_pid(pid, 0).map_err(|error| error.errno());
        assert_eq!(is_there, Err(Errno::ESRCH), "child {pid} was never collected");
    }
    let failures = parent.failures.borrow();
    let is_caused = world.has_met(|fault| !is_passing(fault));
    assert!(failures.is_empty() || is_caused, "without a cause: {:?}", failures.first());
    Ok(())
}
