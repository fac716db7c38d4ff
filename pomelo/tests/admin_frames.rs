//! The bytes of the admin protocol, as a master reads and writes them.

mod admin_support;
mod common;

use admin_support::{
    CONNECT, Heard, Raw, credentials, master, new_loop, open_master, publish, registration, run_to_the_end,
    twice,
};
use pomelo::admin::{MasterAgent, MasterOptions, Reply, Times};
use pomelo::upcall::Module;
use serde_json::{Value, json};
use std::time::Duration;

/// Answers with the length of what it was asked.
struct Measure;

impl Module for Measure {
    fn on_master(&mut self, _: &MasterAgent, message: Option<Value>, reply: Reply) {
        let length = message.as_ref().and_then(Value::as_str).map(str::len);
        reply.ok(json!(length));
    }
}

/// Answers with what it was asked.
struct Mirror;

impl Module for Mirror {
    fn on_master(&mut self, _: &MasterAgent, message: Option<Value>, reply: Reply) {
        reply.ok(message.unwrap_or_default());
    }
}

// Node: a number that JSON.stringify has written is the same number for JSON.parse
#[test]
fn a_number_that_passes_through_a_master_keeps_its_last_digit() {
    const NUMBERS: &str =
        "[222222222222222222222220,0.1,5e-324,1.7976931348623157e+308,-1.1111111111111112e-7]";
    let (_lp, env) = new_loop();
    let agent = MasterAgent::new(&env, MasterOptions::new(credentials()), ()).expect("an agent");
    agent.register("mirror", Mirror);
    let address = admin_support::listen(&agent);
    let mut raw = Raw::server(&env, address, "chat-1");
    raw.publish("monitor", &format!(r#"{{"reqId":1,"moduleId":"mirror","body":{NUMBERS}}}"#));
    let (_, answer) = raw.message();
    // The standard library reads decimals exactly.
    let numbers = |text: &str| -> Vec<f64> {
        let list = text.split(['[', ']']).nth(1).expect("a list");
        list.split(',').map(|number| number.parse().expect("a number")).collect()
    };
    assert_eq!(numbers(&answer), numbers(NUMBERS), "{answer}");
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 34
#[test]
fn a_connect_is_answered_at_once_and_before_anything_else() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let mut raw = Raw::connected(&env, address);
    raw.send(CONNECT);
    assert_eq!(raw.packet(), [0x20, 0x02, 0x00, 0x00]);
    raw.send(&[0xC0, 0x00]);
    assert_eq!(raw.packet(), [0xD0, 0x00], "a ping is answered, before the registration too");
    agent.close();
    raw.is_dismissed();
    run_to_the_end(&env);
}

// pomelo: the first lines of the table in 2.4
#[test]
fn the_answer_to_a_registration_is_nodes_byte_for_byte() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let mut raw = Raw::greeted(&env, address);
    raw.publish("register", &admin_support::login("pomelo_list_1", "admin", "admin").to_string());
    assert_eq!(raw.packet(), b"\x30\x1f\x00\x08register{\"code\":1,\"msg\":\"ok\"}");
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 35
#[test]
fn lengths_of_one_two_and_three_bytes_are_read_and_written() {
    let (_lp, env) = new_loop();
    let agent = MasterAgent::new(&env, MasterOptions::new(credentials()), ()).expect("an agent");
    agent.register("measure", Measure);
    let address = admin_support::listen(&agent);
    let mut raw = Raw::server(&env, address, "chat-1");
    let frame = twice(&json!({"reqId": 1, "moduleId": "measure", "body": ""})).len() + 2 + "monitor".len();
    for total in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
        let body = "x".repeat(total - frame);
        let question = publish("monitor", &twice(&json!({"reqId": 1, "moduleId": "measure", "body": body})));
        let head = question.len() - total;
        assert_eq!(head - 1, [128, 16_384, 2_097_152].iter().filter(|bound| total >= **bound).count() + 1);
        raw.send(&question);
        assert_eq!(raw.value("monitor"), json!({"respId": 1, "error": null, "body": body.len()}));
    }
    agent.close();
    run_to_the_end(&env);
}

// pomelo: sentence 35
#[test]
fn packets_may_come_in_single_bytes_or_many_at_once() {
    let (_lp, env) = new_loop();
    let agent = MasterAgent::new(&env, MasterOptions::new(credentials()), ()).expect("an agent");
    agent.register("measure", Measure);
    let address = admin_support::listen(&agent);
    let mut raw = Raw::connected(&env, address);
    for byte in [CONNECT, &publish("register", &registration("chat-1").to_string())].concat() {
        raw.send(&[byte]);
        env.run(uv_core::RunMode::NoWait).expect("the loop runs");
    }
    assert_eq!(raw.packet(), [0x20, 2, 0, 0]);
    assert_eq!(raw.value("register"), json!({"code": 1, "msg": "ok"}));
    let ask =
        |id: u32| publish("monitor", &twice(&json!({"reqId": id, "moduleId": "measure", "body": "four"})));
    let many: Vec<u8> = (1..=100).flat_map(ask).collect();
    let (one, other) = many.split_at(many.len() / 3 + 1);
    raw.send(one);
    env.run(uv_core::RunMode::NoWait).expect("the loop runs");
    raw.send(other);
    for id in 1..=100 {
        assert_eq!(raw.value("monitor"), json!({"respId": id, "error": null, "body": 4}));
    }
    agent.close();
    run_to_the_end(&env);
}

/// What is sent to a master that has greeted, and must lead to DISCONNECT and the end.
fn is_refused(name: &str, bytes: &[u8]) {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let mut raw = Raw::greeted(&env, address);
    raw.send(bytes);
    let sent = raw.everything();
    assert_eq!(sent.last().map(Vec::as_slice), Some(&[0xE0, 0][..]), "{name}: {sent:02x?}");
    // The master serves others.
    drop(Raw::server(&env, address, "chat-1"));
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn what_is_no_packet_of_the_protocol_ends_the_connection() {
    let deep = "[".repeat(100_000);
    let cases: &[(&str, Vec<u8>)] = &[
        ("a second CONNECT", CONNECT.to_vec()),
        ("a SUBSCRIBE", vec![0x82, 0]),
        ("a PUBLISH with quality of service 1", vec![0x32, 2, 0, 0]),
        ("a PUBLISH that is to be retained", vec![0x31, 2, 0, 0]),
        ("a CONNACK", vec![0x20, 2, 0, 0]),
        ("a length of five bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80, 1]),
        ("more than an unregistered peer may send", vec![0x30, 0x81, 0x80, 0x04]),
        ("as much as MQTT allows", vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F]),
        ("a truncated topic", vec![0x30, 3, 0, 9, b'r']),
        ("a topic that is not UTF-8", vec![0x30, 3, 0, 1, 0xFF]),
        ("a ping with content", vec![0xC0, 1, 0]),
        ("a topic that is an event of Node's sockets", publish("error", "{}")),
        ("no JSON", publish("register", "{")),
        ("no text", [&[0x30, 11, 0, 8][..], b"register", &[0xFF]].concat()),
        ("a string of no JSON", publish("register", r#""{""#)),
        ("nested too deep", publish("register", &deep[..60_000])),
        ("a number", publish("register", "7")),
        ("nothing", publish("register", "null")),
        ("no id", publish("register", r#"{"type":"client"}"#)),
        ("an id that is no text", publish("register", r#"{"type":"monitor","id":{},"serverType":"chat"}"#)),
        (
            "a record that is no record",
            publish("register", r#"{"type":"monitor","id":"a","serverType":"chat","info":7}"#),
        ),
    ];
    for (name, bytes) in cases {
        is_refused(name, bytes);
    }
}

#[test]
fn a_first_packet_that_is_no_connect_ends_the_connection() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    for first in [&[0xC0, 0][..], &publish("register", &registration("chat-1").to_string())] {
        let mut raw = Raw::connected(&env, address);
        raw.send(first);
        raw.is_dismissed();
    }
    let mut http = Raw::connected(&env, address);
    http.send(b"GET / HTTP/1.1\r\n\r\n");
    http.is_dismissed();
    assert!(agent.server_ids().is_empty());
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_registered_server_that_breaks_a_rule_is_sent_away_and_removed() {
    let cases: &[(&str, &str)] = &[
        ("monitor", "{"),
        ("monitor", "[]"),
        ("monitor", r#"{"reqId":{},"moduleId":"m"}"#),
        ("monitor", r#"{"respId":"no number"}"#),
        ("monitor", r#"{"reqId":1}"#),
        ("monitor", r#"{"command":"enable","moduleId":"m"}"#),
        ("client", r#"{"reqId":1,"moduleId":"__console__","body":{"signal":"stop","ids":[]}}"#),
        ("register", r#"{"type":"client","id":"x","username":"admin"}"#),
        ("reconnect", r#"{"id":"chat-2","type":"monitor","serverType":"chat"}"#),
    ];
    for (topic, payload) in cases {
        let (_lp, env) = new_loop();
        let heard = Heard::default();
        let (agent, address) = master(&env, MasterOptions::new(credentials()), &heard);
        let mut raw = Raw::server(&env, address, "chat-1");
        raw.publish(topic, payload);
        raw.is_dismissed();
        assert_eq!(heard.lines(), ["register chat-1", "disconnect chat-1"], "{topic} {payload}");
        agent.close();
        run_to_the_end(&env);
    }
}

#[test]
fn who_does_not_register_in_time_is_closed() {
    let (_lp, env) = new_loop();
    let times = Times::default().register_within(Duration::from_millis(30));
    let options = MasterOptions::new(credentials()).times(times);
    let (agent, address) = master(&env, options, &Heard::default());
    let mut silent = Raw::connected(&env, address);
    let mut greeted = Raw::connected(&env, address);
    greeted.send(CONNECT);
    assert_eq!(silent.everything(), Vec::<Vec<u8>>::new());
    assert_eq!(greeted.everything(), [[0x20, 2, 0, 0]]);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_registered_peer_that_is_silent_for_too_long_is_closed() {
    let (_lp, env) = new_loop();
    let times = Times::default().silence(Duration::from_millis(30));
    let options = MasterOptions::new(credentials()).times(times);
    let heard = Heard::default();
    let (agent, address) = master(&env, options, &heard);
    let mut raw = Raw::server(&env, address, "chat-1");
    assert_eq!(raw.everything(), Vec::<Vec<u8>>::new());
    assert_eq!(heard.lines(), ["register chat-1", "disconnect chat-1"]);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_peer_that_reads_nothing_is_closed_before_it_takes_all_memory() {
    let (_lp, env) = new_loop();
    let heard = Heard::default();
    let (agent, address) = master(&env, MasterOptions::new(credentials()), &heard);
    let _raw = Raw::server(&env, address, "chat-1");
    let message = json!("x".repeat(1024 * 1024));
    let sent = (0..100).take_while(|_| agent.notify("chat-1", "m", &message)).count();
    assert!((32..60).contains(&sent), "{sent} MiB");
    admin_support::until(&env, "its end", || heard.has("disconnect chat-1"));
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_peer_that_pings_and_does_not_read_the_answers_is_closed() {
    common::logs::begin();
    let (_lp, env) = new_loop();
    // Longer than it takes to fill what the kernel holds.
    let times = Times::default().register_within(Duration::from_secs(600));
    let options = MasterOptions::new(credentials()).times(times);
    let (agent, address) = master(&env, options, &Heard::default());
    let mut raw = Raw::greeted(&env, address);
    let pings = [0xC0, 0].repeat(32 * 1024);
    let is_closed = || !common::logs::with("does not read the answers").is_empty();
    // More than the kernel holds in both directions.
    for _ in 0..500 {
        if is_closed() {
            break;
        }
        raw.send(&pings);
    }
    admin_support::until(&env, "its end", is_closed);
    drop(raw);
    agent.close();
    run_to_the_end(&env);
}

/// A small generator of numbers (xorshift), so that a failure can be seen again.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn no_bytes_bring_a_master_down() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for round in 0..300 {
        let mut raw = Raw::connected(&env, address);
        let mut bytes = CONNECT.to_vec();
        bytes.extend(publish("register", &registration(&format!("chat-{round}")).to_string()));
        bytes.extend(publish(
            "monitor",
            &twice(&json!({"reqId": 1, "moduleId": "no", "body": {"a": [1, null]}})),
        ));
        for _ in 0..1 + numbers.next() % 4 {
            let at = numbers.next() as usize % bytes.len();
            bytes[at] = numbers.next() as u8;
        }
        raw.send(&bytes);
        env.run(uv_core::RunMode::NoWait).expect("the loop runs");
    }
    let mut raw = Raw::server(&env, address, "chat-still");
    let answer = raw.ask("monitor", 1, "no", json!(null));
    assert_eq!(answer, json!({"respId": 1, "error": "unknown moduleId:no"}));
    agent.close();
    run_to_the_end(&env);
}
