//! Unmodified servers of Node's pomelo 2.2.7 under a master of ours, and a server of ours under Node's master.

mod admin_support;

use admin_support::fleet::{Fleet, words_of};
use admin_support::node::Node;
use admin_support::{free_port, node, until};
use pomelo::{AppEvent, Application, Program};
use serde_json::json;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use uv_core::Signal;

/// Writes Node's program, which notes what happens in it. SIGUSR2 cuts its connection to the master.
fn write_app(fleet: &Fleet, node: &Node) -> PathBuf {
    let modules = node.modules().display();
    let script = format!(
        r"
        var fs = require('fs'), pomelo = require('{modules}/pomelo');
        var app = pomelo.createApp();
        var note = function(what) {{
            fs.appendFileSync(__dirname + '/events', app.serverId + ' ' + what + '\n');
        }};
        app.configure('development', 'connector', function() {{
            app.set('connectorConfig', {{connector: pomelo.connectors.hybridconnector, heartbeat: 3}});
        }});
        app.event.on('start_server', function() {{ note('start_server'); }});
        app.event.on('start_all', function() {{ note('start_all'); }});
        app.event.on('add_servers', function(servers) {{
            note('add_servers ' + servers.map(function(one) {{ return one.id; }}).sort().join(' '));
        }});
        app.event.on('remove_servers', function(ids) {{ note('remove_servers ' + ids.join(' ')); }});
        app.event.on('replace_servers', function(servers) {{
            note('replace_servers ' + servers.map(function(one) {{ return one.id; }}).join(' '));
        }});
        process.on('SIGUSR2', function() {{
            app.components.__monitor__.monitor.monitorConsole.agent.socket.socket.stream.destroy();
        }});
        app.start();
        "
    );
    let path = fleet.base().join("app.js");
    std::fs::write(&path, script).expect("the program");
    std::fs::create_dir_all(fleet.base().join("logs")).expect("a folder");
    fleet.config("log4js.json", &json!({"appenders": []}));
    path
}

fn events(fleet: &Fleet) -> Vec<String> {
    let text = std::fs::read_to_string(fleet.base().join("events")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

// pomelo: sentences 17, 36, 37, 38, 44, 50, 53, 59
#[test]
fn unmodified_servers_register_are_told_of_each_other_listed_restarted_and_stopped() {
    let Some(node) = node::find() else { return };
    let connector = |id: &str| {
        json!({
            "id": id, "host": "127.0.0.1", "port": free_port(),
            "clientHost": "127.0.0.1", "clientPort": free_port(), "frontend": true
        })
    };
    let fleet = Fleet::new(&json!({"connector": [connector("connector-1"), connector("connector-2")]}));
    fleet.config("adminServer.json", &json!([{"type": "connector", "token": "a secret of connectors"}]));
    let script = write_app(&fleet, &node).display().to_string();
    let program = Program { path: "node".into(), args: vec![script] };
    let app = Application::new(&fleet.env, fleet.options(&[]).program(program)).expect("a configuration");
    let all_started = Rc::new(RefCell::new(0));
    let count = Rc::clone(&all_started);
    app.on(move |_: &Application, event: &AppEvent| {
        if *event == AppEvent::StartAll {
            *count.borrow_mut() += 1;
        }
    });
    fleet.start_app(&app).expect("it starts");
    let has = |line: &str| events(&fleet).iter().any(|other| other == line);
    until(&fleet.env, "both connectors' start_all", || {
        has("connector-1 start_all") && has("connector-2 start_all")
    });
    assert_eq!(*all_started.borrow(), 1, "{:?}", events(&fleet));
    assert_eq!(app.servers().len(), 2);

    let client = fleet.login("admin");
    assert_eq!(fleet.ids(&client), ["connector-1", "connector-2", "master-server-1"]);
    let old = fleet.pid_of("connector-1").expect("it runs");
    let argv = words_of(old);

    let restarted = fleet.ask(&client, json!({"signal": "restart", "ids": ["connector-1"], "type": null}));
    assert_eq!(restarted.body, Some(json!([])), "{restarted:?}");
    until(&fleet.env, "connector-1", || fleet.ids(&client).contains(&"connector-1".to_owned()));
    let new = fleet.pid_of("connector-1").expect("it runs");
    assert_ne!(old, new);
    assert_eq!(argv, words_of(new), "started with what it was started with first");
    until(&fleet.env, "the others' news", || {
        has("connector-2 remove_servers connector-1") && has("connector-2 add_servers connector-1")
    });

    let stopped = fleet.ask(&client, json!({"signal": "stop", "ids": ["connector-2"]}));
    assert_eq!(stopped.body, Some(json!({"status": "part"})));
    until(&fleet.env, "the end of connector-2", || fleet.pid_of("connector-2").is_none());
    until(&fleet.env, "the news", || has("connector-1 remove_servers connector-2"));
    fleet.stop_all(&client);
}

// pomelo: 2.5: a server of ours joins a real Node master
#[test]
fn our_server_joins_an_unmodified_master_is_listed_comes_back_and_is_stopped() {
    let Some(node) = node::find() else { return };
    let port = free_port();
    // A server for which the master waits: without any it would report the start of all before the test listens.
    let fleet = Fleet::new(&json!({"rust": [{"id": "rust-1", "host": "127.0.0.1", "port": port}]}));
    fleet.config("adminServer.json", &json!([{"type": "rust", "token": "a secret of ours"}]));
    let script = write_app(&fleet, &node);
    let mut master = node.start(&script, &["env=development", "type=master"], fleet.base());
    let can_connect = || std::net::TcpStream::connect(("127.0.0.1", fleet.port)).is_ok();
    until(&fleet.env, "Node's master", can_connect);

    let words = ["id=rust-1", "serverType=rust", "host=127.0.0.1", &format!("port={port}")];
    let app = Application::new(&fleet.env, fleet.options(&words)).expect("a good configuration");
    let heard = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&heard);
    app.on(move |_: &Application, event: &AppEvent| all.borrow_mut().push(format!("{event:?}")));
    fleet.start_app(&app).expect("it starts");
    until(&fleet.env, "its own record", || app.server("rust-1").is_some());
    until(&fleet.env, "the start of all", || heard.borrow().iter().any(|event| event == "StartAll"));

    let cli = |words: &[&str]| node.pomelo(&fleet.env, fleet.port, words);
    let list = cli(&["list"]);
    let row = list.stdout.lines().find(|line| line.starts_with("rust-1")).map(str::to_owned);
    let words: Vec<String> = row.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    assert_eq!(words[..3], ["rust-1", "rust", &std::process::id().to_string()], "{list:?}");

    let client = fleet.login("admin");
    assert_eq!(fleet.ids(&client), ["master-server-1", "rust-1"], "our client, Node's master");
    client.close();

    uv_core::process::kill(master.id(), 9).expect("it runs");
    until(&fleet.env, "the master's end", || master.code().is_some());
    until(&fleet.env, "the loss", || {
        app.monitor_agent().is_some_and(|agent| agent.state() == pomelo::admin::MonitorState::Lost)
    });
    let _next = node.start(&script, &["env=development", "type=master", "n=2"], fleet.base());
    until(&fleet.env, "the way back", || {
        app.monitor_agent().is_some_and(|agent| agent.state() == pomelo::admin::MonitorState::Registered)
    });
    assert!(cli(&["list"]).stdout.contains("rust-1"));

    let stop = cli(&["stop", "rust-1"]);
    assert_eq!((stop.code, stop.stderr.as_str()), (0, ""), "{stop:?}");
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    drop(_next);
    admin_support::run_to_the_end(&fleet.env);
}

// pomelo: sentences 44, 45: Node's server reconnects without its token
#[test]
fn an_unmodified_server_that_lost_its_connection_comes_back() {
    let Some(node) = node::find() else { return };
    let connector = json!({
        "id": "connector-1", "host": "127.0.0.1", "port": free_port(),
        "clientHost": "127.0.0.1", "clientPort": free_port(), "frontend": true
    });
    let fleet = Fleet::new(&json!({"connector": [connector]}));
    fleet.config("adminServer.json", &json!([{"type": "connector", "token": "a secret of connectors"}]));
    let script = write_app(&fleet, &node).display().to_string();
    let program = Program { path: "node".into(), args: vec![script] };
    let app = Application::new(&fleet.env, fleet.options(&[]).program(program)).expect("a configuration");
    // It cannot show its token again; the master sees that it is the same process.
    app.enable("reconnectWithoutToken");
    fleet.start_app(&app).expect("it starts");
    let has = |line: &str| events(&fleet).iter().any(|other| other == line);
    until(&fleet.env, "its start", || has("connector-1 start_all"));
    let pid = fleet.pid_of("connector-1").expect("it runs");
    uv_core::process::kill(pid, Signal::SIGUSR2).expect("it runs");
    // By `reconnect`.
    until(&fleet.env, "the way back", || has("connector-1 replace_servers connector-1"));
    assert!(app.server("connector-1").is_some() || app.master_agent().is_some());
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
}
