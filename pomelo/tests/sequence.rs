//! A master and a connector, from the first callback to the end of both: every order that was measured with Node's
//! pomelo. This program is the test, the master and the connector.

mod common;

use async_wrap::Environment;
use common::fleet::{FOLDER, Master, configure, free_port, stop_all};
use log::{LevelFilter, Log, Metadata, Record};
use pomelo::upcall::{Component, Lifecycle};
use pomelo::{AppEvent, Application, Completion, Options, ShutDown};
use serde_json::json;
use std::ffi::OsStr;
use uv_core::{Loop, RunMode};

fn main() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return play(&folder);
    }
    common::fleet::main("every_callback_event_and_line_comes_in_the_measured_order", measure);
}

// ---- the master and the connector -------------------------------------------------------------------------------

fn say(line: &str) {
    println!("{line}");
}

struct Saying;

impl Log for Saying {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "pomelo"
    }
    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            say(&format!("{} log {}", who(), record.args()));
        }
    }
    fn flush(&self) {}
}

/// `M` in the master, `C` in the connector.
fn who() -> &'static str {
    if std::env::args().any(|arg| arg.starts_with("serverType=")) { "C" } else { "M" }
}

fn note(app: &Application, what: &str) {
    say(&format!("{} {} {what}", who(), app.state() as u8));
}

struct Cust(&'static str);

impl Component for Cust {
    fn on_start(&mut self, app: &Application, done: Completion) {
        note(app, &format!("{}.start", self.0));
        done.ok(());
    }
    fn on_after_start(&mut self, app: &Application, done: Completion) {
        note(app, &format!("{}.afterStart", self.0));
        done.ok(());
    }
    fn on_stop(&mut self, app: &Application, force: bool, done: Completion) {
        note(app, &format!("{}.stop(force={force})", self.0));
        done.ok(());
    }
}

struct Cycle;

impl Lifecycle for Cycle {
    fn on_before_startup(&mut self, app: &Application, done: Completion) {
        note(app, "beforeStartup");
        done.ok(());
    }
    fn on_after_startup(&mut self, app: &Application, done: Completion) {
        note(app, "afterStartup");
        let waiting = app.clone();
        app.environment().set_immediate(move || {
            note(&waiting, "afterStartup's next");
            done.ok(());
        });
    }
    fn on_before_shutdown(&mut self, app: &Application, shut_down: ShutDown) {
        note(app, "beforeShutdown");
        shut_down.go();
    }
    fn on_after_start_all(&mut self, app: &Application) {
        note(app, "afterStartAll");
    }
}

fn event(app: &Application, event: &AppEvent) {
    let name = match event {
        AppEvent::StartServer(id) => format!("start_server {id}"),
        AppEvent::StartAll => "start_all".into(),
        AppEvent::AddServers(servers) => {
            let ids: Vec<_> = servers.iter().map(|info| info["id"].to_string()).collect();
            format!("add_servers {}", ids.join(" "))
        }
        AppEvent::RemoveServers(ids) => format!("remove_servers {}", ids.join(" ")),
        other => format!("{other:?}"),
    };
    note(app, &format!("event {name}"));
}

fn play(folder: &OsStr) {
    log::set_logger(&Saying).expect("the first logger");
    log::set_max_level(LevelFilter::Info);
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let app = Application::new(&env, Options::from_process().base(folder)).expect("a good configuration");
    app.load("custA", Cust("custA")).expect("a new name");
    app.load("custB", Cust("custB")).expect("a new name");
    app.lifecycle("master", Cycle).lifecycle("connector", Cycle);
    app.on(event);
    let told = app.clone();
    app.start(move |result| note(&told, &format!("start callback {result:?}")));
    env.run(RunMode::Default).expect("the loop runs");
}

// ---- the test -----------------------------------------------------------------------------------------------------

/// What one of them said, without what differs between two runs.
fn said(master: &Master, who: &str) -> Vec<String> {
    let lines = master.seen.iter().filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '));
    lines.map(plain).collect()
}

fn plain(line: &str) -> String {
    if let Some((start, rest)) = line.split_once("Executing ") {
        let arguments = rest.split_once(" env=").map_or(rest, |(_, arguments)| arguments);
        return format!("{start}Executing … env={arguments}");
    }
    let words = line.split(' ').map(|word| match word.parse::<u64>() {
        Ok(_) if line.starts_with("log ") => "#",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let (port, own_port) = (free_port(), free_port());
    let connector = json!({"id": "connector-1", "host": "127.0.0.1", "port": own_port, "frontend": true});
    configure(folder.path(), port, &json!({"connector": [connector]}));
    let mut master = Master::start(folder.path(), &[]);
    master.until("M 3 event start_all");
    master.until("C 3 event start_all");
    stop_all(port);
    master.until("M 4 custB.stop(force=true)");
    assert_eq!(master.wait().code(), Some(0), "the master's end");
    check(&master, port, own_port);
}

fn check(master: &Master, port: u16, own_port: u16) {
    // When servers come and go is told whenever they do; that it is told is looked at below.
    let is_news =
        |line: &&String| ["_servers ", "log server", "log client"].iter().any(|part| line.contains(part));
    let (master, connector) = (said(master, "M"), said(master, "C"));
    let order = |lines: &[String]| lines.iter().filter(|line| !is_news(line)).cloned().collect::<Vec<_>>();
    assert_eq!(order(&master), MASTER.map(|line: &str| line.replace("OWN_PORT", &own_port.to_string())));
    assert_eq!(order(&connector), CONNECTOR);
    let news = |lines: &[String]| lines.iter().filter(is_news).cloned().collect::<Vec<_>>();
    assert_eq!(news(&connector), ["1 event add_servers \"connector-1\""], "it sees itself");
    assert!(news(&master).contains(&"3 event remove_servers connector-1".into()));
    assert!(news(&master).iter().any(|line| line.ends_with("event add_servers \"connector-1\"")));
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "nothing listens any more");
}

// pomelo: sentences 1, 4, 6, 12, 17 and 59
const MASTER: [&str; 22] = [
    "log application inited: \"master-1\"",
    "1 beforeStartup",
    "1 custA.start",
    "1 custB.start",
    "log [MqttServer] listen on #",
    "log Executing … env=development id=connector-1 host=127.0.0.1 port=OWN_PORT frontend=true serverType=connector \
     locally",
    "log try to connect master: \"master\", \"127.0.0.1\", #",
    "log \"master-1\" enter after start...",
    "2 custA.afterStart",
    "2 custB.afterStart",
    "log \"master-1\" finish start",
    "3 afterStartup",
    "log \"master-1\" startup in # ms",
    "3 event start_server master-1",
    "3 afterStartup's next",
    "3 start callback Ok(())",
    "log all servers startup in # ms",
    "3 afterStartAll",
    "3 event start_all",
    // Three seconds after the connector.
    "4 beforeShutdown",
    "4 custA.stop(force=true)",
    "4 custB.stop(force=true)",
];

const CONNECTOR: [&str; 19] = [
    "log application inited: \"connector-1\"",
    "1 beforeStartup",
    "1 custA.start",
    "1 custB.start",
    "log try to connect master: \"connector\", \"127.0.0.1\", #",
    "log \"connector-1\" enter after start...",
    "2 custA.afterStart",
    "2 custB.afterStart",
    "log \"connector-1\" finish start",
    "3 afterStartup",
    "log \"connector-1\" startup in # ms",
    "3 event start_server connector-1",
    "3 afterStartup's next",
    "3 start callback Ok(())",
    "3 afterStartAll",
    "3 event start_all",
    "4 beforeShutdown",
    "4 custA.stop(force=true)",
    "4 custB.stop(force=true)",
];
