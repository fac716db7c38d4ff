//! The admin side of an application: the protocol by which a master supervises its servers, and users command it. Mirrors
//! pomelo-admin, and pomelo's `lib/modules`, `lib/master` and `lib/monitor`.
//!
//! A master has a [`MasterAgent`], every server, the master included, a [`MonitorAgent`], and a command line a
//! [`Client`]. They exchange messages, each for a [`Module`](crate::upcall::Module) of the other side. From the bottom up:
//! `mqtt`, `link` and `dial` (packets and connections), `message`, `registration` and `reply` (messages), the
//! agents with `peers`, `roster` and `requests`, the `console` of modules, and the modules that every application has:
//! `watcher` with `watchdog`, and `console_module` with `fleet`, which has `auto_restart`, `orders` and `ending`.
//!
//! ```
//! use pomelo::admin::{Client, Credentials, Login, MasterAgent, MasterOptions, Reply, Session, Target};
//! use pomelo::upcall::Module;
//! use serde_json::{Value, json};
//! use async_wrap::Environment;
//! use uv_core::{Loop, RunMode};
//!
//! struct Greeter;
//!
//! impl Module for Greeter {
//!     fn on_client(&mut self, _: &MasterAgent, session: &Session, _: Value, reply: Reply) {
//!         reply.ok(format!("hello {}", session.user.username));
//!     }
//! }
//!
//! let event_loop = Loop::new()?;
//! let env = Environment::new(&event_loop);
//! let users = Credentials::new().user("admin", "secret", 1);
//! let master = MasterAgent::new(&env, MasterOptions::new(users), ())?;
//! master.register("greeter", Greeter);
//! master.listen(net::ListenOptions::addr("127.0.0.1:0".parse()?))?;
//! let port = master.address().and_then(|address| address.port()).expect("it listens");
//!
//! Client::connect(&env, Target::new("127.0.0.1", port), Login::new("admin", "secret"), move |client| {
//!     let client = client.expect("the password is right");
//!     let asking = client.clone();
//!     asking.request("greeter", json!({}), move |response| {
//!         assert_eq!(response.expect("an answer").body, Some(json!("hello admin")));
//!         client.close();
//!         master.close();
//!     });
//! });
//! env.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`differences`](crate::differences) has what differs from pomelo-admin and pomelo's modules.

mod agent;
mod auth;
mod auto_restart;
mod client;
mod console;
mod console_module;
mod dial;
mod ending;
mod fleet;
mod link;
mod lobby;
mod master_agent;
pub(crate) mod message;
mod monitor_agent;
pub(crate) mod mqtt;
mod orders;
mod owner;
mod peers;
pub(crate) mod registration;
mod registry;
mod rejections;
mod reply;
mod requests;
mod resolve;
mod roster;
mod times;
mod watchdog;
mod watcher;

pub use agent::Agent;
pub use auth::{Credentials, User, md5_hex};
pub use client::Client;
pub use console::{Console, Pace, Schedule};
pub use console_module::CONSOLE;
pub use dial::Target;
pub use master_agent::{MasterAgent, MasterOptions};
pub use message::Response;
pub use monitor_agent::{MonitorAgent, MonitorOptions, MonitorState};
pub use peers::Session;
pub use registration::{Login, ServerClaim};
pub use reply::Reply;
pub use requests::{Request, RequestError};
pub use times::Times;

pub(crate) use console_module::{MasterConsole, MonitorConsole};
pub(crate) use fleet::Fleet;
pub(crate) use registry::Admin;
pub(crate) use watchdog::Watchdog;
pub(crate) use watcher::{MASTER_WATCHER, MONITOR_WATCHER, MasterWatcher, MonitorWatcher};
