//! What masters are told to do, and how that is refused.

use crate::site::{Outcome, Site, UPCALL, said, until};
use std::process::Command;

fn assert_code(site: &Site, words: &[&str], code: i32, says: &str) -> Outcome {
    let output = site.ask(words)?;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    assert!(text.contains(says), "{words:?}: {text:?} does not say {says:?}");
    assert_eq!(text.lines().count(), 1, "{words:?}: {text}");
    Ok(())
}

#[test]
fn without_a_master_one_line_says_so() -> Outcome {
    let site = Site::new()?;
    for word in ["list", "stop", "kill", "restart"] {
        assert_code(&site, &[word], 2, "error: no master: ")?;
    }
    assert_code(&site, &["add", "id=x"], 2, "ECONNREFUSED")
}

#[test]
fn wrong_words_are_refused_in_one_line() -> Outcome {
    for (words, says) in [
        (&["fly"][..], "'fly'"),
        (&["add", "nothing"], "KEY=VALUE"),
        (&["list", "--port", "x"], "'x' for '--port"),
        (&["start"], "<DIR>"),
        (&["start", "/nowhere/at/all"], "/nowhere/at/all"),
        (&["run", "/nowhere/at/all"], "master.json"),
    ] {
        let output = Command::new(UPCALL).arg("pomelo").args(words).output()?;
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(says) && text.lines().count() == 1, "{text}");
    }
    Ok(())
}

#[test]
fn what_a_master_refuses_has_codes_of_its_own() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    assert_code(&site, &["list", "--password", "wrong"], 3, "error: the master refused: ")?;
    assert_code(&site, &["list", "--user", "unknown"], 3, "error: the master refused: ")?;
    let guest = ["--user", "monitor", "--password", "monitor"];
    assert!(site.ask(&[&["list"], &guest[..]].concat())?.status.success());
    for words in [&["stop"][..], &["kill"], &["restart"], &["add", "id=x"]] {
        assert_code(&site, &[words, &guest].concat(), 4, "Command permission denied")?;
    }
    assert_code(&site, &["stop", "unknown"], 4, "Cannot find the server to stop.")?;
    assert_code(&site, &["restart", "-t", "nothing"], 4, "unknown server type: nothing")?;
    assert_code(&site, &["add", "id=x", "serverType=chat"], 4, "Miss necessary server parameters.")?;
    let [host, port] = [format!("host={}", site.host), format!("port={}", site.port(6050))];
    let busy = ["add", "id=chat-server-2", "serverType=chat", &host, &port];
    assert_code(&site, &busy, 4, "Port occupied already")?;
    assert_eq!(site.list()?.len(), 5);
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn servers_are_stopped_added_and_restarted() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    assert_code(&site, &["stop", "chat-server-1", "gate-server-1"], 0, "chat-server-1, gate-server-1")?;
    until(&master, |line| line.ends_with(" left"))?;
    until(&master, |line| line.ends_with(" left"))?;
    let [host, port] = [format!("host={}", site.host), format!("port={}", site.port(6050))];
    let words = ["add", "id=chat-server-2", "serverType=chat", &host, &port];
    assert_code(&site, &words, 0, "started")?;
    until(&master, |line| line.starts_with("chat-server-2 ("))?;
    let before = site.list()?;
    let ids: Vec<&str> = before.keys().map(String::as_str).collect();
    assert_eq!(ids, ["chat-server-2", "connector-server-1", "connector-server-2", "master-server-1"]);
    assert_code(&site, &["restart", "-i", "connector-server-1", "chat-server-2"], 0, "restarted")?;
    until(&master, |line| line.contains(" is here"))?;
    until(&master, |line| line.contains(" is here"))?;
    let after = site.list()?;
    for (id, is_new) in [("chat-server-2", true), ("connector-server-1", true), ("connector-server-2", false)]
    {
        assert_eq!(before[id] != after[id], is_new, "{id}: {before:?} {after:?}");
    }
    master.end()?;
    site.assert_nothing_is_left()
}

// pomelo: sentence 50
#[test]
fn a_kill_ends_every_process() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    assert_code(&site, &["kill"], 0, "all processes end")?;
    assert_eq!(master.wait()?, Some(255));
    site.assert_nothing_is_left()
}
