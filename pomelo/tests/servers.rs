//! The servers that an application knows of.

mod common;

use common::World;
use pomelo::{AppEvent, Application, ServerInfo};
use serde_json::json;

fn info(id: &str, server_type: &str, port: u16) -> ServerInfo {
    let value = json!({"id": id, "host": "127.0.0.1", "port": port, "serverType": server_type});
    value.as_object().expect("an object").clone()
}

fn ids(servers: &[ServerInfo]) -> Vec<&str> {
    servers.iter().map(|info| info["id"].as_str().expect("a text")).collect()
}

fn noted(world: &World) -> Application {
    let app = world.app(&[]);
    let story = world.story.clone();
    app.on(move |_: &Application, event: &AppEvent| {
        story.add(match event {
            AppEvent::AddServers(servers) => format!("add_servers {:?}", ids(servers)),
            AppEvent::RemoveServers(ids) => format!("remove_servers {ids:?}"),
            AppEvent::ReplaceServers(servers) => format!("replace_servers {:?}", ids(servers)),
            other => format!("{other:?}"),
        });
    });
    app
}

// pomelo: sentence 65
#[test]
fn a_type_stays_known_and_a_known_id_replaces_its_record() {
    let world = World::new();
    let app = noted(&world);
    app.add_servers(vec![info("chat-1", "chat", 1), info("gate-1", "gate", 2)]);
    app.add_servers(vec![info("chat-1", "chat", 3)]);
    assert_eq!(ids(&app.servers()), ["chat-1", "gate-1"]);
    assert_eq!(app.server("chat-1").expect("it joined")["port"], 3);
    assert_eq!(ids(&app.servers_by_type("chat")), ["chat-1"]);
    app.remove_servers(&["chat-1".into()]);
    assert_eq!(ids(&app.servers()), ["gate-1"]);
    assert_eq!(app.server("chat-1"), None);
    assert!(app.servers_by_type("chat").is_empty());
    assert_eq!(app.server_types(), ["chat", "gate"]);
    app.replace_servers(vec![info("area-1", "area", 4)]);
    assert_eq!(ids(&app.servers()), ["area-1"]);
    assert_eq!(app.server_types(), ["area"]);
    assert!(world.story.lines().is_empty(), "no handler is called from within these methods");
    world.run();
    let expected = [
        "add_servers [\"chat-1\", \"gate-1\"]",
        "add_servers [\"chat-1\"]",
        "remove_servers [\"chat-1\"]",
        "replace_servers [\"area-1\"]",
    ];
    assert_eq!(*world.story.lines(), expected);
}

#[test]
fn empty_lists_are_no_events_and_servers_without_an_id_are_left_out() {
    let world = World::new();
    let app = noted(&world);
    app.add_servers(vec![]);
    app.remove_servers(&[]);
    let mut nameless = info("x", "chat", 1);
    nameless.remove("id");
    app.add_servers(vec![nameless]);
    world.run();
    assert!(world.story.lines().is_empty());
    assert!(app.servers().is_empty());
    assert_eq!(common::logs::with("WARN a server without an id is left out").len(), 1);
}

#[test]
fn a_handler_may_emit_and_add_handlers() {
    let world = World::new();
    let app = noted(&world);
    let story = world.story.clone();
    app.on(move |app: &Application, event: &AppEvent| {
        if *event == AppEvent::StartAll {
            let story = story.clone();
            app.on(move |_: &Application, _: &AppEvent| story.add("later handler"));
            app.emit(AppEvent::StartServer("x".into()));
        }
    });
    app.emit(AppEvent::StartAll);
    world.run();
    assert_eq!(*world.story.lines(), ["StartAll", "StartServer(\"x\")", "later handler"]);
}

// pomelo: sentence 28
#[test]
fn a_cluster_is_numbered_on() {
    let world = World::new();
    world.config(
        "servers.json",
        r#"{"development": {"chat": [
            {"id": "", "host": "127.0.0.1", "port": "3250++", "clientPort": 9, "args": "c++", "clusterCount": 2},
            {"host": "127.0.0.1", "port": "3350++", "clusterCount": "1"}
        ]}}"#,
    );
    let app = world.app(&[]);
    let config = app.servers_from_config();
    assert_eq!(ids(config), ["cluster-server-chat-0", "cluster-server-chat-1", "cluster-server-chat-2"]);
    let ports: Vec<_> = config.iter().map(|info| info["port"].clone()).collect();
    assert_eq!(ports, [3250, 3251, 3350]);
    assert_eq!(config[1]["clientPort"], 9, "everything else is copied");
    assert_eq!(config[1]["args"], "c++", "what is no number in front of ++ is no port");
    assert_eq!(config[1]["clusterCount"], 2);
    let more = json!({"host": "h", "port": "3450++", "clusterCount": 1, "serverType": "chat"});
    let more = app.expand_cluster(more.as_object().expect("an object").clone()).expect("a good record");
    assert_eq!((ids(&more), &more[0]["port"]), (vec!["cluster-server-chat-3"], &json!(3450)));
    assert_eq!(app.server_from_config("cluster-server-chat-2").expect("it is there")["host"], "127.0.0.1");
}

#[test]
fn a_cluster_has_a_bound_and_a_type() {
    let world = World::new();
    let app = world.app(&[]);
    for (count, problem) in [
        (json!(0), "clusterCount: 0 is no number of servers, which is 1 to 1024"),
        (json!(1_000_000), "clusterCount: 1000000 is no number of servers, which is 1 to 1024"),
        (json!("many"), "clusterCount: \"many\" is no number of servers, which is 1 to 1024"),
        (json!(1), "serverType: is missing"),
    ] {
        let record = json!({"host": "h", "clusterCount": count});
        let error = app.expand_cluster(record.as_object().expect("an object").clone());
        assert_eq!(error.expect_err("no cluster").to_string(), problem);
    }
}
