//! Authorization of registrations: users by name and password, servers by the token of their type. Mirrors the default functions in
//! pomelo-admin's `lib/util/utils.js`.
//!
//! Node's command line sends the MD5 of the password without a challenge, so an attacker who can read the connection can
//! log in as that user. A master that must serve Node's clients cannot change that: it listens on the loopback interface
//! if that is its host, and otherwise belongs in a network of its own.

use crate::admin::registration::{Login, ServerClaim};
use crate::config::{AdminServer, AdminUser};
use crate::upcall::Authority;
use crate::{Application, Completion, Failure, Result};
use md5::{Digest, Md5};
use std::fmt;
use std::fs::File;
use std::io::Read;

/// A user who has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub username: String,
    /// The user's level: 1 may do everything, others may only look.
    pub level: u64,
}

impl User {
    /// Whether the user may change something.
    ///
    /// # Errors
    /// The reason, in pomelo's words.
    pub fn check_level(&self) -> Result<(), &'static str> {
        match self.level {
            1 => Ok(()),
            0 => Err("Client info error"),
            _ => Err("Command permission denied"),
        }
    }
}

/// The users and tokens of a configuration.
///
/// ```
/// use pomelo::admin::Credentials;
///
/// let credentials = Credentials::new().user("admin", "secret", 1).token("chat", "abc");
/// ```
#[derive(Clone, Default)]
pub struct Credentials {
    pub(crate) users: Vec<AdminUser>,
    /// `None` asks no server for a token.
    pub(crate) tokens: Option<Vec<AdminServer>>,
}

impl Credentials {
    /// No user can log in, and no server needs a token.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a user log in.
    #[must_use]
    pub fn user(mut self, username: &str, password: &str, level: u64) -> Self {
        let (username, password) = (username.to_owned(), password.to_owned());
        self.users.push(AdminUser { id: username.clone(), username, password, level });
        self
    }

    /// Admits servers of this type with this token; from then on every server needs a token.
    #[must_use]
    pub fn token(mut self, server_type: &str, token: &str) -> Self {
        let record = AdminServer { server_type: server_type.to_owned(), token: token.to_owned() };
        self.tokens.get_or_insert_default().push(record);
        self
    }

    /// The credentials of an application's configuration.
    pub(crate) fn of(app: &Application) -> Result<Self, Failure> {
        let users = app.admin_users().map_err(Failure::new)?.unwrap_or_default();
        let tokens = app.admin_servers().map_err(Failure::new)?;
        Ok(Self { users, tokens })
    }

    /// The user with this name and password, if there is one.
    fn find(&self, login: &Login) -> Option<User> {
        let is_right = |record: &&AdminUser| {
            let password = if login.md5 { md5_hex(&record.password) } else { record.password.clone() };
            record.username == login.username && same(&password, &login.password)
        };
        let record = self.users.iter().find(is_right)?;
        Some(User { username: record.username.clone(), level: record.level })
    }

    /// Whether a server of this type may show this token.
    fn admits(&self, server_type: &str, token: Option<&str>) -> bool {
        let Some(tokens) = &self.tokens else { return true };
        let Some(token) = token else { return false };
        tokens.iter().any(|record| record.server_type == server_type && same(&record.token, token))
    }

    /// The token that a server of this type shows to its master: the word `ok` without tokens, and nothing for a type
    /// without one.
    pub(crate) fn token_of(&self, server_type: &str) -> Option<String> {
        let Some(tokens) = &self.tokens else { return Some("ok".into()) };
        tokens.iter().find(|record| record.server_type == server_type).map(|record| record.token.clone())
    }
}

impl Authority for Credentials {
    fn on_login(&mut self, login: &Login, done: Completion<User>) {
        match self.find(login) {
            Some(user) => done.ok(user),
            None => done.fail("unknown user or wrong password"),
        }
    }

    fn on_server(&mut self, server: &ServerClaim, done: Completion) {
        if self.admits(&server.server_type, server.token.as_deref()) {
            done.ok(());
        } else {
            done.fail("wrong token for its type");
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

/// The MD5 of `text` in lower-case hexadecimal, the form in which Node's command line sends a password.
#[must_use]
pub fn md5_hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A random secret, such as the token of the master's own monitor.
pub(crate) fn new_secret() -> Result<String> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| uv_core::Error::new("open /dev/urandom", error.into()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares in constant time, so that the time does not tell how much was right.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}
