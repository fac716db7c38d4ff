//! The settings of an application, and code for certain environments and server types. Mirrors `set`, `get`, `enable`,
//! `disable` and `configure` of pomelo's `lib/application.js`.

use crate::{Application, ServerInfo};
use serde_json::Value;
use std::cell::RefCell;

/// The pattern for every environment and every type.
const ALL: &str = "all";

#[derive(Default)]
pub(super) struct Settings(RefCell<ServerInfo>);

impl Application {
    /// Sets a value.
    pub fn set(&self, key: impl Into<String>, value: impl Into<Value>) -> &Self {
        self.inner().settings.0.borrow_mut().insert(key.into(), value.into());
        self
    }

    /// The value of a setting.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.inner().settings.0.borrow().get(key).cloned()
    }

    /// Sets a value to `true`.
    pub fn enable(&self, key: impl Into<String>) -> &Self {
        self.set(key, true)
    }

    /// Sets a value to `false`.
    pub fn disable(&self, key: impl Into<String>) -> &Self {
        self.set(key, false)
    }

    /// Whether the value is truthy in JavaScript.
    #[must_use]
    pub fn enabled(&self, key: &str) -> bool {
        self.inner().settings.0.borrow().get(key).is_some_and(is_truthy)
    }

    /// Whether the value is missing or falsy in JavaScript.
    #[must_use]
    pub fn disabled(&self, key: &str) -> bool {
        !self.enabled(key)
    }

    /// Calls `work` at once if both patterns match the application's environment and server type. A pattern is `all`, or
    /// names separated by `|`.
    pub fn configure(&self, env: &str, server_type: &str, work: impl FnOnce(&Self)) -> &Self {
        if matches(env, self.env()) && matches(server_type, self.server_type()) {
            work(self);
        }
        self
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern == ALL || pattern.split('|').any(|word| word == name)
}

/// JavaScript's truth of a JSON value.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
