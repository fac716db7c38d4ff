//! A server's agent: what it says to its master, and how it comes back.

mod admin_support;
mod common;

use admin_support::{
    Heard, Later, RawMaster, connect, credentials, done, free_port, master, monitor_options, new_loop,
    open_twice, run_to_the_end, twice, until,
};
use pomelo::Error;
use pomelo::admin::{
    Client, Login, MasterAgent, MasterOptions, MonitorAgent, MonitorState, Reply, RequestError, Response,
    Target, Times,
};
use pomelo::upcall::Module;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

/// Answers with what it was told.
struct Echo;

impl Module for Echo {
    fn on_monitor(&mut self, _: &MonitorAgent, message: Option<Value>, reply: Reply) {
        match message {
            Some(Value::String(text)) if text == "single" => reply.single("alone"),
            Some(Value::String(text)) if text == "error" => reply.fail("broken"),
            Some(Value::String(text)) if text == "forget" => drop(reply),
            message => reply.ok(message.unwrap_or_default()),
        }
    }
}

// pomelo: 2.2, sentence 36
#[test]
fn a_monitor_registers_with_nodes_bytes() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let agent = MonitorAgent::new(&env, monitor_options(raw_master.address(), "chat-1"));
    let later = Later::new();
    agent.connect(done(&env, &later));
    let mut raw = raw_master.accept(&env);
    let hello = raw.packet();
    let (known, now) = hello.split_at(hello.len() - 13);
    assert_eq!(known, b"\x10\x24\x00\x04MQTT\x04\x02\x00\x00\x00\x18MQTT_ADMIN_");
    assert!(now.iter().all(u8::is_ascii_digit));
    raw.send(&[0x20, 2, 0, 0]);
    let expected = concat!(
        r#"{"id":"chat-1","type":"monitor","serverType":"chat","pid":4711,"#,
        r#""info":{"id":"chat-1","host":"127.0.0.1","port":6050,"serverType":"chat"},"token":"ok"}"#
    );
    assert_eq!(raw.message(), ("register".into(), expected.into()));
    assert!(!later.is_there(), "it is not registered yet");
    raw.publish("register", r#"{"code":1,"msg":"ok"}"#);
    assert_eq!(later.wait(&env), Ok(()));

    agent.request("m", json!({"a": 1}), |_| {});
    let (topic, payload) = raw.message();
    assert_eq!((topic.as_str(), payload.starts_with('"')), ("monitor", true), "encoded twice");
    assert_eq!(open_twice(&payload).to_string(), r#"{"reqId":1,"moduleId":"m","body":{"a":1}}"#);
    assert!(agent.notify("m", &json!({"b": 2})));
    assert_eq!(
        raw.message(),
        ("monitor".into(), r#"{"moduleId":"m","body":{"b":2}}"#.into()),
        "encoded once"
    );
    agent.close();
    assert_eq!(raw.everything(), [[0xE0, 0]]);
    run_to_the_end(&env);
}

// pomelo: sentences 36, 37, 38, 39
#[test]
fn requests_of_the_master_are_answered_in_either_encoding_and_with_their_own_id() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let agent = MonitorAgent::new(&env, monitor_options(raw_master.address(), "chat-1"));
    agent.register("echo", Echo);
    let later = Later::new();
    agent.connect(done(&env, &later));
    let (mut raw, _) = raw_master.register(&env);
    later.wait(&env).expect("it registers");
    let cases = [
        (json!(7), json!("x"), r#"{"respId":7,"error":null,"body":"x"}"#),
        (json!("4"), json!({"k": [1]}), r#"{"respId":"4","error":null,"body":{"k":[1]}}"#),
        (json!(8), json!("single"), r#"{"respId":8,"error":"alone"}"#),
        (
            json!(9),
            json!("error"),
            r#"{"respId":9,"error":{"message":"broken","stack":"Error: broken"},"body":null}"#,
        ),
    ];
    for (id, body, answer) in cases {
        let question = json!({"reqId": id, "moduleId": "echo", "body": body});
        for payload in [question.to_string(), twice(&question)] {
            raw.publish("monitor", &payload);
            let (_, payload) = raw.message();
            assert_eq!(open_twice(&payload).to_string(), answer, "always encoded twice");
        }
    }
    // A notice and a null id want no answer, what is forgotten gets one all the same.
    raw.publish("monitor", r#"{"moduleId":"echo","body":"x"}"#);
    raw.publish("monitor", r#"{"reqId":0,"moduleId":"echo","body":"x"}"#);
    raw.publish("monitor", r#"{"reqId":10,"moduleId":"echo","body":"forget"}"#);
    let answer = raw.value("monitor");
    assert_eq!(
        (&answer["respId"], &answer["error"]["message"]),
        (&json!(10), &json!("module echo gave no answer"))
    );
    let asked = |module: &str| json!({"reqId": 11, "moduleId": module, "body": null}).to_string();
    raw.publish("monitor", &asked("absent"));
    assert_eq!(raw.value("monitor"), json!({"respId": 11, "error": "unknown moduleId:absent"}));
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentences 37, 38, 39, seen by the one who asks
#[test]
fn responses_are_found_by_a_number_or_by_a_text_and_may_stand_in_the_errors_place() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let agent = MonitorAgent::new(&env, monitor_options(raw_master.address(), "chat-1"));
    let later = Later::new();
    agent.connect(done(&env, &later));
    let (mut raw, _) = raw_master.register(&env);
    later.wait(&env).expect("it registers");
    let mut ask = |answer: Value| {
        let later: Later<Result<Response, RequestError>> = Later::new();
        agent.request("m", json!(null), later.setter());
        let id = raw.value("monitor")["reqId"].as_u64().expect("a number");
        raw.publish("monitor", &twice(&answer).replace("ID", &id.to_string()));
        later.wait(&env).expect("a response")
    };
    let one = ask(json!({"respId": "ID", "error": 1}));
    assert_eq!((one.data(), one.body.as_ref()), (Some(&json!(1)), None));
    let two = ask(json!({"respId": "ID", "error": null, "body": {"a": 1}}));
    assert_eq!((two.data(), two.error_text()), (Some(&json!({"a": 1})), None));
    let error = ask(json!({"respId": "ID", "error": {"message": "no", "stack": "…"}, "body": null}));
    assert_eq!(error.error_text().as_deref(), Some("no"));
    // A response to no request is ignored.
    raw.publish("monitor", r#"{"respId":99,"error":1}"#);
    agent.close();
    raw.everything();
    run_to_the_end(&env);
}

// pomelo: sentence 61, the difference: the start fails, the process does not end by itself
#[test]
fn a_first_attempt_that_fails_is_reported_and_not_repeated() {
    let (_lp, env) = new_loop();
    let absent = format!("127.0.0.1:{}", free_port()).parse().expect("an address");
    let agent = MonitorAgent::new(&env, monitor_options(absent, "chat-1"));
    let reason = connect(&env, &agent).expect_err("no master listens");
    assert!(reason.contains("ECONNREFUSED") && reason.contains(&absent.to_string()), "{reason}");
    assert_eq!(agent.state(), MonitorState::Closed);
    run_to_the_end(&env);
}

// pomelo: sentence 34: within 5 s in Node
#[test]
fn a_master_that_says_nothing_is_given_up() {
    let (_lp, env) = new_loop();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut options = monitor_options(silent.local_addr().expect("an address"), "chat-1");
    assert_eq!(options.target.connect_within, Duration::from_secs(5));
    options.target.connect_within = Duration::from_millis(20);
    let agent = MonitorAgent::new(&env, options);
    let reason = connect(&env, &agent).expect_err("it says nothing");
    assert!(reason.contains("no answer within"), "{reason}");
    run_to_the_end(&env);
}

#[test]
fn a_master_that_never_answers_the_registration_is_given_up() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let limit = Duration::from_millis(400);
    let mut options = monitor_options(raw_master.address(), "chat-1");
    options.target.connect_within = limit;
    let agent = MonitorAgent::new(&env, options);
    let later = Later::new();
    agent.connect(done(&env, &later));
    let mut raw = raw_master.greet(&env);
    assert_eq!(raw.value("register")["id"], "chat-1");
    let reason = later.wait(&env).expect_err("it says nothing more");
    assert!(reason.contains("no answer to the registration within 800ms"), "{reason}");

    let mut target = Target::new("127.0.0.1", raw_master.address().port());
    target.connect_within = limit;
    let later = Later::new();
    Client::connect(&env, target, Login::new("admin", "admin"), later.setter());
    let _raw = raw_master.greet(&env);
    let error = later.wait(&env).expect_err("it says nothing more");
    assert!(matches!(&error, Error::Unreachable(why) if why.contains("registration")), "{error}");
    run_to_the_end(&env);
}

#[test]
fn a_registration_that_is_refused_is_reported_and_not_repeated() {
    let (_lp, env) = new_loop();
    let options = MasterOptions::new(credentials().token("chat", "abc"));
    let (agent, address) = master(&env, options, &Heard::default());
    let monitor = MonitorAgent::new(&env, monitor_options(address, "chat-1"));
    let reason = connect(&env, &monitor).expect_err("a wrong token");
    assert!(reason.contains("server auth failed"), "{reason}");
    assert_eq!(monitor.state(), MonitorState::Closed);
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentences 45, 61
#[test]
fn a_lost_master_is_sought_with_growing_pauses_and_shown_the_token_again() {
    common::logs::begin();
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let mut options = monitor_options(raw_master.address(), "chat-1");
    assert_eq!(
        pomelo::admin::MonitorOptions::new(options.target.clone(), options.claim.clone()).first_pause,
        Duration::from_secs(1)
    );
    options.first_pause = Duration::from_millis(20);
    options.longest_pause = Duration::from_millis(70);
    let agent = MonitorAgent::new(&env, options);
    let later = Later::new();
    agent.connect(done(&env, &later));
    let (raw, _) = raw_master.register(&env);
    later.wait(&env).expect("it registers");
    let lost: Later<Result<Response, RequestError>> = Later::new();
    agent.request("m", json!(null), lost.setter());
    drop(raw);
    assert_eq!(lost.wait(&env), Err(RequestError::NotConnected));
    // No answer, a refusal, garbage, a DISCONNECT: all are attempts that failed.
    drop(raw_master.accept(&env));
    let mut refused = raw_master.greet(&env);
    assert_eq!(refused.value("reconnect")["token"], "ok");
    refused.publish("reconnect_ok", r#"{"code":-1,"msg":"id has been registered. id:chat-1"}"#);
    raw_master.greet(&env).publish("error", "{}");
    raw_master.greet(&env).send(&[0xE0, 0]);
    assert_eq!(agent.state(), MonitorState::Lost);
    assert!(!agent.notify("m", &json!(null)), "no master is connected");
    let mut raw = raw_master.greet(&env);
    let again = raw.value("reconnect");
    assert_eq!(
        (&again["id"], &again["serverType"], &again["pid"]),
        (&json!("chat-1"), &json!("chat"), &json!(4711))
    );
    raw.publish("reconnect_ok", r#"{"code":1,"msg":"ok"}"#);
    until(&env, "it is back", || agent.state() == MonitorState::Registered);
    drop(raw);
    until(&env, "the second loss", || agent.state() == MonitorState::Lost);
    let delays = common::logs::with("reconnect delay");
    let delays: Vec<&str> = delays.iter().filter_map(|line| line.split("reconnect delay ").nth(1)).collect();
    assert_eq!(delays, ["0.02 s", "0.04 s", "0.07 s", "0.07 s", "0.07 s", "0.02 s"], "reset by the success");
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn pings_are_sent_and_a_master_that_answers_none_is_lost() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let mut options = monitor_options(raw_master.address(), "chat-1");
    assert_eq!(options.target.ping_every, Duration::from_secs(60));
    options.target.ping_every = Duration::from_millis(10);
    let agent = MonitorAgent::new(&env, options);
    let later = Later::new();
    agent.connect(done(&env, &later));
    let (mut raw, _) = raw_master.register(&env);
    for _ in 0..5 {
        assert_eq!(raw.packet(), [0xC0, 0]);
        raw.send(&[0xD0, 0]);
    }
    until(&env, "the loss", || agent.state() == MonitorState::Lost);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_host_may_be_a_name_and_one_that_nobody_knows_is_reported() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &Heard::default());
    let mut options = monitor_options(address, "chat-1");
    options.target.host = "localhost".into();
    let monitor = MonitorAgent::new(&env, options);
    connect(&env, &monitor).expect("it is here");
    let mut options = monitor_options(address, "chat-2");
    options.target.host = "no.such.host.invalid".into();
    let lost = MonitorAgent::new(&env, options);
    let reason = connect(&env, &lost).expect_err("there is none");
    assert!(reason.contains("no.such.host.invalid"), "{reason}");
    monitor.close();
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn everything_about_a_closed_monitor_is_refused_or_ignored() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let agent = MonitorAgent::new(&env, monitor_options(raw_master.address(), "chat-1"));
    let first = Later::new();
    agent.connect(done(&env, &first));
    agent.close();
    assert!(first.wait(&env).is_err(), "the caller is told");
    agent.close();
    assert!(connect(&env, &agent).is_err());
    let later: Later<Result<Response, RequestError>> = Later::new();
    agent.request("m", json!(null), later.setter());
    assert!(!later.is_there(), "never from within the call");
    assert_eq!(later.wait(&env), Err(RequestError::NotConnected));
    run_to_the_end(&env);
}

// pomelo: sentences 34, 40: what a command line is told
#[test]
fn a_client_says_why_it_is_not_connected() {
    let (_lp, env) = new_loop();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &Heard::default());
    let try_it = |port: u16, password: &str| {
        let later = Later::new();
        let target = Target::new("127.0.0.1", port);
        Client::connect(&env, target, Login::new("admin", password), later.setter());
        later.wait(&env)
    };
    let absent = free_port();
    match try_it(absent, "admin") {
        Err(Error::Unreachable(reason)) => assert!(reason.contains(&format!("127.0.0.1:{absent}"))),
        other => panic!("{other:?}"),
    }
    match try_it(address.port(), "wrong") {
        Err(Error::Refused(reason)) => {
            assert_eq!(reason, "client auth failed with username or password error");
        }
        other => panic!("{other:?}"),
    }
    let client = try_it(address.port(), "admin").expect("the right password");
    let lost: Later<Result<Response, RequestError>> = Later::new();
    client.request("m", json!({}), lost.setter());
    agent.close();
    assert_eq!(lost.wait(&env), Err(RequestError::NotConnected), "the master left without an answer");
    client.close();
    run_to_the_end(&env);
}

#[test]
fn times_that_leave_no_time_are_refused_at_once() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let of_monitor = |options| connect(&env, &MonitorAgent::new(&env, options)).expect_err("no time");
    let good = || monitor_options(raw_master.address(), "chat-1");
    let error = of_monitor(good().first_pause(Duration::ZERO));
    assert_eq!(error, "option first_pause: expected a time above 0");
    let mut options = good();
    options.target = options.target.ping_every(Duration::ZERO);
    let error = of_monitor(options);
    assert!(error.ends_with("option ping_every: expected a time above 0"), "{error}");
    let times = Times::default().stop_within(Duration::ZERO);
    let error =
        MasterAgent::new(&env, MasterOptions::new(credentials()).times(times), ()).expect_err("no time");
    assert_eq!(error, Error::Option { name: "stop_within", expected: "a time above 0" });
    run_to_the_end(&env);
}
