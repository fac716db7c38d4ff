//! What one peer of a master can take: its memory, its connections, its time and its log.

mod admin_support;
mod common;

use admin_support::fleet::{Fleet, quick};
use admin_support::{
    CONNECT, Heard, Raw, credentials, listen, login, master, new_loop, open_master, publish, run_to_the_end,
    twice, until,
};
use async_wrap::Environment;
use pomelo::admin::{CONSOLE, MasterAgent, MasterOptions, Reply, Session, Times};
use pomelo::upcall::Module;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};
use uv_core::RunMode;

fn request(id: u64, module: &str, body: &Value) -> Vec<u8> {
    publish("client", &twice(&json!({"reqId": id, "moduleId": module, "body": body})))
}

/// Keeps the replies of users until the test takes them.
struct Keeping(Rc<RefCell<Vec<Reply>>>);

impl Module for Keeping {
    fn on_client(&mut self, _: &MasterAgent, _: &Session, _: Value, reply: Reply) {
        self.0.borrow_mut().push(reply);
    }
}

#[test]
fn a_user_who_waits_for_many_answers_is_not_read() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let kept = Rc::new(RefCell::new(Vec::new()));
    agent.register("keeping", Keeping(Rc::clone(&kept)));
    agent.enable("keeping");
    let mut raw = Raw::user(&env, address, "guest-1", "guest");
    let all: Vec<u8> = (1..=200).flat_map(|id| request(id, "keeping", &json!({}))).collect();
    raw.send(&all);
    until(&env, "the first of them", || kept.borrow().len() == 8);
    // Others are served meanwhile, whose answers come after whatever could have been read.
    let mut other = Raw::user(&env, address, "guest-2", "guest");
    assert_eq!(other.ask("client", 1, "nothing", json!({}))["error"], "unknown moduleId:nothing");
    assert_eq!(kept.borrow().len(), 8);
    // All are answered in the end, each once and in their order.
    for id in 1..=200 {
        until(&env, "the next one", || !kept.borrow().is_empty());
        assert!(kept.borrow().len() <= 8);
        let reply = kept.borrow_mut().remove(0);
        reply.ok(id);
        assert_eq!(raw.value("client"), json!({"respId": id, "error": null, "body": id}));
    }
    agent.close();
    run_to_the_end(&env);
}

/// Answers with a megabyte.
struct Long(Rc<Cell<usize>>);

impl Module for Long {
    fn on_client(&mut self, _: &MasterAgent, _: &Session, _: Value, reply: Reply) {
        self.0.set(self.0.get() + 1);
        reply.ok("x".repeat(1024 * 1024));
    }
}

#[test]
fn a_user_who_does_not_read_the_answers_is_not_read() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let count = Rc::new(Cell::new(0));
    agent.register("long", Long(Rc::clone(&count)));
    agent.enable("long");
    let mut raw = Raw::user(&env, address, "guest-1", "guest");
    let all: Vec<u8> = (1..=40).flat_map(|id| request(id, "long", &json!({}))).collect();
    raw.send(&all);
    let mut other = Raw::user(&env, address, "guest-2", "guest");
    let mut answered = 0;
    while count.get() < 1 || answered < 20 {
        answered += 1;
        other.ask("client", answered, "nothing", json!({}));
    }
    // As many as the kernel holds, and one more.
    assert!(count.get() < 20, "{} answers were made", count.get());
    for id in 1..=40 {
        assert_eq!(raw.value("client")["respId"], id);
    }
    assert_eq!(count.get(), 40);
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn a_server_is_asked_once_for_all_who_want_a_list() {
    let fleet = Fleet::new(&json!({}));
    let app = fleet.start(quick());
    let address = SocketAddr::from(([127, 0, 0, 1], fleet.port));
    let mut server = Raw::server(&fleet.env, address, "chat-1");
    let mut users = ["a", "b"].map(|id| Raw::user(&fleet.env, address, id, "guest"));
    let list = json!({"signal": "list"});
    for user in &mut users {
        let all: Vec<u8> = (1..=8).flat_map(|id| request(id, CONSOLE, &list)).collect();
        user.send(&all);
    }
    // It does not answer: its time will be over.
    for user in &mut users {
        for id in 1..=8 {
            let answer = user.value("client");
            assert_eq!(answer["respId"], id);
            assert!(answer["body"]["msg"].get("master-server-1").is_some(), "{answer}");
            assert_eq!(answer["body"]["silent"], json!(["chat-1"]), "it is there, and stands still");
        }
    }
    app.master_agent().expect("it runs").notify("chat-1", "the end", &Value::Null);
    assert_eq!(server.value("monitor")["body"], list);
    assert_eq!(server.value("monitor")["moduleId"], "the end", "it was asked once");
    app.stop(true);
    until(&fleet.env, "the stop", || fleet.exit.get() == Some(0));
    drop((server, users));
    run_to_the_end(&fleet.env);
}

/// Connections that say nothing.
fn silent(env: &Environment, to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = || {
        let stream = TcpStream::connect(to).expect("the kernel accepts");
        stream.set_nonblocking(true).expect("it does not block");
        env.run(RunMode::NoWait).expect("the loop runs");
        stream
    };
    std::iter::repeat_with(connect).take(count).collect()
}

fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let mut stream = stream;
    matches!(stream.read(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn of_those_who_do_not_register_the_oldest_of_an_address_give_way() {
    let (_lp, env) = new_loop();
    let agent = MasterAgent::new(&env, MasterOptions::new(credentials()), ()).expect("an agent");
    agent.listen(net::ListenOptions::addr("[::]:0".parse().expect("an address"))).expect("it listens");
    let port = agent.address().and_then(|address| address.port()).expect("it listens");
    let [here, there] =
        ["127.0.0.1", "::1"].map(|host| (host.parse::<IpAddr>().expect("an address"), port).into());
    let elsewhere = silent(&env, there, 1);
    let mut all = silent(&env, here, 300);
    until(&env, "the oldest", || all.iter().filter(|one| is_open(one)).count() == 256);
    let newest = all.split_off(44);
    assert!(newest.iter().all(is_open) && !all.iter().any(is_open), "the oldest left");
    assert!(is_open(&elsewhere[0]), "another address is not concerned");
    // A peer that registers is admitted, and then takes no place in the lobby.
    let mut user = Raw::user(&env, here, "admin-1", "admin");
    let more = silent(&env, here, 20);
    assert_eq!(user.ask("client", 1, "nothing", json!({}))["error"], "unknown moduleId:nothing");
    agent.close();
    drop((more, newest));
    run_to_the_end(&env);
}

/// Whether the other side has closed it altogether, and not only its own direction.
fn is_cut(mut stream: &TcpStream) -> bool {
    stream.write(&[0]).and_then(|_| stream.write(&[0])).is_err()
}

#[test]
fn those_who_were_refused_give_way_too_while_they_do_not_close() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    let all = silent(&env, address, 300);
    for mut stream in all.iter().skip(44) {
        stream.write_all(&[0xff]).expect("no packet at all");
    }
    until(&env, "the refusals", || !all.iter().any(is_open));
    let more = silent(&env, address, 200);
    // Once this one is let in, all before it have come.
    let _user = Raw::user(&env, address, "admin-1", "admin");
    assert!(all[..44 + 200].iter().all(is_cut), "at once, and not when their time to read is over");
    assert!(more.iter().all(is_open));
    agent.close();
    drop((all, more));
    run_to_the_end(&env);
}

#[test]
fn much_is_taken_only_after_a_connect() {
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    // A CONNECT and a message that are a kilobyte long; their first bytes suffice.
    for first in [0x10, 0x30] {
        let mut raw = Raw::connected(&env, address);
        raw.send(&[first, 0x80, 0x08]);
        raw.is_dismissed();
    }
    let mut raw = Raw::connected(&env, address);
    raw.send(&[CONNECT, &[0x30, 0x80, 0x08]].concat());
    assert_eq!(raw.packet(), [0x20, 2, 0, 0], "afterwards a registration may be long");
    // A user's messages are shorter than a server's.
    let mut user = Raw::user(&env, address, "guest-1", "guest");
    user.send(&[0x30, 0x81, 0x80, 0x40]);
    user.is_dismissed();
    let mut server = Raw::server(&env, address, "chat-1");
    server.send(&[0x30, 0x81, 0x80, 0x40]);
    assert!(agent.server("chat-1").is_some());
    agent.close();
    drop((raw, server));
    run_to_the_end(&env);
}

#[test]
fn a_wrong_password_is_refused_late_and_holds_up_nobody_else() {
    let (_lp, env) = new_loop();
    let pause = Duration::from_millis(400);
    let times = Times::default().refuse_after(pause);
    let options = MasterOptions::new(credentials()).times(times);
    let (agent, address) = master(&env, options, &Heard::default());
    let begin = Instant::now();
    let mut wrong = Raw::greeted(&env, address);
    wrong.publish("register", &login("a", "admin", "wrong").to_string());
    // Logged in while the other one waits: nothing but the order of the answers counts.
    let _right = Raw::user(&env, address, "b", "admin");
    assert_eq!(wrong.value("register")["code"], -1);
    assert!(begin.elapsed() >= pause, "{:?}", begin.elapsed());
    // A peer that leaves meanwhile, and a master that is closed.
    drop(wrong);
    let mut wrong = Raw::greeted(&env, address);
    wrong.publish("register", &login("a", "admin", "wrong").to_string());
    env.run(RunMode::NoWait).expect("the loop runs");
    agent.close();
    drop(wrong);
    run_to_the_end(&env);
}

#[test]
fn rejections_are_logged_once_in_a_while_with_their_count() {
    common::logs::begin();
    let (_lp, env) = new_loop();
    let (agent, address) = open_master(&env);
    for _ in 0..30 {
        let mut http = Raw::connected(&env, address);
        http.send(b"GET / HTTP/1.1\r\n\r\n");
        http.is_dismissed();
    }
    assert_eq!(common::logs::with("which is not used here; closed").len(), 1);
    until(&env, "their count", || !common::logs::with("WARN 29 more were rejected").is_empty());
    // A user who may only look fills no log either.
    let mut guest = Raw::user(&env, address, "guest-1", "guest");
    for id in 1..=30 {
        guest.publish("client", &twice(&json!({"reqId": id, "command": "list", "moduleId": "x\u{1b}[2J"})));
        assert_eq!(guest.value("client")["error"]["message"], "Command permission denied");
    }
    let lines = common::logs::with("Command permission denied");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].contains('\u{1b}'), "{lines:?}");
    agent.close();
    run_to_the_end(&env);
}

#[test]
fn of_the_connections_of_one_user_the_oldest_gives_way() {
    let (_lp, env) = new_loop();
    let agent = MasterAgent::new(&env, MasterOptions::new(credentials()), ()).expect("an agent");
    let address = listen(&agent);
    let mut admin = Raw::user(&env, address, "admin-1", "admin");
    let mut all: Vec<Raw> =
        (0..33).map(|number| Raw::user(&env, address, &format!("guest-{number}"), "guest")).collect();
    all[0].is_dismissed();
    assert_eq!(all[1].ask("client", 1, "nothing", json!({}))["error"], "unknown moduleId:nothing");
    assert_eq!(admin.ask("client", 1, "nothing", json!({}))["error"], "unknown moduleId:nothing");
    agent.close();
    drop(all);
    run_to_the_end(&env);
}
