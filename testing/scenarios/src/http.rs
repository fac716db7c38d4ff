//! Scenarios of `http`: a server against conversations that a seed writes, with a model that knows the right answers.
//!
//! A scenario decides everything beforehand ([`plan`]): what each client sends, what the program answers and when, and
//! how the client leaves. From the plan follow the bytes of the requests and of the answers ([`wire`]); the handlers
//! carry it out and check what they are told ([`program`]).

mod conversations;
mod endings;
mod files;
mod malformed;
mod plan;
mod program;
mod resets;
mod serve;
mod serve_upgrades;
mod timeouts;
mod upgrades;
mod wire;
mod writer;

pub(crate) use conversations::conversations;
pub(crate) use endings::endings;
pub(crate) use files::files;
pub(crate) use malformed::malformed;
pub(crate) use resets::resets;
pub(crate) use serve::serve;
pub(crate) use serve_upgrades::serve_upgrades;
pub(crate) use timeouts::timeouts;
pub(crate) use upgrades::upgrades;

use crate::{is_delay, is_passing};
use ::http::ServerOptions;
use testing::World;

/// Whether no fault so far may have ended a connection, or kept it from being accepted.
fn is_harmless(world: &World) -> bool {
    !world.has_met(|fault| !is_passing(fault))
}

/// Whether nothing so far was later than it could be.
fn is_prompt(world: &World) -> bool {
    is_harmless(world) && !world.has_met(is_delay)
}

/// Options whose paths and limits a seed chooses, none of which changes what a client receives.
fn options(world: &World) -> ServerOptions {
    let net = ServerOptions::default().net;
    let mark = [net.high_water_mark, 1, 100, 4_000][world.choose(4) as usize];
    ServerOptions::default().slow_path_only(world.choose(2) == 0).net(net.high_water_mark(mark))
}

/// An error as a scenario reports it.
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
