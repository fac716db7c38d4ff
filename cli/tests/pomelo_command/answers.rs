//! What commands make of a master's answer, whatever it is: a master of the test's own gives it.

use crate::site::{Outcome, UPCALL, said};
use async_wrap::Environment;
use pomelo::admin::{CONSOLE, Credentials, MasterAgent, MasterOptions, Reply, Session};
use pomelo::upcall::Module;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use uv_core::threads::Remote;
use uv_core::{LoopHandle, RunMode};

/// More than this of what a server says in one cell makes no table.
const LONGEST_CELL: usize = 300;

/// Gives one answer to everything.
struct Answer(Result<Value, &'static str>);

impl Module for Answer {
    fn on_client(&mut self, _: &MasterAgent, _: &Session, _: Value, reply: Reply) {
        match &self.0 {
            Ok(body) => reply.ok(body.clone()),
            Err(message) => reply.fail(message),
        }
    }
}

fn serve(answer: Answer, told: &Sender<(u16, Remote)>) -> Outcome {
    let env = Environment::with_new_loop()?;
    let users = Credentials::new().user("admin", "admin", 1);
    let master = MasterAgent::new(&env, MasterOptions::new(users), ())?;
    master.register(CONSOLE, answer);
    master.listen(net::ListenOptions::addr(([127, 0, 0, 1], 0).into()))?;
    let port = master.address().and_then(|address| address.port()).ok_or("it does not listen")?;
    told.send((port, env.loop_handle().remote()))?;
    env.run(RunMode::Default)?;
    Ok(())
}

/// Runs a command of which the master has this to say: the exit code, and what is printed.
fn ask(words: &[&str], answer: Result<Value, &'static str>) -> Outcome<(Option<i32>, String)> {
    let (tell, told) = channel();
    let master = thread::spawn(move || serve(Answer(answer), &tell).map_err(|error| error.to_string()));
    let (port, remote) = told.recv()?;
    let output =
        Command::new(UPCALL).arg("pomelo").args(words).args(["--port", &port.to_string()]).output()?;
    remote.post(LoopHandle::stop)?;
    master.join().map_err(|_| "the master panicked")??;
    Ok((output.status.code(), said(&output).trim_end().to_owned()))
}

#[test]
fn what_was_not_done_is_no_success() -> Outcome {
    let remained = json!({"code": "remained", "serverIds": ["a"]});
    for (words, body, code, says) in [
        (&["restart"][..], json!([]), 0, "restarted"),
        (&["restart"], json!(["a", "b"]), 4, "error: not restarted: a, b"),
        (&["add", "id=a"], json!({"status": "ok"}), 0, "started; `list` shows it when it is up"),
        (&["add", "id=a"], json!([{"id": "a"}]), 4, "error: not started: a"),
        (&["kill"], remained, 4, "error: did not answer, and may live on: a"),
    ] {
        assert_eq!(ask(words, Ok(body))?, (Some(code), says.to_owned()));
    }
    Ok(())
}

#[test]
fn a_list_names_the_servers_that_did_not_answer() -> Outcome {
    let (code, table) = ask(&["list"], Ok(json!({"msg": {}})))?;
    assert_eq!((code, table.lines().count()), (Some(0), 1), "{table}");
    let (_, table) = ask(&["list"], Ok(json!({"msg": {}, "silent": ["a", "b\u{7}"]})))?;
    assert_eq!(table.lines().nth(1), Some("there, but without an answer: a, b\u{fffd}"));
    Ok(())
}

#[test]
fn a_strange_answer_is_told_as_one() -> Outcome {
    for command in ["list", "kill", "restart"] {
        for body in [json!(null), json!(7), json!({"msg": []}), json!({"code": 1})] {
            let (code, error) = ask(&[command], Ok(body.clone()))?;
            assert!(code == Some(4) && error.contains("strangely"), "{command}, {body}: {error}");
        }
    }
    let refused = ask(&["list"], Err("no\u{7}"))?;
    assert_eq!(refused, (Some(4), "error: the master refused: no\u{fffd}".to_owned()));
    Ok(())
}

/// The table of `list` for servers that have said this of themselves.
fn table(servers: Value) -> Outcome<String> {
    Ok(ask(&["list"], Ok(json!({ "msg": servers })))?.1)
}

#[test]
fn the_table_is_pomelo_s() -> Outcome {
    let server = |id: &str, server_type: &str, pid: i32| {
        json!({"serverId": id, "serverType": server_type, "pid": pid, "rss": "61.11", "heapTotal": "15.32",
            "heapUsed": "13.80", "uptime": "0.59"})
    };
    let expected = "\
serverId           serverType pid   rss(M) heapTotal(M) heapUsed(M) uptime(m)
connector-server-1 connector  12826 61.11  15.32        13.80       0.59
connector-server-2 connector  7     61.11  15.32        13.80       0.59
master-server-1    master     12814 61.11  15.32        13.80       0.59";
    let servers = json!({
        "m": server("master-server-1", "master", 12814),
        "b": server("connector-server-2", "connector", 7),
        "a": server("connector-server-1", "connector", 12826),
    });
    assert_eq!(table(servers)?, expected);
    Ok(())
}

#[test]
fn whatever_a_server_says_there_is_a_line_of_text_no_longer_than_its_cells() -> Outcome {
    let much = "x".repeat(100_000);
    let table = table(json!({
        "a": {"serverId": "a\u{1b}[2J", "pid": null},
        "b": 7,
        "c": {"serverId": &much, "serverType": [&much]},
    }))?;
    assert_eq!(table.lines().count(), 4);
    assert!(table.contains("a\u{fffd}[2J"), "{table}");
    assert!(table.lines().all(|line| line.len() < 3 * LONGEST_CELL), "{}", table.len());
    Ok(())
}

#[test]
fn what_steers_a_terminal_is_not_shown_wherever_it_stands() -> Outcome {
    let steering = ["\u{9b}2J", "\u{7f}", "\u{202e}"];
    let table = table(json!({"a": {"serverId": "a", "pid": steering, "rss": {steering[0]: 1}}}))?;
    assert!(!steering.iter().any(|text| table.contains(text)), "{table:?}");
    Ok(())
}
