//! Everything that the operating system does for the loop beside polling: the only place with `unsafe`.
//!
//! One thin safe function for each system call, with an error number as its error. Nothing here knows the loop.

#![allow(unsafe_code, reason = "system calls; each block says why it is sound")]

pub(crate) mod addr;
pub(crate) mod fd;
pub(crate) mod message;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod socket;
