//! Words of `xtask` that are wrong, and those that ask for help.

use std::error::Error;
use std::process::{Command, Output};

fn run(words: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_xtask")).args(words).output()
}

#[test]
fn a_wrong_word_is_named() -> Result<(), Box<dyn Error>> {
    for (words, named) in [
        (&["fly"][..], "\"fly\""),
        (&["--fly"], "--fly"),
        (&["ci", "now"], "now"),
        (&["fuzz", "--seconds", "0"], "--seconds 0"),
        (&["fuzz", "--seconds=many"], "--seconds many"),
        (&["fuzz", "--seconds"], "--seconds"),
        (&["fuzz", "--minutes", "99999999"], "--minutes 99999999"),
        (&["fuzz", "--hours", "1"], "--hours"),
        (&["fuzz", "nothing"], "nothing"),
        (&["sanitize", "hands"], "hands"),
    ] {
        let output = run(words)?;
        let error = String::from_utf8(output.stderr)?;
        assert!(error.starts_with("error: ") && error.contains(named), "{error:?} does not name {named:?}");
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    }
    Ok(())
}

#[test]
fn help_is_there_however_it_is_asked_for() -> Result<(), Box<dyn Error>> {
    for words in
        [&[][..], &["help"], &["--help"], &["-h"], &["fuzz", "--help"], &["sanitize", "-h"], &["ci", "-h"]]
    {
        let output = run(words)?;
        let help = String::from_utf8(output.stdout)?;
        assert!(output.status.success() && help.starts_with("cargo xtask COMMAND"), "{words:?}: {help}");
    }
    Ok(())
}
