//! The scenarios of Upcall's own layers: what each layer promises, under every fault that a seed decides.
//!
//! A scenario is a function of a [`testing::World`]. [`ALL`] names them for the program `upcall-faults`, which
//! `cargo xtask faults` builds with `--cfg upcall_faults` and becomes.
#![cfg(upcall_faults)]
#![forbid(unsafe_code)]

mod cluster;
mod http;
mod net;
pub mod run;

use testing::World;

/// A scenario and its name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As on the command line: `layer/what`.
    pub name: &'static str,
    /// Its code.
    pub run: fn(&World) -> Result<(), String>,
}

/// All scenarios, by layer.
pub const ALL: &[Scenario] = &[
    Scenario { name: "cluster/hand-off", run: cluster::hand_off },
    Scenario { name: "cluster/deaths", run: cluster::deaths },
    Scenario { name: "cluster/primary-lost", run: cluster::primary_lost },
    Scenario { name: "net/echo", run: net::echo },
    Scenario { name: "http/conversations", run: http::conversations },
    Scenario { name: "http/malformed", run: http::malformed },
    Scenario { name: "http/timeouts", run: http::timeouts },
    Scenario { name: "http/endings", run: http::endings },
    Scenario { name: "http/upgrades", run: http::upgrades },
];
