//! The arguments of a server.

mod common;

use common::World;
use pomelo::{Error, Mode};
use serde_json::{Value, json};

/// What a server registers with, started with these words.
fn info(words: &[&str]) -> Value {
    let world = World::new();
    let words: Vec<&str> = ["app.js", "id=a", "serverType=chat"].iter().chain(words).copied().collect();
    Value::Object(world.app(&words).cur_server().clone())
}

// pomelo: sentence 25
#[test]
fn a_value_is_a_number_where_javascript_makes_one_of_it_without_a_dot() {
    for (word, expected) in [
        ("x=1", json!(1)),
        ("x=1.5", json!("1.5")),
        ("x=", json!(0)),
        ("x= ", json!(0)),
        ("x=0x10", json!(16)),
        ("x=0o17", json!(15)),
        ("x=0b11", json!(3)),
        ("x=0x", json!("0x")),
        ("x=0x+1", json!("0x+1")),
        ("x=1e3", json!(1000)),
        ("x=5e-1", json!(0.5)),
        ("x=-7", json!(-7)),
        ("x=007", json!(7)),
        ("x=k=w", json!("k=w")),
        ("x=true", json!("true")),
        ("x=1 2", json!("1 2")),
        ("x=inf", json!("inf")),
        ("x=nan", json!("nan")),
        ("x=1e999", json!("1e999")),
        ("x=-", json!("-")),
        // A number in JavaScript, which would be another one.
        ("x=12345678901234567890", json!("12345678901234567890")),
    ] {
        assert_eq!(info(&[word])["x"], expected, "{word}");
    }
}

// pomelo: sentence 25, where Node makes the key `--harmon` of it
#[test]
fn a_word_that_is_no_pair_is_an_error_behind_the_first_pair_and_the_programs_own_before_it() {
    let world = World::new();
    let error = world.try_app(&["app.js", "id=a", "--harmony"]).expect_err("no pair");
    assert!(matches!(&error, Error::Argument { word, .. } if word == "--harmony"), "{error}");
    assert_eq!(error.to_string(), "argument \"--harmony\": expected key=value");
    let app = world.app(&["--harmony", "--max=1", "run", "id=a", "serverType=chat"]);
    assert_eq!(app.cur_server()["main"], "--harmony --max=1 run");
    assert_eq!(app.program().args, ["--harmony", "--max=1", "run"]);
}

// pomelo: sentence 26, where Node takes the next argument for the program
#[test]
fn a_path_with_dashes_or_an_equals_sign_is_a_path() {
    let world = World::new();
    for main in ["/srv/a--b/app.js", "./a=b/app.js", "../app--1.js"] {
        let app = world.app(&[main, "id=a", "serverType=chat"]);
        assert_eq!((app.cur_server()["main"].as_str(), app.id()), (Some(main), "a"));
    }
}

// pomelo: sentence 27; unlike there, a true that is no text counts too
#[test]
fn a_frontend_is_one_whose_record_says_true() {
    let world = World::new();
    for (word, expected) in
        [("frontend=true", true), ("frontend=false", false), ("frontend=1", false), ("x=1", false)]
    {
        let app = world.app(&["id=a", "serverType=connector", word]);
        assert_eq!(app.is_frontend(), expected, "{word}");
    }
    world.config(
        "master.json",
        r#"{"development": {"id": "m", "host": "127.0.0.1", "port": 3005, "frontend": true}}"#,
    );
    assert!(world.app(&[]).is_frontend());
}

// pomelo: sentence 33
#[test]
fn the_argument_beats_the_variable_which_beats_development() {
    let world = World::new();
    for env in ["production", "testing"] {
        world.config(&format!("{env}/unused.json"), "{}");
    }
    world.config("master.json", r#"{"id": "m", "host": "127.0.0.1", "port": 3005}"#);
    world.config("servers.json", "{}");
    for (variable, words, expected) in [
        (None, &[][..], "development"),
        (Some(""), &[], "development"),
        (Some("testing"), &[], "testing"),
        (Some("testing"), &["env=production"], "production"),
        (Some("testing"), &["env="], "testing"),
        (None, &["env=7"], "7"),
    ] {
        let mut options = world.options().args(words.iter().copied());
        if let Some(variable) = variable {
            options = options.env(variable);
        }
        let app = pomelo::Application::new(&world.env, options).expect("a good configuration");
        assert_eq!(app.env(), expected);
    }
}

#[test]
fn a_server_is_what_its_arguments_say_and_a_master_what_its_file_says() {
    let world = World::new();
    let server =
        world.app(&["app.js", "env=development", "id=7", "host=::1", "port=3150", "serverType=chat"]);
    assert_eq!((server.id(), server.server_type(), server.is_master()), ("7", "chat", false));
    let expected = json!({
        "main": "app.js", "env": "development", "id": "7", "host": "::1", "port": 3150, "serverType": "chat"
    });
    assert_eq!(Value::Object(server.cur_server().clone()), expected);
    let master = world.app(&["app.js"]);
    assert_eq!((master.id(), master.server_type(), master.is_master()), ("master-1", "master", true));
    assert_eq!(master.cur_server(), master.master());
    assert_eq!((master.mode(), world.app(&["mode=stand-alone"]).mode()), (Mode::Clusters, Mode::StandAlone));
    let error = world.try_app(&["mode=alone"]).expect_err("no mode");
    assert_eq!(error.to_string(), "argument \"mode=alone\": expected clusters or stand-alone");
    let many = world.app(&["masterha=true", "id=m2", "host=127.0.0.1", "port=3006", "serverType=master"]);
    assert_eq!((many.id(), &many.master()["port"]), ("m2", &json!(3006)));
}
