//! Components that are async functions, of which each call does as it is told.

use super::{Story, World};
use pomelo::Application;
use pomelo::futures::{AsyncComponent, Awaited};
use std::error::Error;
use std::future::pending;
use std::time::Duration;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Short, so that the tests that wait for it are.
pub(crate) const LIMIT: Duration = Duration::from_millis(50);

/// What one call of a [`Task`] does after its first `await`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Succeed,
    Fail,
    Panic,
    PanicAtOnce,
    Hang,
}

/// Says what is done to it, and when a call of it is dropped.
pub(crate) struct Task {
    name: &'static str,
    story: Story,
    start: Act,
    stop: Act,
}

struct Call(Story, String);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.add(format!("{} over", self.1));
    }
}

impl Task {
    pub(crate) fn new(name: &'static str, world: &World) -> Self {
        Self { name, story: world.story.clone(), start: Act::Succeed, stop: Act::Succeed }
    }

    pub(crate) fn starting(self, start: Act) -> Self {
        Self { start, ..self }
    }

    pub(crate) fn stopping(self, stop: Act) -> Self {
        Self { stop, ..self }
    }

    pub(crate) async fn call(&self, app: &Application, method: &str, act: Act) -> Outcome {
        let call = format!("{}.{method}", self.name);
        self.story.add(format!("{call} {}", app.state() as u8));
        let _call = Call(self.story.clone(), call);
        assert!(act != Act::PanicAtOnce, "no disk at once");
        app.environment().sleep(Duration::from_millis(1)).await;
        match act {
            Act::Fail => Err("no disk".into()),
            Act::Hang => pending().await,
            Act::Panic => panic!("no {}", "disk"),
            Act::Succeed | Act::PanicAtOnce => Ok(()),
        }
    }
}

impl AsyncComponent for Task {
    async fn start(&self, app: &Application) -> Outcome {
        self.call(app, "start", self.start).await
    }
    async fn after_start(&self, app: &Application) -> Outcome {
        self.call(app, "afterStart", Act::Succeed).await
    }
    async fn stop(&self, app: &Application, _: bool) -> Outcome {
        self.call(app, "stop", self.stop).await
    }
}

pub(crate) fn load(app: &Application, task: Task) {
    app.load(task.name, Awaited::new(task)).expect("a new name");
}

pub(crate) fn app(world: &World) -> Application {
    Application::new(&world.env, world.options().stop_limit(LIMIT)).expect("a good configuration")
}

/// An application whose stop has its usual limit, for tests that do not wait for that.
pub(crate) fn patient_app(world: &World) -> Application {
    Application::new(&world.env, world.options()).expect("a good configuration")
}

/// Starts the application, and notes how that ended.
pub(crate) fn start(world: &World, app: &Application) {
    let story = world.story.clone();
    app.start(move |result| {
        story.add(result.map_or_else(|error| error.to_string(), |()| "started".into()));
    });
}
