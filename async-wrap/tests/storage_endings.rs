//! What is in a storage behind the ends of a call, of a task and of a future: what they leave, and what destructors find.

mod common;

use async_wrap::AsyncContext;
use async_wrap::storage::{Propagation, Storage};
use common::{Log, new_loop, run_to_the_end};
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

/// Notes what the storage has when it is dropped.
struct Looking(Storage<&'static str>, Log);

impl Drop for Looking {
    fn drop(&mut self) {
        self.1.push(self.0.with(|value| *value.unwrap_or(&"none")));
    }
}

// tokio-rs/tokio#4604
#[test]
fn what_a_task_drops_finds_the_values_of_the_task_whoever_ends_it() {
    let (event_loop, env) = new_loop();
    let (storage, log) = (Storage::new(&env), Log::default());
    let looking = || Looking(storage.clone(), log.clone());
    let waiting = |name| {
        let guard = looking();
        storage.run(name, || {
            env.spawn_local(async move {
                let _guard = guard;
                pending::<()>().await;
            })
        })
    };
    let (aborted, last) = (waiting("aborted"), waiting("dropped with the environment"));
    let never_polled = waiting("never polled");
    storage.run("another", || never_polled.abort());
    env.block_on(ready(())).expect("the loop runs");
    storage.run("another", || {
        aborted.abort();
        assert_eq!(storage.get().as_deref(), Some(&"another"), "those of who aborts are there again");
    });
    storage.enter_with("outside");
    last.detach();
    common::close(&event_loop, &env);
    assert_eq!(log.take(), ["never polled", "aborted", "dropped with the environment"]);
}

// tokio-rs/tokio#4604
#[test]
fn a_future_in_a_scope_is_dropped_in_it() {
    let (event_loop, env) = new_loop();
    let (storage, log) = (Storage::new(&env), Log::default());
    let within = |name, is_endless: bool| {
        let guard = Looking(storage.clone(), log.clone());
        storage.scope(name, async move {
            let _guard = guard;
            if is_endless {
                pending::<()>().await;
            }
        })
    };
    drop(within("not polled", true));
    let (in_time, ends) = (env.timeout(Duration::ZERO, within("too late", true)), within("ends", false));
    env.block_on(async move {
        assert!(in_time.await.is_err());
        ends.await;
    })
    .expect("the loop runs");
    assert_eq!(log.take(), ["not polled", "too late", "ends"]);
    run_to_the_end(&event_loop, &env);
}

// nodejs/node#45848: what is entered in a scope stays behind its `await`, of any storage, and is not seen around it.
#[test]
fn what_a_future_in_a_scope_enters_stays_behind_its_await() {
    let (event_loop, env) = new_loop();
    let (request, user) = (Storage::<u32>::new(&env), Storage::<&str>::new(&env));
    let brief = Storage::<u32>::new(&env).propagation(Propagation::Scope);
    let (sleeper, all) = (env.clone(), (request.clone(), user.clone(), brief.clone()));
    let look = move || {
        (all.0.get().as_deref().copied(), all.1.get().as_deref().copied(), all.2.get().as_deref().copied())
    };
    let seen = env.block_on(async move {
        let (inner, entering, looking) = (request.clone(), user.clone(), look.clone());
        let (again, brief_inner) = (sleeper.clone(), brief.clone());
        let handler = request.scope(1, async move {
            entering.enter_with("Ada");
            brief_inner.enter_with(7);
            again.sleep(Duration::ZERO).await;
            let first = looking();
            inner.enter_with(2);
            again.sleep(Duration::ZERO).await;
            (first, looking())
        });
        let before = look();
        let (first, second) = handler.await;
        let once = brief.scope(5, async move {
            sleeper.sleep(Duration::ZERO).await;
            sleeper.sleep(Duration::ZERO).await;
            look()
        });
        (before, first, second, once.await)
    });
    let nothing = (None, None, None);
    let expected =
        (nothing, (Some(1), Some("Ada"), None), (Some(2), Some("Ada"), None), (None, None, Some(5)));
    assert_eq!(seen.expect("the loop runs"), expected);
    run_to_the_end(&event_loop, &env);
}

// Node: `run` restores its own storage. oven-sh/bun#41190
#[test]
fn what_another_storage_enters_within_a_run_stays_to_the_end_of_the_callback() {
    let (event_loop, env) = new_loop();
    let (one, other) = (Storage::<u32>::new(&env), Storage::<u32>::new(&env));
    let (s, o) = (one.clone(), other.clone());
    let values = move || (s.get().as_deref().copied(), o.get().as_deref().copied());
    env.next_tick(move || {
        one.run(1, || one.run(2, || other.enter_with(3)));
        assert_eq!(values(), (None, Some(3)));
        one.enter_with(4);
        one.run(5, || {
            one.enter_with(6);
            one.exit(|| other.enter_with(7));
            assert_eq!(values(), (Some(6), Some(7)));
            other.run(8, || one.enter_with(9));
            assert_eq!(values(), (Some(9), Some(7)));
        });
        assert_eq!(values(), (Some(4), Some(7)));
    });
    run_to_the_end(&event_loop, &env);
}

/// Holds its environment, and enters another one like it when it is dropped.
struct Entering {
    storage: Storage<Self>,
    left: u32,
    probe: Rc<()>,
}

impl Entering {
    fn new(storage: &Storage<Self>, left: u32, probe: &Rc<()>) -> Self {
        Self { storage: storage.clone(), left, probe: Rc::clone(probe) }
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        if let Some(left) = self.left.checked_sub(1) {
            self.storage.enter_with(Self::new(&self.storage, left, &self.probe));
        }
    }
}

#[test]
fn a_value_that_a_destructor_enters_while_the_environment_ends_is_dropped() {
    let probe = Rc::new(());
    let (event_loop, env) = new_loop();
    let storage = Storage::<Entering>::new(&env);
    let value = || Entering::new(&storage, 3, &probe);
    storage.run(value(), || {
        env.set_timeout(Duration::from_secs(1), || unreachable!("the loop ends before"));
        env.next_tick(|| unreachable!("the loop ends before"));
        env.set_immediate(|| unreachable!("the loop ends before"));
    });
    let dropped = value();
    env.spawn_detached(async move {
        let _dropped = dropped;
        pending::<()>().await;
    });
    storage.enter_with(value());
    drop(event_loop);
    assert_eq!(Rc::strong_count(&probe), 1);
    assert!(storage.get().is_none());
}

#[test]
fn what_is_entered_behind_the_end_of_the_environment_is_there_for_a_run_only() {
    let probe = Rc::new(());
    let (event_loop, env) = new_loop();
    let (storage, other) = (Storage::<Entering>::new(&env), Storage::<Entering>::new(&env));
    let value = || Entering::new(&storage, 0, &probe);
    storage.enter_with(value());
    // The end comes within calls whose values are restored behind it.
    storage.run(value(), || {
        env.run_in_context(env.new_context(async_wrap::Provider::Custom(&"TEST")), || {
            let snapshot = env.snapshot();
            other.run(value(), || snapshot.run(|| drop(event_loop)));
        });
        assert!(storage.get().is_none() && other.get().is_none(), "nothing is restored");
    });
    assert_eq!(Rc::strong_count(&probe), 1);
    storage.run(value(), || {
        assert!(storage.get().is_some());
        other.run(value(), || storage.exit(|| assert!(other.get().is_some() && storage.get().is_none())));
        other.enter_with(value());
        assert!(other.get().is_none(), "it would have no end");
        assert!(storage.get().is_some());
        env.make_callback(env.new_context(async_wrap::Provider::Custom(&"TEST")), || {
            storage.enter_with(value())
        });
        env.make_callback(AsyncContext::NONE, || storage.enter_with(value()));
    });
    storage.enter_with(value());
    env.keep_values(env.execution_async_id());
    assert!(storage.get().is_none());
    assert_eq!(Rc::strong_count(&probe), 1);
}

#[test]
fn destructors_that_panic_while_the_environment_ends_leave_no_value() {
    struct Panicking;
    impl Drop for Panicking {
        fn drop(&mut self) {
            resume_unwind(Box::new("on purpose"));
        }
    }
    type Place = fn(&async_wrap::Environment, Panicking);
    let places: [Place; 4] = [
        |env, guard| env.next_tick(move || drop(guard)),
        |env, guard| env.queue_microtask(move || drop(guard)),
        |env, guard| drop(env.set_immediate(move || drop(guard))),
        |env, guard| {
            env.spawn_detached(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        },
    ];
    for place in places {
        let probe = Rc::new(());
        let (event_loop, env) = new_loop();
        let storage = Storage::<Entering>::new(&env);
        storage.run(Entering::new(&storage, 1, &probe), || {
            place(&env, Panicking);
            env.spawn_detached(pending());
        });
        storage.enter_with(Entering::new(&storage, 1, &probe));
        catch_unwind(AssertUnwindSafe(|| drop(event_loop))).expect_err("the destructor panics");
        assert_eq!((Rc::strong_count(&probe), env.tasks()), (1, 0));
    }
}
