//! System calls other than polling, and all `unsafe` code.
//!
//! One thin safe function for each system call, with an errno as its error. No code here knows the loop.

#![allow(unsafe_code, reason = "system calls; each block says why it is sound")]

pub(crate) mod addr;
pub(crate) mod alarm;
#[cfg(test)]
#[path = "../../tests/alone/mod.rs"]
mod alone;
pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod datagram;
pub(crate) mod environment;
pub(crate) mod epoll;
pub(crate) mod fd;
pub(crate) mod file;
pub(crate) mod fork;
pub(crate) mod handshake;
mod inet;
pub(crate) mod interface;
pub(crate) mod message;
pub(crate) mod multicast;
pub(crate) mod names;
pub(crate) mod output;
pub(crate) mod prefetch;
pub(crate) mod process;
pub(crate) mod reopen;
pub(crate) mod signal;
pub(crate) mod slots;
pub(crate) mod socket;
pub(crate) mod spawn;
mod stack;
pub(crate) mod terminal;

use crate::layer::trace::Facts;
use crate::{Errno, LAYER};

/// Makes a system call and traces it. `name` includes the section of the manual.
#[inline]
#[track_caller]
fn call<T>(name: &'static str, call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    LAYER.kernel(name, call, |result| {
        result.as_ref().err().map_or_else(Facts::default, |errno| Facts::saying(errno.name()))
    })
}

/// Makes a system call that transfers bytes, and traces it.
#[inline]
#[track_caller]
fn transfer(name: &'static str, call: impl FnOnce() -> Result<usize, Errno>) -> Result<usize, Errno> {
    #[cfg(upcall_faults)]
    let call = || crate::faults::progress(call());
    LAYER.kernel(name, call, |result| match result {
        Ok(bytes) => Facts::default().bytes(*bytes),
        Err(errno) => Facts::saying(errno.name()),
    })
}
