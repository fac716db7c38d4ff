//! `upcall-bench` as people use it: a tiny run, what goes wrong, and that nothing is left behind.

use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

type Outcome = Result<(), Box<dyn Error>>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_upcall-bench");

/// What every run here is told: no peers, and hardly any time.
const TINY: &[&str] = &["--secs", "0.05", "--rounds", "2"];

/// A folder of a test's own, which is also where the programs that it starts find their temporary files.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> std::io::Result<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        // What an earlier run has left, if it was killed.
        let _absent = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("tmp"))?;
        Ok(Self(path))
    }

    fn bench(&self, words: &[&str]) -> Command {
        let mut bench = Command::new(PROGRAM);
        bench.args(words).arg("--out").arg(self.0.join("report")).env("TMPDIR", self.0.join("tmp"));
        bench
    }

    fn run(&self, words: &[&str]) -> std::io::Result<Output> {
        self.bench(&[words, TINY].concat()).output()
    }

    fn report(&self) -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_str(&fs::read_to_string(self.0.join("report/report.json"))?)?)
    }

    /// Nothing runs that was started from here, and there are no temporary files.
    fn assert_nothing_is_left(&self) -> Outcome {
        let left: Vec<_> = fs::read_dir(self.0.join("tmp"))?.collect();
        assert!(left.is_empty(), "{left:?}");
        let mark = format!("TMPDIR={}\0", self.0.join("tmp").display());
        for entry in fs::read_dir("/proc")? {
            // Processes end, and those of others cannot be looked at.
            let Ok(variables) = fs::read(entry?.path().join("environ")) else { continue };
            assert!(!String::from_utf8_lossy(&variables).contains(&mark), "a process is left");
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = fs::remove_dir_all(&self.0);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_tiny_run_ends_in_a_table_and_a_report() -> Outcome {
    let folder = Folder::new("tiny")?;
    let output = folder.run(&["http/keep-alive", "unix/echo-64", "--only", "floor,http,net"])?;
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{errors}");
    for words in ["http/keep-alive http", "unix/echo-64 net", "target: http at most 1.05", "× floor"] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    assert!(errors.contains("2 benchmarks, 8 runs in 2 rounds"), "{errors}");
    let report = folder.report()?;
    assert_eq!((&report["arguments"][1], &report["arguments"][7]), (&"unix/echo-64".into(), &"2".into()));
    let bench = &report["benches"][1];
    assert_eq!((&bench["name"], &bench["unit"]), (&"http/keep-alive".into(), &"ns".into()));
    assert_eq!(bench["subjects"][0]["name"], "floor");
    assert_eq!(bench["subjects"][1]["cost"]["samples"].as_array().map(Vec::len), Some(2));
    assert!(bench["subjects"][1]["ratio"]["median"].as_f64().is_some_and(|ratio| ratio > 0.0), "{bench}");
    assert!(
        bench["subjects"][1]["latency"]["curve"].as_array().is_some_and(|curve| curve.len() > 3),
        "{bench}"
    );
    assert!(fs::read_to_string(folder.0.join("report/report.html"))?.contains("http/keep-alive"));
    folder.assert_nothing_is_left()
}

#[test]
fn every_load_finds_its_floor_and_every_answer_is_right() -> Outcome {
    let folder = Folder::new("floors")?;
    let groups = ["tcp", "unix", "http", "client", "proxy", "cluster"];
    let options = ["--only=floor", "--quick", "--secs=0.05", "--rounds=1"];
    let output = folder.bench(&[&groups[..], &options].concat()).output()?;
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    let report = folder.report()?;
    let benches = report["benches"].as_array().ok_or("no list")?;
    assert_eq!(benches.len(), 30);
    for bench in benches {
        let floor = &bench["subjects"][0];
        assert_eq!(floor["name"], "floor", "{bench}");
        assert_eq!(floor["errors"], 0, "{bench}");
        let cost = floor["cost"]["median"].as_f64().ok_or("no figure")?;
        assert!(cost > 0.0 || bench["unit"] != "ns", "{bench}");
    }
    folder.assert_nothing_is_left()
}

#[test]
fn a_server_that_dies_hangs_or_answers_wrongly_is_an_error_and_the_run_goes_on() -> Outcome {
    let folder = Folder::new("broken")?;
    let lies = format!("wrong={PROGRAM} floor tcp/echo-64");
    // The warm-up and the load take longer.
    let short = format!("short=env A=b timeout 0.1 {PROGRAM} floor http/keep-alive");
    let last_words =
        format!("words=sh -c 'timeout 0.1 {PROGRAM} floor http/keep-alive; echo out of luck >&2; exit 9'");
    let output = folder.run(&[
        "http/keep-alive",
        "--only=floor",
        "--subject",
        &last_words,
        "--subject=dead=false",
        "--subject=absent=/no/such/program",
        "--subject=mute=sh -c 'echo 127.0.0.1:1; trap \"\" TERM; while :; do read x || sleep 1; done'",
        "--subject",
        &lies,
        "--subject",
        &short,
    ])?;
    let said = text(&output.stdout);
    assert!(output.status.success(), "only what is ours makes it fail: {said}\n{}", text(&output.stderr));
    let report = folder.report()?;
    let bench = &report["benches"][0];
    assert_eq!(bench["subjects"].as_array().map(Vec::len), Some(1), "{bench}");
    let left_out = bench["left_out"].as_array().ok_or("no list")?;
    let reason_of =
        |name| left_out.iter().find(|left| left["name"] == name).and_then(|left| left["reason"].as_str());
    assert!(reason_of("words").is_some_and(|reason| reason.contains("out of luck")), "{left_out:?}");
    for name in ["dead", "absent", "mute", "wrong", "short"] {
        let reason = reason_of(name);
        assert!(reason.is_some_and(|reason| reason.starts_with("failed: ")), "{name}: {reason:?}");
    }
    folder.assert_nothing_is_left()
}

#[test]
fn a_signal_ends_everything() -> Outcome {
    for signal in ["INT", "TERM"] {
        let folder = Folder::new(&format!("signal-{signal}"))?;
        let words = ["tcp/echo-64", "--only=net", "--secs=600", "--rounds=2"];
        let mut bench = folder.bench(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut errors = BufReader::new(bench.stderr.take().ok_or("no standard error")?);
        let mut line = String::new();
        while !line.contains("round 1 of 2") {
            line.clear();
            assert!(errors.read_line(&mut line)? > 0, "it ended too early");
        }
        assert!(Command::new("kill").args(["-s", signal, &bench.id().to_string()]).status()?.success());
        let mut rest = String::new();
        errors.read_to_string(&mut rest)?;
        assert!(!bench.wait()?.success());
        assert!(rest.contains("interrupted"), "{rest}");
        assert!(!folder.0.join("report").exists(), "half a report");
        folder.assert_nothing_is_left()?;
    }
    Ok(())
}

#[test]
fn a_change_is_compared_with_what_was_kept() -> Outcome {
    let folder = Folder::new("compare")?;
    let kept = folder.0.join("kept.json");
    let kept = kept.to_str().ok_or("the folder's name is not UTF-8")?;
    assert!(folder.run(&["http/pipelined", "--only=http", "--save", kept])?.status.success());
    // A hundredth of what was kept: whatever is measured now is far more.
    let mut before: Value = serde_json::from_str(&fs::read_to_string(kept)?)?;
    before["benches"][0]["subjects"][1]["ratio"] =
        json!({ "median": 0.01, "least": 0.01, "greatest": 0.01, "margin": 0.1, "samples": [0.01] });
    fs::write(kept, before.to_string())?;
    let compare = ["http/pipelined", "--only=http", "--compare", kept, "--fail-above", "10%", "--secs=0.1"];
    let output = folder.bench(&[&compare[..], &["--rounds=4"]].concat()).output()?;
    assert!(!output.status.success());
    assert!(text(&output.stdout).contains("slower"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("more than 10 %"), "{}", text(&output.stderr));
    // A single round cannot tell, which is printed.
    let output = folder.bench(&[&compare[..], &["--rounds=1"]].concat()).output()?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("unclear") && said.contains("could not be told"), "{said}");
    // Nor is it a success to have compared nothing.
    fs::write(kept, before.to_string().replace("http/pipelined", "http/removed"))?;
    let output = folder.run(&["http/pipelined", "--only=http", "--compare", kept, "--fail-above", "10%"])?;
    let said = text(&output.stdout);
    assert!(said.contains("only one of the two runs has http/pipelined http"), "{said}");
    assert!(text(&output.stderr).contains("nothing in common"), "{}", text(&output.stderr));
    assert!(!output.status.success());
    let output = folder.run(&["http/pipelined", "--only=http", "--save", "/no/such/folder/file"])?;
    let errors = text(&output.stderr);
    assert!(errors.contains("no folder /no/such/folder") && !errors.contains("runs"), "{errors}");
    let output = folder.run(&["http/pipelined", "--only=http", "--compare", "/no/such/file"])?;
    assert!(text(&output.stderr).contains("/no/such/file"), "{}", text(&output.stderr));
    Ok(())
}
