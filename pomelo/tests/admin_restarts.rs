//! Servers that are to be kept up: their first start, and what follows a crash.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, chat, error, play_server as play, quick};
use admin_support::{run_to_the_end, until};
use pomelo::admin::{CONSOLE, Times};
use pomelo::upcall::Component;
use pomelo::{AppEvent, Application, Completion};
use serde_json::{Value, json};
use std::cell::Cell;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::exit;
use std::rc::Rc;
use std::time::Duration;

/// How often a server has begun to start: a letter for each.
fn starts_file(app: &Application) -> PathBuf {
    app.base().join(format!("starts of {}", app.id()))
}

/// Notes each start, and ends the process in the first ones.
struct Dying(u64);

impl Component for Dying {
    fn on_start(&mut self, app: &Application, done: Completion) {
        let path = starts_file(app);
        let begun = std::fs::read(&path).unwrap_or_default();
        std::fs::write(&path, [&begun[..], b"x"].concat()).expect("a file");
        if (begun.len() as u64) < self.0 {
            exit(7);
        }
        done.ok(());
    }
}

/// Not a test: the servers of this program. One whose record says `dies` ends its first processes before they register;
/// one whose record says `crashes` ends whenever it has started.
#[test]
fn play_server() {
    play(|app| {
        if let Some(times) = app.cur_server().get("dies").and_then(Value::as_u64) {
            app.load("dying", Dying(times)).expect("the first of its name");
        }
        if app.cur_server().contains_key("crashes") {
            app.on(|_: &Application, event: &AppEvent| {
                if matches!(event, AppEvent::AddServers(_)) {
                    exit(7);
                }
            });
        }
    });
}

fn kept_up(id: &str, more: Value) -> Value {
    let mut record = chat(id, more);
    record["auto-restart"] = json!("true");
    record
}

fn port_of(record: &Value) -> u16 {
    record["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port")
}

/// The pauses of which the log tells, in its order.
fn pauses(id: &str) -> Vec<String> {
    let lines = common::logs::with(&format!("server {id:?}: "));
    let pause = |line: &String| {
        let (_, rest) = line.split_once("started again in ")?;
        Some(rest.split(' ').next().unwrap_or_default().to_owned())
    };
    lines.iter().filter_map(pause).collect()
}

/// Starts an application without waiting for its servers.
fn start(fleet: &Fleet, times: Times) -> (Application, Rc<Cell<bool>>) {
    let app = Application::new(&fleet.env, fleet.options(&[])).expect("a good configuration");
    app.set_admin_times(times).expect("time limits");
    let all_started = Rc::new(Cell::new(false));
    let told = Rc::clone(&all_started);
    app.on(move |_: &Application, event: &AppEvent| told.set(told.get() || *event == AppEvent::StartAll));
    fleet.start_app(&app).expect("it starts");
    (app, all_started)
}

#[test]
fn a_crashed_server_whose_port_is_taken_is_tried_again_until_the_port_is_free() {
    common::logs::begin();
    let record = kept_up("chat-1", json!({}));
    let fleet = Fleet::new(&json!({"chat": [record]}));
    let app = fleet.start(quick());
    let taken = TcpListener::bind(("127.0.0.1", port_of(&record))).expect("the server does not listen");
    uv_core::process::kill(fleet.pid_of("chat-1").expect("it runs"), 9).expect("it runs");
    until(&fleet.env, "three pauses", || pauses("chat-1").len() == 3);
    assert_eq!(pauses("chat-1"), ["200ms", "400ms", "800ms"]);
    assert_eq!(common::logs::with("Port occupied already").len(), 2);
    drop(taken);
    until(&fleet.env, "chat-1", || app.server("chat-1").is_some());
    let client = fleet.login("admin");
    fleet.stop_all(&client);
}

#[test]
fn a_first_start_that_comes_to_nothing_is_tried_again() {
    common::logs::begin();
    let record = kept_up("chat-1", json!({}));
    let dying = kept_up("chat-2", json!({"dies": 2}));
    let fleet = Fleet::new(&json!({"chat": [record, dying]}));
    let taken = TcpListener::bind(("127.0.0.1", port_of(&record))).expect("a port");
    let (_app, all_started) = start(&fleet, quick());
    until(&fleet.env, "a second try of both", || pauses("chat-1").len() == 2 && pauses("chat-2").len() == 2);
    assert!(!all_started.get());
    let died =
        common::logs::with("server \"chat-2\": its process ended before it had registered: exit code 7");
    assert_eq!(died.len(), 2, "{:?}", common::logs::with("chat-2"));
    drop(taken);
    until(&fleet.env, "both", || all_started.get());
    let client = fleet.login("admin");
    fleet.stop_all(&client);
}

#[test]
fn a_server_that_is_not_to_be_kept_up_has_one_start() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({"dies": 1})), chat("chat-2", json!({}))]}));
    let times = quick().auto_restart_after(Duration::ZERO);
    let (app, _) = start(&fleet, times);
    let starts = || std::fs::read(fleet.base().join("starts of chat-1")).unwrap_or_default().len();
    until(&fleet.env, "its end", || starts() == 1 && fleet.pid_of("chat-1").is_none());
    until(&fleet.env, "the other one", || app.server("chat-2").is_some());
    assert_eq!(starts(), 1);
    let client = fleet.login("admin");
    fleet.stop_all(&client);
}

#[test]
fn a_crash_loop_is_slowed_down_to_a_stated_pause_and_ends_when_it_is_told_to() {
    common::logs::begin();
    let fleet = Fleet::new(&json!({"chat": [kept_up("chat-1", json!({"crashes": true}))]}));
    let ms = Duration::from_millis;
    let times = quick().auto_restart_after(ms(40)).auto_restart_at_most(ms(100));
    let (app, _) = start(&fleet, times);
    until(&fleet.env, "four crashes", || pauses("chat-1").len() >= 4);
    assert_eq!(pauses("chat-1")[..4], ["40ms", "80ms", "100ms", "100ms"]);
    assert!(!common::logs::with("(at most 100ms, until it is up or stopped)").is_empty());
    let client = fleet.login("admin");
    // Whether it runs just now, starts, or waits for its next start.
    let stopped = fleet.ask(&client, json!({"signal": "stop", "ids": ["chat-1"]}));
    assert_eq!(error(&stopped), "");
    assert!(fleet.children().is_empty(), "it has ended");
    let count = pauses("chat-1").len();
    // Longer than any pause.
    let later = Rc::new(Cell::new(false));
    let told = Rc::clone(&later);
    fleet.env.set_timeout(ms(500), move || told.set(true));
    until(&fleet.env, "half a second", || later.get());
    assert_eq!((pauses("chat-1").len(), app.server("chat-1")), (count, None));
    assert!(fleet.children().is_empty(), "it stays away");
    fleet.stop_all(&client);
}

#[test]
fn restart_does_not_wait_for_the_pause() {
    let record = kept_up("chat-1", json!({"dies": 1}));
    let fleet = Fleet::new(&json!({"chat": [record]}));
    // The user does not wait so long.
    let times =
        quick().auto_restart_after(Duration::from_secs(3000)).auto_restart_at_most(Duration::from_secs(3000));
    common::logs::begin();
    let (app, _) = start(&fleet, times);
    until(&fleet.env, "its end", || pauses("chat-1").len() == 1);
    let client = fleet.login("admin");
    let restarted = fleet.ask(&client, json!({"signal": "restart", "ids": ["chat-1"], "type": null}));
    assert_eq!(restarted.body, Some(json!([])), "{restarted:?}");
    until(&fleet.env, "chat-1", || app.server("chat-1").is_some());
    fleet.stop_all(&client);
}

#[test]
fn a_master_that_stops_tries_nothing_any_more() {
    common::logs::begin();
    let record = kept_up("chat-1", json!({}));
    let fleet = Fleet::new(&json!({"chat": [record]}));
    let _taken = TcpListener::bind(("127.0.0.1", port_of(&record))).expect("a port");
    let (app, _) = start(&fleet, quick());
    until(&fleet.env, "a pause", || !pauses("chat-1").is_empty());
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    run_to_the_end(&fleet.env);
}

#[test]
fn two_restarts_at_once_start_one_process() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    let app = fleet.start(quick());
    let before = fleet.pid_of("chat-1");
    let client = fleet.login("admin");
    let answers = Rc::new(Cell::new(0));
    for _ in 0..2 {
        let answers = Rc::clone(&answers);
        let body = json!({"signal": "restart", "ids": ["chat-1"]});
        client.request(CONSOLE, body, move |response| {
            assert_eq!(response.expect("an answer").body, Some(json!([])), "none failed");
            answers.set(answers.get() + 1);
        });
    }
    until(&fleet.env, "both answers", || answers.get() == 2);
    until(&fleet.env, "chat-1", || app.server("chat-1").is_some());
    assert_eq!(fleet.children().len(), 1, "one process in the place of the first");
    assert_ne!(fleet.pid_of("chat-1"), before);
    fleet.stop_all(&client);
}

#[test]
fn a_stop_behind_a_restart_is_what_counts() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    fleet.start(quick());
    let client = fleet.login("admin");
    let answers = Rc::new(Cell::new(0));
    for signal in ["restart", "stop"] {
        let answers = Rc::clone(&answers);
        let body = json!({"signal": signal, "ids": ["chat-1"]});
        client.request(CONSOLE, body, move |response| {
            let is_restart = signal == "restart";
            assert_eq!(response.expect("an answer").error_text().is_some(), is_restart, "{signal}");
            answers.set(answers.get() + 1);
        });
    }
    until(&fleet.env, "both answers", || answers.get() == 2);
    assert!(fleet.children().is_empty(), "it stays away");
    fleet.stop_all(&client);
}
