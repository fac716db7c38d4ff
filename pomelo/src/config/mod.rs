//! The configuration: the files in `config/`, in pomelo's two layouts. Mirrors `loadConfigBaseApp` of pomelo's
//! `lib/application.js`.
//!
//! A file is `config/x.json`, or the value of the environment's name in it; without that file it is
//! `config/<environment>/x.json`. Files are read once: pomelo's watching for changes is left out.

mod json;
mod master;
mod servers;
mod users;

pub use crate::record::RecordError;
pub use json::ConfigError;
pub(crate) use master::load as load_master;
pub(crate) use servers::{ServersFile, load as load_servers};
pub(crate) use users::{AdminServer, AdminUser, load_tokens, load_users};
