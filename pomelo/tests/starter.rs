//! Starting servers on this host. The servers are shell scripts.

mod common;

use common::{World, logs};
use pomelo::starter::{OutputOf, OutputStream, bind_cpus, is_local, run, run_servers};
use pomelo::{Application, Error, Options, Program, ServerInfo, State};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use uv_core::Errno;
use uv_core::Signal;
use uv_core::process::ExitStatus;

/// What servers wrote, whole.
type Written = Rc<RefCell<String>>;

fn record(value: Value) -> ServerInfo {
    value.as_object().expect("an object").clone()
}

fn server(id: &str) -> ServerInfo {
    record(json!({"id": id, "host": "127.0.0.1", "port": 3150, "serverType": "chat"}))
}

/// Options of a master whose servers run a script.
fn options(world: &World, script: &str) -> Options {
    let script = world.write("server.sh", script).display().to_string();
    world.options().program(Program { path: "/bin/sh".into(), args: vec![script] })
}

fn writing(world: &World, script: &str) -> (Application, Written) {
    let written = Written::default();
    let all = Rc::clone(&written);
    let story = world.story.clone();
    let options = options(world, script).on_output(move |from: &OutputOf, data: &[u8]| {
        all.borrow_mut().push_str(&String::from_utf8_lossy(data));
        if from.stream == OutputStream::Stderr {
            story.add(format!("stderr of {}", from.id));
        }
    });
    (Application::new(&world.env, options).expect("a good configuration"), written)
}

/// Starts a server and waits for its end.
fn run_to_end(world: &World, app: &Application, info: &ServerInfo) -> ExitStatus {
    let status = Rc::new(Cell::new(None));
    let told = Rc::clone(&status);
    run(app, info, move |exit| told.set(Some(exit.status))).expect("it starts");
    // A server of production does not keep the loop alive.
    let alive = world.env.set_interval(Duration::from_secs(1), || {});
    world.until(|| status.get().is_some());
    alive.clear();
    world.run();
    status.get().expect("it was told")
}

const SHOW_ARGV: &str = r"tr '\0' '\n' < /proc/$$/cmdline";

// pomelo: sentence 19
#[test]
fn the_arguments_are_the_records_keys_in_the_order_of_the_file_behind_the_environment() {
    let world = World::new();
    world.config(
        "servers.json",
        r#"{"development": {"connector": [
            {"id": "c-1", "port": 3150, "host": "127.0.0.1", "frontend": true, "note": "a b", "list": [1, "x"], "pid": 7}
        ]}}"#,
    );
    let (app, written) = writing(&world, SHOW_ARGV);
    let status = run_to_end(&world, &app, app.server_from_config("c-1").expect("it is there"));
    assert!(status.success());
    let script = world.base().join("server.sh").display().to_string();
    let expected = [
        "/bin/sh",
        &script,
        "env=development",
        "id=c-1",
        "port=3150",
        "host=127.0.0.1",
        "frontend=true",
        "note=a b",
        "list=[1,\"x\"]",
        "serverType=connector",
    ];
    assert_eq!(written.borrow().lines().collect::<Vec<_>>(), expected);
    assert!(logs::with(&format!("Executing /bin/sh {script} env=development")).len() == 1);
}

// pomelo: sentence 20; unlike there, an array survives a round trip through the command line
#[test]
fn an_array_of_args_is_one_argument_each_and_a_text_is_one() {
    for (args, expected) in [
        (json!(["-e", "-u"]), &["-e", "-u"][..]),
        (json!("[\"-e\",\"-u\"]"), &["-e", "-u"]),
        (json!(" -e "), &["-e"]),
        (json!([]), &[]),
    ] {
        let world = World::new();
        let (app, written) = writing(&world, SHOW_ARGV);
        let mut info = server("a");
        info.insert("args".into(), args);
        assert!(run_to_end(&world, &app, &info).success());
        let words: Vec<String> = written.borrow().lines().skip(1).map(str::to_owned).collect();
        let before: Vec<&str> =
            words.iter().map(String::as_str).take_while(|word| !word.ends_with("server.sh")).collect();
        assert_eq!(before, expected);
    }
}

#[test]
fn a_text_of_args_with_spaces_is_one_argument() {
    let world = World::new();
    let (app, written) = writing(&world, "");
    let mut info = server("a");
    info.insert("args".into(), json!("-c 'echo one'"));
    // The shell takes it for one option of its own, which it does not have.
    let status = run_to_end(&world, &app, &info);
    assert!(!status.success(), "{}", written.borrow());
}

/// Process id, group and session of a script, into the file of its `out=`.
const SHOW_SESSION: &str = r#"
for word in "$@"; do case $word in out=*) out=${word#out=};; esac; done
set -- $(cat /proc/$$/stat)
link=$(readlink /proc/$$/fd/1)
echo "$1 $5 $6 $link" > "$out"
"#;

/// Process id, group and session of a server in an environment, and its output.
fn session(env: &str) -> (i32, i32, i32, String) {
    let world = World::new();
    world.config("master.json", r#"{"id": "m", "host": "127.0.0.1", "port": 3005}"#);
    world.config("servers.json", "{}");
    let app =
        Application::new(&world.env, options(&world, SHOW_SESSION).env(env)).expect("a good configuration");
    let out = world.base().join("out");
    let mut info = server("a");
    info.insert("out".into(), Value::from(out.display().to_string()));
    assert!(run_to_end(&world, &app, &info).success());
    let text = std::fs::read_to_string(out).expect("it was written");
    let mut words = text.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
    (number(), number(), number(), words.next().expect("a link").to_owned())
}

/// The group of this process.
fn own_group() -> i32 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(") ").next().expect("fields");
    after_name.split(' ').nth(2).and_then(|word| word.parse().ok()).expect("a number")
}

// pomelo: sentence 21
#[test]
fn a_server_shares_the_masters_group_in_development_and_leads_a_session_elsewhere() {
    let (_, group, _, output) = session("development");
    assert_eq!(group, own_group());
    assert!(output.starts_with("socket:"), "what it writes is passed on: {output}");
    let own_output = std::fs::read_link("/proc/self/fd/1").expect("Linux");
    for env in ["production", "Development", "dev"] {
        let (pid, group, session, output) = session(env);
        assert_eq!((group, session), (pid, pid), "{env}");
        assert_eq!(output, own_output.display().to_string(), "it writes where its master writes");
    }
}

const TWO_TYPES: &str = r#"{"development": {
    "chat": [{"id": "chat-1", "host": "127.0.0.1"}, {"id": "chat-2", "host": "127.0.0.1"}],
    "gate": [{"id": "gate-1", "host": "127.0.0.1"}]
}}"#;

/// The ids of the servers that are started with these arguments, and how the start went.
fn started_with(args: &[&str]) -> (Vec<String>, Result<(), Error>) {
    let world = World::new();
    world.config("servers.json", TWO_TYPES);
    let written = Written::default();
    let told = Rc::clone(&written);
    let options = options(&world, "for word in \"$@\"; do case $word in id=*) echo ${word#id=};; esac; done")
        .on_output(move |_: &OutputOf, data: &[u8]| {
            told.borrow_mut().push_str(&String::from_utf8_lossy(data))
        });
    let app = Application::new(&world.env, options.args(args.iter().copied())).expect("a good configuration");
    app.load("never", common::Part::new("never", &world.story)).expect("a new name");
    let result = world.start(&app);
    world.run();
    let is_launcher = app.state() == State::Inited;
    assert_eq!(world.story.lines().is_empty(), is_launcher, "a launcher runs no components");
    let mut ids: Vec<String> = written.borrow().lines().map(str::to_owned).collect();
    ids.sort();
    (ids, result)
}

// pomelo: sentence 23; unlike there the callback is called
#[test]
fn a_launcher_starts_what_it_is_told_to_and_nothing_else() {
    assert_eq!(started_with(&["startId=chat-2"]), (vec!["chat-2".into()], Ok(())));
    assert_eq!(started_with(&["type=chat"]), (vec!["chat-1".into(), "chat-2".into()], Ok(())));
    assert_eq!(started_with(&["type=gate", "startId=chat-1"]), (vec!["chat-1".into()], Ok(())));
    // These become masters, and it is the master's component that starts servers.
    for args in [&["startId=master"][..], &["type=master"], &["type=all"], &[]] {
        assert_eq!(started_with(args), (vec![], Ok(())), "{args:?}");
    }
}

// pomelo: sentence 24
#[test]
fn a_launcher_refuses_what_the_configuration_does_not_have() {
    for args in [["startId=chat-3"], ["startId=chat"], ["type=area"]] {
        let (started, result) = started_with(&args);
        assert!(started.is_empty());
        let name = args[0].split('=').nth(1).expect("a value").to_owned();
        assert_eq!(result, Err(Error::UnknownServer(name)));
    }
}

#[test]
fn a_master_starts_all_in_the_order_of_the_file_or_none() {
    let world = World::new();
    world.config("servers.json", TWO_TYPES);
    let (app, _) = writing(&world, "");
    assert_eq!(run_servers(&app), Ok(vec![]));
    world.run();
    let order: Vec<String> = logs::with("Executing")
        .iter()
        .map(|line| {
            let id = line.split(' ').find(|word| word.starts_with("id=")).expect("an id");
            id.to_owned()
        })
        .collect();
    assert_eq!(order, ["id=chat-1", "id=chat-2", "id=gate-1"]);
    let only_master = world.app(&["type=master"]);
    assert_eq!(run_servers(&only_master), Ok(vec![]));
    assert_eq!(logs::with("Executing").len(), 3);
}

// pomelo: sentence 30; unlike there `::1` is this host, and a server without a host is refused
#[test]
fn this_host_has_its_own_addresses_and_the_masters() {
    let world = World::new();
    world.config("master.json", r#"{"development": {"id": "m", "host": "game.example", "port": 3005}}"#);
    let app = world.app(&[]);
    for (host, expected) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("localhost", true),
        ("0.0.0.0", true),
        ("::1", true),
        ("::", true),
        ("game.example", true),
        ("chat.example", false),
        ("192.0.2.1", false),
        ("2001:db8::1", false),
    ] {
        let mut info = server("a");
        info.insert("host".into(), Value::from(host));
        assert_eq!(is_local(&app, &info), expected, "{host}");
    }
    let mut info = server("a");
    info.remove("host");
    let error = run(&app, &info, |_| {}).expect_err("no host");
    assert_eq!(error.to_string(), "server \"a\" cannot be started: host: is missing");
}

// pomelo: sentence 62
#[test]
fn what_a_server_writes_to_standard_error_is_passed_on_and_is_no_failure() {
    let world = World::new();
    let (app, written) = writing(&world, "echo warning >&2");
    assert!(run_to_end(&world, &app, &server("a")).success());
    assert_eq!(*written.borrow(), "warning\n");
    assert!(world.story.has("stderr of a"));
    assert!(logs::with("WARN").is_empty() && logs::with("ERROR").is_empty());
}

/// The server that was refused, and the reason.
fn refused(error: &Error) -> (&str, &Error) {
    let Error::Start { id, reason } = error else { panic!("not the error of a start: {error}") };
    (id, reason)
}

// pomelo: sentence 63
#[test]
fn a_missing_program_is_reported_and_the_master_goes_on() {
    let world = World::new();
    world.config("servers.json", TWO_TYPES);
    let program = Program { path: "/no/such/program".into(), args: vec![] };
    let app = Application::new(&world.env, world.options().program(program)).expect("a good configuration");
    let failures = run_servers(&app).expect("the servers are known");
    assert_eq!(
        failures.iter().map(|failure| refused(failure).0).collect::<Vec<_>>(),
        ["chat-1", "chat-2", "gate-1"]
    );
    for failure in &failures {
        assert!(
            matches!(refused(failure).1, Error::System(error) if error.errno() == Errno::ENOENT),
            "{failure}"
        );
    }
    let said = "ERROR server \"gate-1\" cannot be started: spawn /no/such/program: No such file or directory (ENOENT)";
    assert_eq!(logs::with("gate-1"), [said]);
    world.run();
}

#[test]
fn a_word_that_no_command_line_can_have_is_reported() {
    let world = World::new();
    let (app, _) = writing(&world, "");
    let mut info = server("a");
    info.insert("note".into(), "a\0b".into());
    let error = run(&app, &info, |_| {}).expect_err("no argument has a NUL in it");
    assert!(matches!(refused(&error).1, Error::System(error) if error.errno() == Errno::EINVAL), "{error}");
    assert!(error.to_string().starts_with("server \"a\" cannot be started"), "{error}");
    world.run();
}

#[test]
fn the_end_of_a_server_is_reported_with_its_code_or_its_signal() {
    let world = World::new();
    let (app, _) = writing(&world, "exit 3");
    let status = run_to_end(&world, &app, &server("a"));
    assert_eq!((status.code, status.signal), (3, 0));
    assert_eq!(logs::with("WARN child process exit with error, exit code 3, server: a").len(), 1);
    let (app, _) = writing(&world, "kill -9 $$");
    let status = run_to_end(&world, &app, &server("b"));
    assert_eq!((status.code, status.signal), (0, Signal::SIGKILL));
    assert_eq!(logs::with("WARN child process exit with error, signal 9, server: b").len(), 1);
}

/// The processors of a process, as Linux writes them.
fn cpus_of(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("Linux").trim().to_owned()
}

// pomelo: sentence 29; unlike there by a system call
#[test]
fn a_server_is_bound_to_its_processors_when_it_registers_and_not_before() {
    let world = World::new();
    let own = cpus_of(std::process::id() as i32);
    let first: u32 = own.split([',', '-']).next().and_then(|cpu| cpu.parse().ok()).expect("a number");
    let (app, _) = writing(&world, "exec sleep 60");
    let mut info = server("a");
    info.insert("cpu".into(), Value::from(first));
    let ended = Rc::new(Cell::new(false));
    let told = Rc::clone(&ended);
    let started = run(&app, &info, move |_| told.set(true)).expect("it starts");
    assert_eq!(cpus_of(started.pid), own, "not before");
    bind_cpus(&app, "b", started.pid);
    assert_eq!(cpus_of(started.pid), own, "no server of ours");
    // What a server says of its own id is not believed: this is the test's.
    bind_cpus(&app, "a", std::process::id() as i32);
    assert_eq!(cpus_of(started.pid), first.to_string());
    assert_eq!(cpus_of(std::process::id() as i32), own);
    pomelo::starter::kill(&app, &info, started.pid);
    world.until(|| ended.get());
}

#[test]
fn no_signal_goes_to_everybody() {
    let world = World::new();
    let app = world.app(&[]);
    for pid in [i32::MIN, -1, 0, 1] {
        pomelo::starter::kill(&app, &server("a"), pid);
        assert_eq!(logs::with(&format!("ERROR {pid} is no server's process")).len(), 1);
    }
}

/// The variable that makes a test of this program play the master, with its folder.
const ROLE: &str = "POMELO_TEST_MASTER";

// pomelo: sentence 22, its first half
#[test]
fn a_server_of_production_outlives_its_master() {
    if let Some(folder) = std::env::var_os(ROLE) {
        return play_master(&folder);
    }
    let world = World::new();
    let mut master = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["a_server_of_production_outlives_its_master", "--exact", "--nocapture"])
        .env(ROLE, world.base())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    // The server writes where its master writes.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(master.stdout.take().expect("a pipe")));
    let pid: i32 = lines
        .find_map(|line| line.expect("text").strip_prefix("server ")?.parse().ok())
        .expect("the server says its id");
    master.kill().expect("it runs");
    master.wait().expect("it ends");
    uv_core::process::kill(pid, 0).expect("the server is alive");
    drop(master);
    uv_core::process::kill(pid, Signal::SIGKILL).expect("the server is alive");
    assert!(lines.all(|line| line.is_ok()), "until the server has ended too");
}

fn play_master(folder: &std::ffi::OsStr) {
    let world = World::new();
    let script = world.write("server.sh", "echo; echo server $$; exec sleep 60");
    let script = std::fs::copy(script, std::path::Path::new(folder).join("server.sh"))
        .map(|_| std::path::Path::new(folder).join("server.sh").display().to_string())
        .expect("a copy");
    world.config("servers.json", "{}");
    world.config("master.json", r#"{"id": "m", "host": "127.0.0.1", "port": 3005}"#);
    let program = Program { path: "/bin/sh".into(), args: vec![script] };
    let options = world.options().program(program).env("production");
    let app = Application::new(&world.env, options).expect("a good configuration");
    run(&app, &server("a"), |_| {}).expect("it starts");
    let _alive = world.env.set_interval(Duration::from_secs(1), || {});
    world.until(|| false);
}
