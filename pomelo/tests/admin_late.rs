//! A master or a server whose loop is late: what came in time is heard before a peer is judged by its silence.

mod admin_support;

use admin_support::{CONNECT, Heard, Later, Raw, RawMaster, credentials, master, monitor_options, new_loop};
use admin_support::{done, registration, run_to_the_end};
use async_wrap::Environment;
use pomelo::admin::{MasterOptions, MonitorAgent, RequestError, Response, Times};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uv_core::RunMode;

/// What peers may take. Far longer than what the tests do within it.
const LIMIT: Duration = Duration::from_secs(1);

/// The loop stands still for longer than that. Then it looks at its timers first, and only then at its connections.
fn be_late(env: &Environment) {
    std::thread::sleep(LIMIT + Duration::from_millis(100));
    let event_loop = env.loop_handle().clone();
    env.set_timeout(Duration::from_millis(20), move || event_loop.stop());
    env.run(RunMode::Default).expect("the loop runs");
}

fn times() -> Times {
    Times::default().register_within(LIMIT).silence(LIMIT).answer_within(LIMIT)
}

#[test]
fn a_registration_that_came_in_time_is_taken_by_a_late_master() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = master(&env, MasterOptions::new(credentials()).times(times()), &heard);
    let mut raw = Raw::greeted(&env, address);
    raw.publish("register", &registration("chat-1").to_string());
    be_late(&env);
    assert_eq!(heard.lines(), ["register chat-1"]);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn an_answer_and_a_ping_that_came_in_time_are_heard_by_a_late_master() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = master(&env, MasterOptions::new(credentials()).times(times()), &heard);
    let (mut raw, mut pinging) = (Raw::server(&env, address, "chat-1"), Raw::server(&env, address, "chat-2"));
    let answer = Later::new();
    let set = answer.setter();
    agent.request("chat-1", "m", json!(null), move |response: Result<Response, _>| {
        set(response.map(|response| response.data().cloned()))
    });
    assert_eq!(raw.value("monitor")["moduleId"], "m");
    raw.publish("monitor", r#"{"respId":1,"error":null,"body":"in time"}"#);
    pinging.send(&[0xC0, 0]);
    be_late(&env);
    assert_eq!(answer.wait(&env), Ok(Some(Value::from("in time"))));
    assert_eq!(heard.lines(), ["register chat-1", "register chat-2"], "no peer was silent");
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_server_that_stood_still_with_its_master_has_its_time_to_answer_all_the_same() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let times = Times::default().answer_within(LIMIT);
    let (agent, address) = master(&env, MasterOptions::new(credentials()).times(times), &heard);
    let raw = Raw::server(&env, address, "chat-1");
    let answer = Later::new();
    agent.request("chat-1", "m", json!(null), answer.setter());
    // As if both had been stopped.
    std::thread::sleep(LIMIT * 2);
    let going_on = Instant::now();
    let answer: Result<Response, _> = answer.wait(&env);
    assert_eq!(answer, Err(RequestError::TimedOut));
    assert!(going_on.elapsed() >= LIMIT / 2, "{:?}", going_on.elapsed());
    drop(raw);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_master_that_answered_in_time_is_heard_by_a_late_server() {
    let (_lp, env) = new_loop();
    let raw_master = RawMaster::new();
    let mut options = monitor_options(raw_master.address(), "chat-1");
    options.target.connect_within = LIMIT;
    let agent = MonitorAgent::new(&env, options);
    let registered = Later::new();
    agent.connect(done(&env, &registered));
    let mut raw = raw_master.accept(&env);
    assert_eq!(raw.packet().len(), CONNECT.len());
    raw.send(&[0x20, 2, 0, 0]);
    be_late(&env);
    assert_eq!(raw.value("register")["id"], "chat-1");
    raw.publish("register", r#"{"code":1,"msg":"ok"}"#);
    assert_eq!(registered.wait(&env), Ok(()));
    agent.close();
    run_to_the_end(&env);
}
