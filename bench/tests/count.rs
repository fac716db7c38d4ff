//! `upcall-bench --count` with the tools that are installed, and without any.

use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

type Outcome = Result<(), Box<dyn Error>>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_upcall-bench");

/// System calls of a request: `epoll_wait`, `recv`, `send`.
const SYSCALLS: f64 = 3.0;

/// What these may differ by: a look at a timer, now and then.
const SLACK: f64 = 0.1;

fn is_installed(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_request_is_counted_with_the_tools_that_there_are() -> Outcome {
    let (valgrind, strace) = (is_installed("valgrind"), is_installed("strace"));
    if !valgrind && !strace {
        println!("skipped: neither valgrind nor strace is installed");
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("count");
    fs::create_dir_all(&folder)?;
    let words = ["--count", "http/keep-alive", "--only", "http", "--out"];
    let output = Command::new(PROGRAM).args(words).arg(&folder).env("TMPDIR", &folder).output()?;
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("instructions"), "{said}");
    let report: Value = serde_json::from_str(&fs::read_to_string(folder.join("report.json"))?)?;
    let notes = report["notes"].to_string();
    for (count, subject) in [(0, "floor"), (1, "http")] {
        let count = &report["counts"][count];
        assert_eq!((&count["name"], &count["subject"]), (&"http/keep-alive".into(), &subject.into()));
        // A tool that is installed may still be forbidden, as in some containers; then there is a note.
        match count["instructions"].as_f64() {
            Some(instructions) => assert!(instructions > 50.0, "{count}"),
            None => assert!(notes.contains("No instructions"), "{notes}"),
        }
        match count["allocations"].as_f64() {
            Some(allocations) => assert!(allocations < SLACK, "{count}"),
            None => assert!(notes.contains("No allocations"), "{notes}"),
        }
        match count["syscalls"].as_f64() {
            Some(syscalls) => assert!((syscalls - SYSCALLS).abs() < SLACK, "{count}"),
            None => assert!(notes.contains("No system calls"), "{notes}"),
        }
    }
    let left: Vec<_> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_, std::io::Error>>()?;
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("report.")), "{left:?}");
    Ok(fs::remove_dir_all(&folder)?)
}

#[test]
fn without_tools_each_missing_one_is_named() -> Outcome {
    let words = ["--count", "http/keep-alive", "--only", "http"];
    let output = Command::new(PROGRAM).args(words).env("PATH", "").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    for missing in ["valgrind is not installed", "strace is not installed"] {
        assert!(errors.contains(missing), "{errors}");
    }
    Ok(())
}

#[test]
fn what_depends_on_chance_is_not_counted() -> Outcome {
    if !is_installed("valgrind") && !is_installed("strace") {
        println!("skipped: neither valgrind nor strace is installed");
        return Ok(());
    }
    let output = Command::new(PROGRAM).args(["--count", "tcp/pump"]).output()?;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("depends on chance"));
    Ok(())
}
