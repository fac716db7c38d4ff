//! What threads share, by one name: std's primitives; in a model (`models/wakers.rs`) loom's.

#[cfg(all(test, upcall_models))]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
#[cfg(all(test, upcall_models))]
pub(crate) use loom::thread_local;
#[cfg(not(all(test, upcall_models)))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(all(test, upcall_models)))]
pub(crate) use std::thread_local;
