//! Settings, code for some servers only, plugins.

mod common;

use common::{Part, World};
use pomelo::upcall::Plugin;
use pomelo::{AppEvent, Application, Error, Failure, Method};
use serde_json::{Value, json};
use std::cell::Cell;

#[test]
fn a_setting_is_what_was_set_last() {
    let world = World::new();
    let app = world.app(&[]);
    assert_eq!(app.get("key"), None);
    app.set("key", 1).set("key", "two").set("other", json!({"a": [1]}));
    assert_eq!(app.get("key"), Some(Value::from("two")));
    assert_eq!(app.get("other"), Some(json!({"a": [1]})));
}

#[test]
fn what_javascript_takes_for_true_is_enabled() {
    let world = World::new();
    let app = world.app(&[]);
    app.enable("on")
        .disable("off")
        .set("empty", "")
        .set("zero", 0)
        .set("null", Value::Null)
        .set("list", json!([]));
    for (key, expected) in [
        ("on", true),
        ("off", false),
        ("empty", false),
        ("zero", false),
        ("null", false),
        ("list", true),
        ("?", false),
    ] {
        assert_eq!((app.enabled(key), app.disabled(key)), (expected, !expected), "{key}");
    }
}

// pomelo: sentence 31
#[test]
fn configure_runs_at_once_if_both_lists_have_the_exact_word() {
    let world = World::new();
    world.config("production/master.json", r#"{"id": "m", "host": "127.0.0.1", "port": 3005}"#);
    let app = world.app(&["env=development", "id=connector-1", "serverType=connector"]);
    for (env, server_type, expected) in [
        ("all", "all", true),
        ("development", "connector", true),
        ("production|development", "gate|connector", true),
        ("production|development", "gate", false),
        ("production", "connector", false),
        ("develop", "connector", false),
        ("development", "connectors", false),
        ("", "all", false),
    ] {
        let ran = Cell::new(false);
        app.configure(env, server_type, |same| {
            assert_eq!(same.id(), "connector-1");
            ran.set(true);
        });
        assert_eq!(ran.get(), expected, "{env:?} {server_type:?}");
    }
}

#[test]
fn a_plugin_loads_its_components_and_handlers() {
    struct Parts(common::Story);
    impl Plugin for Parts {
        fn on_use(&mut self, app: &Application) -> Result<(), Error> {
            app.load("part", Part::new("part", &self.0))?;
            let story = self.0.clone();
            app.on(move |_: &Application, event: &AppEvent| story.add(format!("{event:?}")));
            Ok(())
        }
    }
    let world = World::new();
    let app = world.app(&[]);
    app.use_plugin(Parts(world.story.clone())).expect("a plugin that works");
    assert_eq!(world.start(&app), Ok(()));
    assert_eq!(*world.story.lines(), ["part.start 1", "part.afterStart 2", "StartServer(\"master-1\")"]);
}

#[test]
fn a_plugin_that_fails_says_so() {
    struct Broken;
    impl Plugin for Broken {
        fn on_use(&mut self, _: &Application) -> Result<(), Error> {
            let failure = Failure::new("no licence");
            Err(Error::Failed { component: "broken".into(), method: Method::Use, failure })
        }
    }
    let world = World::new();
    let error = world.app(&[]).use_plugin(Broken).expect_err("a broken plugin");
    assert_eq!(error.to_string(), "fail to operate component \"broken\", method use: no licence");
}
