//! The stop: order, failures, time limit.

mod common;

use common::{Part, Story, World, logs};
use pomelo::upcall::Lifecycle;
use pomelo::{Application, Error, ShutDown};
use std::time::{Duration, Instant};

/// Short, so that the tests that wait for it are.
const LIMIT: Duration = Duration::from_millis(50);

fn started(world: &World, parts: Vec<Part>) -> Application {
    let app = Application::new(&world.env, world.options().stop_limit(LIMIT)).expect("a good configuration");
    for part in parts {
        app.load(part.name, part).expect("a new name");
    }
    app
}

fn start(world: &World, app: &Application) {
    assert_eq!(world.start(app), Ok(()));
    world.story.add("started");
}

/// What was noted since the start.
fn stops(world: &World) -> Vec<String> {
    world.story.lines().iter().skip_while(|line| *line != "started").skip(1).cloned().collect()
}

// pomelo: sentences 6 and 7
#[test]
fn components_stop_in_the_order_in_which_they_were_loaded_whatever_one_of_them_reports() {
    let world = World::new();
    let story = &world.story;
    let parts = vec![Part::new("a", story), Part::new("b", story).failing(&["stop"]), Part::new("c", story)];
    let app = started(&world, parts);
    start(&world, &app);
    app.stop(true);
    world.run();
    assert_eq!(stops(&world), ["a.stop 4", "b.stop 4", "c.stop 4"]);
    assert_eq!(world.exit.get(), Some(0));
}

// pomelo: sentence 8; unlike there the log says who hung
#[test]
fn a_component_that_never_stops_is_named_when_the_time_is_up_and_the_process_ends_with_0() {
    let world = World::new();
    let story = &world.story;
    let parts = vec![Part::new("a", story), Part::new("b", story).hanging(&["stop"]), Part::new("c", story)];
    let app = started(&world, parts);
    start(&world, &app);
    // Also where the process was not to end at all.
    app.stop(false);
    world.run();
    assert_eq!(stops(&world), ["a.stop 4", "b.stop 4"]);
    assert_eq!(world.exit.get(), Some(0));
    let said = "ERROR \"master-1\": component \"b\" did not finish its stop within 50ms";
    assert_eq!(logs::with("did not finish"), [said]);
}

#[test]
fn components_of_a_process_that_stood_still_have_their_time_to_stop_all_the_same() {
    let limit = Duration::from_secs(1);
    let world = World::new();
    let app = Application::new(&world.env, world.options().stop_limit(limit)).expect("a good configuration");
    app.load("b", Part::new("b", &world.story).hanging(&["stop"])).expect("a new name");
    start(&world, &app);
    app.stop(true);
    world.until(|| world.story.has("b.stop 4"));
    std::thread::sleep(limit * 2);
    let going_on = Instant::now();
    world.run();
    assert_eq!(world.exit.get(), Some(0));
    assert!(going_on.elapsed() >= limit / 2, "{:?}", going_on.elapsed());
}

// pomelo: sentence 8
#[test]
fn a_stop_may_take_three_seconds() {
    let world = World::new();
    let app = world.app(&[]);
    app.load("b", Part::new("b", &world.story).hanging(&["stop"])).expect("a new name");
    app.stop(true);
    world.run();
    assert_eq!(world.exit.get(), Some(0));
    assert_eq!(logs::with("did not finish its stop within 3s").len(), 1);
}

/// Goes on when it is told to.
struct Shutting {
    story: Story,
    cancels: bool,
    after: Option<Duration>,
    kept: Option<ShutDown>,
}

impl Shutting {
    fn new(story: &Story, after: Option<Duration>, cancels: bool) -> Self {
        Self { story: story.clone(), cancels, after, kept: None }
    }
}

impl Lifecycle for Shutting {
    fn on_before_shutdown(&mut self, app: &Application, shut_down: ShutDown) {
        self.story.add("beforeShutdown");
        if self.cancels {
            shut_down.cancel_time_limit();
        }
        match self.after {
            Some(after) => drop(app.environment().set_timeout(after, || shut_down.go())),
            None => self.kept = Some(shut_down),
        }
    }
}

// pomelo: sentence 9
#[test]
fn before_shutdown_comes_first_and_counts_against_the_limit() {
    let world = World::new();
    let app = started(&world, vec![Part::new("a", &world.story)]);
    app.lifecycle("master", Shutting::new(&world.story, None, false));
    start(&world, &app);
    app.stop(true);
    world.until(|| world.exit.get().is_some());
    assert_eq!(stops(&world), ["beforeShutdown"]);
    assert_eq!(logs::with("beforeShutdown of the lifecycle did not finish").len(), 1);
    world.run();
}

// pomelo: sentence 9
#[test]
fn before_shutdown_may_take_the_limit_off() {
    let world = World::new();
    let app = started(&world, vec![Part::new("a", &world.story)]);
    app.lifecycle("master", Shutting::new(&world.story, Some(LIMIT * 2), true));
    start(&world, &app);
    app.stop(true);
    world.run();
    assert_eq!(stops(&world), ["beforeShutdown", "a.stop 4"]);
    assert_eq!(world.exit.get(), Some(0));
    assert!(logs::with("did not finish").is_empty());
}

#[test]
fn a_before_shutdown_that_drops_its_way_on_goes_on() {
    struct Forgetful;
    impl Lifecycle for Forgetful {
        fn on_before_shutdown(&mut self, _: &Application, _: ShutDown) {}
    }
    let world = World::new();
    let app = started(&world, vec![Part::new("a", &world.story)]);
    app.lifecycle("master", Forgetful);
    start(&world, &app);
    app.stop(true);
    world.run();
    assert_eq!(stops(&world), ["a.stop 4"]);
}

// pomelo: sentence 10
#[test]
fn a_second_stop_only_warns() {
    let world = World::new();
    let app = started(&world, vec![Part::new("a", &world.story)]);
    start(&world, &app);
    app.stop(false);
    app.stop(true);
    world.run();
    assert_eq!(stops(&world), ["a.stop 4"]);
    assert_eq!(world.exit.get(), None, "the second one was not listened to");
    assert_eq!(logs::with("WARN [pomelo application] application is not running now.").len(), 1);
}

// pomelo: sentence 11
#[test]
fn a_stop_without_force_stops_the_components_and_leaves_the_process() {
    let world = World::new();
    let app = started(&world, vec![Part::new("a", &world.story)]);
    start(&world, &app);
    app.stop(false);
    world.run();
    assert_eq!(stops(&world), ["a.stop 4"]);
    assert_eq!(world.exit.get(), None);
}

#[test]
fn a_stop_before_the_start_stops_what_is_loaded_and_no_start_follows() {
    let world = World::new();
    let app = started(&world, vec![Part::new("a", &world.story)]);
    app.stop(false);
    assert_eq!(world.start(&app), Err(Error::Stopped));
    world.run();
    assert_eq!(*world.story.lines(), ["a.stop 4"]);
}

#[test]
fn after_a_stop_nothing_of_the_program_is_held() {
    let world = World::new();
    let app = started(&world, vec![]);
    let token = std::rc::Rc::new(());
    let held = (token.clone(), app.clone());
    app.on(move |_: &Application, _: &pomelo::AppEvent| {
        let _ = &held;
    });
    start(&world, &app);
    assert_eq!(std::rc::Rc::strong_count(&token), 2);
    app.stop(false);
    world.run();
    assert_eq!(std::rc::Rc::strong_count(&token), 1, "a handler that holds its application");
}
