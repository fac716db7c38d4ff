//! Servers on other hosts. The `ssh` of these tests is a script that notes its arguments and gives the command to a shell
//! of this host, as sshd would on another one.

mod common;

use common::{World, logs};
use pomelo::starter::{bind_cpus, is_reachable, kill, run};
use pomelo::{Application, Program, ServerInfo};
use serde_json::{Value, json};
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::rc::Rc;

/// An address for documentation, which no host has.
const ELSEWHERE: &str = "192.0.2.1";

/// The variable that has the folder of the commands.
const COMMANDS: &str = "POMELO_TEST_COMMANDS";

const SSH: &str = r#"#!/bin/sh
printf '%s\n' "$@" >> "$POMELO_TEST_COMMANDS/log"
for last in "$@"; do :; done
exec /bin/sh -c "$last"
"#;

const NOTING: &str = r#"#!/bin/sh
printf '%s\n' "${0##*/}" "$@" >> "$POMELO_TEST_COMMANDS/log"
"#;

/// Runs a test in a process of its own that finds these commands first, and returns what that wrote; nothing in that
/// process.
fn with_commands(test: &str) -> Option<(String, String)> {
    if std::env::var_os(COMMANDS).is_some() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (name, script) in [("ssh", SSH), ("ping", NOTING), ("taskset", NOTING)] {
        let path = folder.path().join(name);
        std::fs::write(&path, script).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture"])
        .env("PATH", path)
        .env(COMMANDS, folder.path())
        .output()
        .expect("it starts");
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{written}{}", String::from_utf8_lossy(&output.stderr));
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a command was run");
    Some((written, log))
}

fn server(extra: Value) -> ServerInfo {
    let mut info = json!({"id": "a", "host": ELSEWHERE, "port": 3150, "serverType": "chat"});
    let object = info.as_object_mut().expect("an object");
    object.extend(extra.as_object().expect("an object").clone());
    object.clone()
}

fn app(world: &World, script: &str) -> Application {
    let script = world.write("it's a script.sh", script).display().to_string();
    let options = world.options().program(Program { path: "/bin/sh".into(), args: vec![script] });
    Application::new(&world.env, options).expect("a good configuration")
}

fn run_to_end(world: &World, app: &Application, info: &ServerInfo) {
    let ended = Rc::new(Cell::new(false));
    let told = Rc::clone(&ended);
    let started = run(app, info, move |exit| {
        assert!(exit.status.success(), "{exit:?}");
        told.set(true);
    });
    assert!(!started.expect("it starts").is_local);
    world.until(|| ended.get());
    world.run();
}

/// What no shell is to look into.
const NASTY: &str = "$(touch pwned) `touch pwned`; touch pwned & 'single' \"double\" \\ * ~ #";

#[test]
fn every_word_comes_to_a_server_elsewhere_as_it_is() {
    let Some((written, log)) = with_commands("every_word_comes_to_a_server_elsewhere_as_it_is") else {
        let world = World::new();
        let app = app(&world, "pwd; printf '%s|\n' \"$@\"");
        app.set("ssh_config_params", json!(["-p", 2222]));
        run_to_end(&world, &app, &server(json!({"note": NASTY, "args": ["-e"]})));
        assert!(!world.base().join("pwned").exists());
        println!("folder {}", world.base().display());
        assert_eq!(logs::with(&format!("on {ELSEWHERE}")).len(), 1);
        return;
    };
    assert!(written.contains(&format!("note={NASTY}|\n")), "{written}");
    assert!(written.contains("env=development|\nid=a|\n"), "{written}");
    let folder = written.lines().find_map(|line| line.strip_prefix("folder ")).expect("its folder");
    // The pipe cuts the output anywhere, and the host stands in front of each piece.
    assert!(written.contains(&format!("[{ELSEWHERE}] {folder}\n")), "{written}");
    assert!(log.starts_with(&format!("-p\n2222\n--\n{ELSEWHERE}\ncd {folder} && exec /bin/sh -e ")), "{log}");
    assert!(log.contains(r"it'\''s a script.sh'"), "{log}");
}

// pomelo: sentence 29, for servers elsewhere
#[test]
fn small_commands_are_run_on_the_host() {
    let Some((_, log)) = with_commands("small_commands_are_run_on_the_host") else {
        let world = World::new();
        let app = app(&world, "");
        let info = server(json!({"cpu": "0, 2-3"}));
        run_to_end(&world, &app, &info);
        bind_cpus(&app, "a", 12_345);
        world.run();
        let answer = Rc::new(Cell::new(None));
        let told = Rc::clone(&answer);
        is_reachable(&app, &info, move |is| told.set(Some(is)));
        world.run();
        assert_eq!(answer.get(), Some(true));
        // A process id that no Linux gives away.
        kill(&app, &info, i32::MAX);
        world.run();
        return;
    };
    let lines: Vec<&str> = log.lines().collect();
    let expected: [&[&str]; 3] = [
        &["--", ELSEWHERE, "taskset -pc 0,2-3 12345", "taskset", "-pc", "0,2-3", "12345"],
        &["ping", "-c", "1", "-w", "15", "--", ELSEWHERE],
        &["--", ELSEWHERE, "kill -9 2147483647"],
    ];
    assert_eq!(lines[3..], expected.concat());
}

#[test]
fn a_host_that_ssh_would_take_for_an_option_or_a_shell_for_a_command_is_refused() {
    let world = World::new();
    let app = app(&world, "");
    for host in ["-oProxyCommand=touch", "a b", "$(touch pwned)", "`id`", "a;b", "a|b", "a'b", "a\nb"] {
        let error = run(&app, &server(json!({"host": host})), |_| {}).expect_err("no host");
        assert!(error.to_string().contains("host: "), "{error}");
    }
}
