//! How servers learn of each other from a master of this process.

mod admin_support;

use admin_support::fleet::Fleet;
use admin_support::{Raw, run_to_the_end, until};
use pomelo::{AppEvent, Application};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

/// A master that starts no servers, what happens in it, and where it listens.
fn start(fleet: &Fleet) -> (Application, Rc<RefCell<Vec<String>>>, SocketAddr) {
    let app =
        Application::new(&fleet.env, fleet.options(&["mode=stand-alone"])).expect("a good configuration");
    let heard = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&heard);
    app.on(move |_: &Application, event: &AppEvent| {
        let line = match event {
            AppEvent::AddServers(servers) => format!("add {}", ids(servers)),
            AppEvent::RemoveServers(ids) => format!("remove {}", ids.join(" ")),
            AppEvent::ReplaceServers(servers) => format!("replace {}", ids(servers)),
            other => format!("{other:?}"),
        };
        all.borrow_mut().push(line);
    });
    fleet.start_app(&app).expect("it starts");
    let address = app.master_agent().and_then(|agent| agent.address()).and_then(|address| address.as_tcp());
    (app, heard, address.expect("it listens"))
}

fn ids(servers: &[pomelo::ServerInfo]) -> String {
    let ids: Vec<&str> = servers.iter().filter_map(|info| info["id"].as_str()).collect();
    ids.join(" ")
}

fn stop(fleet: &Fleet, app: &Application) {
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    run_to_the_end(&fleet.env);
}

fn watcher(raw: &mut Raw, id: u64, body: Value) -> Value {
    raw.ask("monitor", id, "__masterwatcher__", body)
}

/// Answers the master's next question to the watcher; its body.
fn told(raw: &mut Raw) -> Value {
    let question = raw.value("monitor");
    assert_eq!(question["moduleId"], "__monitorwatcher__");
    raw.publish("monitor", &json!({"respId": question["reqId"], "error": 1}).to_string());
    question["body"].clone()
}

fn record(id: &str) -> Value {
    json!({"id": id, "host": "127.0.0.1", "port": 6050, "serverType": "chat", "pid": 4711})
}

// pomelo: sentences 37, 48, 59, 60
#[test]
fn servers_are_told_of_those_that_come_and_go_and_asked_they_see_themselves() {
    let fleet = Fleet::new(&json!({}));
    let (app, heard, address) = start(&fleet);
    assert!(app.servers().is_empty(), "the master is none of its servers");
    let mut first = Raw::server(&fleet.env, address, "chat-1");
    let all = watcher(&mut first, 1, json!({"action": "subscribe", "id": "chat-1"}));
    assert_eq!(all, json!({"respId": 1, "error": null, "body": {"chat-1": record("chat-1")}}));
    let mut second = Raw::server(&fleet.env, address, "chat-2");
    assert_eq!(told(&mut first), json!({"action": "addServer", "server": record("chat-2")}));
    let all = watcher(&mut second, 1, json!({"action": "subscribe", "id": "chat-2"}));
    assert_eq!(all["body"], json!({"chat-1": record("chat-1"), "chat-2": record("chat-2")}));
    assert_eq!(watcher(&mut second, 2, json!({"action": "query"}))["body"], all["body"]);
    until(&fleet.env, "the master's own watcher", || app.servers().len() == 2);

    first.send(&[0xE0, 0]);
    assert_eq!(told(&mut second), json!({"action": "removeServer", "id": "chat-1"}));
    until(&fleet.env, "the master's own watcher", || app.servers().len() == 1);
    assert!(app.server("chat-1").is_none());
    assert_eq!(app.server_types(), ["chat"]);

    let done = watcher(&mut second, 3, json!({"action": "unsubscribe", "id": "chat-2"}));
    assert_eq!(done["error"], Value::Null);
    let _third = Raw::server(&fleet.env, address, "chat-3");
    assert_eq!(
        watcher(&mut second, 4, json!({"action": "query"}))["respId"],
        4,
        "it was not told of the third"
    );
    until(&fleet.env, "the master's own watcher", || app.servers().len() == 2);
    let lines = heard.borrow().clone();
    let about = |line: &&String| line.starts_with("add ") || line.starts_with("remove ");
    let about: Vec<&String> = lines.iter().filter(about).collect();
    assert_eq!(about, ["add chat-1", "add chat-2", "remove chat-1", "add chat-3"]);
    stop(&fleet, &app);
}

// pomelo: 2.3, reconnect
#[test]
fn a_server_that_comes_back_is_told_all_and_the_others_are_told_of_it() {
    let fleet = Fleet::new(&json!({}));
    let (app, _, address) = start(&fleet);
    let mut first = Raw::server(&fleet.env, address, "chat-1");
    watcher(&mut first, 1, json!({"action": "subscribe", "id": "chat-1"}));
    let mut back = Raw::greeted(&fleet.env, address);
    back.publish("reconnect", &admin_support::registration("chat-2").to_string());
    assert_eq!(back.value("reconnect_ok"), json!({"code": 1, "msg": "ok"}));
    let all = json!({"chat-1": record("chat-1"), "chat-2": record("chat-2")});
    assert_eq!(told(&mut back), json!({"action": "replaceServer", "servers": all}));
    assert_eq!(told(&mut first), json!({"action": "addServer", "server": record("chat-2")}));
    // It listens again, without having asked.
    let _third = Raw::server(&fleet.env, address, "chat-3");
    assert_eq!(told(&mut back)["server"]["id"], "chat-3");
    stop(&fleet, &app);
}

// pomelo: sentences 17, 18: one more than the configuration has
#[test]
fn all_have_started_when_one_more_than_the_configuration_has_said_so() {
    let alone = Fleet::new(&json!({}));
    let (app, heard, _) = start(&alone);
    until(&alone.env, "the start of all", || heard.borrow().iter().any(|line| line == "StartAll"));
    stop(&alone, &app);

    let fleet = Fleet::new(&json!({"chat": [
        {"id": "chat-1", "host": "127.0.0.1", "port": 1}, {"id": "chat-2", "host": "127.0.0.1", "port": 2}
    ]}));
    let (app, heard, address) = start(&fleet);
    let has_all = || heard.borrow().iter().any(|line| line == "StartAll");
    let mut first = Raw::server(&fleet.env, address, "chat-1");
    watcher(&mut first, 1, json!({"action": "subscribe", "id": "chat-1"}));
    let mut second = Raw::server(&fleet.env, address, "chat-2");
    assert_eq!(told(&mut first)["action"], "addServer");
    // Unlike in Node a server that reports twice counts once, and an unknown server does not count.
    for id in ["chat-1", "chat-1", "chat-1", "absent"] {
        let body = json!({"action": "record", "id": id});
        first.publish("monitor", &json!({"moduleId": "__masterwatcher__", "body": body}).to_string());
    }
    assert_eq!(watcher(&mut first, 2, json!({"action": "query"}))["respId"], 2);
    assert!(!has_all());
    let body = json!({"action": "record", "id": "chat-2"});
    second.publish("monitor", &json!({"moduleId": "__masterwatcher__", "body": body}).to_string());
    assert_eq!(told(&mut first), json!({"action": "startOver"}));
    until(&fleet.env, "the start of all", has_all);
    stop(&fleet, &app);
}

#[test]
fn a_watcher_is_not_confused_by_what_makes_no_sense() {
    let fleet = Fleet::new(&json!({}));
    let (app, _, address) = start(&fleet);
    let mut raw = Raw::server(&fleet.env, address, "chat-1");
    for body in [json!(null), json!(7), json!({}), json!({"action": "dance"}), json!({"action": "subscribe"})]
    {
        assert!(watcher(&mut raw, 1, body)["error"]["message"].is_string());
    }
    let unknown = watcher(&mut raw, 1, json!({"action": "subscribe", "id": "absent"}));
    assert!(unknown["error"]["message"].is_string(), "nothing is remembered of servers that are not there");
    stop(&fleet, &app);
}

// pomelo: sentence 37, in a server of ours
#[test]
fn a_servers_watcher_answers_one_or_zero_in_the_errors_place() {
    let fleet = Fleet::new(&json!({}));
    let raw_master = admin_support::RawMaster::new();
    let port = raw_master.address().port();
    let master = json!({"id": "master-server-1", "host": "127.0.0.1", "port": port});
    fleet.config("master.json", &json!({"development": master}));
    let words = ["id=chat-1", "serverType=chat", "host=127.0.0.1", "port=6050"];
    let app = Application::new(&fleet.env, fleet.options(&words)).expect("a good configuration");
    let later = admin_support::Later::new();
    app.start(later.setter());
    let (mut raw, registration) = raw_master.register(&fleet.env);
    assert_eq!(registration["info"]["id"], "chat-1");
    assert_eq!(registration["token"], "ok", "there is no adminServer.json");
    let question = raw.value("monitor");
    assert_eq!(question["body"], json!({"action": "subscribe", "id": "chat-1"}));
    let all = json!({"chat-1": record("chat-1")});
    raw.publish("monitor", &json!({"respId": question["reqId"], "error": null, "body": all}).to_string());
    later.wait(&fleet.env).expect("it starts");
    assert_eq!(raw.value("monitor")["body"], json!({"action": "record", "id": "chat-1"}));
    let ask = |raw: &mut Raw, body: Value| raw.ask("monitor", 9, "__monitorwatcher__", body);
    let yes = json!({"respId": 9, "error": 1});
    let no = json!({"respId": 9, "error": 0});
    assert_eq!(ask(&mut raw, json!({"action": "addServer", "server": record("chat-2")})), yes);
    assert_eq!(app.servers().len(), 2);
    assert_eq!(ask(&mut raw, json!({"action": "removeServer", "id": "chat-1"})), yes);
    assert_eq!(ids(&app.servers()), "chat-2");
    let replaced = json!({"action": "replaceServer", "servers": {"a": record("chat-7")}});
    assert_eq!(ask(&mut raw, replaced.clone()), yes);
    assert_eq!(ids(&app.servers()), "chat-7");
    // Its first report may have been lost.
    assert_eq!(raw.value("monitor")["body"], json!({"action": "record", "id": "chat-1"}));
    assert_eq!(ask(&mut raw, json!({"action": "startOver"})), yes);
    assert_eq!(ask(&mut raw, replaced), yes);
    for body in
        [json!({"action": "addServer"}), json!({"action": "removeServer"}), json!({"action": "x"}), json!(1)]
    {
        assert_eq!(ask(&mut raw, body), no);
    }
    stop(&fleet, &app);
}

#[test]
fn a_master_that_is_lost_while_a_server_starts_does_not_end_the_start() {
    let fleet = Fleet::new(&json!({}));
    let raw_master = admin_support::RawMaster::new();
    let port = raw_master.address().port();
    let master = json!({"id": "master-server-1", "host": "127.0.0.1", "port": port});
    fleet.config("master.json", &json!({"development": master}));
    let words = ["id=chat-1", "serverType=chat", "host=127.0.0.1", "port=6050"];
    let app = Application::new(&fleet.env, fleet.options(&words)).expect("a good configuration");
    let later = admin_support::Later::new();
    app.start(later.setter());
    let (mut raw, _) = raw_master.register(&fleet.env);
    assert_eq!(raw.value("monitor")["body"]["action"], "subscribe");
    drop(raw);
    later.wait(&fleet.env).expect("it starts");
    let mut raw = raw_master.greet(&fleet.env);
    assert_eq!(raw.value("reconnect")["id"], "chat-1");
    raw.publish("reconnect_ok", r#"{"code":1,"msg":"ok"}"#);
    let all = json!({"action": "replaceServer", "servers": {"chat-1": record("chat-1")}});
    assert_eq!(raw.ask("monitor", 1, "__monitorwatcher__", all)["error"], 1);
    assert_eq!(ids(&app.servers()), "chat-1");
    stop(&fleet, &app);
}

#[test]
fn another_process_of_a_server_is_not_told_what_the_first_one_has_missed() {
    let fleet = Fleet::new(&json!({}));
    let (app, _, address) = start(&fleet);
    let agent = app.master_agent().expect("it runs");
    let mut first = Raw::server(&fleet.env, address, "chat-1");
    watcher(&mut first, 1, json!({"action": "subscribe", "id": "chat-1"}));
    let mut second = Raw::server(&fleet.env, address, "chat-2");
    assert_eq!(first.value("monitor")["body"]["action"], "addServer", "it gives no answer");
    drop(first);
    until(&fleet.env, "its end", || agent.server("chat-1").is_none());
    second.send(&[0xE0, 0]);
    until(&fleet.env, "the other one's end", || agent.server("chat-2").is_none());
    let mut next = Raw::server(&fleet.env, address, "chat-1");
    let all = watcher(&mut next, 1, json!({"action": "subscribe", "id": "chat-1"}));
    assert_eq!(all, json!({"respId": 1, "error": null, "body": {"chat-1": record("chat-1")}}));
    drop((second, next));
    stop(&fleet, &app);
}

#[test]
fn a_server_that_could_not_be_told_that_all_have_started_is_told_when_it_comes_back() {
    let fleet = Fleet::new(&json!({"chat": [{"id": "chat-1", "host": "127.0.0.1", "port": 1}]}));
    let (app, heard, address) = start(&fleet);
    let mut first = Raw::server(&fleet.env, address, "chat-1");
    let body = json!({"action": "record", "id": "chat-1"});
    first.publish("monitor", &json!({"moduleId": "__masterwatcher__", "body": body}).to_string());
    until(&fleet.env, "the start of all", || heard.borrow().iter().any(|line| line == "StartAll"));
    let agent = app.master_agent().expect("it runs");
    drop(first);
    until(&fleet.env, "its end", || agent.server("chat-1").is_none());
    let mut back = Raw::greeted(&fleet.env, address);
    back.publish("reconnect", &admin_support::registration("chat-1").to_string());
    assert_eq!(back.value("reconnect_ok")["code"], 1);
    assert_eq!(told(&mut back)["action"], "replaceServer");
    assert_eq!(told(&mut back), json!({"action": "startOver"}));
    drop(back);
    stop(&fleet, &app);
    let count = heard.borrow().iter().filter(|line| *line == "StartAll").count();
    assert_eq!(count, 1, "the master was told once");
}
