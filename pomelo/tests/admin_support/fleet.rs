//! A master in this process and servers in processes of their own, which run this test program.

use super::{free_port, until};
use async_wrap::Environment;
use pomelo::admin::{Client, Login, Response, Target, Times};
use pomelo::{AppEvent, Application, Error, Options, Program};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tempfile::TempDir;
use uv_core::{Loop, Signal};

/// A server ends by itself after this, should its test be killed.
const LONGEST_LIFE: Duration = Duration::from_secs(180);

/// The word that tells a server its folder, and by which it is found.
const BASE: &str = "base:";

/// Short times for what takes seconds.
pub(crate) fn quick() -> Times {
    Times::default()
        .answer_within(Duration::from_millis(1500))
        .kill_within(Duration::from_millis(1500))
        .kill_after(Duration::from_millis(50))
        .stop_after(Duration::from_millis(300))
        .restart_after(Duration::from_millis(1000))
        .auto_restart_after(Duration::from_millis(200))
}

/// The record of a server on a port of its own.
pub(crate) fn chat(id: &str, more: Value) -> Value {
    let mut record = json!({"id": id, "host": "127.0.0.1", "port": free_port()});
    if let (Some(record), Value::Object(more)) = (record.as_object_mut(), more) {
        record.extend(more);
    }
    record
}

/// The error of an answer, in words; empty if there is none.
pub(crate) fn error(response: &Response) -> String {
    response.error_text().unwrap_or_default()
}

/// Processes whose command line has a certain word.
pub(crate) fn processes(has: impl Fn(&str) -> bool) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| words_of(*pid).iter().any(|word| has(word))).collect()
}

/// The command line of a process.
pub(crate) fn words_of(pid: i32) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// An application's folder, and the end of everything that was started in it.
pub(crate) struct Fleet {
    pub(crate) event_loop: Loop,
    pub(crate) env: Environment,
    pub(crate) folder: TempDir,
    pub(crate) port: u16,
    pub(crate) exit: Rc<Cell<Option<i32>>>,
}

impl Fleet {
    /// A folder with a master on a free port, a user of each level and these servers, by type.
    pub(crate) fn new(servers: &Value) -> Self {
        let (event_loop, env) = super::new_loop();
        let folder = tempfile::tempdir().expect("a folder");
        let fleet = Self { event_loop, env, folder, port: free_port(), exit: Rc::default() };
        let master = json!({"id": "master-server-1", "host": "127.0.0.1", "port": fleet.port});
        fleet.config("master.json", &json!({"development": master, "production": master}));
        fleet.config("servers.json", &json!({"development": servers, "production": servers}));
        fleet.config(
            "adminUser.json",
            &json!([
                {"id": "user-1", "username": "admin", "password": "admin", "level": 1},
                {"id": "user-2", "username": "guest", "password": "guest", "level": 2}
            ]),
        );
        fleet
    }

    pub(crate) fn base(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self, name: &str, value: &Value) -> PathBuf {
        let path = self.base().join("config").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        std::fs::write(&path, value.to_string()).expect("the file");
        path
    }

    /// An application in this process whose servers run the test `play_server`.
    pub(crate) fn options(&self, args: &[&str]) -> Options {
        let exit = Rc::clone(&self.exit);
        let base = format!("{BASE}{}", self.base().display());
        let program = Program {
            path: std::env::current_exe().expect("this program"),
            args: ["play_server", "--exact", "--nocapture", &base].map(str::to_owned).to_vec(),
        };
        Options::new(self.base())
            .args(args.iter().copied())
            .program(program)
            .on_output(|_: &pomelo::starter::OutputOf, _: &[u8]| {})
            .on_exit(move |code| exit.set(Some(code)))
    }

    /// A master that was started, with its servers.
    pub(crate) fn start(&self, times: Times) -> Application {
        self.start_with(self.options(&[]), times)
    }

    pub(crate) fn start_with(&self, options: Options, times: Times) -> Application {
        let app = Application::new(&self.env, options).expect("a good configuration");
        app.set_admin_times(times).expect("time limits");
        let all_started = Rc::new(Cell::new(false));
        let told = Rc::clone(&all_started);
        app.on(move |_: &Application, event: &AppEvent| told.set(told.get() || *event == AppEvent::StartAll));
        self.start_app(&app).expect("it starts");
        until(&self.env, "the servers", || all_started.get());
        app
    }

    pub(crate) fn start_app(&self, app: &Application) -> Result<(), Error> {
        let told = super::Later::new();
        app.start(told.setter());
        told.wait(&self.env)
    }

    /// A user who has logged in.
    pub(crate) fn login(&self, name: &str) -> Client {
        self.try_login(name, name).expect("the password is right")
    }

    pub(crate) fn try_login(&self, name: &str, password: &str) -> Result<Client, Error> {
        let later = super::Later::new();
        let target = Target::new("127.0.0.1", self.port);
        Client::connect(
            &self.env,
            target,
            Login::new(name, password).id(format!("test-{name}")),
            later.setter(),
        );
        later.wait(&self.env)
    }

    /// What the module `__console__` answers.
    pub(crate) fn ask(&self, client: &Client, body: Value) -> Response {
        let answer = Rc::new(RefCell::new(None));
        let told = Rc::clone(&answer);
        client.request(pomelo::admin::CONSOLE, body, move |response| {
            told.replace(Some(response));
        });
        until(&self.env, "an answer", || answer.borrow().is_some());
        answer.take().expect("it is there").expect("an answer")
    }

    /// The ids in a list and their processes.
    pub(crate) fn list(&self, client: &Client) -> Vec<(String, i64)> {
        let response = self.ask(client, json!({"signal": "list"}));
        let body = response.body.expect("a list");
        let servers = body["msg"].as_object().expect("servers");
        servers.iter().map(|(id, server)| (id.clone(), server["pid"].as_i64().expect("a number"))).collect()
    }

    pub(crate) fn ids(&self, client: &Client) -> Vec<String> {
        let mut ids: Vec<String> = self.list(client).into_iter().map(|(id, _)| id).collect();
        ids.sort();
        ids
    }

    /// The process of a server in this folder, if there is one.
    pub(crate) fn pid_of(&self, id: &str) -> Option<i32> {
        let word = format!("id={id}");
        self.children().into_iter().find(|pid| words_of(*pid).contains(&word))
    }

    /// Every process that this folder's servers run in.
    pub(crate) fn children(&self) -> Vec<i32> {
        let folder = self.base().display().to_string();
        let (base, inside) = (format!("{BASE}{folder}"), format!("{folder}/"));
        processes(|word| word == base || word.starts_with(&inside))
    }

    /// The master stops, and nothing is left.
    pub(crate) fn stop_all(&self, client: &Client) {
        let response = self.ask(client, json!({"signal": "stop", "ids": []}));
        assert_eq!(response.body, Some(json!({"status": "all"})));
        until(&self.env, "the master's end", || self.exit.get() == Some(0));
        until(&self.env, "the servers' end", || self.children().is_empty());
        client.close();
        super::run_to_the_end(&self.env);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for pid in self.children() {
            let _ = uv_core::process::kill(pid, Signal::SIGKILL);
        }
    }
}

/// Plays a server, if this process was started as one; else nothing.
pub(crate) fn play_server(prepare: impl FnOnce(&Application)) {
    let Some(base) = std::env::args().find_map(|word| word.strip_prefix(BASE).map(str::to_owned)) else {
        return;
    };
    let (_lp, env) = super::new_loop();
    env.set_timeout(LONGEST_LIFE, || std::process::exit(3)).unref();
    let app = Application::new(&env, Options::from_process().base(base)).expect("a good configuration");
    prepare(&app);
    app.start(|result| {
        if let Err(error) = result {
            eprintln!("{error}");
            std::process::exit(1);
        }
    });
    env.run(uv_core::RunMode::Default).expect("the loop runs");
}
