//! The arguments of a server: `env=… id=… port=…`. Mirrors `parseArgs` of pomelo's `lib/util/appUtil.js`.

use crate::{Error, Result, ServerInfo};
use serde_json::{Number, Value};

/// The integer up to which JavaScript represents all integers: more digits are a name, not a number.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// The arguments, in their order, after `main`: the words before the first `key=value`.
pub(crate) struct Args {
    pub(crate) values: ServerInfo,
}

impl Args {
    /// Reads the words that follow the executable's name.
    pub(crate) fn parse(words: &[String]) -> Result<Self> {
        let (main, pairs) = words.split_at(main_words(words));
        let mut values = ServerInfo::new();
        values.insert("main".into(), Value::from(main.join(" ")));
        for word in pairs {
            let (key, value) = pair(word).ok_or_else(|| wrong(word, "key=value"))?;
            values.insert(key.into(), value_of(value));
        }
        Ok(Self { values })
    }

    /// The environment: the argument, else the variable `NODE_ENV`, else `development`.
    pub(crate) fn environment(&self, node_env: Option<&str>) -> String {
        // `env=` is the number 0, which is falsy in JavaScript.
        let given = self.values.get("env").filter(|value| **value != 0).map(text_of);
        let node_env = || node_env.filter(|name| !name.is_empty()).map(str::to_owned);
        given.or_else(node_env).unwrap_or_else(|| crate::application::DEVELOPMENT.into())
    }
}

/// The error of a word of the command line.
pub(crate) fn wrong(word: impl Into<String>, expected: &'static str) -> Error {
    Error::Argument { word: word.into(), expected }
}

/// The number of words before the first `key=value`: the program's own.
pub(crate) fn main_words(words: &[String]) -> usize {
    words.iter().position(|word| pair(word).is_some()).unwrap_or(words.len())
}

/// Key and value, split at the first `=`.
pub(crate) fn pair(word: &str) -> Option<(&str, &str)> {
    word.split_once('=').filter(|(key, _)| is_key(key))
}

/// Whether a key can precede `=` on a command line: no path and no option of a program can.
pub(crate) fn is_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && key.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char))
}

/// A number, if JavaScript's `Number` reads the text as a number and it has no `.`; else the text.
pub(crate) fn value_of(text: &str) -> Value {
    number(text).map_or_else(|| Value::from(text), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Number::from(0));
    }
    let value = match radix(text) {
        Some((digits, radix)) => u64::from_str_radix(digits, radix).ok().map(|value| value as f64)?,
        None if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-eE".contains(&byte)) => {
            text.parse().ok()?
        }
        None => return None,
    };
    if value.abs() >= LARGEST_EXACT {
        None
    } else if value.fract() == 0.0 {
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}

/// The digits after `0x`, `0o` or `0b`, and their radix.
fn radix(text: &str) -> Option<(&str, u32)> {
    let radix = match text.get(..2)? {
        "0x" | "0X" => 16,
        "0o" | "0O" => 8,
        "0b" | "0B" => 2,
        _ => return None,
    };
    // `from_str_radix` accepts a sign, JavaScript does not.
    Some((&text[2..], radix)).filter(|(digits, _)| digits.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A value in the form in which it follows the `=`: a text as it is, all else as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
