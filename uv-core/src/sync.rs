//! What threads share, by one name: std's primitives and mio's wake-up. In a model (`models/mod.rs`) these are loom's.
//!
//! Code that shares state between threads takes them from here, so that a model checks that very code.

#[cfg(upcall_models)]
pub(crate) use crate::models::primitives::{Condvar, Mutex, MutexGuard, OnceLock, Waker, atomic, thread};
#[cfg(not(upcall_models))]
pub(crate) use mio::Waker;
#[cfg(not(upcall_models))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, atomic};
#[cfg(not(upcall_models))]
pub(crate) use std::thread;
