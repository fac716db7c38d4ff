//! The password of a command: from where it is taken, and how it is kept out of the list of processes.

use super::options::{Master, Order};
use crate::args::Result;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The variable that has it: only this user and root can read the variables of a process.
const VARIABLE: &str = "POMELO_PASSWORD";

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// The password that was given: as a word, in a file, or in the variable; nothing if there is none of them.
pub(super) fn password(word: Option<String>, file: Option<&Path>) -> Result<Option<String>> {
    match (word, file) {
        (Some(_), Some(_)) => Err("--password and --password-file exclude each other".into()),
        (Some(word), None) => Ok(Some(word)),
        (None, Some(file)) => read(file).map(Some),
        (None, None) => match std::env::var_os(VARIABLE).map(std::ffi::OsString::into_string) {
            None => Ok(None),
            Some(Ok(password)) => Ok(Some(password)),
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

/// Takes a password off the command line: the program takes its own place, with the password in the variable. Where the
/// system refuses that, it goes on as it is.
pub(super) fn hide(master: &Master, order: &Order) {
    let Some(program) = uv_core::exe_path().ok().filter(|_| master.is_shown) else { return };
    let mut command = Command::new(program);
    command.arg("pomelo").args(words(master, order)).env(VARIABLE, &master.password);
    // Returns only if it is refused.
    let _refused = command.exec();
}

/// The words of a command again, without the password.
fn words(master: &Master, order: &Order) -> Vec<String> {
    let Master { host, port, user, .. } = master;
    let option = |name: &str, value: &str| format!("--{name}={value}");
    let mut options = vec![option("host", host), option("port", &port.to_string()), option("user", user)];
    let (name, rest) = match order {
        Order::List => ("list", &[][..]),
        Order::Stop(ids) => ("stop", &ids[..]),
        Order::Add(words) => ("add", &words[..]),
        Order::Restart { ids, server_type } => {
            options.extend(ids.iter().map(|id| option("id", id)));
            options.extend(server_type.iter().map(|of_type| option("type", of_type)));
            ("restart", &[][..])
        }
        Order::Kill => ("kill", &[][..]),
    };
    options.insert(0, name.to_owned());
    options.push("--".to_owned());
    options.extend(rest.iter().cloned());
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pomelo::options::{Options, parse};

    #[test]
    fn the_words_without_the_password_mean_the_same() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let master = Master { host: "h".into(), port: 7, user: "-u".into(), ..Master::default() };
        for order in [
            Order::List,
            Order::Stop(texts(&["a", "-b", "--password"])),
            Order::Add(texts(&["id=a", "port=1"])),
            Order::Restart { ids: texts(&["a", "-b"]), server_type: None },
            Order::Restart { ids: Vec::new(), server_type: Some("chat".into()) },
            Order::Kill,
        ] {
            let again = parse(&mut lexopt::Parser::from_args(words(&master, &order)));
            assert_eq!(again.map_err(|error| error.to_string()), Ok(Options::Console(master.clone(), order)));
        }
    }
}
