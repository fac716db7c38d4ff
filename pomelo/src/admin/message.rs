//! The payloads of packets: registrations, requests, responses, notices and commands, as JSON text. Mirrors
//! pomelo-admin's `lib/util/protocol.js`.
//!
//! Requests, responses and commands are written as a JSON string that contains JSON, everything else as plain JSON.
//! Readers take either for all of them. The order of the keys is Node's.

use crate::admin::mqtt;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::fmt;

/// The topics of the protocol; a packet with another topic is refused. (In Node any topic is an event of the socket, so
/// that a peer can make it emit `error` or `close`.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    Register,
    Reconnect,
    ReconnectOk,
    Monitor,
    Client,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Register, Self::Reconnect, Self::ReconnectOk, Self::Monitor, Self::Client];

    const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Reconnect => "reconnect",
            Self::ReconnectOk => "reconnect_ok",
            Self::Monitor => "monitor",
            Self::Client => "client",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// A message on the topics `monitor` and `client`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Message {
    Request {
        id: Value,
        module: String,
        body: Value,
    },
    Notice {
        module: String,
        body: Value,
    },
    Response {
        id: u64,
        response: Response,
    },
    /// `id` is null if no response is expected.
    Command {
        id: Value,
        command: Command,
    },
}

/// A command to the console itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    /// `list`, `enable` or `disable`.
    pub(crate) name: String,
    /// The module that it is for, or an empty text.
    pub(crate) module: String,
    pub(crate) body: Value,
}

/// The response to a request.
///
/// A callback of pomelo that is called with one argument puts it into `error`: a watcher's 1 for success and a server's
/// part of `list` stand there. So only the caller can tell an error from an answer; [`data`](Self::data) takes either.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// The first argument of Node's callback, unless that was `undefined`.
    pub error: Option<Value>,
    /// The second one.
    pub body: Option<Value>,
}

impl Response {
    /// The response of Node's `callback(null, body)`.
    #[must_use]
    pub fn body(body: Value) -> Self {
        Self { error: Some(Value::Null), body: Some(body) }
    }

    /// The response of Node's `callback(value)`: the value stands in the place of the error.
    #[must_use]
    pub fn single(value: Value) -> Self {
        Self { error: Some(value), body: None }
    }

    /// The response of Node's `callback(new Error(message), null)`.
    #[must_use]
    pub fn error(message: &str) -> Self {
        let error = json!({ "message": message, "stack": format!("Error: {message}") });
        Self { error: Some(error), body: Some(Value::Null) }
    }

    /// The body, or else what stands in the place of the error.
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        let there = |value: &&Value| !value.is_null();
        self.body.as_ref().filter(there).or_else(|| self.error.as_ref().filter(there))
    }

    /// The error's text, if there is an error: an object's `message`, a string, or the JSON text of anything else.
    #[must_use]
    pub fn error_text(&self) -> Option<String> {
        match self.error.as_ref()? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => {
                let message = other.get("message").and_then(Value::as_str);
                Some(message.map_or_else(|| other.to_string(), str::to_owned))
            }
        }
    }
}

/// Why a payload is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MessageError {
    Json(String),
    Lacks(&'static str),
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(reason) => write!(f, "a payload that is not JSON: {reason}"),
            Self::Lacks(what) => write!(f, "a message without {what}"),
        }
    }
}

/// The JSON of a payload; a string that contains JSON is opened, once. serde_json bounds how deep it goes.
pub(crate) fn parse_json(payload: &[u8]) -> Result<Value, MessageError> {
    let no_json = |error: serde_json::Error| MessageError::Json(error.to_string());
    match serde_json::from_slice(payload).map_err(no_json)? {
        Value::String(inner) => serde_json::from_str(&inner).map_err(no_json),
        value => Ok(value),
    }
}

impl Message {
    /// Reads a message in pomelo's order: a command, else a response, else a request or a notice.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let Value::Object(mut fields) = parse_json(payload)? else {
            return Err(MessageError::Lacks("fields"));
        };
        let module = |fields: &mut Map<String, Value>| match fields.remove("moduleId") {
            Some(Value::String(module)) => Some(module),
            _ => None,
        };
        let id = request_id(&mut fields)?;
        if let Some(Value::String(name)) = fields.remove("command") {
            let module = module(&mut fields).unwrap_or_default();
            return Ok(Self::Command { id, command: Command { name, module, body: take_body(&mut fields) } });
        }
        if let Some(id) = response_id(&fields)? {
            let response = Response { error: fields.remove("error"), body: fields.remove("body") };
            return Ok(Self::Response { id, response });
        }
        let module = module(&mut fields).ok_or(MessageError::Lacks("a module"))?;
        let body = take_body(&mut fields);
        Ok(if id.is_null() { Self::Notice { module, body } } else { Self::Request { id, module, body } })
    }
}

/// The packet of a request.
pub(crate) fn request_packet(topic: Topic, id: &Value, module: &str, body: &Value) -> Bytes {
    let module = Value::from(module);
    double_packet(topic, &format!(r#"{{"reqId":{id},"moduleId":{module},"body":{body}}}"#))
}

/// The packet of a notice.
pub(crate) fn notice_packet(topic: Topic, module: &str, body: &Value) -> Bytes {
    let module = Value::from(module);
    mqtt::publish(topic.name(), &format!(r#"{{"moduleId":{module},"body":{body}}}"#))
}

/// The packet of a command; `id` is null if no response is expected.
pub(crate) fn command_packet(topic: Topic, id: &Value, command: &Command) -> Bytes {
    let Command { name, module, body } = command;
    let (name, module) = (Value::from(name.as_str()), Value::from(module.as_str()));
    let id = if id.is_null() { String::new() } else { format!(r#""reqId":{id},"#) };
    double_packet(topic, &format!(r#"{{{id}"command":{name},"moduleId":{module},"body":{body}}}"#))
}

/// The packet of a response. `id` is that of the request, a string if it was one.
pub(crate) fn response_packet(topic: Topic, id: &Value, response: &Response) -> Bytes {
    let mut text = format!(r#"{{"respId":{id}"#);
    for (key, value) in [("error", &response.error), ("body", &response.body)] {
        if let Some(value) = value {
            text.push_str(&format!(r#","{key}":{value}"#));
        }
    }
    text.push('}');
    double_packet(topic, &text)
}

/// The packet of a registration.
pub(crate) fn registration_packet(topic: Topic, fields: &Map<String, Value>) -> Bytes {
    mqtt::publish(topic.name(), &json!(fields).to_string())
}

/// The packet of the answer to a registration: code 1 if it is accepted, −1 if it is refused.
pub(crate) fn answer_packet(topic: Topic, answer: Result<(), &str>) -> Bytes {
    let (code, text) = answer.map_or_else(|reason| (-1, reason), |()| (1, "ok"));
    let text = Value::from(text);
    mqtt::publish(topic.name(), &format!(r#"{{"code":{code},"msg":{text}}}"#))
}

fn double_packet(topic: Topic, text: &str) -> Bytes {
    mqtt::publish(topic.name(), &Value::from(text).to_string())
}

/// Reads the answer to a registration: `None` if it is accepted, else the reason.
pub(crate) fn parse_answer(payload: &[u8]) -> Result<Option<String>, MessageError> {
    let answer = parse_json(payload)?;
    if answer.get("code").and_then(Value::as_i64) == Some(1) {
        return Ok(None);
    }
    let reason = answer.get("msg").and_then(Value::as_str).unwrap_or("refused without a reason");
    Ok(Some(reason.to_owned()))
}

/// The id that a response must repeat: null if it is falsy in JavaScript, else unchanged, since numbers come as strings
/// after a reconnect.
fn request_id(fields: &mut Map<String, Value>) -> Result<Value, MessageError> {
    match fields.remove("reqId") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Value::Null),
        Some(Value::Number(number)) if number.as_f64() == Some(0.0) => Ok(Value::Null),
        Some(Value::String(text)) if text.is_empty() => Ok(Value::Null),
        Some(id @ (Value::Number(_) | Value::String(_))) => Ok(id),
        Some(_) => Err(MessageError::Lacks("a usable reqId")),
    }
}

fn response_id(fields: &Map<String, Value>) -> Result<Option<u64>, MessageError> {
    let usable = match fields.get("respId") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    usable.map(Some).ok_or(MessageError::Lacks("a usable respId"))
}

fn take_body(fields: &mut Map<String, Value>) -> Value {
    fields.remove("body").unwrap_or_default()
}
