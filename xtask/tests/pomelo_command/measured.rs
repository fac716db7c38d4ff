//! The benchmark of a start, without Node.

use crate::site::{Outcome, XTASK, said};
use std::process::Command;

#[test]
fn the_start_of_twenty_servers_is_measured() -> Outcome {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report");
    let output = Command::new(XTASK)
        .args(["bench", "pomelo", "--only", "pomelo", "--rounds", "1", "--out"])
        .arg(&report)
        .env("TMPDIR", folder.path())
        .output()?;
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(report.join("report.json"))?)?;
    for (number, name) in ["pomelo/start", "pomelo/memory"].into_iter().enumerate() {
        let bench = &json["benches"][number];
        assert_eq!(bench["name"], name);
        assert_eq!(bench["subjects"][0]["name"], "pomelo");
        assert!(bench["subjects"][0]["cost"]["median"].as_f64().is_some_and(|cost| cost > 0.0), "{bench}");
        assert!(text.contains(name), "{text}");
    }
    // Neither processes nor files are left.
    assert_eq!(crate::site::processes(folder.path())?, []);
    let left: Vec<_> = std::fs::read_dir(folder.path())?.collect::<Result<_, _>>()?;
    assert_eq!(left.len(), 1, "{left:?}");
    Ok(())
}
