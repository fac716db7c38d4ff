//! Ends that meet beginnings: restarts, crashes and starts that are under way when something stops.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, chat, error, play_server as play, quick};
use admin_support::{Later, Raw, until};
use pomelo::admin::{Agent, CONSOLE, Response};
use pomelo::upcall::{Component, EventHandler, Module};
use pomelo::{AppEvent, Application, Completion, StopNews};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

/// Never finishes its stop.
struct Slow(Option<Completion>);

impl Component for Slow {
    fn on_stop(&mut self, _: &Application, _: bool, done: Completion) {
        self.0 = Some(done);
    }
}

/// Not a test: the servers of this program. One whose record says `slow` stops only when its time is up.
#[test]
fn play_server() {
    play(|app| {
        if app.cur_server().contains_key("slow") {
            app.load("slow", Slow(None)).expect("the first of its name");
        }
    });
}

#[test]
fn restart_starts_a_server_once_and_not_beside_one_that_has_not_ended() {
    let no_port = |id: &str| json!({"id": id, "host": "127.0.0.1"});
    let slow = json!({"id": "chat-2", "host": "127.0.0.1", "slow": true});
    let fleet = Fleet::new(&json!({"chat": [no_port("chat-1"), slow]}));
    let app = fleet.start(quick());
    let client = fleet.login("admin");
    let restart = |ids: &[&str]| fleet.ask(&client, json!({"signal": "restart", "ids": ids, "type": null}));
    assert_eq!(restart(&["chat-1", "chat-1"]), Response::body(json!([])));
    until(&fleet.env, "chat-1", || app.server("chat-1").is_some());
    assert_eq!(fleet.children().len(), 2);
    let old = fleet.pid_of("chat-2");
    assert_eq!(error(&restart(&["chat-2"])), "all servers start failed.");
    assert_eq!(fleet.children().len(), 2);
    until(&fleet.env, "its late end", || fleet.pid_of("chat-2").is_none());
    assert!(old.is_some());
    fleet.stop_all(&client);
}

/// Notes that the stop of all servers has begun.
struct Begun(Rc<Cell<bool>>);

impl EventHandler for Begun {
    fn on_event(&mut self, _: &Application, _: &AppEvent) {}

    fn on_stop_all(&mut self, _: &Application, news: &StopNews) {
        self.0.set(self.0.get() || matches!(news, StopNews::Begun(_)));
    }
}

#[test]
fn nothing_is_started_while_all_are_stopped() {
    let crashing = chat("chat-1", json!({"auto-restart": "true"}));
    let fleet = Fleet::new(&json!({"chat": [crashing, chat("chat-2", json!({"slow": true}))]}));
    // A crash, and a restart whose server takes its time to end, want to start servers while the stop is under way.
    let times = quick()
        .restart_after(Duration::from_secs(30))
        .auto_restart_after(Duration::from_secs(1))
        .stop_within(Duration::from_secs(10))
        .stop_after(Duration::from_secs(6));
    let app = fleet.start(times);
    let begun = Rc::new(Cell::new(false));
    app.on(Begun(Rc::clone(&begun)));
    let client = fleet.login("admin");
    let restarted = Later::new();
    client.request(
        CONSOLE,
        json!({"signal": "restart", "ids": ["chat-2"], "type": null}),
        restarted.setter(),
    );
    uv_core::process::kill(fleet.pid_of("chat-1").expect("it runs"), 9).expect("it runs");
    until(&fleet.env, "the crash", || app.server("chat-1").is_none());
    let stopped = Later::new();
    client.request(CONSOLE, json!({"signal": "stop", "ids": []}), stopped.setter());
    until(&fleet.env, "the stop", || begun.get());
    // A server that was starting is told as soon as it registers.
    let address = ([127, 0, 0, 1], fleet.port).into();
    let mut late = Raw::server(&fleet.env, address, "chat-9");
    assert_eq!(late.value("monitor"), json!({"moduleId": CONSOLE, "body": {"signal": "stop"}}));
    drop(late);
    let failed: Result<Response, _> = restarted.wait(&fleet.env);
    assert_eq!(error(&failed.expect("an answer")), "all servers start failed.");
    let stopped: Result<Response, _> = stopped.wait(&fleet.env);
    assert_eq!(stopped.expect("an answer").body, Some(json!({"status": "all"})));
    until(&fleet.env, "the master's end", || fleet.exit.get() == Some(0));
    assert!(fleet.children().is_empty(), "no server is left");
    client.close();
    admin_support::run_to_the_end(&fleet.env);
}

/// Keeps the completion of its start.
struct Starting(Rc<RefCell<Option<Completion>>>);

impl Module for Starting {
    fn on_start(&mut self, _: &Agent, done: Completion) {
        self.0.replace(Some(done));
    }
}

#[test]
fn a_master_that_is_stopped_while_its_modules_start_starts_no_servers() {
    common::logs::begin();
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    let app = Application::new(&fleet.env, fleet.options(&[])).expect("a good configuration");
    let kept = Rc::new(RefCell::new(None));
    let starting = Rc::clone(&kept);
    app.register_admin("slow", move |_: &Application, _: &Agent| Starting(Rc::clone(&starting)));
    let result = Later::new();
    app.start(result.setter());
    until(&fleet.env, "the module's start", || kept.borrow().is_some());
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    kept.take().expect("it is there").ok(());
    assert_eq!(result.wait(&fleet.env), Err(pomelo::Error::Stopped));
    admin_support::run_to_the_end(&fleet.env);
    assert_eq!(common::logs::with("Executing"), [""; 0], "no server was started");
}

#[test]
fn a_component_that_hangs_in_its_stop_leaves_no_agent_behind() {
    let fleet = Fleet::new(&json!({}));
    let options = fleet.options(&[]).stop_limit(Duration::from_millis(50));
    let app = Application::new(&fleet.env, options).expect("a good configuration");
    app.load("slow", Slow(None)).expect("the first of its name");
    fleet.start_app(&app).expect("it starts");
    app.stop(true);
    until(&fleet.env, "the end of its time", || fleet.exit.get() == Some(0));
    admin_support::run_to_the_end(&fleet.env);
    // A process that another test starts has a copy of the socket until it executes its program.
    until(&fleet.env, "the port is free", || TcpListener::bind(("127.0.0.1", fleet.port)).is_ok());
}
