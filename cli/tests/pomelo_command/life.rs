//! From `init` to `stop`.

use crate::site::{Outcome, READY, SERVERS, Site, UPCALL, said, until};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;
use uv_core::Signal;

#[test]
fn a_project_is_made_started_listed_and_stopped() -> Outcome {
    let site = Site::new()?;
    let master = site.start(&[])?;
    for (number, id) in SERVERS.iter().enumerate() {
        let place = format!("[{}/{}] ", number + 1, SERVERS.len());
        let line = until(&master, |line| line.starts_with(&place))?;
        assert!(SERVERS.iter().any(|id| line.contains(id)), "{line}: not even {id}");
    }
    until(&master, |line| line.starts_with(READY))?;
    let ids: Vec<String> = site.list()?.into_keys().collect();
    let all =
        ["chat-server-1", "connector-server-1", "connector-server-2", "gate-server-1", "master-server-1"];
    assert_eq!(ids, all);
    let output = site.ask(&["stop"])?;
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(master.wait()?, Some(0));
    site.assert_nothing_is_left()
}

#[test]
fn clients_get_answers() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let connectors = [site.get(3014)?, site.get(3014)?];
    for (port, id) in [(3010, "connector-server-1"), (3011, "connector-server-2")] {
        let address = (&site.host, site.port(port));
        let named = format!("{{\"id\":{id:?},\"host\":{:?},\"port\":{}}}\n", address.0, address.1);
        assert!(connectors.iter().any(|answer| answer.ends_with(&named)), "{connectors:?}");
        let answer = site.get(port)?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(SERVERS.iter().all(|id| answer.contains(id)), "{answer}");
    }
    let mut guests = [(); 2].map(|()| TcpStream::connect((&*site.host, site.port(6050))).map(BufReader::new));
    let [Ok(one), Ok(other)] = &mut guests else { return Err(format!("no room: {guests:?}").into()) };
    let mut line = String::new();
    one.read_line(&mut line)?;
    other.read_line(&mut line)?;
    one.get_mut().write_all(b"hello\n")?;
    other.read_line(&mut line)?;
    assert_eq!(line.lines().count(), 3, "{line}");
    assert!(line.starts_with("welcome to chat-server-1, guest ") && line.ends_with(": hello\n"), "{line}");
    // Guests do not hold up the end.
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn a_ctrl_c_that_comes_to_all_of_them_stops_them_one_after_the_other() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let pids = site.list()?;
    // As a terminal would: to every process of its group.
    for id in SERVERS.iter().chain(&["master-server-1"]) {
        uv_core::process::kill(pids[*id], Signal::SIGINT)?;
    }
    // It was for the master only: no server leaves before the master tells it to.
    assert_eq!(master.line()?, "stopping 4 servers");
    assert_eq!(master.wait()?, Some(0));
    site.assert_nothing_is_left()
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() -> Outcome {
    let site = Site::new()?;
    let before = std::fs::read(site.path().join("config/adminServer.json"))?;
    let output = Command::new(UPCALL).args(["pomelo", "init"]).arg(site.path()).output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).ends_with("demo is not empty; nothing was written\n"), "{}", said(&output));
    assert_eq!(std::fs::read(site.path().join("config/adminServer.json"))?, before);
    Ok(())
}

#[test]
fn a_wrong_configuration_is_told_with_file_line_and_key() -> Outcome {
    let site = Site::new()?;
    site.edit("servers.json", |text| text.replacen(&site.port(3014).to_string(), "\"many\"", 1))?;
    let master = site.start(&[])?;
    let line = master.error_line()?;
    assert!(line.contains("config/servers.json:4: development.gate[0].clientPort: "), "{line}");
    assert_eq!(master.wait()?, Some(1));
    site.assert_nothing_is_left()
}

// pomelo: sentence 64; Node's second master ends with code 0
#[test]
fn a_second_master_says_that_the_port_is_taken() -> Outcome {
    let site = Site::new()?;
    let master = site.up(&[])?;
    let second = site.start(&[])?;
    let line = second.error_line()?;
    assert!(line.contains("__master__") && line.contains("EADDRINUSE"), "{line}");
    assert_eq!(second.wait()?, Some(1));
    assert_eq!(site.list()?.len(), SERVERS.len() + 1);
    master.end()?;
    site.assert_nothing_is_left()
}

#[test]
fn a_master_in_the_background_runs_until_it_is_stopped() -> Outcome {
    let site = Site::new()?;
    let path = site.path();
    let mut start = Command::new(UPCALL);
    start.args(["pomelo", "start", "--daemon", "--env", "production"]).arg(&path);
    let output = start.output()?;
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("ready: all 4 servers are up"), "{text}");
    let pids = site.list()?;
    assert!(text.contains(&format!("the master is process {}", pids["master-server-1"])), "{text}");
    // It is told why there cannot be a second one.
    let output = start.output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("EADDRINUSE"), "{}", said(&output));
    assert_eq!(site.list()?, pids);
    assert!(site.ask(&["stop"])?.status.success());
    site.assert_nothing_is_left()
}
