//! A start and a stop of async components that interrupt each other, never end, panic, or are dropped.

mod common;

use common::tasks::{Act, LIMIT, Outcome, Task, app, load, patient_app, start};
use common::{Part, Story, World, logs};
use pomelo::futures::{AsyncComponent, Awaited};
use pomelo::upcall::Component;
use pomelo::{Application, Completion, Error, State};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

#[test]
fn a_stop_drops_the_async_start_that_it_interrupts_before_it_stops_the_component() {
    let world = World::new();
    let app = app(&world);
    load(&app, Task::new("a", &world));
    load(&app, Task::new("b", &world).starting(Act::Hang));
    load(&app, Task::new("c", &world));
    start(&world, &app);
    world.until(|| world.story.has("b.start 1"));
    app.stop(true);
    world.run();
    let expected = [
        "a.start 1",
        "a.start over",
        "b.start 1",
        "a.stop 4",
        "a.stop over",
        "b.start over",
        "b.stop 4",
        "the application was stopped before its start had ended",
        "b.stop over",
        "c.stop 4",
        "c.stop over",
    ];
    assert_eq!(*world.story.lines(), expected);
    assert_eq!(world.exit.get(), Some(0));
    assert!(logs::with("fail to operate").is_empty(), "what is given up has not failed");
}

// pomelo: sentence 8
#[test]
fn an_async_stop_that_never_ends_is_named_and_dropped_when_the_time_is_up() {
    let world = World::new();
    let app = app(&world);
    load(&app, Task::new("a", &world).stopping(Act::Hang));
    load(&app, Task::new("b", &world));
    app.stop(false);
    world.run();
    assert_eq!(*world.story.lines(), ["a.stop 4", "a.stop over"]);
    assert_eq!(world.exit.get(), Some(0));
    assert_eq!(logs::with("component \"a\" did not finish its stop within 50ms").len(), 1);
}

#[test]
fn a_start_that_never_ends_is_ended_by_its_own_limit_or_by_the_stops() {
    struct Limited(Task);
    impl AsyncComponent for Limited {
        async fn start(&self, app: &Application) -> Outcome {
            app.environment().timeout(LIMIT, self.0.call(app, "start", Act::Hang)).await?
        }
    }
    let world = World::new();
    let first = app(&world);
    first.load("limited", Awaited::new(Limited(Task::new("a", &world)))).expect("a new name");
    let error = world.start(&first).expect_err("its time is up");
    assert!(error.to_string().contains("not ready after 50ms"), "{error}");
    assert_eq!(*world.story.lines(), ["a.start 1", "a.start over"]);

    let second = app(&world);
    load(&second, Task::new("b", &world).starting(Act::Hang));
    second.load("c", Part::new("c", &world.story).hanging(&["stop"])).expect("a new name");
    start(&world, &second);
    world.until(|| world.story.has("b.start 1"));
    second.stop(false);
    world.run();
    assert!(world.story.has("b.start over") && world.story.has("c.stop 4"));
    assert_eq!(world.exit.get(), Some(0));
}

#[test]
fn a_panic_of_a_start_with_a_callback_passes_out_of_run_and_ends_the_start() {
    struct Broken;
    impl Component for Broken {
        fn on_start(&mut self, _: &Application, _: Completion) {
            panic!("no disk");
        }
    }
    let world = World::new();
    let app = app(&world);
    app.load("broken", Broken).expect("a new name");
    start(&world, &app);
    catch_unwind(AssertUnwindSafe(|| world.run())).expect_err("the panic");
    world.run();
    assert!(
        world.story.lines()[0].contains("component \"broken\", method start"),
        "{:?}",
        world.story.lines()
    );
    app.stop(true);
    world.run();
    assert_eq!(world.exit.get(), Some(0));
}

/// A component that keeps the completion of its start, and never uses it.
struct Endless(Rc<Cell<Option<Completion>>>);

impl Component for Endless {
    fn on_start(&mut self, _: &Application, done: Completion) {
        self.0.set(Some(done));
    }
}

#[test]
fn a_stop_ends_the_start_that_a_completion_holds_up_for_ever() {
    let (world, kept) = (World::new(), Rc::default());
    let app = patient_app(&world);
    app.load("endless", Endless(Rc::clone(&kept))).expect("a new name");
    load(&app, Task::new("b", &world));
    let (starting, stopping) = (app.clone(), app.clone());
    let start = world.env.spawn_local(async move { starting.startup().await });
    world.until(|| {
        let done = kept.take();
        let has_begun = done.is_some();
        kept.set(done);
        has_begun
    });
    let ended = async move {
        assert_eq!(app.startup().await, Err(Error::AlreadyStarted));
        stopping.shutdown(false).await;
        start.await.expect("it does not panic")
    };
    assert_eq!(world.env.block_on(ended).expect("it does not hang"), Err(Error::Stopped));
    assert_eq!(world.env.tasks(), 0, "{}", world.env.why_pending());
    // Too late, and nothing comes of it.
    kept.take().expect("it was kept").ok(());
    world.run();
    assert_eq!(*world.story.lines(), ["b.stop 4", "b.stop over"]);
}

#[test]
fn a_stop_that_panics_holds_up_no_other_whoever_it_is_called_by() {
    struct Broken;
    impl Component for Broken {
        fn on_stop(&mut self, _: &Application, _: bool, _: Completion) {
            panic!("no disk");
        }
    }
    let world = World::new();
    let app = patient_app(&world);
    load(&app, Task::new("a", &world).stopping(Act::PanicAtOnce));
    app.load("broken", Broken).expect("a new name");
    load(&app, Task::new("b", &world).stopping(Act::Panic));
    load(&app, Task::new("c", &world));
    assert_eq!(world.start(&app), Ok(()));
    app.stop(true);
    app.stop(true);
    // That of a callback passes out.
    catch_unwind(AssertUnwindSafe(|| world.run())).expect_err("the panic");
    world.run();
    let stops: Vec<_> = world.story.lines().iter().filter(|line| line.ends_with("stop 4")).cloned().collect();
    assert_eq!(stops, ["a.stop 4", "b.stop 4", "c.stop 4"]);
    assert_eq!(world.exit.get(), Some(0));
    assert_eq!(logs::with("the call has panicked: no disk").len(), 2);
}

// A stop comes between any two steps of the start.
#[test]
fn a_stop_at_any_await_of_the_start_ends_it_and_stops_everything_once() {
    for turns in 0.. {
        let world = World::new();
        let app = patient_app(&world);
        load(&app, Task::new("a", &world));
        app.load("b", Part::new("b", &world.story)).expect("a new name");
        let (starting, stopping) = (app.clone(), app.clone());
        let life = async move {
            let mut start = pin!(starting.startup());
            let mut left = turns;
            let mut stop = None;
            poll_fn(|context| {
                let started = start.as_mut().poll(context);
                if left == 0 && stop.is_none() {
                    stopping.stop(true);
                    stop = Some(stopping.state());
                }
                left -= u32::from(left > 0);
                started.map(|started| (started, stop))
            })
            .await
        };
        let (started, stopped) = world.env.block_on(life).expect("it does not hang");
        assert_eq!(stopped.unwrap_or(State::Stopped), State::Stopped);
        app.stop(true);
        world.run();
        let stops: Vec<_> =
            world.story.lines().iter().filter(|line| line.ends_with("stop 4")).cloned().collect();
        assert_eq!(stops, ["a.stop 4", "b.stop 4"], "after {turns} polls");
        assert_eq!((world.exit.get(), world.env.tasks()), (Some(0), 0), "after {turns} polls");
        if stopped.is_none() {
            assert_eq!(started, Ok(()));
            assert!(turns > 5, "{turns}");
            return;
        }
        assert!(matches!(started, Err(Error::Stopped) | Ok(())), "{started:?}");
    }
}

#[test]
fn what_a_pending_start_holds_is_dropped_with_the_loop() {
    struct Holding(Rc<()>, Story);
    impl AsyncComponent for Holding {
        async fn start(&self, app: &Application) -> Outcome {
            let _held = (Rc::clone(&self.0), app.clone());
            self.1.add("starting");
            pending().await
        }
    }
    let token = Rc::new(());
    let world = World::new();
    let app = app(&world);
    let part = Holding(Rc::clone(&token), world.story.clone());
    app.load("holding", Awaited::new(part)).expect("a new name");
    start(&world, &app);
    world.until(|| world.story.has("starting"));
    drop((app, world));
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn a_start_that_is_dropped_at_any_await_can_be_stopped() {
    for polls in 0.. {
        let world = World::new();
        let app = patient_app(&world);
        load(&app, Task::new("a", &world));
        app.load("b", Part::new("b", &world.story)).expect("a new name");
        let (starting, mut left) = (app.clone(), polls);
        let task = world.env.spawn_local(async move {
            let mut start = pin!(starting.startup());
            let given_up = poll_fn(move |context| match left {
                0 => Poll::Ready(true),
                _ => {
                    left -= 1;
                    start.as_mut().poll(context).map(|_| false)
                }
            });
            given_up.await
        });
        let given_up = world.env.block_on(task).expect("it does not hang").expect("it does not panic");
        world.run();
        app.stop(true);
        world.run();
        assert_eq!(world.exit.get(), Some(0), "after {polls} polls");
        let stops: Vec<_> =
            world.story.lines().iter().filter(|line| line.ends_with("stop 4")).cloned().collect();
        assert_eq!(stops, ["a.stop 4", "b.stop 4"], "after {polls} polls");
        if !given_up {
            assert!(polls > 5, "{polls}");
            return;
        }
    }
}

#[test]
fn a_stop_that_nobody_awaits_any_more_goes_on() {
    let world = World::new();
    let app = app(&world);
    load(&app, Task::new("a", &world));
    let task = world.env.spawn_local(async move { app.shutdown(true).await });
    world.until(|| world.story.has("a.stop 4"));
    task.abort();
    world.run();
    assert_eq!(*world.story.lines(), ["a.stop 4", "a.stop over"]);
    assert_eq!(world.exit.get(), Some(0));
}
