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

/// The password of a new project's `adminUser.json`.
const DEFAULT: &str = "admin";

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 4096;

/// The password: as a word, in a file, in the variable, or the one that every project has at first.
pub(super) fn password(master: &Master) -> Result<String> {
    match (&master.password, &master.password_file) {
        (Some(word), _) => Ok(word.clone()),
        (None, Some(file)) => read(file),
        (None, None) => match std::env::var_os(VARIABLE).map(std::ffi::OsString::into_string) {
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

/// Takes a password off the command line: the program takes its own place, with the password in the variable. Where the
/// system refuses that, it goes on as it is.
pub(super) fn hide(master: &Master, order: &Order) {
    let (Some(password), Ok(program)) = (&master.password, uv_core::os::exe_path()) else { return };
    let mut command = Command::new(program);
    command.arg("pomelo").args(words(master, order)).env(VARIABLE, password);
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
    use crate::args::Command;
    use crate::pomelo::options::Line;

    fn parse(words: impl IntoIterator<Item = String>) -> Option<(Master, Order)> {
        let words = ["upcall".to_owned(), "pomelo".to_owned()].into_iter().chain(words);
        match Command::read(words.map(Into::into)) {
            Ok(Command::Pomelo(Line { command: Some(options) })) => {
                options.order().map(|(master, order)| (master.clone(), order))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_words_without_the_password_mean_the_same() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let given = texts(&["list", "--host", "h", "--port", "7", "--user=-u"]);
        let (master, _) = parse(given).expect("an order");
        for order in [
            Order::List,
            Order::Stop(texts(&["a", "-b", "--password"])),
            Order::Add(texts(&["id=a", "port=1"])),
            Order::Restart { ids: texts(&["a", "-b"]), server_type: None },
            Order::Restart { ids: Vec::new(), server_type: Some("chat".into()) },
            Order::Kill,
        ] {
            let shown = Master { password: Some("secret".into()), ..master.clone() };
            assert_eq!(parse(words(&shown, &order)), Some((master.clone(), order)));
        }
    }
}
