//! An application of many servers: started, watched and stopped together.
//!
//! Mirrors pomelo 2.2.7, for Node, as far as its servers' lives go. A master reads which servers there are from
//! `config/servers.json`, starts each as a process of its own, here or through `ssh`, and knows of each whether it lives.
//! Servers of Node's pomelo can join a master of this crate, servers of this crate a master of Node's, and the command
//! line `pomelo` of npm works with both.
//!
//! An [`Application`] is one process: the master or a server. What it does stands in [components](upcall::Component),
//! which start one after the other and stop in the same order. [`starter`] starts servers; [`admin`] is how they and
//! their master, and people and the master, speak.
//!
//! ```no_run
//! use async_wrap::{Environment, Loop, RunMode};
//! use pomelo::upcall::Component;
//! use pomelo::{Application, Done, Options};
//!
//! struct Chat;
//!
//! impl Component for Chat {
//!     fn on_start(&mut self, app: &Application, done: Done) {
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
//!
//! # Where it differs from Node's pomelo
//!
//! Left out: connectors, sessions, channels, routes, rpc and their components (`__proxy__` to `__server__`, with
//! `__dictionary__` and `__protobuf__`), transactions, log4js, and looking for changes of files.
//!
//! | | Node's pomelo | here |
//! |---|---|---|
//! | `start` while starting | starts every component twice | [`Error::AlreadyStarted`] |
//! | `start` of a started application | overwrites the time of the start | changes nothing |
//! | `stop` while starting | both go on, and the state with them | the start ends with [`Error::Stopped`] |
//! | `beforeStartup` | cannot fail | a failure ends the start, in the state [`State::Start`] |
//! | a completion that is forgotten | waits for ever | is a failure |
//! | the start callback without `afterStartup` | before the event `start_server` | always after it |
//! | a stop that hangs | ends with code 0 after 3 s | the same, and the log names the component |
//! | `beforeShutdown` that forgets to go on | cut after 3 s | the components stop |
//! | components without a name | are loaded | every component has a name, so that a hung one can be named |
//! | a second component of a name | warned of, its factory has run | the same, and an error |
//! | `__master__`, `__monitor__` of the program's own | refused later, by the warning | take the place of the default ones |
//! | `lifecycle.js` | a file; what is no function is warned of | [`Application::lifecycle`], where all are functions |
//! | a process with `startId=` or `type=` | its start callback is never called | is told when the servers are on their way |
//! | an unknown `startId=` or `type=` | crashes | [`Error::UnknownServer`] |
//! | a record with `type` or `startId`, or of the type `master` | its server starts servers, without end, or is a second master | refused |
//! | a word that is no `key=value` | becomes a key without its last letter | [`Error::Argument`]; before the first pair the program's own |
//! | a program's path with `--` in it | the next word is taken for the program | is a path |
//! | `id=`, `env=`, `serverType=` that look like numbers | are numbers | are texts |
//! | numbers that JavaScript has not exactly | are other numbers | are texts |
//! | `"frontend": true` | true only after a command line | true |
//! | a wrong or missing configuration file | a log line or a `TypeError`, somewhere later | [`ConfigError`], with file, line and key |
//! | two servers of one id | the later one counts | [`ConfigError`] |
//! | texts with `++` in them | cut, and `NaN` | numbered if they are a number and `++`, else left alone |
//! | arrays and objects on a command line | as `util.format` prints them | JSON; an array of `args` survives a restart |
//! | a server started again | has `env=` and `main=` twice, and its old `pid=` | as it was started first |
//! | the host `::1` | another host | this one |
//! | a record without a host | `ssh undefined` | refused |
//! | words for `ssh` | not quoted | each quoted; a host that looks like an option, or that a shell could take for more than a word, is refused |
//! | a child that writes to standard error | failed to start | has written to standard error |
//! | a child that a signal ended | succeeded | ended by a signal, see [`starter::ServerExit`] |
//! | a missing program or `ssh` | ends the master | [`StartError`]; the others start |
//! | processors | `taskset`, for the process id that the server tells | a system call, for the process that was started |
//! | whether a port is free | `netstat` and `grep`: 315 is in 3150 | binding it; on other hosts, connecting to it |
//!
//! Those of the admin protocol stand in [`admin`].

#![forbid(unsafe_code)]

pub mod admin;
mod application;
mod args;
mod cluster_seq;
mod config;
mod done;
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
pub use args::ArgumentError;
pub use config::ConfigError;
pub use done::{Done, Failure};
pub use error::{Error, Result};
pub use record::RecordError;
pub use starter::StartError;

/// The record of one server: what its configuration says, in the order of the file, or what it registers with.
pub type ServerInfo = serde_json::Map<String, serde_json::Value>;
