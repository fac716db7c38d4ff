//! Components that are async functions, and a start and a stop that a task awaits.

mod common;

use async_wrap::storage::Storage;
use common::tasks::{Act, Outcome, Task, app, load, start};
use common::{Part, Story, World, logs};
use pomelo::futures::{AsyncComponent, Awaited};
use pomelo::upcall::Lifecycle;
use pomelo::{Application, Completion, Error, Method, State};
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;
use uv_core::RunMode;

// pomelo: sentences 1 and 6
#[test]
fn async_components_and_those_with_callbacks_start_and_stop_one_after_the_other() {
    struct Nothing;
    impl AsyncComponent for Nothing {}
    let world = World::new();
    let app = app(&world);
    load(&app, Task::new("a", &world).stopping(Act::Fail));
    app.load("nothing", Awaited::new(Nothing)).expect("a new name");
    app.load("b", Part::new("b", &world.story)).expect("a new name");
    load(&app, Task::new("c", &world));
    start(&world, &app);
    world.run();
    app.stop(true);
    world.run();
    let expected = [
        "a.start 1",
        "a.start over",
        "b.start 1",
        "c.start 1",
        "c.start over",
        "a.afterStart 2",
        "a.afterStart over",
        "b.afterStart 2",
        "c.afterStart 2",
        "c.afterStart over",
        "started",
        "a.stop 4",
        "a.stop over",
        "b.stop 4",
        "c.stop 4",
        "c.stop over",
    ];
    assert_eq!(*world.story.lines(), expected);
    assert_eq!(world.exit.get(), Some(0));
    assert_eq!(logs::with("component \"a\", method stop: no disk").len(), 1);
}

#[test]
fn the_error_of_an_async_start_is_its_failure() {
    struct Reader;
    impl AsyncComponent for Reader {
        async fn start(&self, app: &Application) -> Outcome {
            std::fs::read(app.base().join("no such file"))?;
            Ok(())
        }
    }
    let world = World::new();
    let app = app(&world);
    app.load("reader", Awaited::new(Reader)).expect("a new name");
    let error = world.start(&app).expect_err("it cannot read");
    assert!(
        matches!(&error, Error::Failed { component, method: Method::Start, failure }
            if component == "reader" && failure.to_string().contains("No such file")),
        "{error}"
    );
    assert_eq!(logs::with("No such file").len(), 1);
}

#[test]
fn a_panic_of_an_async_start_is_its_failure_and_the_loop_goes_on() {
    for (act, words) in [(Act::PanicAtOnce, "no disk at once"), (Act::Panic, "no disk")] {
        let world = World::new();
        let app = app(&world);
        load(&app, Task::new("a", &world).starting(act));
        load(&app, Task::new("b", &world));
        let error = world.start(&app).expect_err("it panics").to_string();
        assert_eq!(
            error,
            format!("fail to operate component \"a\", method start: the call has panicked: {words}")
        );
        assert_eq!(app.state(), State::Start);
        app.stop(true);
        world.run();
        assert_eq!(world.story.lines()[2..], ["a.stop 4", "a.stop over", "b.stop 4", "b.stop over"]);
        assert_eq!(world.exit.get(), Some(0));
    }
}

#[test]
fn a_task_awaits_the_start_and_the_stop() {
    let world = World::new();
    let app = app(&world);
    load(&app, Task::new("a", &world));
    let exit = Rc::clone(&world.exit);
    let life = async move {
        app.startup().await?;
        assert_eq!(app.state(), State::Started);
        assert_eq!(app.startup().await, Err(Error::AlreadyStarted));
        app.shutdown(true).await;
        assert_eq!((app.state(), exit.get()), (State::Stopped, Some(0)));
        app.shutdown(true).await;
        assert_eq!(app.startup().await, Err(Error::Stopped));
        Ok::<(), Error>(())
    };
    assert_eq!(world.env.block_on(life).expect("it does not hang"), Ok(()));
    assert_eq!(logs::with("WARN [pomelo application] application is not running now.").len(), 1);
    world.run();
}

#[test]
fn a_component_may_stop_its_application_in_its_start_and_wait_for_that() {
    struct Hopeless(Story);
    impl AsyncComponent for Hopeless {
        async fn start(&self, app: &Application) -> Outcome {
            app.shutdown(true).await;
            self.0.add("never: its own stop drops its start");
            Ok(())
        }
    }
    let world = World::new();
    let app = app(&world);
    app.load("hopeless", Awaited::new(Hopeless(world.story.clone()))).expect("a new name");
    app.load("b", Part::new("b", &world.story)).expect("a new name");
    start(&world, &app);
    world.run();
    assert_eq!(*world.story.lines(), ["the application was stopped before its start had ended", "b.stop 4"]);
    assert_eq!(world.exit.get(), Some(0));
}

#[test]
fn a_component_that_one_loads_in_its_start_starts_behind_the_others() {
    struct Loading(Story);
    impl AsyncComponent for Loading {
        async fn start(&self, app: &Application) -> Outcome {
            app.load("late", Part::new("late", &self.0))?;
            Ok(())
        }
    }
    let world = World::new();
    let app = app(&world);
    app.load("loading", Awaited::new(Loading(world.story.clone()))).expect("a new name");
    app.load("b", Part::new("b", &world.story)).expect("a new name");
    assert_eq!(world.start(&app), Ok(()));
    assert_eq!(world.story.lines()[..2], ["b.start 1", "late.start 1"]);
}

#[test]
fn each_call_of_a_component_has_a_context_of_its_own_with_the_values_of_the_start() {
    struct Noting(Story, Storage<u32>);
    impl AsyncComponent for Noting {
        async fn start(&self, app: &Application) -> Outcome {
            let env = app.environment();
            let first = env.execution_async_id();
            // A value of its own does not come to the next component.
            let before = self.1.get().map(|value| *value);
            self.1.enter_with(8_u32);
            env.sleep(Duration::from_millis(1)).await;
            assert_eq!(env.execution_async_id(), first);
            self.0.add(format!("{first:?} {before:?} {:?}", self.1.get()));
            Ok(())
        }
    }
    let world = World::new();
    let app = app(&world);
    let storage = Storage::new(&world.env);
    for name in ["a", "b"] {
        app.load(name, Awaited::new(Noting(world.story.clone(), storage.clone()))).expect("a new name");
    }
    storage.run(7_u32, || start(&world, &app));
    world.run();
    let lines = world.story.lines().clone();
    assert!(lines[0].ends_with("Some(7) Some(8)") && lines[1].ends_with("Some(7) Some(8)"), "{lines:?}");
    assert_ne!(lines[0], lines[1], "another id");
}

#[test]
fn a_lifecycle_finishes_its_calls_with_futures() {
    struct Cycle(Story);
    impl Lifecycle for Cycle {
        fn on_before_startup(&mut self, app: &Application, done: Completion) {
            let (env, story) = (app.environment().clone(), self.0.clone());
            done.finish_with(async move {
                env.sleep(Duration::from_millis(1)).await;
                story.add("beforeStartup");
                Ok(())
            });
        }
        fn on_after_startup(&mut self, _: &Application, done: Completion) {
            done.finish_with(async { Err("no disk".into()) });
        }
    }
    let world = World::new();
    let app = app(&world);
    app.lifecycle("master", Cycle(world.story.clone()));
    app.load("a", Part::new("a", &world.story)).expect("a new name");
    let error = world.start(&app).expect_err("a broken lifecycle");
    assert!(error.to_string().ends_with("method afterStartup: no disk"), "{error}");
    assert_eq!(*world.story.lines(), ["beforeStartup", "a.start 1", "a.afterStart 2"]);
}

#[test]
fn a_call_whose_completion_is_aborted_has_failed() {
    let world = World::new();
    let (done, finished) = Completion::<()>::pair(&world.env);
    let task = done.finish_with(pending()).expect("it waits");
    task.abort();
    let result = world.env.block_on(finished).expect("it does not hang");
    assert!(result.expect_err("aborted").to_string().contains("dropped"));
    let (done, finished) = Completion::pair(&world.env);
    drop(finished);
    done.ok(());
    assert!(!world.env.run(RunMode::NoWait).expect("the loop runs"));
}
