//! Servers that are to be kept up: their first start, and what follows a crash.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, chat, error, play_server as play, quick};
use admin_support::{Raw, registration, run_to_the_end, until};
use async_wrap::Environment;
use pomelo::admin::{CONSOLE, Client, Times};
use pomelo::upcall::Component;
use pomelo::{AppEvent, Application, Completion};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::rc::Rc;
use std::time::Duration;

/// How often a server has begun to start: a letter for each.
fn starts_file(base: &Path, id: &str) -> PathBuf {
    base.join(format!("starts of {id}"))
}

/// Notes each start, and ends the process in the first ones.
struct Dying(u64);

impl Component for Dying {
    fn on_start(&mut self, app: &Application, done: Completion) {
        let path = starts_file(app.base(), app.id());
        let begun = std::fs::read(&path).unwrap_or_default();
        std::fs::write(&path, [&begun[..], b"x"].concat()).expect("a file");
        if (begun.len() as u64) < self.0 {
            exit(7);
        }
        done.ok(());
    }
}

/// Stops once there is a file, which the test makes.
struct Lingering;

/// The file of a server that lingers.
fn end_file(base: &Path, id: &str) -> PathBuf {
    base.join(format!("{id} may end"))
}

impl Component for Lingering {
    /// A new process takes its time, in which a second one could be started.
    fn on_start(&mut self, app: &Application, done: Completion) {
        app.environment().set_timeout(Duration::from_millis(300), move || done.ok(()));
    }

    fn on_stop(&mut self, app: &Application, _: bool, done: Completion) {
        end_later(app.environment().clone(), end_file(app.base(), app.id()), done);
    }
}

fn end_later(env: Environment, file: PathBuf, done: Completion) {
    if file.exists() {
        return done.ok(());
    }
    let again = env.clone();
    env.set_timeout(Duration::from_millis(5), move || end_later(again, file, done));
}

/// Not a test: the servers of this program. One whose record says `dies` ends its first processes before they register;
/// one whose record says `crashes` ends whenever it has started. One whose record says `lingers` ends late when it stops,
/// before or after it has left its master.
#[test]
fn play_server() {
    play(|app| {
        if let Some(times) = app.cur_server().get("dies").and_then(Value::as_u64) {
            app.load("dying", Dying(times)).expect("the first of its name");
        }
        let lingers = app.cur_server().get("lingers").and_then(Value::as_str);
        if lingers == Some("before") {
            app.load("lingering", Lingering).expect("the first of its name");
        }
        if lingers == Some("after") {
            // Loaded behind the component that leaves the master.
            app.on(|app: &Application, event: &AppEvent| {
                if matches!(event, AppEvent::StartServer(_)) {
                    app.load("lingering", Lingering).expect("the first of its name");
                }
            });
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
    until(&fleet.env, "a second try of both", || pauses("chat-1").len() >= 2 && pauses("chat-2").len() >= 2);
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
    let starts = || std::fs::read(starts_file(fleet.base(), "chat-1")).unwrap_or_default().len();
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

/// Lets time pass.
fn pause(env: &Environment, time: Duration) {
    let is_over = Rc::new(Cell::new(false));
    let told = Rc::clone(&is_over);
    env.set_timeout(time, move || told.set(true));
    until(env, "a pause", || is_over.get());
}

/// A master with a server that lingers, and whose next start has no pause. It counts its starts.
fn lingering(lingers: &str) -> (Fleet, Application, Client) {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({"dies": 0, "lingers": lingers}))]}));
    let app = fleet.start(quick().auto_restart_after(Duration::ZERO));
    let client = fleet.login("admin");
    (fleet, app, client)
}

/// Asks for a restart of the server. Returns whether it was answered.
fn restart(client: &Client) -> Rc<Cell<bool>> {
    let is_answered = Rc::new(Cell::new(false));
    let told = Rc::clone(&is_answered);
    client.request(CONSOLE, json!({"signal": "restart", "ids": ["chat-1"]}), move |response| {
        told.set(response.is_ok());
    });
    is_answered
}

/// Lets the server end, and holds that one process takes its place.
fn ends_and_is_started_once(fleet: &Fleet, app: &Application, client: &Client) {
    let before = fleet.pid_of("chat-1").expect("it runs still");
    std::fs::write(end_file(fleet.base(), "chat-1"), "").expect("a file");
    let is_new = || app.server("chat-1").is_some_and(|info| info["pid"] != before);
    until(&fleet.env, "chat-1", is_new);
    // A second process would have begun by now.
    pause(&fleet.env, Duration::from_millis(200));
    let starts = std::fs::read(starts_file(app.base(), "chat-1")).expect("it has started");
    assert_eq!(starts.len(), 2, "one process in the place of the first");
    fleet.stop_all(client);
}

#[test]
fn a_server_that_ends_late_is_started_by_one_of_two_restarts() {
    let (fleet, app, client) = lingering("before");
    let first = restart(&client);
    pause(&fleet.env, Duration::from_millis(500));
    let second = restart(&client);
    until(&fleet.env, "the first answer", || first.get());
    assert!(!second.get(), "it waits still");
    ends_and_is_started_once(&fleet, &app, &client);
}

#[test]
fn a_restart_of_a_server_that_is_to_be_started_when_it_has_ended_starts_no_second_one() {
    let (fleet, app, client) = lingering("before");
    let first = restart(&client);
    until(&fleet.env, "the first answer", || first.get());
    restart(&client);
    pause(&fleet.env, Duration::from_millis(200));
    ends_and_is_started_once(&fleet, &app, &client);
}

#[test]
fn a_server_that_leaves_before_it_ends_late_is_started() {
    let (fleet, app, client) = lingering("after");
    let first = restart(&client);
    until(&fleet.env, "the first answer", || first.get());
    ends_and_is_started_once(&fleet, &app, &client);
}

#[test]
fn a_server_that_is_starting_is_not_added_again() {
    let record = chat("chat-1", json!({"lingers": "before"}));
    let fleet = Fleet::new(&json!({"chat": [record]}));
    std::fs::write(end_file(fleet.base(), "chat-1"), "").expect("a file");
    let (app, all_started) = start(&fleet, quick());
    let client = fleet.login("admin");
    let args = [
        "id=chat-1".into(),
        "serverType=chat".into(),
        "host=127.0.0.1".into(),
        format!("port={}", record["port"]),
    ];
    let added = fleet.ask(&client, json!({"signal": "add", "args": args}));
    assert!(!all_started.get() && app.server("chat-1").is_none(), "it is still starting");
    assert_eq!(error(&added), "id has been registered. id:\"chat-1\"");
    until(&fleet.env, "chat-1", || all_started.get());
    assert_eq!(fleet.children().len(), 1);
    fleet.stop_all(&client);
}

#[test]
fn a_stop_also_counts_for_a_server_that_loses_its_connection_meanwhile() {
    common::logs::begin();
    let fleet = Fleet::new(&json!({"chat": [kept_up("chat-1", json!({}))]}));
    let app = Application::new(&fleet.env, fleet.options(&["mode=stand-alone"])).expect("a configuration");
    app.set_admin_times(quick()).expect("time limits");
    fleet.start_app(&app).expect("it starts");
    let address = SocketAddr::from(([127, 0, 0, 1], fleet.port));
    let mut lost = Raw::server(&fleet.env, address, "chat-1");
    let client = fleet.login("admin");
    let answer = Rc::new(RefCell::new(None));
    let told = Rc::clone(&answer);
    client.request(CONSOLE, json!({"signal": "stop", "ids": ["chat-1"]}), move |response| {
        told.replace(Some(response.expect("an answer").body));
    });
    assert_eq!(lost.value("monitor")["body"]["signal"], "list");
    drop(lost);
    let agent = app.master_agent().expect("it runs");
    until(&fleet.env, "its end", || agent.server("chat-1").is_none());
    let mut back = Raw::greeted(&fleet.env, address);
    back.publish("reconnect", &registration("chat-1").to_string());
    assert_eq!(back.value("reconnect_ok")["code"], 1);
    let question = back.value("monitor");
    assert_eq!(question["body"]["signal"], "list", "it is asked again");
    assert_eq!(back.value("monitor")["body"]["action"], "replaceServer");
    back.publish("monitor", &json!({"respId": question["reqId"], "error": {}}).to_string());
    let order = back.value("monitor");
    assert_eq!(order["body"]["signal"], "stop");
    let confirmed = json!({"signal": "confirm", "order": order["body"]["confirm"]});
    assert_eq!(back.ask("monitor", 1, CONSOLE, confirmed)["body"], true);
    back.send(&[0xE0, 0]);
    until(&fleet.env, "the answer", || answer.borrow().is_some());
    assert_eq!(answer.take(), Some(Some(json!({"status": "part"}))));
    assert_eq!(pauses("chat-1"), [""; 0], "it is not started again");
    drop(back);
    fleet.stop_all(&client);
}
