//! Storages: what their values follow, and what they do not.

mod common;

use async_wrap::storage::{Propagation, Storage};
use async_wrap::upcall::OnUdp;
use async_wrap::{AsyncContext, AsyncResource, AsyncUdp, Environment, Provider};
use common::{Log, close, new_loop, run_to_the_end};
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;
use uv_core::Result;
use uv_core::RunMode;
use uv_core::names::{AddrQuery, NameQuery};
use uv_core::udp::{Envelope, SendOptions, UdpOptions};

fn value<T: Copy + 'static>(storage: &Storage<T>) -> Option<T> {
    storage.with(|value| value.copied())
}

// AL1, AL2, AL4
// Node: async_hooks/test-async-local-storage-run-and-enter... (test-async-local-storage-enter-with, -exit)
#[test]
fn run_sets_a_value_for_a_call_and_restores_the_outer_one() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env).named("depth");
    assert_eq!((storage.name(), value(&storage)), (Some("depth"), None));
    storage.run(1, || {
        assert_eq!(value(&storage), Some(1));
        storage.run(2, || assert_eq!(value(&storage), Some(2)));
        assert_eq!(value(&storage), Some(1));
        storage.exit(|| assert_eq!(value(&storage), None));
        assert_eq!(value(&storage), Some(1));
    });
    assert_eq!(value(&storage), None);
    run_to_the_end(&event_loop, &env);
}

// AL1, AL4. Node: async_hooks/test-async-local-storage-errors
#[test]
fn a_panic_restores_the_outer_value() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env);
    storage.run(1, || {
        let inner = catch_unwind(AssertUnwindSafe(|| storage.run(2, || panic!("on purpose"))));
        assert!(inner.is_err());
        let inner = catch_unwind(AssertUnwindSafe(|| storage.exit(|| panic!("on purpose"))));
        assert!(inner.is_err());
        assert_eq!(value(&storage), Some(1));
    });
    let context = env.new_context(Provider::TcpWrap);
    let entered = catch_unwind(AssertUnwindSafe(|| {
        env.make_callback(context, || {
            storage.enter_with(3);
            panic!("on purpose");
        });
    }));
    assert!(entered.is_err());
    assert_eq!(value(&storage), None);
    run_to_the_end(&event_loop, &env);
}

// AL3. Node: async_hooks/test-async-local-storage-enter-with
#[test]
fn enter_with_lasts_to_the_end_of_the_callback_and_in_what_it_starts() {
    let (event_loop, env) = new_loop();
    let (storage, log) = (Storage::<u32>::new(&env), Log::default());
    let (s, l, inner) = (storage.clone(), log.clone(), env.clone());
    env.set_immediate(move || {
        s.enter_with(1);
        s.enter_with(2);
        l.push(format!("callback {:?}", value(&s)));
        let (s, l) = (s.clone(), l.clone());
        inner.next_tick(move || l.push(format!("tick {:?}", value(&s))));
    });
    let (s, l) = (storage.clone(), log.clone());
    env.set_immediate(move || l.push(format!("another {:?}", value(&s))));
    assert!(!env.run(RunMode::Default).expect("the loop runs"));
    assert_eq!(log.take(), ["callback Some(2)", "tick Some(2)", "another None"]);
    // Outside of every callback it stays.
    storage.enter_with(3);
    assert_eq!(value(&storage), Some(3));
    run_to_the_end(&event_loop, &env);
}

// Node: async_hooks/test-async-local-storage-default... (defaultValue, name)
#[test]
fn a_default_is_there_where_no_value_is_but_not_behind_an_exit() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env).with_default(7);
    assert_eq!(value(&storage), Some(7));
    storage.run(1, || assert_eq!(value(&storage), Some(1)));
    storage.exit(|| assert_eq!(value(&storage), None));
    run_to_the_end(&event_loop, &env);
}

// AL5. Node: async_hooks/test-async-local-storage-misc-stores
#[test]
fn ten_thousand_interleaved_chains_of_two_storages_never_mix() {
    const CHAINS: u32 = 10_000;
    const STEPS: u32 = 5;
    fn step(
        env: &Environment,
        numbers: &Storage<u32>,
        texts: &Storage<String>,
        left: u32,
        ended: &Rc<Cell<u32>>,
    ) {
        let Some(number) = value(numbers) else { panic!("a value is missing") };
        texts.with(|text| assert_eq!(text.map(String::as_str), Some(number.to_string().as_str())));
        if left == 0 {
            return ended.set(ended.get() + 1);
        }
        let (inner, numbers, texts, ended) = (env.clone(), numbers.clone(), texts.clone(), Rc::clone(ended));
        let next = move || step(&inner, &numbers, &texts, left - 1, &ended);
        match (number + left) % 4 {
            0 => drop(env.set_immediate(next)),
            1 => env.next_tick(next),
            2 => drop(env.spawn_local(async move { next() })),
            _ => drop(env.set_timeout(Duration::from_millis(u64::from(number % 3)), next)),
        }
    }
    let (event_loop, env) = new_loop();
    let (numbers, texts) = (Storage::<u32>::new(&env), Storage::<String>::new(&env));
    let ended = Rc::new(Cell::new(0));
    for number in 0..CHAINS {
        texts.run(number.to_string(), || {
            numbers.run(number, || step(&env, &numbers, &texts, STEPS, &ended));
        });
    }
    run_to_the_end(&event_loop, &env);
    assert_eq!(ended.get(), CHAINS);
}

/// Starts an operation with a value, and returns what its callback finds.
fn found(start: impl FnOnce(&Environment, Box<dyn Fn()>)) -> Option<u32> {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env);
    let seen = Rc::new(Cell::new(None));
    let (s, tell) = (storage.clone(), Rc::clone(&seen));
    let look = Box::new(move || tell.set(Some(value(&s))));
    storage.run(5, || start(&env, look));
    run_to_the_end(&event_loop, &env);
    seen.get().expect("the callback was called")
}

// AL6
// Node: async_hooks/test-async-local-storage-enable-disable, -promises, -nested; parallel/test-async-local-storage-*
#[test]
fn a_value_follows_timers_and_queues() {
    assert_eq!(found(|env, look| drop(env.set_timeout(Duration::ZERO, look))), Some(5));
    assert_eq!(found(|env, look| drop(env.set_deadline(Duration::ZERO, move |_| look()))), Some(5));
    assert_eq!(found(|env, look| drop(env.set_immediate(look))), Some(5));
    assert_eq!(found(|env, look| env.next_tick(look)), Some(5));
    assert_eq!(found(|env, look| env.queue_microtask(look)), Some(5));
}

#[test]
fn a_value_follows_each_call_of_an_interval() {
    let calls = Rc::new(Cell::new(0));
    let count = Rc::clone(&calls);
    let seen = found(move |env, look| {
        let interval: Rc<Cell<Option<async_wrap::Timeout>>> = Rc::default();
        let this = Rc::clone(&interval);
        interval.set(Some(env.set_interval(Duration::from_millis(1), move || {
            look();
            count.set(count.get() + 1);
            if count.get() == 3 {
                this.take().iter().for_each(async_wrap::Timeout::clear);
            }
        })));
    });
    assert_eq!((seen, calls.get()), (Some(5), 3));
}

#[test]
fn a_value_follows_a_task_and_each_of_its_polls() {
    let seen = found(|env, look| {
        let sleeper = env.clone();
        env.spawn_local(async move {
            sleeper.sleep(Duration::from_millis(1)).await;
            look();
        });
    });
    assert_eq!(seen, Some(5));
}

// Node: async_hooks/test-async-local-storage-promises: what is entered stays behind an `await`.
#[test]
fn what_a_task_enters_stays_behind_its_await() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env);
    let (s, sleeper) = (storage, env.clone());
    let task = env.spawn_local(async move {
        s.enter_with(1);
        sleeper.sleep(Duration::from_millis(1)).await;
        let first = value(&s);
        s.enter_with(2);
        sleeper.sleep(Duration::from_millis(1)).await;
        (first, value(&s))
    });
    let seen = Rc::new(Cell::new(None));
    let tell = Rc::clone(&seen);
    env.spawn_local(async move { tell.set(task.await.ok()) });
    run_to_the_end(&event_loop, &env);
    assert_eq!(seen.get(), Some((Some(1), Some(2))));
}

#[test]
fn a_future_in_a_scope_has_its_value_in_each_poll_and_the_task_around_it_has_not() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env);
    let (s, sleeper) = (storage, env.clone());
    let task = env.spawn_local(async move {
        let (inner, sleep) = (s.clone(), sleeper.sleep(Duration::from_millis(1)));
        let within = s.scope(1, async move {
            sleep.await;
            value(&inner)
        });
        (within.await, value(&s))
    });
    assert_eq!(env.block_on(task).expect("the loop runs").ok(), Some((Some(1), None)));
    run_to_the_end(&event_loop, &env);
}

// Node: async_hooks/test-async-local-storage-dgram, -dns, -socket
#[test]
fn a_value_follows_look_ups_and_requests() {
    let seen = found(|env, look| {
        drop(env.getaddrinfo(AddrQuery::new("127.0.0.1"), move |_| look()).expect("it begins"));
    });
    assert_eq!(seen, Some(5));
    let seen = found(|env, look| {
        let query = NameQuery::new(([127, 0, 0, 1], 80).into());
        drop(env.getnameinfo(query, move |_| look()));
    });
    assert_eq!(seen, Some(5));
    let seen = found(|env, look| {
        let after = env.request(Provider::Custom(&"WORK"), move |_| look());
        env.loop_handle().queue_work(|| (), after);
    });
    assert_eq!(seen, Some(5));
    let seen = found(|env, look| {
        let resource = AsyncResource::new(env, Provider::Custom(&"QUERY"));
        env.set_immediate(move || resource.run_in_async_scope(&look));
    });
    assert_eq!(seen, Some(5));
}

#[test]
fn a_value_follows_a_datagram_that_is_sent() {
    struct Sender(Box<dyn Fn()>);
    impl OnUdp for Sender {
        fn on_receive(&mut self, _: &AsyncUdp, _: &[u8], _: &Envelope) {}

        fn on_send(&mut self, udp: &AsyncUdp, result: Result<()>) {
            result.expect("loopback takes it");
            (self.0)();
            udp.close();
        }
    }
    let seen = found(|env, look| {
        let udp = AsyncUdp::new(env);
        udp.bind(([127, 0, 0, 1], 0).into(), &UdpOptions::default()).expect("bind");
        udp.set_handler(Sender(look));
        let to = udp.local_addr().expect("bound");
        udp.send("hello".into(), &SendOptions::to(to)).expect("send");
    });
    assert_eq!(seen, Some(5));
}

// AL8. ujeenet/rustango and tokio's task_local: values that must not cross a spawn.
#[test]
fn a_scoped_value_is_gone_in_tasks_timers_and_requests() {
    let (event_loop, env) = new_loop();
    let (inherited, log) = (Storage::<u32>::new(&env), Log::default());
    let scoped = Storage::<u32>::new(&env).propagation(Propagation::Scope);
    let note = |what: &'static str| {
        let (inherited, scoped, log) = (inherited.clone(), scoped.clone(), log.clone());
        move || log.push(format!("{what} {:?} {:?}", value(&inherited), value(&scoped)))
    };
    inherited.run(1, || {
        scoped.run(2, || {
            note("here")();
            env.next_tick(note("tick"));
            env.queue_microtask(note("microtask"));
            let in_task = note("task");
            env.spawn_local(async move { in_task() });
            env.set_immediate(note("immediate"));
            env.set_timeout(Duration::ZERO, note("timeout"));
            let snapshot = env.snapshot();
            snapshot.run(note("snapshot"));
        });
    });
    run_to_the_end(&event_loop, &env);
    let mut seen = log.take();
    assert_eq!(seen.remove(0), "here Some(1) Some(2)");
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|line| line.ends_with("Some(1) None")), "{seen:?}");
}

// AL9. Node: async_hooks/test-async-local-storage-gcable
#[test]
fn a_value_is_dropped_with_the_last_resource_that_has_it() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<&'static str>::new(&env);
    let weak: Rc<Cell<Weak<&'static str>>> = Rc::default();
    let held = Rc::new("value");
    weak.set(Rc::downgrade(&held));
    let is_there = {
        let weak = Rc::clone(&weak);
        move || {
            let this = weak.take();
            let is_there = this.strong_count() > 0;
            weak.set(this);
            is_there
        }
    };
    storage.run(held, || {
        let look = is_there.clone();
        env.set_timeout(Duration::from_millis(1), move || assert!(look(), "the timeout has it"));
        let look = is_there.clone();
        env.next_tick(move || assert!(look()));
    });
    assert!(is_there());
    run_to_the_end(&event_loop, &env);
    assert!(!is_there(), "nothing has it any more");
}

// AL10. Node: async_hooks/test-async-local-storage-bind, -snapshot
#[test]
fn a_snapshot_and_a_bound_closure_bring_values_to_where_they_are_not() {
    let (event_loop, env) = new_loop();
    let (one, two) = (Storage::<u32>::new(&env), Storage::<u32>::new(&env));
    let (snapshot, mut bound) = one.run(1, || {
        let one = one.clone();
        two.run(2, || (env.snapshot(), env.bind(move |plus: u32| value(&one).map(|value| value + plus))))
    });
    assert_eq!(value(&one), None);
    snapshot.run(|| assert_eq!((value(&one), value(&two)), (Some(1), Some(2))));
    two.run(3, || {
        assert_eq!(bound(10), Some(11));
        assert_eq!(bound(20), Some(21));
        assert_eq!(value(&two), Some(3));
    });
    // From the completion of work below this layer, which has no context.
    let (log, seen) = (Log::default(), Log::default());
    let note = log.clone();
    event_loop.queue_work(
        || (),
        move |_| {
            seen.push("done");
            snapshot.run(|| note.push(format!("{:?}", value(&one))));
        },
    );
    run_to_the_end(&event_loop, &env);
    assert_eq!(log.take(), ["Some(1)"]);
}

#[test]
fn a_wake_up_from_elsewhere_does_not_bring_its_values_into_a_task() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<u32>::new(&env);
    let waker: Rc<Cell<Option<Waker>>> = Rc::default();
    let (s, place) = (storage.clone(), Rc::clone(&waker));
    let mut polls = 0;
    let task = storage.run(1, || {
        env.spawn_local(poll_fn(move |context| {
            polls += 1;
            place.set(Some(context.waker().clone()));
            if polls == 2 { Poll::Ready(value(&s)) } else { Poll::Pending }
        }))
    });
    env.make_callback(AsyncContext::NONE, || {});
    storage.run(2, || waker.take().expect("it was polled").wake());
    assert_eq!(env.block_on(task).expect("the loop runs").ok(), Some(Some(1)));
    run_to_the_end(&event_loop, &env);
}

// A value that holds its environment would keep both.
#[test]
fn the_end_of_an_environment_drops_the_values_that_are_set_around_it() {
    let (event_loop, env) = new_loop();
    let storage = Storage::<(Environment, Rc<()>)>::new(&env);
    let value = Rc::new(());
    // Outside of every callback it stays.
    storage.enter_with(Rc::new((env.clone(), Rc::clone(&value))));
    env.make_callback(env.new_context(Provider::TcpWrap), || close(&event_loop, &env));
    storage.run(Rc::new((env.clone(), Rc::clone(&value))), || env.set_immediate(|| panic!("it has ended")));
    assert_eq!(Rc::strong_count(&value), 1);
}
