//! Modules of the console: called by servers, by users, by the clock; enabled and disabled; asking servers.

mod admin_support;

use admin_support::{
    Heard, Later, Raw, connect, credentials, listen, login, monitor_options, new_loop, run_to_the_end, twice,
    until,
};
use async_wrap::Environment;
use pomelo::admin::{
    Agent, MasterAgent, MasterOptions, MonitorAgent, Pace, Reply, Request, RequestError, Response, Schedule,
    Session, Times,
};
use pomelo::upcall::Module;
use pomelo::{Application, Completion, Failure};
use serde_json::{Value, json};
use std::time::Duration;

/// Notes every call.
struct Notes {
    heard: Heard,
    schedule: Option<Schedule>,
}

impl Notes {
    fn new(heard: &Heard, schedule: Option<Schedule>) -> Self {
        Self { heard: heard.clone(), schedule }
    }
}

impl Module for Notes {
    fn on_register(&mut self) -> Option<Schedule> {
        self.schedule.clone()
    }
    fn on_start(&mut self, _: &Agent, done: Completion) {
        self.heard.add("start");
        done.ok(());
    }
    fn on_master(&mut self, _: &MasterAgent, message: Option<Value>, reply: Reply) {
        self.heard
            .add(format!("master {}", message.map_or_else(|| "clock".into(), |message| message.to_string())));
        reply.ok("from the master");
    }
    fn on_monitor(&mut self, _: &MonitorAgent, message: Option<Value>, reply: Reply) {
        self.heard.add(format!(
            "monitor {}",
            message.map_or_else(|| "clock".into(), |message| message.to_string())
        ));
        reply.ok("from the monitor");
    }
    fn on_client(&mut self, _: &MasterAgent, session: &Session, message: Value, reply: Reply) {
        self.heard.add(format!("client {} {} {}", session.id, session.user.username, message["say"]));
        reply.ok("to the client");
    }
}

fn new_master(env: &Environment) -> MasterAgent {
    MasterAgent::new(env, MasterOptions::new(credentials()), ()).expect("an agent")
}

#[test]
fn a_module_is_called_by_servers_and_by_users_and_says_who_asked() {
    let (_lp, env) = new_loop();
    let (agent, heard) = (new_master(&env), Heard::default());
    agent.register("notes", Notes::new(&heard, None));
    let address = listen(&agent);
    let mut server = Raw::server(&env, address, "chat-1");
    let answer = server.ask("monitor", 1, "notes", json!("hello"));
    assert_eq!(answer, json!({"respId": 1, "error": null, "body": "from the master"}));
    // Who asks is known by the connection, whatever the body says.
    let mut user = Raw::user(&env, address, "list-1", "guest");
    let body = json!({"say": 7, "clientId": "another", "username": "admin"});
    let answer = user.ask("client", 5, "notes", body);
    assert_eq!(answer, json!({"respId": 5, "error": null, "body": "to the client"}));
    assert_eq!(heard.lines(), [r#"master "hello""#, "client list-1 guest 7"]);
    agent.close();
    run_to_the_end(&env);
}

/// A module without any method.
struct Bare;
impl Module for Bare {}

// pomelo: sentence 56
#[test]
fn unknown_and_disabled_modules_and_missing_methods_are_answered_in_pomelos_words() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    agent.register("bare", Bare);
    let address = listen(&agent);
    let mut server = Raw::server(&env, address, "chat-1");
    let mut error = |module: &str| server.ask("monitor", 1, module, json!(null))["error"].take();
    assert_eq!(error("absent"), "unknown moduleId:absent");
    assert_eq!(error("bare"), "module bare dose not have a method called masterHandler");
    assert!(agent.disable("bare") && !agent.disable("bare"));
    assert_eq!(error("bare"), "module bare is disable");
    assert!(agent.enable("bare") && !agent.enable("bare") && !agent.enable("absent"));
    assert_eq!(error("bare"), "module bare dose not have a method called masterHandler");
    let mut user = Raw::user(&env, address, "list-1", "admin");
    let answer = user.ask("client", 1, "bare", json!({}));
    assert_eq!(answer["error"], "module bare dose not have a method called clientHandler");
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 56
#[test]
fn the_clock_calls_pull_modules_in_the_master_and_push_modules_in_monitors() {
    let (_lp, env) = new_loop();
    let schedule =
        |pace| Some(Schedule { pace, delay: Duration::from_millis(20), interval: Duration::from_millis(5) });
    let (agent, pulled, pushed) = (new_master(&env), Heard::default(), Heard::default());
    agent.register("pull", Notes::new(&pulled, schedule(Pace::Pull)));
    agent.register("push", Notes::new(&pushed, schedule(Pace::Push)));
    let address = listen(&agent);
    let monitor = MonitorAgent::new(&env, monitor_options(address, "chat-1"));
    monitor.register("pull", Notes::new(&pulled, schedule(Pace::Pull)));
    monitor.register("push", Notes::new(&pushed, schedule(Pace::Push)));
    connect(&env, &monitor).expect("it registers");
    until(&env, "three calls", || pulled.lines().len() >= 3 && pushed.lines().len() >= 3);
    assert!(pulled.lines().iter().all(|line| line == "master clock"), "{:?}", pulled.lines());
    assert!(pushed.lines().iter().all(|line| line == "monitor clock"), "{:?}", pushed.lines());
    // A disabled module is not called; a module that is enabled again is.
    agent.disable("pull");
    let count = pulled.lines().len();
    let more = pushed.lines().len() + 5;
    until(&env, "the other's calls", || pushed.lines().len() >= more);
    assert_eq!(pulled.lines().len(), count);
    agent.enable("pull");
    until(&env, "its calls", || pulled.lines().len() > count);
    monitor.close();
    agent.close();
    run_to_the_end(&env);
}

/// Disables itself in its first call.
struct Once(Heard);

impl Module for Once {
    fn on_register(&mut self) -> Option<Schedule> {
        Some(Schedule { pace: Pace::Pull, delay: Duration::ZERO, interval: Duration::from_millis(1) })
    }
    fn on_master(&mut self, agent: &MasterAgent, _: Option<Value>, _: Reply) {
        self.0.add("once");
        assert!(agent.disable("once"));
    }
}

#[test]
fn a_module_may_disable_itself_in_its_call() {
    let (_lp, env) = new_loop();
    let (agent, heard, other) = (new_master(&env), Heard::default(), Heard::default());
    agent.register("once", Once(heard.clone()));
    let always = Schedule { pace: Pace::Pull, delay: Duration::ZERO, interval: Duration::from_millis(1) };
    agent.register("always", Notes::new(&other, Some(always)));
    listen(&agent);
    until(&env, "the other's calls", || other.lines().len() > 10);
    assert_eq!(heard.lines(), ["once"]);
    agent.close();
    run_to_the_end(&env);
}

/// Fails to start.
struct Broken;

impl Module for Broken {
    fn on_start(&mut self, _: &Agent, done: Completion) {
        done.fail("broken");
    }
}

#[test]
fn modules_start_one_after_the_other_until_one_fails() {
    let (_lp, env) = new_loop();
    let (agent, heard) = (new_master(&env), Heard::default());
    for id in ["one", "two"] {
        agent.register(id, Notes::new(&heard, None));
    }
    listen(&agent);
    let start = || {
        let later: Later<Result<(), String>> = Later::new();
        let set = later.setter();
        let told = move |result: Result<(), Failure>| set(result.map_err(|error| error.to_string()));
        agent.start_modules(Completion::new(&env, told));
        later.wait(&env)
    };
    assert_eq!(start(), Ok(()));
    assert_eq!(heard.lines().len(), 2);
    agent.register("two", Broken);
    agent.register("three", Notes::new(&heard, None));
    assert_eq!(start(), Err("broken".into()));
    assert_eq!(heard.lines().len(), 3, "the third was not started");
    agent.close();
    run_to_the_end(&env);
}

fn command(raw: &mut Raw, command: &str, module: &Value) -> Value {
    let body = json!({"clientId": "list-1", "username": "admin"});
    let message = json!({"reqId": 3, "command": command, "moduleId": module, "body": body});
    raw.publish("client", &twice(&message));
    raw.value("client")
}

// pomelo: sentence 57
#[test]
fn the_command_list_says_which_modules_there_are_without_pomelos_own() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    for id in ["__console__", "one", "__a_b1__", "____", "__two", "__a-b__"] {
        agent.register(id, Bare);
    }
    let address = listen(&agent);
    let mut user = Raw::user(&env, address, "list-1", "admin");
    let list = command(&mut user, "list", &Value::Null);
    let expected = json!({"modules": ["one", "____", "__two", "__a-b__"]});
    assert_eq!(list, json!({"respId": 3, "error": null, "body": expected}));
    assert_eq!(command(&mut user, "dance", &json!("one"))["error"], "unknown command:dance");
    assert_eq!(command(&mut user, "enable", &json!(""))["error"], "empty moduleId");
    assert_eq!(command(&mut user, "enable", &json!("absent"))["body"], -1);
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 58
#[test]
fn enable_and_disable_reach_the_servers_and_name_no_client() {
    let (_lp, env) = new_loop();
    let (agent, heard) = (new_master(&env), Heard::default());
    agent.register("notes", Notes::new(&heard, None));
    let address = listen(&agent);
    let monitor = MonitorAgent::new(&env, monitor_options(address, "chat-1"));
    monitor.register("notes", Notes::new(&heard, None));
    connect(&env, &monitor).expect("it registers");
    let mut server = Raw::server(&env, address, "chat-2");
    let mut user = Raw::user(&env, address, "list-1", "admin");
    assert_eq!(command(&mut user, "disable", &json!("notes"))["body"], 1);
    // Node's servers look a client up in a table that only masters have, and break.
    assert_eq!(server.value("monitor"), json!({"command": "disable", "moduleId": "notes", "body": {}}));
    let ask = || {
        let later: Later<Result<Response, RequestError>> = Later::new();
        agent.request("chat-1", "notes", json!(null), later.setter());
        later.wait(&env).expect("an answer")
    };
    assert_eq!(ask().error, Some(json!("module notes is disable")));
    assert_eq!(command(&mut user, "enable", &json!("notes"))["body"], 1);
    assert_eq!(server.value("monitor")["command"], "enable");
    assert_eq!(ask().body, Some(json!("from the monitor")));
    monitor.close();
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 42: commands need level 1
#[test]
fn commands_are_for_users_of_level_one() {
    let (_lp, env) = new_loop();
    let users = credentials().user("zero", "zero", 0);
    let agent = MasterAgent::new(&env, MasterOptions::new(users), ()).expect("an agent");
    agent.register("bare", Bare);
    let address = listen(&agent);
    for (name, reason) in [("guest", "Command permission denied"), ("zero", "Client info error")] {
        let mut user = Raw::user(&env, address, "list-1", name);
        for word in ["list", "enable", "disable", "dance"] {
            let answer = command(&mut user, word, &json!("bare"));
            assert_eq!((&answer["error"]["message"], &answer["body"]), (&json!(reason), &Value::Null));
        }
        drop(user);
        until(&env, "it has left", || agent.notify_client("list-1", "m", &json!(null)).eq(&false));
    }
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_server_that_waits_for_its_id_does_not_answer_for_the_one_that_has_it() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    let address = listen(&agent);
    let mut first = Raw::server(&env, address, "chat-1");
    let mut shade = Raw::server(&env, address, "chat-1");
    let later: Later<Result<Response, RequestError>> = Later::new();
    agent.request("chat-1", "m", json!(null), later.setter());
    assert_eq!(first.value("monitor")["reqId"], 1);
    shade.publish("monitor", r#"{"respId":1,"error":"forged"}"#);
    assert_eq!(shade.ask("monitor", 1, "no", json!(null))["respId"], 1, "it was heard");
    assert!(!later.is_there());
    first.publish("monitor", r#"{"respId":1,"error":null,"body":"mine"}"#);
    assert_eq!(later.wait(&env).expect("an answer").body, Some(json!("mine")));
    agent.close();
    run_to_the_end(&env);
}

/// Registers something else as it goes.
struct Successor(Option<Box<dyn FnOnce()>>);

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(last_act) = self.0.take() {
            last_act();
        }
    }
}

impl Module for Successor {}

#[test]
fn a_module_that_is_replaced_may_use_the_console_as_it_goes() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    let (own, heard) = (agent.clone(), Heard::default());
    let notes = Notes::new(&heard, None);
    agent.register("m", Successor(Some(Box::new(move || own.register("n", notes)))));
    agent.register("m", Successor(None));
    let address = listen(&agent);
    let answer = Raw::server(&env, address, "chat-1").ask("monitor", 1, "n", json!(1));
    assert_eq!(answer["body"], "from the master");

    let folder = admin_support::fleet::Fleet::new(&json!({}));
    let app = Application::new(&env, folder.options(&[])).expect("a good configuration");
    let (own, told) = (app.clone(), heard.clone());
    let last_act = Successor(Some(Box::new(move || {
        own.register_admin("n", |_: &Application, _: &Agent| Successor(None));
        told.add("replaced");
    })));
    app.register_admin("m", move |_: &Application, _: &Agent| {
        let _ = &last_act;
        Successor(None)
    });
    app.register_admin("m", |_: &Application, _: &Agent| Successor(None));
    assert!(heard.has("replaced"));
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 39
#[test]
fn what_a_server_did_not_answer_is_asked_again_when_it_is_back() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    let address = listen(&agent);
    let mut first = Raw::server(&env, address, "chat-1");
    let later: Later<Result<Response, RequestError>> = Later::new();
    agent.request("chat-1", "m", json!({"a": 1}), later.setter());
    let answered: Later<Result<Response, RequestError>> = Later::new();
    agent.request("chat-1", "m", json!("answered"), answered.setter());
    assert_eq!(first.value("monitor"), json!({"reqId": 1, "moduleId": "m", "body": {"a": 1}}));
    assert_eq!(first.value("monitor")["reqId"], 2);
    first.publish("monitor", r#"{"respId":2,"error":1}"#);
    assert_eq!(answered.wait(&env).expect("an answer").data(), Some(&json!(1)));
    drop(first);
    until(&env, "it has left", || agent.server_ids().is_empty());
    let mut second = Raw::server(&env, address, "chat-1");
    let again = second.value("monitor");
    assert_eq!(again, json!({"reqId": "1", "moduleId": "m", "body": {"a": 1}}), "its id is a text now");
    // Another server's answer is none.
    let mut other = Raw::server(&env, address, "chat-2");
    other.publish("monitor", r#"{"respId":1,"error":"forged"}"#);
    assert_eq!(other.ask("monitor", 1, "no", json!(null))["respId"], 1, "it was heard");
    assert!(!later.is_there());
    second.publish("monitor", r#"{"respId":"1","error":null,"body":"at last"}"#);
    assert_eq!(later.wait(&env).expect("an answer").body, Some(json!("at last")));
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_request_always_ends_and_never_within_its_own_call() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    let address = listen(&agent);
    let unknown: Later<Result<Response, RequestError>> = Later::new();
    agent.request("absent", "m", json!(null), unknown.setter());
    assert!(!unknown.is_there());
    let reason = unknown.wait(&env).expect_err("there is none");
    assert_eq!(reason.to_string(), "unknown server id:absent");
    let _silent = Raw::server(&env, address, "chat-1");
    let timed: Later<Result<Response, RequestError>> = Later::new();
    let request = Request::new("m", json!(null)).within(Duration::from_millis(5));
    agent.request_with("chat-1", request, timed.setter());
    assert_eq!(timed.wait(&env), Err(RequestError::TimedOut));
    let closed: Later<Result<Response, RequestError>> = Later::new();
    agent.request("chat-1", "m", json!(null), closed.setter());
    agent.close();
    assert_eq!(closed.wait(&env), Err(RequestError::NotConnected));
    run_to_the_end(&env);
}

#[test]
fn notices_go_to_one_to_a_type_to_all_and_to_clients() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    let address = listen(&agent);
    let mut chat = Raw::server(&env, address, "chat-1");
    let mut gate = Raw::greeted(&env, address);
    let of_gate = admin_support::registration("gate-1").to_string().replace("\"chat\"", "\"gate\"");
    gate.publish("register", &of_gate);
    assert_eq!(gate.value("register")["code"], 1);
    let mut user = Raw::greeted(&env, address);
    user.publish("register", &login("list-1", "admin", "admin").to_string());
    assert_eq!(user.value("register")["code"], 1);
    assert!(agent.notify("chat-1", "m", &json!(1)) && !agent.notify("absent", "m", &json!(1)));
    assert_eq!((agent.notify_type("gate", "m", &json!(2)), agent.notify_type("no", "m", &json!(2))), (1, 0));
    assert_eq!(agent.notify_all("m", &json!(3)), 2);
    assert!(agent.notify_client("list-1", "m", &json!(4)) && !agent.notify_client("absent", "m", &json!(4)));
    let notice = |body: u32| format!(r#"{{"moduleId":"m","body":{body}}}"#);
    assert_eq!([chat.message().1, chat.message().1], [notice(1), notice(3)]);
    assert_eq!([gate.message().1, gate.message().1], [notice(2), notice(3)]);
    assert_eq!(user.message(), ("client".into(), notice(4)));
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn values_are_kept_for_other_modules() {
    let (_lp, env) = new_loop();
    let agent = new_master(&env);
    assert_eq!(agent.get("k"), None);
    agent.set("k", json!([1]));
    assert_eq!(agent.get("k"), Some(json!([1])));
    assert_eq!(Times::default().answer_within, Duration::from_secs(10));
    agent.close();
    run_to_the_end(&env);
}
