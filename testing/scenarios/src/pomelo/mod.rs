//! Scenarios of `pomelo`: whatever fails, a server that lives is registered in the end, none runs twice, a server that is kept
//! up comes back, a stop ends all, and what users are told is true.

mod console;
mod crashes;
mod facts;
mod frames;
mod orders;
mod registration;
mod restarts;
mod server;
mod site;
mod stops;
mod user;
mod views;

pub(crate) use console::console;
pub(crate) use crashes::crashes;
pub(crate) use frames::frames;
pub(crate) use orders::orders;
pub(crate) use registration::registration;
pub(crate) use restarts::restarts;
pub(crate) use stops::stops;

use crate::is_passing;
use testing::Fault;

/// Whether a fault ended a connection, a process or a start.
fn is_fatal(fault: &Fault) -> bool {
    !is_passing(fault)
}
