//! The start: states, order, failures.

mod common;

use common::{Part, World, logs};
use pomelo::upcall::Component;
use pomelo::{AppEvent, Application, Completion, Error, Method, State};

/// Notes the events and the state at each.
fn watch(world: &World, app: &Application) {
    let story = world.story.clone();
    app.on(move |app: &Application, event: &AppEvent| {
        let name = match event {
            AppEvent::StartServer(id) => format!("start_server {id}"),
            other => format!("{other:?}"),
        };
        story.add(format!("{name} {}", app.state() as u8));
    });
}

fn load(world: &World, app: &Application, parts: Vec<Part>) {
    for part in parts {
        app.load(part.name, part).expect("a new name");
    }
    watch(world, app);
}

// pomelo: sentences 1 and 15
#[test]
fn the_states_are_1_in_every_start_2_in_every_after_start_3_at_start_server_and_4_once_stopped() {
    let world = World::new();
    let app = world.app(&[]);
    struct Nothing;
    impl Component for Nothing {}
    assert_eq!(app.state() as u8, 1);
    app.load("nothing", Nothing).expect("a new name");
    load(&world, &app, vec![Part::new("a", &world.story), Part::new("b", &world.story)]);
    assert_eq!(world.start(&app), Ok(()));
    assert_eq!(app.state(), State::Started);
    app.stop(true);
    assert_eq!(app.state() as u8, 4, "as soon as stop is called");
    world.run();
    let expected = [
        "a.start 1",
        "b.start 1",
        "a.afterStart 2",
        "b.afterStart 2",
        "start_server master-1 3",
        "a.stop 4",
        "b.stop 4",
    ];
    assert_eq!(*world.story.lines(), expected);
    assert_eq!(world.exit.get(), Some(0));
}

// pomelo: sentence 2
#[test]
fn after_a_start_that_fails_nothing_more_is_started_and_nothing_is_stopped() {
    let world = World::new();
    let app = world.app(&[]);
    let story = &world.story;
    let parts = vec![Part::new("a", story), Part::new("b", story).failing(&["start"]), Part::new("c", story)];
    load(&world, &app, parts);
    let error = world.start(&app).expect_err("b is broken");
    assert!(
        matches!(&error, Error::Failed { component, method: Method::Start, failure }
            if component == "b" && failure.to_string() == "start of b is broken"),
        "{error}"
    );
    world.run();
    assert_eq!(*story.lines(), ["a.start 1", "b.start 1"]);
    assert_eq!(app.state() as u8, 2);
    assert_eq!(logs::with("fail to operate component").len(), 1);
}

// pomelo: sentence 3
#[test]
fn after_an_after_start_that_fails_the_server_counts_as_started_and_the_callback_is_told() {
    let world = World::new();
    let app = world.app(&[]);
    let story = &world.story;
    let parts = vec![Part::new("a", story).failing(&["afterStart"]), Part::new("b", story)];
    load(&world, &app, parts);
    app.lifecycle("master", AfterStartup(story.clone()));
    let error = world.start(&app).expect_err("a is broken");
    assert!(matches!(error, Error::Failed { method: Method::AfterStart, .. }), "{error}");
    let expected = ["a.start 1", "b.start 1", "a.afterStart 2", "afterStartup 3", "start_server master-1 3"];
    assert_eq!(*story.lines(), expected);
    assert_eq!(app.state() as u8, 3);
    assert!(logs::with("finish start").is_empty());
}

struct AfterStartup(common::Story);

impl pomelo::upcall::Lifecycle for AfterStartup {
    fn on_after_startup(&mut self, app: &Application, done: Completion) {
        self.0.add(format!("afterStartup {}", app.state() as u8));
        done.ok(());
    }
}

// pomelo: sentence 4
#[test]
fn start_server_comes_before_after_startup_has_finished_and_the_callback_after_it() {
    struct Late(common::Story);
    impl pomelo::upcall::Lifecycle for Late {
        fn on_after_startup(&mut self, app: &Application, done: Completion) {
            self.0.add("afterStartup");
            let story = self.0.clone();
            app.environment().set_immediate(move || {
                story.add("next");
                done.ok(());
            });
        }
    }
    let world = World::new();
    let app = world.app(&[]);
    load(&world, &app, vec![]);
    app.lifecycle("master", Late(world.story.clone()));
    assert_eq!(world.start(&app), Ok(()));
    world.story.add("callback");
    assert_eq!(*world.story.lines(), ["afterStartup", "start_server master-1 3", "next", "callback"]);
    assert_eq!(logs::with("startup in").len(), 1);
    assert_eq!(logs::with("enter after start...").len(), 1);
    assert_eq!(logs::with("finish start").len(), 1);
}

// pomelo: sentence 5; unlike there, also while the first start is under way, and `started_at` stays
#[test]
fn a_second_start_is_refused_and_changes_nothing() {
    let world = World::new();
    let app = world.app(&[]);
    load(&world, &app, vec![Part::new("a", &world.story)]);
    let story = world.story.clone();
    app.start(|result| result.expect("the first start"));
    let started_at = app.started_at();
    app.start(move |result| story.add(result.expect_err("a second start").to_string()));
    world.run();
    assert_eq!(world.start(&app), Err(Error::AlreadyStarted));
    world.run();
    let expected =
        ["application has already start.", "a.start 1", "a.afterStart 2", "start_server master-1 3"];
    let mut lines = world.story.lines().clone();
    lines.sort_by_key(|line| line != expected[0]);
    assert_eq!(lines, expected);
    assert_eq!(app.started_at(), started_at);
}

// pomelo: sentence 12; and 13, as far as there are default components here
#[test]
fn default_components_come_after_the_programs_own_and_the_monitor_is_last() {
    for (args, expected) in [
        (&[][..], &["own", "last", "__master__", "__monitor__"][..]),
        (&["id=chat-1", "serverType=chat"], &["own", "last", "__monitor__"]),
    ] {
        let world = World::new();
        let app = Application::new(&world.env, world.options().admin(true).args(args.iter().copied()))
            .expect("a good configuration");
        // Nothing after it starts, so there is no admin side in this test.
        load(
            &world,
            &app,
            vec![Part::new("own", &world.story).failing(&["start"]), Part::new("last", &world.story)],
        );
        world.start(&app).expect_err("own is broken");
        assert_eq!(app.components(), expected);
        app.stop(false);
        world.run();
    }
}

// pomelo: sentence 14
#[test]
fn a_second_component_of_a_name_is_refused_with_a_warning() {
    let world = World::new();
    let app = world.app(&[]);
    app.load("a", Part::new("first", &world.story)).expect("a new name");
    let error = app.load("a", Part::new("second", &world.story)).expect_err("a name that is taken");
    assert_eq!(error, Error::DuplicateComponent("a".into()));
    assert_eq!(logs::with("WARN ignore duplicate component: a").len(), 1);
    assert_eq!(world.start(&app), Ok(()));
    assert_eq!(world.story.lines()[0], "first.start 1");
}

#[test]
fn a_component_that_drops_its_completion_has_failed() {
    struct Forgetful;
    impl Component for Forgetful {
        fn on_start(&mut self, _: &Application, done: Completion) {
            drop(done);
        }
    }
    let world = World::new();
    let app = world.app(&[]);
    app.load("forgetful", Forgetful).expect("a new name");
    let error = world.start(&app).expect_err("it never reported its start");
    assert!(error.to_string().contains("\"forgetful\", method start"), "{error}");
}

#[test]
fn a_stop_during_the_start_ends_the_start() {
    let world = World::new();
    let app = world.app(&[]);
    let story = &world.story;
    load(&world, &app, vec![Part::new("a", story).hanging(&["start"]), Part::new("b", story)]);
    let told = story.clone();
    app.start(move |result| told.add(format!("{result:?}")));
    world.until(|| story.has("a.start 1"));
    app.stop(true);
    world.run();
    // The first component never reports its start; when it is dropped, its completion reports a failure.
    assert_eq!(*story.lines(), ["a.start 1", "a.stop 4", "b.stop 4", "Err(Stopped)"]);
    assert_eq!(world.exit.get(), Some(0));
}

#[test]
fn a_component_of_a_default_ones_name_takes_its_place() {
    let world = World::new();
    let app = Application::new(&world.env, world.options().admin(true)).expect("a good configuration");
    let story = &world.story;
    app.load("__master__", Part::new("own master", story)).expect("a new name");
    app.load("__monitor__", Part::new("own monitor", story)).expect("a new name");
    assert_eq!(world.start(&app), Ok(()));
    assert_eq!(app.components(), ["__master__", "__monitor__"]);
    assert_eq!(story.lines()[0], "own master.start 1");
}

// pomelo: sentence 18
#[test]
fn without_servers_all_have_started_when_the_master_has() {
    let world = World::new();
    let port = common::fleet::free_port();
    common::fleet::configure(world.base(), port, &serde_json::json!({}));
    let app = Application::new(&world.env, world.options().admin(true)).expect("a good configuration");
    watch(&world, &app);
    assert_eq!(world.start(&app), Ok(()));
    world.until(|| world.story.has("StartAll 3"));
    assert_eq!(app.servers(), []);
    app.stop(true);
    world.run();
    assert_eq!(*world.story.lines(), ["start_server master-1 3", "StartAll 3"]);
    assert_eq!(world.exit.get(), Some(0));
}
