//! `xtask serve`, `xtask bench` and the like hand their words to the program of another package, as the same process.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// What stands for cargo: it says which process it is and what it was told, and ends with a code of its own.
const CARGO: &str = "#!/bin/sh\necho \"$$ $*\"\nexit 7\n";

#[test]
fn a_command_of_another_package_is_the_same_process_with_the_same_words_and_exit_code()
-> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let cargo = folder.path().join("cargo");
    fs::write(&cargo, CARGO)?;
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755))?;
    for (words, program, handed) in [
        (&["bench", "http", "--quick", "--help"][..], ("upcall-bench", "release"), "http --quick --help"),
        (&["load", "echo", "--driven"], ("upcall-bench", "release"), "load echo --driven"),
        (&["soak", "--minutes", "1"], ("upcall-bench", "quick"), "soak --minutes 1"),
        (&["serve", "--workers", "0"], ("upcall", "quick"), "serve --workers 0"),
        (&["trace"], ("upcall", "quick"), "trace"),
        (&["chain", "-h"], ("upcall", "quick"), "chain -h"),
        (&["pomelo", "start", "--help"], ("upcall", "quick"), "pomelo start --help"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let xtask = command.args(words).env("CARGO", &cargo).stdout(Stdio::piped()).spawn()?;
        let pid = xtask.id().to_string();
        let output = xtask.wait_with_output()?;
        let said = String::from_utf8(output.stdout)?;
        let (package, profile) = program;
        assert!(said.starts_with(&format!("{pid} run --profile {profile} ")), "{pid}: {said}");
        assert!(said.trim_end().ends_with(&format!("--package {package} -- {handed}")), "{said}");
        assert_eq!(output.status.code(), Some(7));
    }
    Ok(())
}
