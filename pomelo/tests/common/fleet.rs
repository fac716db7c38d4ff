//! Masters that are processes of their own: started from a test, listened to, stopped as a user would.

use async_wrap::Environment;
use pomelo::admin::{CONSOLE, Client, Login, Target};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use uv_core::{Loop, RunMode};

/// The variable that has the folder of a master or a server to be played.
pub(crate) const FOLDER: &str = "POMELO_TEST_FOLDER";

/// No line takes so long to come, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the one test of a program, if the command line selects it.
pub(crate) fn main(name: &str, test: fn()) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut filters = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
    if filters.peek().is_some() && !filters.any(|filter| name.contains(filter.as_str())) {
        return;
    }
    if args.iter().any(|arg| arg == "--list") {
        return println!("{name}: test");
    }
    test();
    println!("test {name} ... ok");
}

/// Writes a configuration of a master and servers, with a user `admin`.
pub(crate) fn configure(folder: &Path, port: u16, servers: &Value) {
    let config = folder.join("config");
    std::fs::create_dir_all(&config).expect("the folder");
    let write = |name: &str, value: Value| {
        std::fs::write(config.join(name), value.to_string()).expect("the file");
    };
    write("master.json", json!({"id": "master-1", "host": "127.0.0.1", "port": port}));
    write("servers.json", servers.clone());
    write("adminUser.json", json!([{"id": "u1", "username": "admin", "password": "admin", "level": 1}]));
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// A master, and what it and its servers write.
pub(crate) struct Master {
    process: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Master {
    /// Starts this program as a master.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(args)
            .env(FOLDER, folder)
            .env_remove("NODE_ENV")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let _ = stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
        });
        Self { process, lines, seen: Vec::new() }
    }

    /// Waits for a line that ends like this.
    pub(crate) fn until(&mut self, end: &str) {
        self.until_line(|line| line.ends_with(end));
    }

    /// Waits for a line.
    pub(crate) fn until_line(&mut self, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(line) = self.seen.iter().find(|line| is_it(line)) {
                return line.clone();
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    println!("{line}");
                    self.seen.push(line);
                }
                Err(error) => panic!("a line did not come: {error}"),
            }
        }
    }

    /// Ends the master at once, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it ends")
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // Does nothing to a server that has ended. A server whose output is not read ends by its next write.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `pomelo stop` does.
pub(crate) fn stop_all(port: u16) {
    let event_loop = Loop::new().expect("a loop");
    let env = Environment::new(&event_loop);
    Client::connect(&env, Target::new("127.0.0.1", port), Login::new("admin", "admin"), |client| {
        let client = client.expect("a master");
        let body = json!({"signal": "stop", "ids": []});
        client.clone().request(CONSOLE, body, move |response| {
            assert_eq!(response.expect("an answer").body, Some(json!({"status": "all"})));
            client.close();
        });
    });
    env.run(RunMode::Default).expect("the loop runs");
}
