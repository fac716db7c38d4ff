//! Orders to servers that do not answer, and the end of all.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, chat, error, play_server as play, quick};
use admin_support::{Later, Raw, RawMaster, run_to_the_end, twice, until};
use pomelo::admin::{CONSOLE, Client, Response};
use pomelo::upcall::{Component, EventHandler};
use pomelo::{AppEvent, Application, Completion, StopNews};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::DirEntry;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::Signal;

/// What servers may take, where that is waited for. Tests ask for half of it.
const LIMIT: Duration = Duration::from_secs(1);

/// Never finishes its start.
struct Starting(Option<Completion>);

impl Component for Starting {
    fn on_start(&mut self, app: &Application, done: Completion) {
        std::fs::write(app.base().join("starting"), "").expect("a file");
        self.0 = Some(done);
        // What keeps the process alive.
        let _alive = app.environment().set_interval(Duration::from_secs(1), || {});
    }
}

/// Never finishes its stop, which the application's limit ends.
struct Lingering(Option<Completion>);

impl Component for Lingering {
    fn on_stop(&mut self, _: &Application, _: bool, done: Completion) {
        self.0 = Some(done);
    }
}

/// Not a test: the servers of this program. One whose record says `starting` never has started, one whose record says
/// `lingers` takes long to stop, one whose record says `alone` does not ask for the others.
#[test]
fn play_server() {
    play(|app| {
        if app.cur_server().contains_key("starting") {
            app.load("starting", Starting(None)).expect("the first of its name");
        }
        if app.cur_server().contains_key("lingers") {
            app.load("lingering", Lingering(None)).expect("the first of its name");
        }
        if app.cur_server().contains_key("alone") {
            app.enable("closeWatcher");
        }
    });
}

fn signal(fleet: &Fleet, id: &str, number: i32) -> i32 {
    let pid = fleet.pid_of(id).expect("it runs");
    uv_core::process::kill(pid, number).expect("it runs");
    pid
}

/// Suspends a server and waits until it stands still: its main thread takes the signal, and its loop runs in another
/// thread, which may answer several messages before that.
fn suspend(fleet: &Fleet, id: &str) -> i32 {
    let pid = signal(fleet, id, Signal::SIGSTOP);
    let is_stopped = |thread: std::io::Result<DirEntry>| {
        let stat = std::fs::read_to_string(thread.expect("a thread").path().join("stat"));
        // The state follows the name, which is in parentheses.
        stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
    };
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    until(&fleet.env, "its stop", || threads().all(is_stopped));
    pid
}

/// Continues a suspended server, which has read all pending messages when it answers.
fn is_as_before(fleet: &Fleet, client: &Client, id: &str, pid: i32) {
    uv_core::process::kill(pid, Signal::SIGCONT).expect("it is there");
    let answer = || fleet.list(client).into_iter().find(|(other, _)| other == id);
    until(&fleet.env, "its answer", || answer().is_some());
    // It would obey in the turn after, and have ended before its next answer.
    let mut next = None;
    until(&fleet.env, "its next answer", || {
        next = answer();
        next.is_some()
    });
    assert_eq!(next.map(|(_, process)| process), Some(i64::from(pid)), "the same process");
}

#[test]
fn what_was_refused_as_it_did_not_answer_has_no_effect_later() {
    let kept_up = json!({"auto-restart": "true"});
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", kept_up), chat("chat-2", json!({}))]}));
    let times = quick().answer_within(Duration::from_millis(300));
    let app = fleet.start(times);
    let client = fleet.login("admin");
    for id in ["chat-1", "chat-2"] {
        let pid = suspend(&fleet, id);
        let restart = fleet.ask(&client, json!({"signal": "restart", "ids": [id], "type": null}));
        assert_eq!(error(&restart), "all servers start failed.");
        is_as_before(&fleet, &client, id, pid);

        suspend(&fleet, id);
        let stop = fleet.ask(&client, json!({"signal": "stop", "ids": [id]}));
        assert!(error(&stop).contains(&format!("server {id} does not stop")), "{stop:?}");
        is_as_before(&fleet, &client, id, pid);
    }
    // Nor is it forgotten that it is to be kept up.
    let old = signal(&fleet, "chat-1", Signal::SIGKILL);
    until(&fleet.env, "chat-1", || app.server("chat-1").is_some_and(|info| info["pid"] != old));
    fleet.stop_all(&client);
}

/// What the master has answered, when it has.
fn ask_later(client: &Client, body: Value) -> Later<Result<Response, pomelo::admin::RequestError>> {
    let later = Later::new();
    client.request(CONSOLE, body, later.setter());
    later
}

/// Answers that it is there; returns the order that follows.
fn take_order(server: &mut Raw) -> Value {
    let question = server.value("monitor");
    assert_eq!(question["body"], json!({"signal": "list"}), "{question}");
    let answer = json!({"respId": question["reqId"], "error": {"serverId": "chat-1", "body": {}}});
    server.publish("monitor", &twice(&answer));
    server.value("monitor")["body"].clone()
}

fn confirm(server: &mut Raw, order: &Value) -> Value {
    let body = json!({"signal": "confirm", "order": order["confirm"]});
    server.ask("monitor", 1, CONSOLE, body)["body"].clone()
}

#[test]
fn an_order_stands_until_its_user_was_told_that_it_failed() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    let app = Application::new(&fleet.env, fleet.options(&["mode=stand-alone"])).expect("a configuration");
    let times = quick().answer_within(Duration::from_millis(300));
    app.set_admin_times(times.kill_within(times.answer_within)).expect("time limits");
    fleet.start_app(&app).expect("it starts");
    let mut server = Raw::server(&fleet.env, SocketAddr::from(([127, 0, 0, 1], fleet.port)), "chat-1");
    let client = fleet.login("admin");
    for (name, ids) in [("restart", json!(["chat-1"])), ("stop", json!(["chat-1"]))] {
        let body = json!({"signal": name, "ids": ids, "type": null});
        let answer = ask_later(&client, body);
        let order = take_order(&mut server);
        assert_eq!(order["signal"], name);
        let answer = answer.wait(&fleet.env).expect("an answer");
        assert_ne!(error(&answer), "", "{name}");
        assert_eq!(confirm(&mut server, &order), false, "{name}");
        assert_eq!(confirm(&mut server, &json!({"confirm": "a guess"})), false);
    }
    // A server that agrees in time has agreed, whatever follows.
    let answer = ask_later(&client, json!({"signal": "stop", "ids": ["chat-1"]}));
    let order = take_order(&mut server);
    assert_eq!(confirm(&mut server, &order), true);
    drop(server);
    assert_eq!(answer.wait(&fleet.env).expect("an answer").body, Some(json!({"status": "part"})));
    fleet.stop_all(&client);
}

/// All processes stand still, as in a stopped process group, for longer than servers may take. Returns when they go on.
fn stand_still() -> Instant {
    std::thread::sleep(LIMIT * 2);
    Instant::now()
}

#[test]
fn a_server_that_stood_still_with_its_master_has_its_time_to_obey_all_the_same() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    let app = Application::new(&fleet.env, fleet.options(&["mode=stand-alone"])).expect("a configuration");
    app.set_admin_times(quick().answer_within(LIMIT).stop_within(LIMIT)).expect("time limits");
    fleet.start_app(&app).expect("it starts");
    let mut server = Raw::server(&fleet.env, SocketAddr::from(([127, 0, 0, 1], fleet.port)), "chat-1");
    let client = fleet.login("admin");
    for (agrees, trouble) in [(false, "it does not obey in time"), (true, "has not ended yet")] {
        let answer = ask_later(&client, json!({"signal": "stop", "ids": ["chat-1"]}));
        let order = take_order(&mut server);
        if agrees {
            assert_eq!(confirm(&mut server, &order), true);
        }
        let going_on = stand_still();
        let answer = answer.wait(&fleet.env).expect("an answer");
        assert!(error(&answer).contains(trouble), "{answer:?}");
        assert!(going_on.elapsed() >= LIMIT / 2, "{trouble}: {:?}", going_on.elapsed());
    }
    drop(server);
    fleet.stop_all(&client);
}

#[test]
fn a_server_does_not_obey_an_order_that_does_not_stand_any_more() {
    for name in ["stop", "restart", "kill"] {
        let fleet = Fleet::new(&json!({}));
        let master = RawMaster::new();
        let port = master.address().port();
        let record = json!({"id": "master-server-1", "host": "127.0.0.1", "port": port});
        fleet.config("master.json", &record);
        let words = ["id=chat-1", "serverType=chat", "host=127.0.0.1"];
        let app = Application::new(&fleet.env, fleet.options(&words)).expect("a good configuration");
        app.set_admin_times(quick()).expect("time limits");
        let started = Later::new();
        app.start(started.setter());
        let (mut raw, _) = master.register(&fleet.env);
        let subscription = raw.value("monitor");
        raw.publish("monitor", &twice(&json!({"respId": subscription["reqId"], "error": null, "body": {}})));
        assert_eq!(started.wait(&fleet.env), Ok(()));
        assert_eq!(raw.value("monitor")["body"]["action"], "record");
        for stands in [false, true] {
            let order = json!({"moduleId": CONSOLE, "body": {"signal": name, "confirm": "a word"}});
            raw.publish("monitor", &order.to_string());
            let question = raw.value("monitor");
            assert_eq!(question["body"], json!({"signal": "confirm", "order": "a word"}));
            assert_eq!(fleet.exit.get(), None);
            raw.publish(
                "monitor",
                &twice(&json!({"respId": question["reqId"], "error": null, "body": stands})),
            );
            if !stands {
                // It has read the answer when it answers this.
                let list = json!({"reqId": 1, "moduleId": CONSOLE, "body": {"signal": "list"}});
                raw.publish("monitor", &twice(&list));
                assert_eq!(raw.value("monitor")["respId"], 1);
            }
        }
        let code = if name == "kill" { 255 } else { 0 };
        until(&fleet.env, "its end", || fleet.exit.get() == Some(code));
        drop(raw);
        run_to_the_end(&fleet.env);
    }
}

#[test]
fn a_stop_takes_back_a_restart_that_waits_for_the_servers_end() {
    let lingers = json!({"lingers": true, "auto-restart": "true"});
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", lingers)]}));
    fleet.start(quick().restart_after(Duration::from_millis(100)));
    let client = fleet.login("admin");
    let restart = fleet.ask(&client, json!({"signal": "restart", "ids": ["chat-1"], "type": null}));
    assert_eq!(error(&restart), "all servers start failed.");
    let stop = || fleet.ask(&client, json!({"signal": "stop", "ids": ["chat-1"]}));
    assert_eq!(error(&stop()), "", "it has ended");
    assert_eq!(error(&stop()), "Cannot find the server to stop.", "and nothing is to come");
    fleet.stop_all(&client);
}

#[test]
fn kill_ends_a_server_that_does_not_answer() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({})), chat("chat-2", json!({}))]}));
    let app = fleet.start(quick().kill_within(Duration::from_millis(300)));
    let held = Rc::new(());
    app.on({
        let held = Rc::clone(&held);
        move |_: &Application, _: &AppEvent| drop(Rc::clone(&held))
    });
    let client = fleet.login("admin");
    suspend(&fleet, "chat-1");
    let kill = fleet.ask(&client, json!({"signal": "kill", "ids": []}));
    assert_eq!(kill, Response::body(json!({"code": "ok"})));
    assert!(fleet.children().is_empty(), "they have ended when that is said");
    until(&fleet.env, "the master's end", || fleet.exit.get() == Some(255));
    // A killed application keeps nothing, should its program go on.
    client.close();
    run_to_the_end(&fleet.env);
    assert_eq!(Rc::strong_count(&held), 1, "its handlers are dropped");
}

/// Notes what is said of the stop of all.
#[derive(Clone, Default)]
struct News(Rc<RefCell<Vec<StopNews>>>);

impl EventHandler for News {
    fn on_event(&mut self, _: &Application, _: &AppEvent) {}
    fn on_stop_all(&mut self, _: &Application, news: &StopNews) {
        self.0.borrow_mut().push(news.clone());
    }
}

#[test]
fn a_master_of_ones_own_stops_all_servers_by_one_call() {
    for env in ["development", "production"] {
        let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({})), chat("chat-2", json!({}))]}));
        let app = fleet.start_with(fleet.options(&[&format!("env={env}")]), quick());
        let news = News::default();
        app.on(news.clone());
        app.stop_all(true);
        app.stop_all(true);
        until(&fleet.env, "the stop", || fleet.exit.get().is_some());
        assert_eq!((fleet.exit.get(), fleet.children()), (Some(0), Vec::new()), "none is left by then");
        let all = ["chat-1", "chat-2"].map(str::to_owned).to_vec();
        assert_eq!(*news.0.borrow(), [StopNews::Begun(all)]);
        run_to_the_end(&fleet.env);
    }
}

#[test]
fn the_stop_of_all_ends_what_hangs_and_what_has_not_registered() {
    let starting = chat("chat-2", json!({"starting": true, "auto-restart": "true"}));
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({"alone": true})), starting]}));
    let app = Application::new(&fleet.env, fleet.options(&[])).expect("a good configuration");
    app.set_admin_times(quick().stop_within(Duration::from_millis(300))).expect("time limits");
    // No watcher tells this master of its servers: it looks itself.
    app.enable("closeWatcher");
    fleet.start_app(&app).expect("it starts");
    let is_there = || app.master_agent().is_some_and(|agent| agent.server("chat-1").is_some());
    until(&fleet.env, "both", || is_there() && fleet.base().join("starting").exists());
    let news = News::default();
    app.on(news.clone());
    let pid = suspend(&fleet, "chat-1");
    app.stop_all(true);
    until(&fleet.env, "the stop", || fleet.exit.get().is_some());
    assert_eq!((fleet.exit.get(), fleet.children()), (Some(0), Vec::new()));
    let killed = StopNews::Killed { id: "chat-1".into(), pid };
    assert_eq!(news.0.borrow()[1..], [killed], "the other one was asked to end, and did");
    run_to_the_end(&fleet.env);
}

#[test]
fn servers_that_stood_still_with_their_master_have_their_time_to_stop_all_the_same() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    let app = fleet.start(quick().stop_within(LIMIT));
    let news = News::default();
    app.on(news.clone());
    let pid = suspend(&fleet, "chat-1");
    app.stop_all(true);
    let going_on = stand_still();
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    assert!(going_on.elapsed() >= LIMIT / 2, "{:?}", going_on.elapsed());
    // This one goes on standing still.
    assert_eq!(news.0.borrow()[1..], [StopNews::Killed { id: "chat-1".into(), pid }]);
    run_to_the_end(&fleet.env);
}

#[test]
fn a_stop_of_all_is_heard_between_two_starts() {
    common::logs::begin();
    let servers: Vec<Value> = (0..50).map(|number| chat(&format!("chat-{number}"), json!({}))).collect();
    let fleet = Fleet::new(&json!({"chat": servers}));
    let app = Application::new(&fleet.env, fleet.options(&[])).expect("a good configuration");
    app.set_admin_times(quick()).expect("time limits");
    let result = Later::new();
    app.start(result.setter());
    until(&fleet.env, "the first start", || !fleet.children().is_empty());
    app.stop_all(true);
    assert_eq!(result.wait(&fleet.env), Err(pomelo::Error::Stopped));
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    assert!(fleet.children().is_empty());
    assert!(common::logs::with("Executing").len() < 50, "the others were not started");
    run_to_the_end(&fleet.env);
}

#[test]
fn a_server_alone_has_no_others_to_stop() {
    let fleet = Fleet::new(&json!({}));
    let app = Application::new(&fleet.env, fleet.options(&[]).admin(false)).expect("a good configuration");
    fleet.start_app(&app).expect("it starts");
    app.stop_all(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    run_to_the_end(&fleet.env);
}
