//! Who is let in by a master, and who is not.

mod admin_support;

use admin_support::{
    Heard, Raw, connect, credentials, login, master, monitor_options, new_loop, registration, run_to_the_end,
    until,
};
use async_wrap::Environment;
use pomelo::Completion;
use pomelo::admin::{Credentials, Login, MasterAgent, MasterOptions, MonitorAgent, ServerClaim, Times, User};
use pomelo::upcall::{Authority, MasterHandler};
use serde_json::{Value, json};
use std::time::Duration;

/// A master that says no at once.
fn quick_master(env: &Environment, who: Credentials, heard: &Heard) -> (MasterAgent, std::net::SocketAddr) {
    let times = Times::default().refuse_after(Duration::ZERO);
    master(env, MasterOptions::new(who).times(times), heard)
}

/// Sends a registration on a new connection; the answer, if any, and whether the peer was sent away then.
fn register(
    env: &Environment,
    address: std::net::SocketAddr,
    topic: &str,
    message: &Value,
) -> (Option<Value>, Raw) {
    let mut raw = Raw::greeted(env, address);
    raw.publish(topic, &message.to_string());
    let packet = raw.packet();
    if packet == [0xE0, 0] {
        return (None, raw);
    }
    let payload = &packet[2 + 2 + if topic == "register" { 8 } else { 12 }..];
    (Some(serde_json::from_slice(payload).expect("JSON")), raw)
}

fn no(reason: &str) -> Option<Value> {
    Some(json!({"code": -1, "msg": reason}))
}

fn yes() -> Option<Value> {
    Some(json!({"code": 1, "msg": "ok"}))
}

// pomelo: sentences 40, 41, 43
#[test]
fn users_are_let_in_by_name_and_password() {
    let (_lp, env) = new_loop();
    let (agent, address) = quick_master(&env, credentials(), &Heard::default());
    let wrong = no("client auth failed with username or password error");
    let refused = |message: Value, answer: Option<Value>| {
        let (said, mut raw) = register(&env, address, "register", &message);
        assert_eq!(said, answer, "{message}");
        if said.is_some() {
            raw.is_dismissed();
        }
    };
    refused(login("a", "admin", "wrong"), wrong.clone());
    refused(login("a", "absent", "admin"), wrong.clone());
    let plain = |password: &str, md5: bool| json!({"type": "client", "id": "a", "username": "admin", "password": password, "md5": md5});
    refused(plain("admin", true), wrong.clone());
    refused(plain("21232F297A57A5A743894A0E4A801FC3", true), wrong.clone());
    refused(plain("21232f297a57a5a743894a0e4a801fc3", false), wrong);
    refused(json!({"type": "client", "id": "a", "password": "x"}), no("client should auth with username"));
    refused(json!({"type": "client", "username": "admin"}), None);

    let (said, first) = register(&env, address, "register", &plain("21232f297a57a5a743894a0e4a801fc3", true));
    assert_eq!(said, yes(), "the MD5 of the password in lower case");
    refused(login("a", "admin", "admin"), no("id has been registered. id:a"));
    drop(first);
    let mut again = None;
    until(&env, "the id is free again", || {
        let (said, raw) = register(&env, address, "register", &plain("admin", false));
        again = Some(raw);
        said == yes()
    });
    drop(again);
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 47
#[test]
fn an_unknown_kind_of_peer_is_refused() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &Heard::default());
    for kind in [json!("spy"), json!(7), Value::Null] {
        let (said, mut raw) = register(&env, address, "register", &json!({"type": kind, "id": "a"}));
        assert_eq!(said, no("unknown auth master type"));
        raw.is_dismissed();
    }
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 44
#[test]
fn servers_show_the_token_of_their_type_literally() {
    let (_lp, env) = new_loop();
    let with_tokens = credentials().token("connector", "abc").token("connector", "def").token("gate", "ghi");
    let heard = Heard::default();
    let (agent, address) = quick_master(&env, with_tokens, &heard);
    let server = |of_type: &str, token: Value| {
        let mut message = registration(&format!("{of_type}-1"));
        message["serverType"] = json!(of_type);
        message["info"]["serverType"] = json!(of_type);
        message["token"] = token;
        message
    };
    let refused = [
        server("connector", json!("ghi")),
        server("connector", json!(pomelo::admin::md5_hex("abc"))),
        server("connector", json!(["abc"])),
        server("connector", Value::Null),
        server("chat", json!("abc")),
        server("chat", json!("ok")),
    ];
    for message in refused {
        let (said, mut raw) = register(&env, address, "register", &message);
        assert_eq!(said, no("server auth failed"), "{message}");
        raw.is_dismissed();
    }
    // The token of one type, the record of another.
    let mut two_faced = server("connector", json!("abc"));
    two_faced["info"]["serverType"] = json!("chat");
    assert_eq!(register(&env, address, "register", &two_faced).0, no("server auth failed"));
    assert_eq!(heard.lines(), Vec::<String>::new());
    let (one, _first) = register(&env, address, "register", &server("connector", json!("abc")));
    let (other, _second) = register(&env, address, "register", &server("gate", json!("ghi")));
    assert_eq!((one, other), (yes(), yes()));
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 44: no file accepts all
#[test]
fn without_tokens_every_server_is_let_in() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &Heard::default());
    let mut message = registration("chat-1");
    message["token"] = Value::Null;
    let (said, _raw) = register(&env, address, "register", &message);
    assert_eq!(said, yes());
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 44, the difference: in Node a peer that claims to be a master is admitted
#[test]
fn only_the_masters_own_monitor_is_a_master() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = quick_master(&env, credentials(), &heard);
    for (topic, token) in [("register", Value::Null), ("register", json!("ok")), ("reconnect", Value::Null)] {
        let message = json!({
            "id": "master-2", "type": "monitor", "serverType": "master", "pid": 1,
            "info": {"id": "master-2", "host": "127.0.0.1", "port": 3005}, "token": token
        });
        let (said, mut raw) = register(&env, address, topic, &message);
        assert_eq!(said, no("server auth failed"));
        raw.is_dismissed();
    }
    let mut own = monitor_options(address, "master-1");
    own.claim.server_type = "master".into();
    own.claim.info.remove("serverType");
    own.claim.token = Some(agent.secret().to_owned());
    let own = MonitorAgent::new(&env, own);
    connect(&env, &own).expect("it is this master's own");
    assert_eq!(heard.lines(), ["register master-1"]);
    own.close();
    agent.close();
    run_to_the_end(&env);
}

fn without_token(id: &str) -> Value {
    let mut message = registration(id);
    message.as_object_mut().expect("an object").remove("token");
    message
}

// pomelo: sentence 45, the difference: a server that was refused is not let in by `reconnect`
#[test]
fn who_was_refused_does_not_come_back_without_a_token() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = quick_master(&env, credentials().token("chat", "abc"), &heard);
    let (said, _) = register(&env, address, "register", &registration("chat-1"));
    assert_eq!(said, no("server auth failed"));
    let (said, mut raw) = register(&env, address, "reconnect", &without_token("chat-1"));
    assert_eq!(said, no("server auth failed"));
    raw.is_dismissed();

    let mut with_token = registration("chat-1");
    with_token["token"] = json!("abc");
    let (said, raw) = register(&env, address, "reconnect", &with_token);
    assert_eq!(said, yes(), "a token is as good then as before");
    assert_eq!(heard.lines(), ["reconnect chat-1"]);
    let (said, _) = register(&env, address, "reconnect", &without_token("chat-1"));
    assert_eq!(said, no("id has been registered. id:chat-1"), "it is there");
    drop(raw);
    until(&env, "it has left", || heard.has("disconnect chat-1"));

    // Node's servers show none when they come back.
    for one in [without_token("chat-1"), without_token("chat-2")] {
        let (said, _) = register(&env, address, "reconnect", &one);
        assert_eq!(said, no("server auth failed"), "{one}");
    }
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 45: Node's way, for those who ask for it
#[test]
fn a_master_may_be_told_to_let_everybody_come_back() {
    let (_lp, env) = new_loop();
    let options = MasterOptions::new(credentials().token("chat", "abc")).admits_any_reconnect(true);
    let (agent, address) = master(&env, options, &Heard::default());
    let (said, _raw) = register(&env, address, "reconnect", &without_token("chat-1"));
    assert_eq!(said, yes());
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 46
#[test]
fn a_message_before_the_registration_is_not_obeyed() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &Heard::default());
    let signal = json!({"reqId": 1, "moduleId": "__console__", "body": {"signal": "list"}}).to_string();
    for topic in ["monitor", "client", "reconnect_ok"] {
        let mut raw = Raw::greeted(&env, address);
        raw.publish(topic, &signal);
        raw.is_dismissed();
    }
    // Together with a registration that is still to be decided.
    let mut raw = Raw::greeted(&env, address);
    let message = admin_support::publish("register", &registration("chat-1").to_string());
    raw.send(&[message, admin_support::publish("monitor", &signal)].concat());
    raw.is_dismissed();
    assert!(agent.server_ids().is_empty());
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 48
#[test]
fn a_server_that_says_disconnect_is_gone_at_once() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &heard);
    let mut raw = Raw::server(&env, address, "chat-1");
    raw.send(&[0xE0, 0]);
    // The connection is open on this side all the time.
    until(&env, "it has left", || heard.has("disconnect chat-1"));
    assert!(agent.server_ids().is_empty());
    raw.is_dismissed();
    assert_eq!(heard.lines(), ["register chat-1", "disconnect chat-1"], "once");
    agent.close();
    run_to_the_end(&env);
}

// pomelo: 2.3: the second server of an id is admitted but neither listed nor told; in Node it stays so
#[test]
fn a_second_server_of_an_id_takes_its_place_when_the_first_has_gone() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &heard);
    let first = Raw::server(&env, address, "chat-1");
    let mut second = registration("chat-1");
    second["pid"] = json!(4712);
    let (said, _second) = register(&env, address, "register", &second);
    assert_eq!(said, yes());
    assert_eq!(agent.server("chat-1").map(|server| server.pid), Some(4711));
    assert_eq!(heard.lines(), ["register chat-1"]);
    drop(first);
    until(&env, "the second one's turn", || heard.lines().len() == 3);
    assert_eq!(heard.lines(), ["register chat-1", "disconnect chat-1", "register chat-1"]);
    assert_eq!(agent.server("chat-1").map(|server| server.pid), Some(4712));
    agent.close();
    run_to_the_end(&env);
}

/// Lets users in later, and no servers at all.
struct Slow(Environment);

impl Authority for Slow {
    fn on_login(&mut self, login: &Login, done: Completion<User>) {
        let user = User { username: login.username.clone(), level: 1 };
        self.0.set_timeout(Duration::from_millis(5), move || done.ok(user));
    }
    fn on_server(&mut self, _: &ServerClaim, _: Completion) {
        // Dropped, which is no.
    }
}

#[test]
fn an_authority_of_ones_own_may_take_its_time_or_forget() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(Slow(env.clone())), &Heard::default());
    let (said, _raw) = register(&env, address, "register", &login("a", "any", ""));
    assert_eq!(said, yes());
    let (said, _) = register(&env, address, "register", &registration("chat-1"));
    assert_eq!(said, no("server auth failed"));
    // A user who leaves before the decision.
    let mut raw = Raw::greeted(&env, address);
    raw.publish("register", &login("b", "any", "").to_string());
    drop(raw);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn nobody_can_log_in_where_there_are_no_users() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(Credentials::new()), &Heard::default());
    let (said, _) = register(&env, address, "register", &login("a", "admin", "admin"));
    assert_eq!(said, no("client auth failed with username or password error"));
    agent.close();
    run_to_the_end(&env);
}

/// Closes its master as soon as it hears of a server.
struct Closing {
    _held: std::rc::Rc<()>,
}

impl MasterHandler for Closing {
    fn on_register(&mut self, agent: &MasterAgent, _: &ServerClaim) {
        agent.close();
    }
}

#[test]
fn a_handler_that_closes_its_master_is_let_go_of() {
    let (_lp, env) = new_loop();
    let token = std::rc::Rc::new(());
    let handler = Closing { _held: std::rc::Rc::clone(&token) };
    let agent = MasterAgent::new(&env, MasterOptions::new(credentials()), handler).expect("an agent");
    let mut raw = Raw::server(&env, admin_support::listen(&agent), "chat-1");
    raw.is_dismissed();
    assert_eq!(std::rc::Rc::strong_count(&token), 1, "the agent has dropped it");
    run_to_the_end(&env);
}
