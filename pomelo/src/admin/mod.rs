//! The admin side of an application: how a master knows its servers, and how people and programs command it. Mirrors
//! pomelo-admin, and pomelo's `lib/modules`, `lib/master` and `lib/monitor`.
//!
//! A master has a [`MasterAgent`], every server, the master included, a [`MonitorAgent`], and a command line a
//! [`Client`]. They exchange messages, each for a [`Module`](crate::upcall::Module) of the other side. From beneath:
//! `mqtt`, `link` and `dial` (packets and connections), `message`, `registration` and `reply` (what they say), the
//! agents with `peers`, `roster` and `requests`, the `console` of modules, and the modules that every application has:
//! `watcher` with `watchdog`, and `console_module` with `fleet`.

mod agent;
mod auth;
mod auto_restart;
mod client;
mod console;
mod console_module;
mod dial;
mod fleet;
mod link;
mod master_agent;
mod message;
mod monitor_agent;
mod mqtt;
mod peers;
mod registration;
mod registry;
mod reply;
mod requests;
mod resolve;
mod roster;
mod times;
mod watchdog;
mod watcher;

pub use agent::Agent;
pub use auth::{Credentials, User, md5_hex};
pub use client::{Client, ClientError};
pub use console::{Pace, Schedule};
pub use console_module::CONSOLE;
pub use dial::Target;
pub use master_agent::{MasterAgent, MasterOptions};
pub use message::Response;
pub use monitor_agent::{MonitorAgent, MonitorOptions, MonitorState};
pub use peers::Session;
pub use registration::{Login, ServerClaim};
pub use reply::Reply;
pub use requests::RequestError;
pub use times::Times;

pub(crate) use auto_restart::server_left;
pub(crate) use console_module::{MasterConsole, MonitorConsole};
pub(crate) use fleet::Fleet;
pub(crate) use registry::Admin;
pub(crate) use watchdog::Watchdog;
pub(crate) use watcher::{MASTER_WATCHER, MONITOR_WATCHER, MasterWatcher, MonitorWatcher};
