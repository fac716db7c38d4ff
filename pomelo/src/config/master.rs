//! `master.json`: the one record of the master.

use super::json::{ConfigError, Document, Step};
use crate::ServerInfo;
use crate::record::{RecordError, check_host, name, port};
use serde_json::Value;
use std::path::Path;

/// The master's record of an environment.
pub(crate) fn load(base: &Path, env: &str) -> Result<ServerInfo, ConfigError> {
    let document = Document::require(base, "master", env)?;
    let Value::Object(record) = &document.value else {
        return Err(document.error(&[], "is not an object with id, host and port"));
    };
    if !record.contains_key("id") && record.values().any(Value::is_object) {
        return Err(document.error(&[Step::Key(env.into())], "is missing: there is no such environment"));
    }
    check(record).map_err(|error| document.record_error(&[], &error))?;
    Ok(record.clone())
}

fn check(record: &ServerInfo) -> Result<(), RecordError> {
    name(record, "id")?;
    check_host(record)?;
    match port(record, "port") {
        Some(_) => Ok(()),
        None if record.contains_key("port") => {
            Err(RecordError::new("port", "is no port, which is 1 to 65535"))
        }
        None => Err(RecordError::new("port", "is missing")),
    }
}
