//! The unmodified command line of Node's pomelo 2.2.7 against a master of ours.

mod admin_support;

use admin_support::fleet::{Fleet, play_server as play};
use admin_support::{free_port, node, until};
use pomelo::admin::Times;
use serde_json::json;

/// Not a test: the servers of this program.
#[test]
fn play_server() {
    play(|_| {});
}

/// The first two columns of a list, and the third.
fn table(stdout: &str) -> Vec<(String, String, String)> {
    let rows = stdout.lines().skip_while(|line| !line.starts_with("serverId")).skip(1);
    rows.filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let mut next = || words.next().unwrap_or_default();
            (next(), next(), next())
        })
        .collect()
}

// pomelo: 2.5, sentences 40, 49, 51, 52, 53
#[test]
fn the_unmodified_command_line_lists_stops_adds_restarts_and_stops_all() {
    let Some(node) = node::find() else { return };
    let (connector, chat, added) = (free_port(), free_port(), free_port());
    let fleet = Fleet::new(&json!({
        "connector": [{"id": "connector-1", "host": "127.0.0.1", "port": connector, "frontend": true}],
        "chat": [{"id": "chat-1", "host": "127.0.0.1", "port": chat}],
    }));
    let _app = fleet.start(Times::default());
    let cli = |words: &[&str]| node.pomelo(&fleet.env, fleet.port, words);

    let list = cli(&["list"]);
    assert_eq!(list.code, 0, "{list:?}");
    assert!(list.stdout.contains("rss(M) heapTotal(M) heapUsed(M) uptime(m)"), "{list:?}");
    let rows = table(&list.stdout);
    let ids: Vec<&str> = rows.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["chat-1", "connector-1", "master-server-1"], "by type");
    assert_eq!(rows[2].2, std::process::id().to_string());
    let old_pid = rows[1].2.clone();

    let refused = cli(&["list", "-p", "wrong"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("client auth failed with username or password error"), "{refused:?}");

    let stop = cli(&["stop", "chat-1"]);
    assert_eq!((stop.code, stop.stderr.as_str()), (0, ""), "{stop:?}");
    assert!(stop.stdout.contains("Closing the application"), "{stop:?}");
    until(&fleet.env, "the end of chat-1", || fleet.pid_of("chat-1").is_none());
    let unknown = cli(&["stop", "chat-1"]);
    assert_eq!(unknown.code, 0);
    assert!(unknown.stderr.contains("Cannot find the server to stop."), "{unknown:?}");

    let port = format!("port={added}");
    let add = cli(&["add", "host=127.0.0.1", &port, "id=chat-9", "serverType=chat"]);
    assert_eq!((add.code, add.stderr.as_str()), (0, ""), "{add:?}");
    assert!(add.stdout.contains("Successfully add server."), "{add:?}");
    until(&fleet.env, "chat-9", || table(&cli(&["list"]).stdout).iter().any(|(id, ..)| id == "chat-9"));
    let incomplete = cli(&["add", "host=127.0.0.1", "port=1"]);
    assert!(incomplete.stderr.contains("Miss necessary server parameters."), "{incomplete:?}");

    let restart = cli(&["restart", "-i", "connector-1"]);
    assert_eq!((restart.code, restart.stderr.as_str()), (0, ""), "{restart:?}");
    assert!(restart.stdout.contains("Successfully restart server."), "{restart:?}");
    until(&fleet.env, "connector-1", || {
        table(&cli(&["list"]).stdout).iter().any(|(id, _, pid)| id == "connector-1" && *pid != old_pid)
    });

    let stop_all = cli(&["stop"]);
    assert_eq!((stop_all.code, stop_all.stderr.as_str()), (0, ""), "{stop_all:?}");
    until(&fleet.env, "the master's end", || fleet.exit.get() == Some(0));
    until(&fleet.env, "the servers' end", || fleet.children().is_empty());
    admin_support::run_to_the_end(&fleet.env);
}

// pomelo: sentences 42, 55 and 2.4: an error without a body breaks Node's `kill`
#[test]
fn the_unmodified_command_line_is_refused_without_breaking_and_kills() {
    let Some(node) = node::find() else { return };
    let fleet = Fleet::new(&json!({"chat": [{"id": "chat-1", "host": "127.0.0.1", "port": free_port()}]}));
    let _app = fleet.start(Times::default());
    let cli = |words: &[&str]| node.pomelo(&fleet.env, fleet.port, words);
    let guest = ["-u", "guest", "-p", "guest"];
    for words in [&["stop"][..], &["stop", "chat-1"], &["kill"], &["restart"], &["add", "id=x"]] {
        let refused = cli(&[words, &guest].concat());
        assert_eq!(refused.code, 0, "{words:?} {refused:?}");
        assert!(refused.stderr.contains("Command permission denied"), "{words:?} {refused:?}");
    }
    assert_eq!(table(&cli(&[&["list"][..], &guest].concat()).stdout).len(), 2);

    let kill = cli(&["kill"]);
    assert_eq!((kill.code, kill.stderr.as_str()), (0, ""), "{kill:?}");
    assert!(kill.stdout.contains("All the servers have been terminated!"), "{kill:?}");
    until(&fleet.env, "the master's end", || fleet.exit.get() == Some(255));
    until(&fleet.env, "the servers' end", || fleet.children().is_empty());
}
