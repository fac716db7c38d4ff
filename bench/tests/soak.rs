//! `upcall-bench soak`, for a moment.

use std::error::Error;
use std::process::Command;

#[test]
fn a_short_soak_judges_what_takes_no_time_to_judge() -> Result<(), Box<dyn Error>> {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_upcall-bench"));
    let output = soak.args(["soak", "--minutes", "0.05", "--policy", "shared"]).output()?;
    let (said, complaint) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(output.status.success(), "{said}{complaint}");
    assert!(
        said.contains("shared: ") && said.ends_with("verdict: too short to tell whether anything grows\n"),
        "{said}"
    );
    let row = |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(row("workers").ends_with("holds"), "{said}");
    assert!(row("elder memory").ends_with("short"), "{said}");
    Ok(())
}

#[test]
fn a_time_that_is_none_is_refused() -> Result<(), Box<dyn Error>> {
    for minutes in ["0", "-1", "nan", "inf", "1e9", "ten"] {
        let word = format!("--minutes={minutes}");
        let output = Command::new(env!("CARGO_BIN_EXE_upcall-bench")).args(["soak", &word]).output()?;
        let complaint = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && complaint.contains("from 0.01 to 100000"), "{word}: {complaint}");
    }
    Ok(())
}
