//! The module `__console__`: a user and a fleet of real processes.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, chat, error, play_server as play, quick, words_of};
use admin_support::{Raw, free_port, registration, until};
use pomelo::admin::{Agent, CONSOLE, MonitorAgent, Reply, Response};
use pomelo::upcall::{Component, Module};
use pomelo::{AppEvent, Application, Completion};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

/// A console that answers nothing.
struct Mute(Vec<Reply>);

impl Module for Mute {
    fn on_monitor(&mut self, _: &MonitorAgent, _: Option<Value>, reply: Reply) {
        self.0.push(reply);
    }
}

/// Listens on the server's port, and leaves its master once, keeping the port.
struct Deserter(Option<TcpListener>);

impl Component for Deserter {
    fn on_start(&mut self, app: &Application, done: Completion) {
        let port =
            app.cur_server()["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        self.0 = Some(TcpListener::bind(("127.0.0.1", port)).expect("it is free"));
        let left = app.base().join("left");
        app.on(move |app: &Application, event: &AppEvent| {
            if *event == AppEvent::StartAll && !left.exists() {
                std::fs::write(&left, "").expect("a file");
                app.monitor_agent().expect("it is there").close();
                // What would keep the process alive.
                let _alive = app.environment().set_interval(Duration::from_secs(1), || {});
            }
        });
        done.ok(());
    }
}

/// Not a test: the servers of this program. One whose record says `mute` answers nothing to the console, one whose
/// record says `deserts` leaves its master.
#[test]
fn play_server() {
    play(|app| {
        if app.cur_server().contains_key("mute") {
            app.register_admin(CONSOLE, |_: &Application, _: &Agent| Mute(Vec::new()));
        }
        if app.cur_server().contains_key("deserts") {
            app.load("deserter", Deserter(None)).expect("the first of its name");
        }
    });
}

fn two() -> Value {
    json!({"chat": [chat("chat-1", json!({})), chat("chat-2", json!({}))]})
}

// pomelo: sentences 38, 49, 50, 60
#[test]
fn list_has_every_server_and_the_master_and_stop_ends_them_all() {
    let fleet = Fleet::new(&two());
    let app = fleet.start(quick());
    let client = fleet.login("guest");
    let response = fleet.ask(&client, json!({"signal": "list"}));
    assert_eq!(response.error, Some(Value::Null));
    let body = response.body.expect("a list");
    assert_eq!(body.get("silent"), None, "all answered");
    let servers = body["msg"].as_object().expect("by id");
    for (id, of_type) in [("chat-1", "chat"), ("chat-2", "chat"), ("master-server-1", "master")] {
        let server = servers[id].as_object().expect("a record");
        let keys: Vec<&str> = server.keys().map(String::as_str).collect();
        assert_eq!(keys, ["serverId", "serverType", "pid", "rss", "heapTotal", "heapUsed", "uptime"]);
        assert_eq!((&server["serverId"], &server["serverType"]), (&json!(id), &json!(of_type)));
        assert!(server["pid"].is_u64());
        for key in ["rss", "heapTotal", "heapUsed", "uptime"] {
            let (_, cents) = server[key].as_str().and_then(|text| text.split_once('.')).expect("a text");
            assert_eq!(cents.len(), 2);
        }
    }
    assert_eq!(
        (servers.len(), app.servers().len()),
        (3, 2),
        "the master is none of the application's servers"
    );
    client.close();
    let admin = fleet.login("admin");
    fleet.stop_all(&admin);
}

// pomelo: sentences 48, 49, 51, 67
#[test]
fn stop_ends_those_it_names_and_says_if_it_does_not_know_one() {
    let fleet = Fleet::new(&json!({"chat": [
        chat("chat-1", json!({"auto-restart": "true"})), chat("chat-2", json!({})), chat("chat-3", json!({}))
    ]}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    let response = fleet.ask(&client, json!({"signal": "stop", "ids": ["chat-1"]}));
    assert_eq!(response, Response::body(json!({"status": "part"})));
    until(&fleet.env, "its end", || fleet.pid_of("chat-1").is_none() && app.server("chat-1").is_none());
    let response =
        fleet.ask(&client, json!({"signal": "stop", "ids": ["chat-1", "master-server-1", "chat-2"]}));
    assert_eq!(error(&response), "Cannot find the server to stop.");
    until(&fleet.env, "the other's end", || {
        fleet.pid_of("chat-2").is_none() && app.server("chat-2").is_none()
    });
    assert!(!error(&fleet.ask(&client, json!({"signal": "stop"}))).is_empty(), "no ids are not all ids");
    assert!(!error(&fleet.ask(&client, json!({"signal": "stop", "ids": [7]}))).is_empty());
    assert_eq!(fleet.ids(&client), ["chat-3", "master-server-1"], "what was stopped is not restarted");
    fleet.stop_all(&client);
}

// pomelo: sentence 52
#[test]
fn add_starts_a_server_and_refuses_what_is_incomplete_or_taken() {
    let fleet = Fleet::new(&json!({}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    let add = |words: &[&str]| fleet.ask(&client, json!({"signal": "add", "args": words}));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (free, busy) = (free_port(), taken.local_addr().expect("an address").port());
    let (free, busy) = (format!("port={free}"), format!("port={busy}"));
    let whole = ["host=127.0.0.1", &free, "id=chat-9", "serverType=chat"];
    for missing in 0..whole.len() {
        let mut words = whole.to_vec();
        words.remove(missing);
        assert_eq!(error(&add(&words)), "Miss necessary server parameters.", "{words:?}");
    }
    assert_eq!(error(&add(&[&whole[..], &["dance"]].concat())), "Error server parameters format.");
    assert_eq!(error(&add(&[&whole[..], &["main=/bin/sh"]].concat())), "Error server parameters format.");
    assert!(error(&add(&["host=-oProxyCommand=x", &free, "id=a", "serverType=chat"])).contains("host"));
    assert!(error(&add(&["host=a;b", &free, "id=a", "serverType=chat"])).contains("host"));
    assert!(error(&add(&["host=127.0.0.1", &free, "id=a", "serverType=master"])).contains("master's own"));
    let cpus = format!("cpu={}0", "0-1023,".repeat(10_000));
    assert!(error(&add(&[&whole[..], &[cpus.as_str()]].concat())).contains("no list of processors"));
    assert!(!error(&fleet.ask(&client, json!({"signal": "add"}))).is_empty());
    let occupied = "Port occupied already, check your server to add.";
    assert_eq!(error(&add(&["host=127.0.0.1", &busy, "id=chat-9", "serverType=chat"])), occupied);
    let client_port = busy.replace("port", "clientPort");
    assert_eq!(error(&add(&[&whole[..], &[client_port.as_str()]].concat())), occupied);
    assert!(fleet.children().is_empty());

    assert_eq!(add(&whole), Response::body(json!({"status": "ok"})));
    assert!(app.server("chat-9").is_none(), "it has not registered yet");
    until(&fleet.env, "chat-9", || app.server("chat-9").is_some());
    assert!(error(&add(&whole)).contains("id has been registered"));
    fleet.stop_all(&client);
}

// pomelo: sentences 28, 52
#[test]
fn add_starts_the_servers_of_a_cluster_and_names_those_that_it_cannot() {
    let fleet = Fleet::new(&json!({}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    // A taken port, right behind a free port.
    let (taken, busy) = std::iter::repeat_with(|| {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let busy = taken.local_addr().expect("an address").port();
        (taken, busy)
    })
    .find(|(_, busy)| TcpListener::bind(("127.0.0.1", busy - 1)).is_ok())
    .expect("there are many");
    let port = format!("port={}++", busy - 1);
    let words = ["host=127.0.0.1", &port, "clusterCount=2", "serverType=chat"];
    let response = fleet.ask(&client, json!({"signal": "add", "args": words}));
    let failed = response.body.expect("an array");
    let ids: Vec<&str> =
        failed.as_array().expect("an array").iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, ["cluster-server-chat-1"]);
    until(&fleet.env, "the first", || app.server("cluster-server-chat-0").is_some());
    drop(taken);
    fleet.stop_all(&client);
}

// pomelo: sentence 53
#[test]
fn restart_gives_a_server_a_new_process_with_its_old_arguments() {
    let restarts = json!({"auto-restart": "true"});
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", restarts), chat("chat-2", json!({}))]}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    let pids = || ["chat-1", "chat-2"].map(|id| fleet.pid_of(id).expect("it runs"));
    let old = pids();
    let argv = old.map(words_of);
    let restart = |ids: Value, of_type: Value| {
        let response = fleet.ask(&client, json!({"signal": "restart", "ids": ids, "type": of_type}));
        until(&fleet.env, "both", || app.servers().len() == 2);
        response
    };
    // A server that would be restarted as crashed is started once.
    assert_eq!(restart(json!(["chat-1"]), Value::Null), Response::body(json!([])));
    let new = pids();
    assert_eq!((old[0] == new[0], old[1] == new[1]), (false, true));
    assert_eq!(new.map(words_of), argv);
    assert_eq!(restart(json!([]), json!("chat")), Response::body(json!([])));
    assert!(pids().iter().all(|pid| !new.contains(pid)));
    assert_eq!(restart(json!([]), Value::Null), Response::body(json!([])), "all but the master");
    let some = restart(json!(["absent", "chat-2"]), Value::Null);
    assert_eq!(some, Response::body(json!(["absent"])), "the servers that failed");
    assert_eq!(error(&restart(json!(["absent"]), Value::Null)), "all servers start failed.");
    let unknown = restart(json!([]), json!("gate"));
    assert_eq!(error(&unknown), "restart servers with unknown server type: gate");
    assert_eq!(fleet.children().len(), 2);
    fleet.stop_all(&client);
}

// pomelo: defect 8: in Node the master throws and the user gets no answer
#[test]
fn restart_of_nothing_is_answered() {
    let fleet = Fleet::new(&json!({}));
    let _app = fleet.start(quick());
    let client = fleet.login("admin");
    let response = fleet.ask(&client, json!({"signal": "restart", "ids": [], "type": null}));
    assert_eq!(response, Response::body(json!([])));
    fleet.stop_all(&client);
}

// pomelo: sentences 54, 66, 67; defects 3 and 5
#[test]
fn a_server_that_crashes_is_restarted_and_one_that_was_stopped_is_not() {
    let record = chat("chat-1", json!({"auto-restart": "true", "args": ["--show-output", "--quiet"]}));
    let fleet = Fleet::new(&json!({"chat": [record, chat("chat-2", json!({}))]}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    let crash = || {
        let old = fleet.pid_of("chat-1").expect("it runs");
        let argv = words_of(old);
        uv_core::process::kill(old, 9).expect("it runs");
        let is_new = || app.server("chat-1").is_some_and(|info| info["pid"] != old);
        until(&fleet.env, "chat-1 is back", is_new);
        assert_eq!(words_of(fleet.pid_of("chat-1").expect("it runs")), argv);
    };
    crash();
    crash();
    let stop = fleet.ask(&client, json!({"signal": "stop", "ids": ["chat-1"]}));
    assert_eq!(stop.body, Some(json!({"status": "part"})));
    until(&fleet.env, "its end", || app.server("chat-1").is_none());
    // Started again by hand it is watched again; in Node it would stay off.
    let words: Vec<String> = ["id", "host", "port"]
        .iter()
        .map(|key| {
            format!("{key}={}", record[*key].as_str().map_or_else(|| record[*key].to_string(), str::to_owned))
        })
        .chain(["serverType=chat".to_owned(), "auto-restart=true".to_owned()])
        .collect();
    until(&fleet.env, "the port is free", || {
        fleet.ask(&client, json!({"signal": "add", "args": words})).body == Some(json!({"status": "ok"}))
    });
    until(&fleet.env, "chat-1", || app.server("chat-1").is_some());
    crash();
    // The other one has no auto-restart.
    uv_core::process::kill(fleet.pid_of("chat-2").expect("it runs"), 9).expect("it runs");
    until(&fleet.env, "its loss", || app.server("chat-2").is_none());
    crash();
    assert_eq!(fleet.ids(&client), ["chat-1", "master-server-1"]);
    fleet.stop_all(&client);
}

// pomelo: sentence 50, 55
#[test]
fn kill_ends_every_process_without_a_stop() {
    let fleet = Fleet::new(&two());
    let _app = fleet.start(quick());
    let client = fleet.login("admin");
    let response = fleet.ask(&client, json!({"signal": "kill", "ids": []}));
    assert_eq!(response, Response::body(json!({"code": "ok"})));
    until(&fleet.env, "the master's end", || fleet.exit.get() == Some(255));
    until(&fleet.env, "the servers' end", || fleet.children().is_empty());
}

// pomelo: sentence 55
#[test]
fn servers_that_do_not_answer_are_left_out_and_named() {
    let fleet = Fleet::new(&json!({"chat": [
        chat("chat-1", json!({"mute": true, "auto-restart": "true"})), chat("chat-2", json!({}))
    ]}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    assert_eq!(fleet.ids(&client), ["chat-2", "master-server-1"]);
    let restart = fleet.ask(&client, json!({"signal": "restart", "ids": ["chat-1", "chat-2"], "type": null}));
    assert_eq!(restart.body, Some(json!(["chat-1"])));
    until(&fleet.env, "chat-2", || app.server("chat-2").is_some());
    // The restart that failed is forgotten: a server that crashes later is started again.
    let old = fleet.pid_of("chat-1").expect("it runs");
    uv_core::process::kill(old, 9).expect("it runs");
    until(&fleet.env, "chat-1 is back", || app.server("chat-1").is_some_and(|info| info["pid"] != old));
    let kill = fleet.ask(&client, json!({"signal": "kill", "ids": []}));
    assert_eq!(kill.body, Some(json!({"code": "ok"})), "the system has ended it");
    assert!(fleet.pid_of("chat-1").is_none());
    until(&fleet.env, "the master's end", || fleet.exit.get() == Some(255));
}

// pomelo: sentence 42, with the difference that `restart` and the like are guarded too
#[test]
fn users_of_other_levels_only_list() {
    let fleet = Fleet::new(&json!({}));
    let _app = fleet.start(quick());
    let guest = fleet.login("guest");
    for signal in ["stop", "add", "kill", "restart", "addCron", "removeCron", "blacklist", "dance"] {
        let response = fleet.ask(&guest, json!({"signal": signal, "ids": [], "args": []}));
        assert_eq!(error(&response), "Command permission denied", "{signal}");
        // Node's command line looks into the body of this answer whatever the error says.
        let body = (signal == "kill").then(|| json!({"code": "remained", "serverIds": ["master-server-1"]}));
        assert_eq!(response.body.filter(|body| !body.is_null()), body);
    }
    assert_eq!(fleet.ids(&guest), ["master-server-1"]);
    let admin = fleet.login("admin");
    let response = fleet.ask(&admin, json!({"signal": "dance"}));
    assert_eq!(error(&response), "The command cannot be recognized, please check.");
    guest.close();
    fleet.stop_all(&admin);
}

// pomelo: 2.4: addCron, removeCron, blacklist
#[test]
fn cron_jobs_and_blacklists_are_passed_on() {
    let fleet = Fleet::new(&json!({}));
    let app = fleet.start(quick());
    let heard = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&heard);
    app.on(move |_: &Application, event: &AppEvent| match event {
        AppEvent::AddCrons(crons) => all.borrow_mut().push(format!("add {crons}")),
        AppEvent::RemoveCrons(crons) => all.borrow_mut().push(format!("remove {crons}")),
        _ => {}
    });
    let client = fleet.login("admin");
    let ask = |signal: &str, args: &[&str]| fleet.ask(&client, json!({"signal": signal, "args": args}));
    let ok = Response::body(json!({"status": "ok"}));
    let job = ["id=1", "action=a.b", "time=0 0 0 * * *", "serverId=master-server-1"];
    assert_eq!(ask("addCron", &job), ok);
    assert_eq!(ask("removeCron", &["id=1", "serverType=master"]), ok);
    assert_eq!(error(&ask("addCron", &job[..3])), "Miss necessary server parameters.");
    assert_eq!(error(&ask("removeCron", &["dance"])), "Error server parameters format.");
    until(&fleet.env, "both", || heard.borrow().len() == 2);
    let added = r#"add [{"id":"1","action":"a.b","time":"0 0 0 * * *","serverId":"master-server-1"}]"#;
    assert_eq!(*heard.borrow(), [added, r#"remove [{"id":"1","serverType":"master"}]"#]);
    assert_eq!(ask("blacklist", &["10.0.0.1"]), ok);
    assert_eq!(error(&ask("blacklist", &["10.0.0"])), "blacklist ip: 10.0.0 is error format.");
    fleet.stop_all(&client);
}

// pomelo: sentence 64, the difference: the start fails
#[test]
fn a_second_master_on_the_same_port_is_told_so() {
    let fleet = Fleet::new(&json!({}));
    let first = fleet.start(quick());
    let second = Application::new(&fleet.env, fleet.options(&[])).expect("a good configuration");
    let reason = fleet.start_app(&second).expect_err("the port is taken").to_string();
    assert!(reason.contains("EADDRINUSE") && reason.contains("__master__"), "{reason}");
    assert_eq!(fleet.exit.get(), None, "its own program decides");
    second.stop(false);
    first.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    admin_support::run_to_the_end(&fleet.env);
}

// pomelo: the difference: a master whose host is the loopback address listens there only
#[test]
fn a_master_on_the_loopback_interface_is_not_open_to_others() {
    let fleet = Fleet::new(&json!({}));
    let app = fleet.start(quick());
    let address = app.master_agent().and_then(|agent| agent.address()).expect("it listens");
    assert_eq!(address.to_string(), format!("127.0.0.1:{}", fleet.port));
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    admin_support::run_to_the_end(&fleet.env);
}

#[test]
fn a_master_that_any_server_can_join_from_elsewhere_says_so() {
    common::logs::begin();
    let warnings = || common::logs::with("WARN no adminServer.json").len();
    let start = |host: &str, has_tokens: bool| {
        let fleet = Fleet::new(&json!({}));
        fleet.config("master.json", &json!({"id": "master-server-1", "host": host, "port": fleet.port}));
        if has_tokens {
            fleet.config("adminServer.json", &json!([{"type": "chat", "token": "a secret"}]));
        }
        let app = fleet.start(quick());
        app.stop(false);
        admin_support::run_to_the_end(&fleet.env);
    };
    start("127.0.0.1", false);
    start("0.0.0.0", true);
    assert_eq!(warnings(), 0);
    start("0.0.0.0", false);
    assert_eq!(warnings(), 1);
}

// pomelo: sentence 22 and the show piece: servers of production live on and join the next master
#[test]
fn servers_rejoin_the_next_master_of_their_port() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    fleet.config("adminServer.json", &json!([{"type": "chat", "token": "a secret"}]));
    let options = fleet.options(&["env=production"]);
    let first = fleet.start_with(options, quick());
    let pid = fleet.pid_of("chat-1").expect("it runs");
    first.stop(false);
    until(&fleet.env, "the port is free", || TcpListener::bind(("127.0.0.1", fleet.port)).is_ok());
    let second = Application::new(&fleet.env, fleet.options(&["env=production", "type=master"]))
        .expect("a good configuration");
    second.set_admin_times(quick()).expect("time limits");
    fleet.start_app(&second).expect("it starts");
    until(&fleet.env, "its server", || second.server("chat-1").is_some());
    assert_eq!(fleet.pid_of("chat-1"), Some(pid), "the same process");
    let client = fleet.login("admin");
    fleet.stop_all(&client);
}

// pomelo: 1.4, auto-restart: a busy port and `restart-force`
#[test]
fn what_holds_the_ports_of_a_lost_server_is_ended_if_its_record_says_so() {
    let record = chat("chat-1", json!({"restart-force": "true", "deserts": true}));
    let fleet = Fleet::new(&json!({"chat": [record]}));
    let app = fleet.start(quick());
    let pid = || app.server("chat-1").and_then(|info| info["pid"].as_i64());
    let old = pid();
    until(&fleet.env, "the next one", || pid().is_some_and(|pid| Some(pid) != old));
    let left: Vec<i64> = fleet.children().into_iter().map(i64::from).collect();
    assert_eq!(left, [pid().expect("it is there")], "the old one was ended");
    let client = fleet.login("admin");
    fleet.stop_all(&client);
}

// pomelo: the difference: in Node any peer that registers can have the master run and end programs
#[test]
fn nothing_is_run_or_ended_because_a_peer_says_so() {
    common::logs::begin();
    let mut record = chat("chat-1", json!({"restart-force": "true"}));
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    record["port"] = json!(held.local_addr().expect("an address").port());
    let fleet = Fleet::new(&json!({"chat": [record, chat("chat-2", json!({"auto-restart": "true"}))]}));
    let app =
        Application::new(&fleet.env, fleet.options(&["mode=stand-alone"])).expect("a good configuration");
    app.set_admin_times(quick()).expect("time limits");
    fleet.start_app(&app).expect("it starts");
    let address = app.master_agent().and_then(|agent| agent.address()).and_then(|address| address.as_tcp());
    let address = address.expect("it listens");
    let mut innocent = std::process::Command::new("sleep").arg("60").spawn().expect("it starts");

    let mut liar = registration("chat-1");
    liar["pid"] = json!(innocent.id());
    let mut unknown = registration("evil");
    unknown["info"]["auto-restart"] = json!("true");
    unknown["info"]["args"] = json!(["--list"]);
    for claim in [liar, unknown, registration("chat-2")] {
        let mut raw = Raw::greeted(&fleet.env, address);
        raw.publish("register", &claim.to_string());
        assert_eq!(raw.value("register")["code"], 1);
    }
    // The server of the configuration is started, by its record there.
    until(&fleet.env, "chat-2", || app.server("chat-2").is_some_and(|info| info["pid"] != 4711));
    until(&fleet.env, "the refusal", || !common::logs::with("not killed").is_empty());
    assert_eq!(fleet.children(), [fleet.pid_of("chat-2").expect("it runs")]);
    assert!(innocent.try_wait().expect("it can be asked").is_none(), "it lives");
    innocent.kill().expect("it runs");
    innocent.wait().expect("it ends");
    let client = fleet.login("admin");
    fleet.stop_all(&client);
}
