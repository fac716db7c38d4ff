//! `upcall pomelo` as people use it: real masters, real servers, real command lines.

mod answers;
mod faults;
mod hosts;
mod life;
mod npm;
mod orders;
#[path = "../program/mod.rs"]
mod program;
mod secrets;
mod site;
mod unread;
