//! `adminUser.json` and `adminServer.json`: the users and server types that may register with the master.

use super::json::{ConfigError, Document, Step};
use crate::record::number;
use serde_json::Value;
use std::path::Path;

/// A user of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminUser {
    pub(crate) id: String,
    pub(crate) username: String,
    /// In plain text.
    pub(crate) password: String,
    /// 1 may do everything.
    pub(crate) level: u64,
}

/// The token of a server type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AdminServer {
    pub(crate) server_type: String,
    pub(crate) token: String,
}

/// The users; nothing if there is no file.
pub(crate) fn load_users(base: &Path, env: &str) -> Result<Option<Vec<AdminUser>>, ConfigError> {
    load(base, "adminUser", env, |document, index| {
        let text = |key| text(document, index, key);
        let level = document.value[index].get("level").and_then(number);
        let problem = "is missing, or no whole number";
        Ok(AdminUser {
            id: text("id")?,
            username: text("username")?,
            password: text("password")?,
            level: level.ok_or_else(|| document.error(&place(index, "level"), problem))?,
        })
    })
}

/// The tokens; nothing if there is no file.
pub(crate) fn load_tokens(base: &Path, env: &str) -> Result<Option<Vec<AdminServer>>, ConfigError> {
    load(base, "adminServer", env, |document, index| {
        let text = |key| text(document, index, key);
        Ok(AdminServer { server_type: text("type")?, token: text("token")? })
    })
}

fn load<T>(
    base: &Path,
    name: &str,
    env: &str,
    entry: impl Fn(&Document, usize) -> Result<T, ConfigError>,
) -> Result<Option<Vec<T>>, ConfigError> {
    let Some(document) = Document::load(base, name, env)? else { return Ok(None) };
    let entries = document.value.as_array().ok_or_else(|| document.error(&[], "is not an array"))?;
    (0..entries.len()).map(|index| entry(&document, index)).collect::<Result<_, _>>().map(Some)
}

fn text(document: &Document, index: usize, key: &str) -> Result<String, ConfigError> {
    let text = document.value[index].get(key).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| document.error(&place(index, key), "is missing, or no text"))
}

fn place(index: usize, key: &str) -> [Step; 2] {
    [Step::Index(index), Step::Key(key.into())]
}
