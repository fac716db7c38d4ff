//! `pomelo init DIR`: writes a small project.

use crate::args::{self, Result};
use crate::say;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The files and what is in them.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("template/README.md")),
    ("config/master.json", include_str!("template/master.json")),
    ("config/servers.json", include_str!("template/servers.json")),
    ("config/adminUser.json", include_str!("template/adminUser.json")),
    ("config/adminServer.json", include_str!("template/adminServer.json")),
];

/// Passwords and tokens are for their owner.
pub(super) const PRIVATE: u32 = 0o600;

/// Placeholder of a new token.
const TOKEN: &str = "TOKEN";

pub(super) fn run(folder: &Path) -> Result<()> {
    let shown = folder.display();
    let failed = |error| format!("{shown}: {error}");
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => {}
        Ok(false) => {
            return Err(format!("{shown} is not empty; nothing was written").into());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error).into()),
    }
    fs::create_dir_all(folder.join("config")).map_err(failed)?;
    for (name, text) in FILES {
        let text = with_tokens(text).map_err(failed)?;
        let path = folder.join(name);
        write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    say::out(format_args!(
        "{shown}: a master, a gate, two connectors and a chat server; see README.md there"
    ));
    say::out(format_args!("try: {} pomelo start {shown}", args::program()));
    Ok(())
}

/// Writes a new file that only its owner can read.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(text.as_bytes())
}

/// A file's text, with a token of its own in each place.
fn with_tokens(text: &str) -> std::io::Result<String> {
    let mut text = text.to_owned();
    while text.contains(TOKEN) {
        text = text.replacen(TOKEN, &new_token()?, 1);
    }
    Ok(text)
}

/// A new secret.
fn new_token() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
