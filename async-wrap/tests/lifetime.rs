//! The loop's end drops everything that the environment holds, even values that hold the environment.

mod common;

use async_wrap::{AsyncHook, AsyncStream, Environment, Provider, Timeout};
use common::{close, new_loop, run_to_the_end};
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use uv_core::{Loop, RunMode};

struct Holds(#[allow(dead_code, reason = "held for its drop")] Rc<()>);

impl AsyncHook for Holds {}

/// Queues work of every kind; each callback holds the environment and `held`.
fn fill(env: &Environment, held: &Rc<()>) {
    let hold = || (env.clone(), Rc::clone(held));
    let all = (hold(), hold(), hold(), hold(), hold(), hold());
    env.next_tick(move || drop(all.0));
    env.queue_microtask(move || drop(all.1));
    env.set_immediate(move || drop(all.2));
    env.set_timeout(Duration::from_secs(3600), move || drop(all.3));
    env.set_interval(Duration::from_secs(3600), move || _ = &all.4);
    env.spawn_local(async move {
        let _all = all.5;
        pending::<()>().await;
    });
    env.hook(Holds(Rc::clone(held))).enable();
    let stream = AsyncStream::tcp(env);
    let connection = hold();
    stream.listen_with(1, move |_, _| _ = &connection).expect("a port of the kernel's choice");
}

#[test]
fn everything_queued_is_dropped_with_the_loop() {
    let held = Rc::new(());
    let event_loop = Loop::new().expect("the system has descriptors left");
    let env = Environment::new(&event_loop);
    fill(&env, &held);
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
    fill_after_the_end(&env, &held);
    assert_eq!(Rc::strong_count(&held), 1);
}

fn fill_after_the_end(env: &Environment, held: &Rc<()>) {
    let hold = || (env.clone(), Rc::clone(held));
    let all = (hold(), hold(), hold(), hold());
    env.next_tick(move || drop(all.0));
    env.queue_microtask(move || drop(all.1));
    env.set_immediate(move || drop(all.2));
    env.spawn_local(async move { drop(all.3) });
    env.hook(Holds(Rc::clone(held))).enable();
}

#[test]
fn the_environment_lives_in_its_loop_without_being_held() {
    let event_loop = Loop::new().expect("the system has descriptors left");
    let held = Rc::new(());
    fill(&Environment::new(&event_loop), &held);
    assert!(event_loop.run(RunMode::NoWait).expect("the loop runs"));
    assert_eq!(Rc::strong_count(&held), 6, "the tick, the microtask and the immediate were called");
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn everything_queued_is_dropped_when_all_handles_are_closed() {
    let (event_loop, env) = new_loop();
    let held = Rc::new(());
    fill(&env, &held);
    event_loop.close_all();
    close(&event_loop, &env);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn the_environment_alone_keeps_no_loop_alive() {
    let (event_loop, env) = new_loop();
    assert!(!event_loop.is_alive());
    assert!(event_loop.handles().iter().all(|handle| !handle.keeps_alive()));
    let _ = env.new_context(Provider::TcpWrap);
    close(&event_loop, &env);
    env.close();
}

#[test]
fn two_environments_share_a_loop() {
    let (event_loop, first) = new_loop();
    let second = Environment::new(&event_loop);
    let order = Rc::new(RefCell::new(Vec::new()));
    for (name, env) in [("first", &first), ("second", &second)] {
        let order = Rc::clone(&order);
        env.next_tick(move || order.borrow_mut().push(name));
    }
    assert!(!event_loop.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(*order.borrow(), ["first", "second"]);
    first.close();
    close(&event_loop, &second);
}

/// Runs an environment when its thread ends.
struct AtTheEnd(mpsc::Sender<u32>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let (event_loop, env) = new_loop();
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        env.spawn_local(poll_fn(move |context| {
            count.set(count.get() + 1);
            context.waker().wake_by_ref();
            if count.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
        }));
        // The awaited timeout keeps the loop alive, because a wake-up may come through the loop.
        let done = Rc::clone(&polls);
        let timer: Rc<RefCell<Option<Timeout>>> = Rc::default();
        let own = Rc::clone(&timer);
        timer.replace(Some(env.set_interval(Duration::from_millis(1), move || {
            if done.get() == 3
                && let Some(timer) = own.take()
            {
                timer.clear();
            }
        })));
        run_to_the_end(&event_loop, &env);
        // `send` fails if the test has timed out.
        let _ = self.0.send(polls.get());
    }
}

#[test]
fn an_environment_works_in_a_destructor_of_its_thread_s_end() {
    thread_local! {
        static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
        static HELD: RefCell<Option<(Environment, Loop)>> = const { RefCell::new(None) };
    }
    let (send, polls) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // Thread locals are destroyed in the reverse order of their first use: this crate's are destroyed before the
        // first of these, and after the second.
        AT_THE_END.set(Some(AtTheEnd(send)));
        drop(new_loop());
        let (event_loop, env) = new_loop();
        env.next_tick(|| {});
        HELD.set(Some((env, event_loop)));
    });
    assert_eq!(polls.recv(), Ok(3));
    thread.join().expect("the thread does not panic");
}
