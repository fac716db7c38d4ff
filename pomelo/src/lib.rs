#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! [`upcall`] has the traits of [components](upcall::Component) and modules, [`futures`] what to await, [`starter`] starts servers, [`admin`] is the
//! console of a master, [`config`] what the files say, and [`differences`] what Node's pomelo does otherwise.

#![forbid(unsafe_code)]

pub mod admin;
mod application;
mod args;
mod cluster_seq;
mod completion;
pub mod config;
pub mod differences;
mod error;
pub mod futures;
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
