//! Who a server is: ids belong to types, and to those who showed a token for them.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, chat, quick};
use admin_support::{Heard, Raw, credentials, master, new_loop, registration, run_to_the_end, until};
use async_wrap::Environment;
use pomelo::Application;
use pomelo::admin::{Credentials, MasterAgent, MasterOptions, Times};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Duration;

/// Registers on a connection of its own; the code of the answer, and what is said with it.
fn register(env: &Environment, address: SocketAddr, topic: &str, message: &Value) -> (i64, String, Raw) {
    let mut raw = Raw::greeted(env, address);
    raw.publish(topic, &message.to_string());
    let answer = raw.value(if topic == "register" { "register" } else { "reconnect_ok" });
    (answer["code"].as_i64().expect("a code"), answer["msg"].as_str().unwrap_or_default().to_owned(), raw)
}

/// A server of a type, with its type's token.
fn server(id: &str, of_type: &str) -> Value {
    let mut message = registration(id);
    message["serverType"] = json!(of_type);
    message["info"]["serverType"] = json!(of_type);
    message["token"] = json!(format!("the token of {of_type}"));
    message
}

fn without_token(mut message: Value) -> Value {
    message.as_object_mut().expect("an object").remove("token");
    message
}

fn with_tokens() -> Credentials {
    credentials().token("chat", "the token of chat").token("gate", "the token of gate")
}

/// A master that loses no time, and may let servers come back without a token.
fn start(env: &Environment, comes_back: bool, heard: &Heard) -> (MasterAgent, SocketAddr) {
    let times = Times::default().refuse_after(Duration::ZERO);
    let options = MasterOptions::new(with_tokens()).times(times).admits_any_reconnect(comes_back);
    master(env, options, heard)
}

#[test]
fn an_id_of_the_configuration_is_only_for_a_server_of_its_type() {
    let fleet = Fleet::new(&json!({"chat": [chat("chat-1", json!({}))]}));
    let tokens = ["chat", "gate"].map(|of| json!({"type": of, "token": format!("the token of {of}")}));
    fleet.config("adminServer.json", &json!(tokens));
    let app = Application::new(&fleet.env, fleet.options(&["mode=stand-alone"])).expect("a configuration");
    app.set_admin_times(quick()).expect("time limits");
    fleet.start_app(&app).expect("it starts");
    let address = ([127, 0, 0, 1], fleet.port).into();
    for topic in ["register", "reconnect"] {
        let (code, reason, _) = register(&fleet.env, address, topic, &server("chat-1", "gate"));
        assert_eq!((code, reason.as_str()), (-1, "id chat-1 is one of type chat"));
        let (code, _, _) = register(&fleet.env, address, topic, &server("master-server-1", "gate"));
        assert_eq!(code, -1, "the master's own");
    }
    let (code, _, first) = register(&fleet.env, address, "register", &server("chat-1", "chat"));
    assert_eq!(code, 1);
    // Neither as the next in line nor after its end.
    assert_eq!(register(&fleet.env, address, "register", &server("chat-1", "gate")).0, -1);
    drop(first);
    until(&fleet.env, "its end", || app.server("chat-1").is_none());
    assert_eq!(register(&fleet.env, address, "register", &server("chat-1", "gate")).0, -1);
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    run_to_the_end(&fleet.env);
}

#[test]
fn an_id_stays_with_the_type_that_had_it_first() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = start(&env, false, &heard);
    let (code, _, first) = register(&env, address, "register", &server("one", "chat"));
    assert_eq!(code, 1);
    assert_eq!(register(&env, address, "register", &server("one", "gate")).0, -1);
    drop(first);
    until(&env, "its end", || heard.has("disconnect one"));
    let (code, reason, _) = register(&env, address, "register", &server("one", "gate"));
    assert_eq!((code, reason.as_str()), (-1, "id one is one of type chat"));
    assert_eq!(heard.lines(), ["register one", "disconnect one"]);
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 45, the difference
#[test]
fn a_reconnect_without_a_token_is_refused_in_a_line_that_names_the_option() {
    common::logs::begin();
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = start(&env, false, &heard);
    let (code, _, first) = register(&env, address, "register", &server("one", "chat"));
    assert_eq!(code, 1);
    drop(first);
    until(&env, "its end", || heard.has("disconnect one"));
    // All that the master knows of it.
    let (code, _, _) = register(&env, address, "reconnect", &without_token(server("one", "chat")));
    assert_eq!(code, -1);
    let lines = common::logs::with("reconnectWithoutToken");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("refused") && lines[0].contains("\"one\""), "{lines:?}");
    agent.close();
    run_to_the_end(&env);
}

/// A process that does nothing.
struct Idle(Child);

impl Idle {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("it starts"))
    }

    fn end(&mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn with_the_option_a_server_that_showed_a_token_comes_back_in_its_own_process_only() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = start(&env, true, &heard);
    let mut other = Idle::new();
    let with_pid = |id: &str, pid: u32| {
        let mut message = server(id, "chat");
        message["pid"] = json!(pid);
        message
    };
    // Two that registered with a token: a process that is not this one, and this one.
    for (id, pid) in [("other", other.0.id()), ("own", std::process::id())] {
        let (code, _, raw) = register(&env, address, "register", &with_pid(id, pid));
        assert_eq!(code, 1);
        let return_as = |pid| register(&env, address, "reconnect", &without_token(with_pid(id, pid))).0;
        assert_eq!(return_as(pid), -1, "{id} is connected");
        drop(raw);
        until(&env, "its end", || heard.has(&format!("disconnect {id}")));
        assert_eq!(return_as(pid + 1), -1, "{id}: another number");
    }
    let returning = |id: &str, pid| register(&env, address, "reconnect", &without_token(with_pid(id, pid)));
    assert_eq!(returning("other", other.0.id()).0, -1, "it is alive, and this is not it");
    let pid = other.0.id();
    other.end();
    assert_eq!(returning("other", pid).0, -1, "it was killed, and this is not it");
    let (code, _, _own) = returning("own", std::process::id());
    assert_eq!(code, 1, "the same process has the connection");
    let (code, _, _unknown) = returning("unknown", 7);
    assert_eq!(code, 1, "what the option gives up");
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn names_that_nobody_has_are_refused() {
    let (_lp, env) = new_loop();
    let (agent, address) = start(&env, false, &Heard::default());
    for id in ["a\u{1b}[2J", "a\nb", "a\u{9b}", &"a".repeat(257)] {
        let mut raw = Raw::greeted(&env, address);
        raw.publish("register", &server(id, "chat").to_string());
        raw.is_dismissed();
        let mut raw = Raw::greeted(&env, address);
        raw.publish("register", &admin_support::login(id, "admin", "admin").to_string());
        raw.is_dismissed();
    }
    assert_eq!(register(&env, address, "register", &server("a", "b\u{7}")).0, -1);
    assert!(agent.server_ids().is_empty());
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn few_wait_for_the_id_of_another() {
    let (_lp, env) = new_loop();
    let (agent, address) = start(&env, false, &Heard::default());
    let mut codes = Vec::new();
    let all: Vec<Raw> = (0..7)
        .map(|_| {
            let (code, _, raw) = register(&env, address, "register", &server("one", "chat"));
            codes.push(code);
            raw
        })
        .collect();
    assert_eq!(codes, [1, 1, 1, 1, 1, -1, -1]);
    drop(all);
    agent.close();
    run_to_the_end(&env);
}
