//! The configuration: two layouts, and errors that say where.

mod common;

use common::World;
use pomelo::{Application, Error};

/// What is wrong with the configuration.
fn problem(world: &World) -> String {
    let error = world.try_app(&[]).expect_err("a wrong configuration");
    assert!(matches!(error, Error::Config(_)));
    let base = world.base().join("config").display().to_string();
    error.to_string().replace(&format!("{base}/"), "")
}

fn ids(app: &Application) -> Vec<&str> {
    app.servers_from_config().iter().map(|info| info["id"].as_str().expect("a text")).collect()
}

// pomelo: sentence 32
#[test]
fn a_shared_file_is_unwrapped_and_one_of_the_environment_is_not() {
    let world = World::new();
    let servers = |id: &str| format!(r#"{{"chat": [{{"id": "{id}", "host": "127.0.0.1", "port": 3250}}]}}"#);
    world.config("servers.json", &format!(r#"{{"development": {}}}"#, servers("shared")));
    world.config("development/servers.json", &servers("own"));
    assert_eq!(ids(&world.app(&[])), ["shared"], "the shared one wins");
    world.config("servers.json", &servers("bare"));
    assert_eq!(ids(&world.app(&[])), ["bare"], "without a key of the environment's name it counts as it is");
    std::fs::remove_file(world.base().join("config/servers.json")).expect("it is there");
    assert_eq!(ids(&world.app(&[])), ["own"]);
    world.config("development/servers.json", &format!(r#"{{"development": {}}}"#, servers("wrapped")));
    assert!(problem(&world).starts_with("development/servers.json:1: development: is not an array"));
}

#[test]
fn servers_stand_in_the_order_of_the_file_with_their_type_last() {
    let world = World::new();
    world.config(
        "servers.json",
        "\u{feff}{\"development\": {\"z\": [{\"port\": 1, \"id\": \"z-1\", \"host\": \"h\"}], \"a\": [{\"id\": \"a-1\", \"host\": \"h\"}]}}",
    );
    let app = world.app(&[]);
    assert_eq!(ids(&app), ["z-1", "a-1"]);
    let keys: Vec<_> = app.servers_from_config()[0].keys().collect();
    assert_eq!(keys, ["port", "id", "host", "serverType"]);
}

#[test]
fn an_error_has_no_control_characters_whatever_the_file_has() {
    let world = World::new();
    let server = r#"{"id": "a", "host": "h", "port": "3\u001b[2J\u007f"}"#;
    world.config("servers.json", &format!(r#"{{"development": {{"c\u001bt\u007f": [{server}]}}}}"#));
    let error = problem(&world);
    assert!(error.contains("serverType") && !error.contains(char::is_control), "{error:?}");
}

#[test]
fn a_missing_file_is_named_in_both_layouts() {
    let world = World::new();
    std::fs::remove_file(world.base().join("config/master.json")).expect("it is there");
    let error = problem(&world);
    assert_eq!(error, "master.json: no such file, and no development/master.json either");
    world.config("master.json", common::MASTER);
    std::fs::remove_file(world.base().join("config/servers.json")).expect("it is there");
    assert!(problem(&world).starts_with("servers.json: no such file"));
}

#[test]
fn a_file_that_is_no_json_is_named_with_its_line() {
    let world = World::new();
    world.config("servers.json", "{\n  \"development\": {\n    \"chat\": [,]\n  }\n}\n");
    assert_eq!(problem(&world), "servers.json:3: expected value");
    world.config("servers.json", "");
    assert!(problem(&world).starts_with("servers.json:1: EOF"), "{}", problem(&world));
    world.config("servers.json", &"[".repeat(100_000));
    assert!(problem(&world).contains("recursion limit"), "{}", problem(&world));
}

#[test]
fn a_wrong_record_of_the_master_is_named_with_line_and_key() {
    let world = World::new();
    for (text, expected) in [
        (
            "{\n\"development\": {\n\"id\": \"m\",\n\"host\": \"h\" }}",
            "master.json:2: development.port: is missing",
        ),
        (
            "{\n\"development\": {\n\"id\": \"m\",\n\"host\": \"h\", \"port\": 70000 }}",
            "master.json:4: development.port: is no port, which is 1 to 65535",
        ),
        (
            "{\n\"development\":\n {\"id\": 7}}",
            "master.json:3: development.id: 7 is no name, which is a text that is not empty",
        ),
        (
            "{\"id\": \"m\",\n\"host\": \"-oProxyCommand=x\", \"port\": 3005}",
            "master.json:2: host: \"-oProxyCommand=x\" is no host's name",
        ),
        (
            "{\"production\": {\"id\": \"m\"}}",
            "master.json:1: development: is missing: there is no such environment",
        ),
        ("[]", "master.json:1: is not an object with id, host and port"),
    ] {
        world.config("master.json", text);
        assert_eq!(problem(&world), expected);
    }
}

#[test]
fn a_wrong_record_of_a_server_is_named_with_line_and_key() {
    let world = World::new();
    let good = r#"{"id": "chat-1", "host": "127.0.0.1", "port": 3250, "x": "}]\"", "y": [1, {"z": []}]}"#;
    for (record, expected) in [
        (r#""id": "chat-2""#, "chat[1].host: is missing"),
        (r#""host": "h""#, "chat[1].id: is missing"),
        (r#""id": "chat-1", "host": "h""#, "chat[1].id: another server has the id \"chat-1\""),
        (r#""id": "a", "host": "h", "port": -1"#, "chat[1].port: -1 is no port, which is 0 to 65535"),
        (
            r#""id": "a", "host": "h", "port": "3250++""#,
            "chat[1].port: \"3250++\" is no port, which is 0 to 65535",
        ),
        (
            r#""id": "a", "host": "h", "clientPort": "x""#,
            "chat[1].clientPort: \"x\" is no port, which is 0 to 65535",
        ),
        (
            r#""id": "a", "host": "h", "cpu": "2-1""#,
            "chat[1].cpu: \"2-1\" is no list of processors, such as 0,2-3",
        ),
        (r#""id": "a", "host": "h", "args": [1]"#, "chat[1].args: is neither a text nor an array of texts"),
        (r#""id": "a", "host": "a b""#, "chat[1].host: \"a b\" is no host's name"),
        (
            r#""id": "a", "host": "h", "a=b": 1"#,
            "chat[1].a=b: is not a name that can precede `=` on a command line",
        ),
        (
            r#""id": "a", "host": "h", "type": "chat""#,
            "chat[1].type: tells a process to start servers, which a server must not do",
        ),
        (
            r#""host": "h", "clusterCount": -1"#,
            "chat[1].clusterCount: -1 is no number of servers, which is 1 to 1024",
        ),
    ] {
        let text = format!("{{\n\"development\": {{\n\"chat\": [\n{good},\n{{{record}}}]}}}}");
        world.config("servers.json", &text);
        assert_eq!(problem(&world), format!("servers.json:5: development.{expected}"));
    }
}

#[test]
fn a_type_that_is_no_list_is_named() {
    let world = World::new();
    world.config("servers.json", "{\"development\": {\n\"chat\": {}}}");
    assert_eq!(problem(&world), "servers.json:2: development.chat: is not an array of servers");
    world.config("servers.json", "{\"development\": {\n\"chat\": [\n\n7]}}");
    assert_eq!(
        problem(&world),
        "servers.json:4: development.chat[0]: is not an object, the record of a server"
    );
}

#[test]
fn a_deprecated_key_is_warned_of() {
    let world = World::new();
    world.config("servers.json", r#"{"development": {"chat": [{"id": "a", "host": "h", "wsPort": 1}]}}"#);
    world.app(&[]);
    assert_eq!(common::logs::with("development.chat[0].wsPort: is deprecated").len(), 1);
}
