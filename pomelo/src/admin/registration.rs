//! Registrations: the messages `register` and `reconnect`, which a peer sends first. Mirrors pomelo-admin's
//! `MonitorAgent`, `Client` and `MasterSocket.onRegister`.

use crate::ServerInfo;
use crate::admin::auth::md5_hex;
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The type of the master's own monitor.
const MASTER_TYPE: &str = "master";

/// A user who logs in.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// The client's id, not the user's: a text that no other connected client uses.
    pub id: String,
    /// The user's name.
    pub username: String,
    /// The password, or its MD5.
    pub password: String,
    /// Whether the password is the MD5 of it.
    pub md5: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("id", &self.id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What a server registers with.
#[derive(Clone, PartialEq)]
pub struct ServerClaim {
    /// The server's id.
    pub id: String,
    /// The server's type.
    pub server_type: String,
    /// The server's process id; 0 if it gives none.
    pub pid: i32,
    /// The server's record.
    pub info: ServerInfo,
    /// The token of the server's type. Node's servers show it when they register but not when they reconnect; servers of
    /// this crate always do.
    pub token: Option<String>,
}

impl fmt::Debug for ServerClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerClaim")
            .field("id", &self.id)
            .field("server_type", &self.server_type)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// The registration of a user or a server.
#[derive(Debug)]
pub(crate) enum Registration {
    User(Login),
    Server(ServerClaim),
}

/// A registration that is refused before the authority is asked: the answer to the peer in pomelo's words, where Node
/// answers, and the reason for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) Option<&'static str>, pub(crate) &'static str);

/// The longest id, type and name of a user, in bytes.
const MAX_NAME: usize = 256;

const NO_NAME: &str =
    "an id, a type or a user name is missing, longer than 256 bytes or has control characters";
const NO_AUTH: &str = "server auth failed";
const NO_USER: &str = "client should auth with username";

impl Registration {
    pub(crate) fn parse(message: Value) -> Result<Self, Invalid> {
        let Value::Object(mut fields) = message else { return Err(Invalid(None, "not an object")) };
        match fields.get("type").and_then(Value::as_str) {
            Some("client") => Login::parse(&fields).map(Self::User),
            Some("monitor") => ServerClaim::parse(&mut fields).map(Self::Server),
            _ => Err(Invalid(Some("unknown auth master type"), "unknown auth master type")),
        }
    }
}

fn text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A name, which is kept, logged and shown.
fn name(fields: &Map<String, Value>, key: &str) -> Option<String> {
    text(fields, key).filter(|name| name.len() <= MAX_NAME && !name.contains(char::is_control))
}

impl Login {
    /// The login of a user by name and password, which is sent as its MD5, as Node's command line does: an attacker who can
    /// read the connection can log in with it. The client's id is of this process and moment, until [`id`](Self::id) sets
    /// another.
    #[must_use]
    pub fn new(username: impl Into<String>, password: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let id = format!("client_{}_{now}", uv_core::os::pid());
        Self { id, username: username.into(), password: md5_hex(password), md5: true }
    }

    /// Sets [`id`](Self#structfield.id).
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    fn parse(fields: &Map<String, Value>) -> Result<Self, Invalid> {
        let id = name(fields, "id").ok_or(Invalid(None, NO_NAME))?;
        let username = name(fields, "username").ok_or(Invalid(Some(NO_USER), NO_NAME))?;
        let password = text(fields, "password").unwrap_or_default();
        let md5 = fields.get("md5").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { id, username, password, md5 })
    }

    /// The message, with the keys in Node's order.
    pub(crate) fn message(&self) -> Map<String, Value> {
        let message = json!({
            "type": "client",
            "id": self.id,
            "username": self.username,
            "password": self.password,
            "md5": self.md5,
        });
        into_map(message)
    }
}

impl ServerClaim {
    /// Whether this is the master's own monitor.
    pub(crate) fn is_master(&self) -> bool {
        self.server_type == MASTER_TYPE
    }

    /// Reads a registration, whose id and process id replace those of the record. Refuses a record of another type than
    /// the registration, since the token is for that type.
    pub(crate) fn parse(fields: &mut Map<String, Value>) -> Result<Self, Invalid> {
        let id = name(fields, "id").ok_or(Invalid(None, NO_NAME))?;
        let server_type = name(fields, "serverType").ok_or(Invalid(Some(NO_AUTH), NO_NAME))?;
        let token = text(fields, "token");
        let pid = fields.get("pid").and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.filter(|&pid| pid > 0).unwrap_or(0);
        let mut info = match fields.remove("info") {
            Some(Value::Object(info)) => info,
            None | Some(Value::Null) => ServerInfo::new(),
            Some(_) => return Err(Invalid(Some(NO_AUTH), "the record is not an object")),
        };
        if info.get("serverType").is_some_and(|named| named != server_type.as_str()) {
            return Err(Invalid(Some(NO_AUTH), "the record is of another type than the registration"));
        }
        info.insert("id".into(), id.clone().into());
        info.insert("pid".into(), pid.into());
        Ok(Self { id, server_type, pid, info, token })
    }

    /// The message, with the keys in Node's order.
    pub(crate) fn message(&self) -> Map<String, Value> {
        let message = json!({
            "id": self.id,
            "type": "monitor",
            "serverType": self.server_type,
            "pid": self.pid,
            "info": self.info,
            "token": self.token,
        });
        into_map(message)
    }
}

fn into_map(message: Value) -> Map<String, Value> {
    match message {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
