//! Peers that speak the console's protocol rightly, in bytes that are cut anywhere: each gets exactly its answers.

use super::is_fatal;
use super::server::Manners;
use super::site::{Plan, Site};
use serde_json::{Value, json};
use std::time::Duration;
use testing::{Peer, World};

/// The time in which a peer is answered, with its own pauses.
const ANSWER: Duration = Duration::from_secs(60);

const CONNECT: &[u8] = b"\x10\x24\x00\x04MQTT\x04\x02\x00\x00\x00\x18MQTT_ADMIN_1763726400000";
const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const PING: &[u8] = &[0xC0, 0];
const PONG: u8 = 0xD0;
const DISCONNECT: &[u8] = &[0xE0, 0];
const PUBLISH: u8 = 0x30;

/// Who a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Admin,
    Guest,
    /// A user with a wrong password.
    Stranger,
    Server,
}

/// A peer, and what it is to be answered.
struct Speaker {
    who: Who,
    peer: Peer,
    pings: usize,
    /// The error or the body of each answer, by the id of its request.
    answers: Vec<(Value, Answer)>,
}

enum Answer {
    Error(String),
    Message(String),
    /// A body for which this holds.
    Body(Box<dyn Fn(&Value) -> bool>),
}

/// A packet of the protocol.
fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let mut length = 2 + topic.len() + payload.len();
    let mut packet = vec![PUBLISH];
    loop {
        let more = if length > 127 { 0x80 } else { 0 };
        packet.push((length % 128) as u8 | more);
        length /= 128;
        if length == 0 {
            break;
        }
    }
    packet.extend((topic.len() as u16).to_be_bytes());
    packet.extend(topic.bytes());
    packet.extend(payload.bytes());
    packet
}

/// The packets that were received whole: the first byte, the topic, and the payload.
fn packets(mut bytes: &[u8]) -> Vec<(u8, String, String)> {
    let mut packets = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let Some(end) = rest.iter().position(|byte| byte & 0x80 == 0) else { break };
        let digits = rest[..=end].iter().rev();
        let length = digits.fold(0, |length, byte| length * 128 + usize::from(byte & 0x7f));
        let Some(body) = rest[end + 1..].get(..length) else { break };
        let (topic, payload) = match (first, body) {
            (&PUBLISH, [high, low, text @ ..]) => {
                text.split_at(usize::from(u16::from_be_bytes([*high, *low])))
            }
            (_, body) => (&[][..], body),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        packets.push((*first, text(topic), text(payload)));
        bytes = &rest[end + 1 + length..];
    }
    packets
}

/// The JSON of a payload; a text in it is opened.
fn json_of(payload: &str) -> Value {
    match serde_json::from_str(payload) {
        Ok(Value::String(inner)) => serde_json::from_str(&inner).unwrap_or_default(),
        other => other.unwrap_or_default(),
    }
}

impl Speaker {
    fn new(world: &World, site: &Site, number: u64) -> Option<Self> {
        let who = [Who::Admin, Who::Guest, Who::Stranger, Who::Server][world.choose(4) as usize];
        // Refused by a fault.
        let peer = world.tcp_peer(site.address).ok()?;
        peer.send(CONNECT);
        let id = format!("peer-{number}");
        let user = |name, password| json!({"type": "client", "id": id, "username": name, "password": password, "md5": false});
        let registration = match who {
            Who::Admin => user("admin", "secret"),
            Who::Guest => user("guest", "secret"),
            Who::Stranger => user("admin", "wrong"),
            Who::Server => {
                let info = json!({"id": id, "serverType": "visitor", "host": "elsewhere"});
                json!({"id": id, "type": "monitor", "serverType": "visitor", "pid": 4711, "info": info, "token": "ok"})
            }
        };
        peer.send(publish("register", &registration.to_string()));
        Some(Self { who, peer, pings: 0, answers: Vec::new() })
    }

    fn received(&self) -> Vec<(u8, String, String)> {
        packets(&self.peer.received())
    }

    /// Whether the registration is answered; else the connection has ended.
    fn is_registered(&self) -> bool {
        self.received().iter().any(|(_, topic, _)| topic == "register")
    }

    /// Sends requests and pings, all at once.
    fn speak(&mut self, world: &World, number: u64) {
        let topic = if self.who == Who::Server { "monitor" } else { "client" };
        for count in 1..=1 + world.choose(12) {
            if world.choose(3) == 0 {
                self.peer.send(PING);
                self.pings += 1;
            }
            let (mut message, answer) = match self.who {
                Who::Server => of_server(world, number),
                who => of_user(world, who == Who::Admin),
            };
            let id = if world.choose(2) == 0 { json!(count) } else { json!(count.to_string()) };
            message["reqId"] = id.clone();
            let text = message.to_string();
            // Both encodings are right.
            let payload = if world.choose(2) == 0 { Value::from(text).to_string() } else { text };
            self.peer.send(publish(topic, &payload));
            self.answers.push((id, answer));
        }
    }

    /// Whether everything that was asked is answered.
    fn is_answered(&self) -> bool {
        self.peer.is_ended() || self.answered().len() == self.answers.len()
    }

    fn answered(&self) -> Vec<Value> {
        let messages =
            self.received().into_iter().filter(|(_, topic, _)| topic == "client" || topic == "monitor");
        messages
            .map(|(_, _, payload)| json_of(&payload))
            .filter(|value| value.get("respId").is_some())
            .collect()
    }

    /// All that was received is right.
    fn hold(&self, world: &World) -> Result<(), String> {
        let (who, packets) = (self.who, self.received());
        let wrong = |what: &str| Err(format!("{who:?} {what}: {packets:?}"));
        let was_fatal = world.has_met(is_fatal);
        if !self.peer.received().starts_with(&CONNACK[..self.peer.received_len().min(4)]) {
            return wrong("was not greeted first");
        }
        let codes: Vec<Value> =
            packets.iter().filter(|one| one.1 == "register").map(|one| json_of(&one.2)).collect();
        let code = if who == Who::Stranger { -1 } else { 1 };
        if codes.len() > 1
            || codes.iter().any(|answer| answer["code"] != code)
            || codes.is_empty() && !was_fatal
        {
            return wrong("was registered otherwise");
        }
        let answered = self.answered();
        for (id, answer) in &self.answers {
            let mine: Vec<&Value> = answered.iter().filter(|one| one["respId"] == *id).collect();
            if mine.len() > 1 || mine.is_empty() && !was_fatal {
                return wrong(&format!("has {} answers to {id}", mine.len()));
            }
            if mine.iter().any(|one| !answer.is(one, was_fatal)) {
                return wrong(&format!("is answered wrongly to {id}"));
            }
        }
        let pongs = packets.iter().filter(|one| one.0 == PONG).count();
        if answered.len() > self.answers.len() || pongs > self.pings || pongs < self.pings && !was_fatal {
            return wrong("is told what it did not ask");
        }
        Ok(())
    }
}

impl Answer {
    fn is(&self, response: &Value, was_fatal: bool) -> bool {
        match self {
            Self::Error(text) => response["error"] == text.as_str() && response.get("body").is_none(),
            Self::Message(text) => response["error"]["message"] == text.as_str(),
            // A fault may take a server from the list.
            Self::Body(is) => response["error"].is_null() && (was_fatal || is(&response["body"])),
        }
    }
}

fn of_user(world: &World, is_admin: bool) -> (Value, Answer) {
    let denied = || Answer::Message("Command permission denied".to_owned());
    let long = "x".repeat(world.choose(2000) as usize);
    match world.choose(4) {
        0 => {
            let is_list = |body: &Value| body["msg"]["master-1"]["serverType"] == "master";
            (json!({"moduleId": "__console__", "body": {"signal": "list"}}), Answer::Body(Box::new(is_list)))
        }
        1 => {
            let request = json!({"moduleId": "__console__", "body": {"signal": long}});
            let strange = || Answer::Message("The command cannot be recognized, please check.".to_owned());
            (request, if is_admin { strange() } else { denied() })
        }
        2 => {
            let request = json!({"moduleId": "", "command": "list", "body": {}});
            let is_modules = |body: &Value| *body == json!({"modules": []});
            (request, if is_admin { Answer::Body(Box::new(is_modules)) } else { denied() })
        }
        _ => {
            let module = format!("nowhere {}", &long[..long.len().min(60)]);
            let answer = Answer::Error(format!("unknown moduleId:{module}"));
            (json!({"moduleId": module, "body": {"what": long}}), answer)
        }
    }
}

fn of_server(world: &World, number: u64) -> (Value, Answer) {
    let id = format!("peer-{number}");
    let own = id.clone();
    let knows_itself = move |body: &Value| body[&own]["pid"] == 4711 && body.get("master-1").is_none();
    let action = ["query", "subscribe", "dance"][world.choose(3) as usize];
    let answer = match action {
        "dance" => Answer::Message("masterwatcher unknown action".to_owned()),
        _ => Answer::Body(Box::new(knows_itself)),
    };
    (json!({"moduleId": "__masterwatcher__", "body": {"action": action, "id": id}}), answer)
}

/// Users, servers and strangers whose bytes are cut anywhere get exactly their answers, and a stranger is sent away.
pub(crate) fn frames(world: &World) -> Result<(), String> {
    let plan = Plan { servers: world.choose(2), is_kept_up: false, manners: Manners::Plain };
    let Some(site) = Site::new(world, plan) else { return Ok(()) };
    if !site.is_up(world)? {
        return site.stop(world);
    }
    let mut speakers: Vec<(u64, Speaker)> = (0..1 + world.choose(5))
        .filter_map(|number| Some((number, Speaker::new(world, &site, number)?)))
        .collect();
    let until = world.now() + ANSWER;
    let is_ready = |one: &(u64, Speaker)| one.1.is_registered() || one.1.peer.is_ended();
    site.run_until(world, || speakers.iter().all(is_ready) || world.now() > until)?;
    for (number, speaker) in &mut speakers {
        if speaker.is_registered() && speaker.who != Who::Stranger {
            speaker.speak(world, *number);
        }
    }
    let until = world.now() + ANSWER;
    let is_done =
        |one: &(u64, Speaker)| one.1.is_answered() && (one.1.who != Who::Stranger || one.1.peer.is_ended());
    site.run_until(world, || speakers.iter().all(is_done) || world.now() > until)?;
    // For an answer that is one too many.
    site.run_for(world, Duration::from_secs(2))?;
    speakers.iter().try_for_each(|(_, speaker)| speaker.hold(world))?;
    let stays = |(_, one): &&(u64, Speaker)| one.who == Who::Stranger && !one.peer.is_ended();
    if speakers.iter().any(|one| stays(&one)) {
        return Err("a stranger is not sent away".to_owned());
    }
    for (_, speaker) in &speakers {
        match world.choose(3) {
            0 => speaker.peer.send(DISCONNECT),
            1 => speaker.peer.finish(),
            _ => speaker.peer.close(),
        }
    }
    site.run_for(world, Duration::from_secs(5))?;
    drop(speakers);
    let ids = site.app.master_agent().map(|agent| agent.server_ids()).unwrap_or_default();
    if let Some(left) = ids.iter().find(|id| id.starts_with("peer-")) {
        return Err(format!("{left:?} has left, and is registered"));
    }
    site.stop_calmly(world)
}
