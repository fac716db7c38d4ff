//! The end of a master in production: its servers live on and join the next one. This program is the test, the masters
//! and the server.

mod common;

use async_wrap::Environment;
use common::fleet::{FOLDER, Master, configure, free_port, stop_all};
use pomelo::{AppEvent, Application, Options};
use serde_json::json;
use std::ffi::OsStr;
use uv_core::{Loop, RunMode};

fn main() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return play(&folder);
    }
    common::fleet::main("servers_outlive_their_master_and_join_the_next_one", survive);
}

fn play(folder: &OsStr) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    let app = Application::new(&env, Options::from_process().base(folder)).expect("a good configuration");
    app.on(|app: &Application, event: &AppEvent| match event {
        AppEvent::StartAll if !app.is_master() => println!("server {}", std::process::id()),
        AppEvent::AddServers(servers) if app.is_master() => {
            servers.iter().for_each(|info| println!("{} runs as {}", info["id"], info["pid"]));
        }
        _ => {}
    });
    app.start(|result| println!("started {result:?}"));
    env.run(RunMode::Default).expect("the loop runs");
}

/// Whether a process runs. A zombie does not.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|fields| !fields.is_empty() && !fields.starts_with('Z'))
}

/// Ends the server whatever becomes of the test.
struct Server(i32);

impl Drop for Server {
    fn drop(&mut self) {
        if is_running(self.0) {
            let _ = uv_core::process::kill(self.0, 9);
        }
    }
}

// pomelo: sentence 22
fn survive() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let chat = json!({"id": "chat-1", "host": "127.0.0.1", "port": free_port()});
    configure(folder.path(), port, &json!({"chat": [chat]}));
    let mut first = Master::start(folder.path(), &["env=production"]);
    // The server writes where its master writes.
    let line = first.until_line(|line| line.starts_with("server "));
    let pid: i32 = line.trim_start_matches("server ").parse().expect("a process id");
    let server = Server(pid);
    first.kill();
    assert!(is_running(pid), "the server lives on");
    let mut second = Master::start(folder.path(), &["env=production", "type=master"]);
    second.until(&format!("\"chat-1\" runs as {pid}"));
    stop_all(port);
    assert_eq!(second.wait().code(), Some(0));
    assert!(!is_running(pid), "and it stops with the next master");
    drop(server);
}
