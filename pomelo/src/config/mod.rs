//! The configuration: the files in `config/`, in pomelo's two layouts. Mirrors `loadConfigBaseApp` of pomelo's
//! `lib/application.js`.
//!
//! A file is `config/x.json`, or the value of the environment's name in it; without that file it is
//! `config/<environment>/x.json`. Files are read once: pomelo's watching for changes is left out.
//!
//! | file | what it has | without it |
//! |---|---|---|
//! | `master.json` | the master: `{"id": "master", "host": "127.0.0.1", "port": 3005}` | an error |
//! | `servers.json` | the servers by type: `{"chat": [{"id": "chat-1", "host": "127.0.0.1", "port": 6050}]}`; `{}` for a master alone | an error |
//! | `adminUser.json` | the users of the console: `[{"id": "1", "username": "admin", "password": "secret", "level": 1}]` | no user can log in |
//! | `adminServer.json` | a token for each type of server: `[{"type": "chat", "token": "secret"}]` | every server is let in |

mod json;
mod master;
mod servers;
mod users;

pub use crate::record::RecordError;
pub use json::ConfigError;
pub(crate) use master::load as load_master;
pub(crate) use servers::{ServersFile, load as load_servers};
pub(crate) use users::{AdminServer, AdminUser, load_tokens, load_users};
