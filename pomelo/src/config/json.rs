//! One file of the configuration. Its errors name file, line and key.

mod locate;

use crate::record::RecordError;
use async_wrap::layer::Printable;
pub(crate) use locate::Step;
use locate::line_of;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest file that is read: a hundred times the configuration of a thousand servers.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A configuration file that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    file: PathBuf,
    line: Option<usize>,
    key: String,
    problem: String,
}

impl ConfigError {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line, from 1, if the error has one.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The path of the key, such as `development.connector[0].port`; empty for a file that cannot be read or parsed.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    fn of_file(file: &Path, problem: impl fmt::Display) -> Self {
        Self { file: file.into(), line: None, key: String::new(), problem: problem.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", Printable(&self.key))?;
        }
        write!(f, ": {}", Printable(&self.problem))
    }
}

impl std::error::Error for ConfigError {}

/// A file, and the part of it that applies to an environment.
pub(crate) struct Document {
    file: PathBuf,
    text: String,
    /// The path of the part: the environment's name, or nothing.
    prefix: Vec<Step>,
    pub(crate) value: Value,
}

impl Document {
    /// Reads `config/<name>.json` of a folder for an environment; nothing if neither layout has it.
    pub(crate) fn load(base: &Path, name: &str, env: &str) -> Result<Option<Self>, ConfigError> {
        let [shared, own] = paths(base, name, env);
        if let Some(text) = read(&shared)? {
            let mut document = Self::parse(shared, text)?;
            if let Some(part) = document.value.get_mut(env) {
                document.value = part.take();
                document.prefix.push(Step::Key(env.into()));
            }
            return Ok(Some(document));
        }
        read(&own)?.map(|text| Self::parse(own, text)).transpose()
    }

    /// Like [`load`](Self::load), for a required file.
    pub(crate) fn require(base: &Path, name: &str, env: &str) -> Result<Self, ConfigError> {
        let missing = || {
            let [shared, own] = paths(base, name, env);
            ConfigError::of_file(&shared, format!("no such file, and no {} either", own.display()))
        };
        Self::load(base, name, env)?.ok_or_else(missing)
    }

    fn parse(file: PathBuf, text: String) -> Result<Self, ConfigError> {
        match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
            Ok(value) => Ok(Self { file, text, prefix: Vec::new(), value }),
            Err(error) => {
                let line = Some(error.line()).filter(|line| *line > 0);
                let problem = error.to_string();
                let problem = problem.split(" at line ").next().unwrap_or_default();
                Err(ConfigError { line, ..ConfigError::of_file(&file, problem) })
            }
        }
    }

    /// An error at a place of the part.
    pub(crate) fn error(&self, place: &[Step], problem: impl fmt::Display) -> ConfigError {
        let path: Vec<Step> = self.prefix.iter().chain(place).cloned().collect();
        let mut key = String::new();
        for step in &path {
            match step {
                Step::Key(name) if key.is_empty() => key.push_str(name),
                Step::Key(name) => key.extend([".", name]),
                Step::Index(index) => key.push_str(&format!("[{index}]")),
            }
        }
        let line = Some(line_of(&self.text, &path));
        ConfigError { file: self.file.clone(), line, key, problem: problem.to_string() }
    }

    /// The error of the record at `place`.
    pub(crate) fn record_error(&self, place: &[Step], error: &RecordError) -> ConfigError {
        let place: Vec<Step> = place.iter().cloned().chain([Step::Key(error.key().into())]).collect();
        self.error(&place, error.problem())
    }
}

fn paths(base: &Path, name: &str, env: &str) -> [PathBuf; 2] {
    let (folder, name) = (base.join("config"), format!("{name}.json"));
    [folder.join(&name), folder.join(env).join(name)]
}

/// The text of a file; nothing if there is none.
fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let failed = |error: io::Error| ConfigError::of_file(path, error);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(ConfigError::of_file(path, format!("is longer than {MAX_BYTES} bytes")));
    }
    Ok(Some(text))
}
