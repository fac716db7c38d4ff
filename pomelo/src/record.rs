//! The check of a server's record, whether it comes from a file, the console or a registration.

use crate::ServerInfo;
use crate::application::MASTER;
use crate::args::is_key;
use async_wrap::layer::Printable;
use serde_json::Value;
use std::fmt;

/// The highest number of a processor in the system's set of processors (`CPU_SETSIZE`).
const MAX_CPU: usize = 1023;

/// Arguments that make a process start servers instead of being a server: a server with such a record would start itself
/// without end.
const LAUNCHERS: &[&str] = &["type", "startId"];

/// A wrong record of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    key: String,
    problem: String,
}

impl RecordError {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// The key that is wrong or missing.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong with the value.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Printable(&self.key), Printable(&self.problem))
    }
}

impl std::error::Error for RecordError {}

/// A text of a server's record.
pub(crate) fn text<'a>(info: &'a ServerInfo, key: &str) -> Option<&'a str> {
    info.get(key).and_then(Value::as_str)
}

/// A port of a record, unless it is missing or 0.
pub(crate) fn port(info: &ServerInfo, key: &str) -> Option<u16> {
    info.get(key).and_then(number).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

/// A whole number, or a text of digits.
pub(crate) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        value => value.as_u64(),
    }
}

/// Checks the record of one server, after the expansion of clusters.
pub(crate) fn check(info: &ServerInfo) -> Result<(), RecordError> {
    name(info, "id")?;
    if name(info, "serverType")? == MASTER {
        return Err(RecordError::new("serverType", "\"master\" is the master's own"));
    }
    check_host(info)?;
    for key in ["port", "clientPort"] {
        let is_wrong = |value: &Value| number(value).is_none_or(|port| port > u64::from(u16::MAX));
        if info.get(key).is_some_and(is_wrong) {
            return Err(RecordError::new(key, format!("{} is no port, which is 0 to 65535", info[key])));
        }
    }
    if let Some(value) = info.get("cpu") {
        cpu_list(value)?;
    }
    program_args(info)?;
    if let Some(key) = LAUNCHERS.iter().find(|key| info.contains_key(**key)) {
        return Err(RecordError::new(*key, "tells a process to start servers, which a server must not do"));
    }
    match info.keys().find(|key| !is_key(key)) {
        Some(key) => Err(RecordError::new(key, "is not a name that can precede `=` on a command line")),
        None => Ok(()),
    }
}

/// A required text.
pub(crate) fn name<'a>(info: &'a ServerInfo, key: &str) -> Result<&'a str, RecordError> {
    match info.get(key) {
        None => Err(RecordError::new(key, "is missing")),
        Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_control) => Ok(text),
        Some(other) => {
            Err(RecordError::new(key, format!("{other} is no name, which is a text that is not empty")))
        }
    }
}

/// Checks a host, which is an argument of `ssh`: with a leading `-` it would be an option, and the configuration of `ssh`
/// may hand it to a shell.
pub(crate) fn check_host(info: &ServerInfo) -> Result<(), RecordError> {
    let host = name(info, "host")?;
    let is_plain = |char: char| char.is_alphanumeric() || "-_.:@%[]".contains(char);
    if host.starts_with('-') || !host.chars().all(is_plain) {
        return Err(RecordError::new("host", format!("{host:?} is no host's name")));
    }
    Ok(())
}

/// The processors on which a record has its server run: a number, or a list such as `0,2-3`.
pub(crate) fn cpu_list(value: &Value) -> Result<Vec<usize>, RecordError> {
    let wrong = || RecordError::new("cpu", format!("{value} is no list of processors, such as 0,2-3"));
    let text = crate::args::text_of(value);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|cpu| *cpu <= MAX_CPU);
        let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
        cpus.extend(first..=last);
        // A list from outside must not fill the memory: each processor is named once.
        if cpus.len() > MAX_CPU + 1 {
            return Err(wrong());
        }
    }
    // A range from high to low is empty.
    if cpus.is_empty() { Err(wrong()) } else { Ok(cpus) }
}

/// The arguments before the script: the elements of an array, or a text as one word. After a command line an array is the
/// text of its JSON.
pub(crate) fn program_args(info: &ServerInfo) -> Result<Vec<String>, RecordError> {
    let wrong = || RecordError::new("args", "is neither a text nor an array of texts");
    let parsed = match info.get("args") {
        None => return Ok(Vec::new()),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(array @ Value::Array(_)) => array,
            _ => return Ok(vec![text.trim().to_owned()]),
        },
        Some(value) => value.clone(),
    };
    let entries = parsed.as_array().ok_or_else(wrong)?;
    entries.iter().map(|entry| entry.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}
