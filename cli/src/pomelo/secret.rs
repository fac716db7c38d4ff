//! The password of a command: from where it is taken, and how it is kept out of the list of processes.

use super::options::Master;
use crate::args::Result;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The variable that has it: only this user and root can read the variables of a process.
const VARIABLE: &str = "POMELO_PASSWORD";

/// The password of a new project's `adminUser.json`.
const DEFAULT: &str = "admin";

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// The password: the word, the first line of the file, the value of the variable, or the default.
pub(super) fn password(master: &Master) -> Result<String> {
    match (&master.password, &master.password_file) {
        (Some(word), _) => Ok(word.clone()),
        (None, Some(file)) => read(file),
        (None, None) => match std::env::var_os(VARIABLE).map(OsString::into_string) {
            None => Ok(DEFAULT.to_owned()),
            Some(Ok(password)) => Ok(password),
            Some(Err(_)) => Err(format!("{VARIABLE} is not UTF-8").into()),
        },
    }
}

/// The first line of a file.
fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
        Ok(length) if length as u64 > MAX_FILE => {
            Err(format!("{}: longer than {MAX_FILE} bytes", path.display()).into())
        }
        Ok(_) => Ok(text.lines().next().unwrap_or_default().to_owned()),
    }
}

/// Takes a password off the command line: executes the program anew, with the password in the variable. Where the system
/// refuses that, it goes on as it is.
pub(super) fn hide(master: &Master) {
    let (Some(password), Ok(program)) = (&master.password, uv_core::os::exe_path()) else { return };
    let words = without_password(std::env::args_os().skip(1));
    let _refused = Command::new(program).args(words).env(VARIABLE, password).exec();
}

/// The words of a command without its password.
fn without_password(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let (mut words, mut kept) = (words.into_iter(), Vec::new());
    while let Some(word) = words.next() {
        match word.to_str().unwrap_or_default() {
            "--" => {
                kept.push(word);
                kept.extend(words.by_ref());
            }
            "-p" | "--password" => drop(words.next()),
            text if text.starts_with("--password=") => {}
            text if text.starts_with("-p") => {}
            _ => kept.push(word),
        }
    }
    kept
}
