//! What a server does around its start, by its type.

mod common;

use common::{Part, Story, World, logs};
use pomelo::upcall::Lifecycle;
use pomelo::{Application, Completion, Error, Method, ShutDown, State};

struct Noting(&'static str, Story);

impl Lifecycle for Noting {
    fn on_before_startup(&mut self, app: &Application, done: Completion) {
        let line = format!("{} beforeStartup {} {:?}", self.0, app.state() as u8, app.components());
        let story = self.1.clone();
        // What comes next waits for it.
        app.environment().set_immediate(move || {
            story.add(line);
            done.ok(());
        });
    }
    fn on_after_startup(&mut self, _: &Application, done: Completion) {
        self.1.add(format!("{} afterStartup", self.0));
        done.ok(());
    }
    fn on_before_shutdown(&mut self, _: &Application, shut_down: ShutDown) {
        self.1.add(format!("{} beforeShutdown", self.0));
        shut_down.go();
    }
}

// pomelo: sentence 16, its first half; what is no function is no `Lifecycle` here
#[test]
fn a_lifecycle_is_for_the_servers_of_its_type() {
    let world = World::new();
    let app = world.app(&["id=chat-1", "serverType=chat"]);
    app.lifecycle("connector", Noting("connector", world.story.clone()));
    app.lifecycle("chat", Noting("chat", world.story.clone()));
    app.lifecycle("master", Noting("master", world.story.clone()));
    app.load("part", Part::new("part", &world.story)).expect("a new name");
    assert_eq!(world.start(&app), Ok(()));
    app.stop(true);
    world.run();
    let expected = [
        "chat beforeStartup 1 [\"part\"]",
        "part.start 1",
        "part.afterStart 2",
        "chat afterStartup",
        "chat beforeShutdown",
        "part.stop 4",
    ];
    assert_eq!(*world.story.lines(), expected);
}

#[test]
fn before_startup_that_fails_ends_the_start() {
    struct Broken;
    impl Lifecycle for Broken {
        fn on_before_startup(&mut self, _: &Application, done: Completion) {
            done.fail("no disk");
        }
    }
    let world = World::new();
    let app = world.app(&[]);
    app.lifecycle("master", Broken);
    app.load("part", Part::new("part", &world.story)).expect("a new name");
    let error = world.start(&app).expect_err("a broken lifecycle");
    assert!(matches!(error, Error::Failed { method: Method::BeforeStartup, .. }), "{error}");
    assert!(world.story.lines().is_empty());
    assert_eq!(app.state(), State::Start);
    assert_eq!(logs::with("no disk").len(), 1);
}

#[test]
fn after_startup_that_fails_is_told_to_the_callback() {
    struct Broken;
    impl Lifecycle for Broken {
        fn on_after_startup(&mut self, _: &Application, done: Completion) {
            done.fail("no disk");
        }
    }
    let world = World::new();
    let app = world.app(&[]);
    app.lifecycle("master", Broken);
    let error = world.start(&app).expect_err("a broken lifecycle");
    assert!(matches!(error, Error::Failed { method: Method::AfterStartup, .. }), "{error}");
    assert_eq!(app.state(), State::Started);
}
