//! An application of many servers: started, watched and stopped together.
//!
//! Mirrors pomelo 2.2.7, for Node, in the start, supervision and stop of servers. A master reads its servers from
//! `config/servers.json`, starts each as a process of its own, here or through `ssh`, and watches whether it lives. Servers
//! of Node's pomelo can join a master of this crate, servers of this crate a master of Node's, and the command line
//! `pomelo` of npm works with both.
//!
//! An [`Application`] is one process: the master or a server. It consists of [components](upcall::Component), which start
//! one after the other and stop in the same order. [`starter`] starts servers; [`admin`] is the protocol between servers,
//! users and the master.
//!
//! ```no_run
//! use async_wrap::{Environment, Loop, RunMode};
//! use pomelo::upcall::Component;
//! use pomelo::{Application, Completion, Options};
//!
//! struct Chat;
//!
//! impl Component for Chat {
//!     fn on_start(&mut self, app: &Application, done: Completion) {
//!         println!("{} starts", app.id());
//!         done.ok(());
//!     }
//! }
//!
//! let lp = Loop::new()?;
//! let env = Environment::new(&lp);
//! let app = Application::new(&env, Options::from_process())?;
//! if app.server_type() == "chat" {
//!     app.load("chat", Chat)?;
//! }
//! app.start(|result| result.expect("the application starts"));
//! env.run(RunMode::Default)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod admin;
mod application;
mod args;
mod cluster_seq;
mod completion;
pub mod config;
pub mod differences;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod master;
mod monitor;
mod patience;
mod record;
pub mod starter;
pub mod upcall;

pub use application::{AppEvent, Application, Method, Mode, Options, Program, ShutDown, State, StopNews};
pub use completion::{Completion, Failure};
pub use error::{Error, Result};

/// The record of one server: that of the configuration, in the order of the file, or that of its registration.
pub type ServerInfo = serde_json::Map<String, serde_json::Value>;
