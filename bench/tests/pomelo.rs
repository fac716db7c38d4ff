//! The benchmark of a start, where there is no Node.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[test]
fn the_start_of_twenty_servers_is_measured() -> Outcome {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report");
    let output = Command::new(env!("CARGO_BIN_EXE_upcall-bench"))
        .args(["pomelo", "--rounds", "2", "--out"])
        .arg(&report)
        .env("TMPDIR", folder.path())
        .env("PATH", "")
        .output()?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(report.join("report.json"))?)?;
    for (number, name) in ["pomelo/start", "pomelo/memory"].into_iter().enumerate() {
        let bench = &json["benches"][number];
        assert_eq!(bench["name"], name);
        assert_eq!(bench["subjects"].as_array().map(Vec::len), Some(1), "{bench}");
        let subject = &bench["subjects"][0];
        assert_eq!((&subject["name"], &subject["role"]), (&"pomelo".into(), &"ours".into()));
        assert!(subject["cost"]["median"].as_f64().is_some_and(|cost| cost > 0.0), "{bench}");
        assert_eq!(subject["cost"]["samples"].as_array().map(Vec::len), Some(2), "{bench}");
        let is_timed = subject["latency"]["p50_us"].as_f64().is_some_and(|time| time > 1000.0);
        assert_eq!(is_timed, name == "pomelo/start", "{bench}");
        let left_out = &bench["left_out"][0];
        assert_eq!(
            (&left_out["name"], &left_out["reason"]),
            (&"node".into(), &"there is no node here".into())
        );
        assert!(text.contains(name), "{text}");
    }
    // Neither processes nor files are left.
    assert_eq!(processes(folder.path())?, Vec::<String>::new());
    let left: Vec<_> = fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(())
}

/// The processes that have this path on their command line.
fn processes(folder: &Path) -> Outcome<Vec<String>> {
    let folder = folder.to_str().ok_or("a folder's name in UTF-8")?;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        // It may end while it is looked at; what is no process has no command line.
        let words = fs::read(entry?.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        found.extend(words.contains(folder).then_some(words));
    }
    Ok(found)
}
