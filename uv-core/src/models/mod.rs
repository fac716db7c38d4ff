//! Models of what threads share: loom runs the code of this crate under every interleaving of a few threads, and with
//! every value that the memory model lets a load return.
//!
//! They are compiled with `--cfg upcall_models` only: `cargo xtask models` runs them. Each file beside this one is the model
//! of one module, and part of it; async-wrap has a model that runs this crate's loop in the same way. [`primitives`] stands
//! in for std's and mio's in [`crate::sync`]. All threads of a model are coroutines of one thread, so a real
//! [`Loop`](crate::Loop) with its epoll can be one of them: its poll waits for the model's wake-up and then asks the kernel,
//! which answers at once.
//!
//! loom treats `SeqCst` as `AcqRel`, knows no spurious wake-ups and wakes the waiters of a condition in order. So the code
//! may not rely on `SeqCst`, and a model of the pool has a thread that notifies without a reason.
//!
//! ARCHITECTURE.md, "Models", names the faults that were planted to see each model fail.

pub(crate) mod primitives;

/// Lets other threads run before a system call, and tells loom that all such calls depend on each other: it does not know
/// what they do, and leaves out orders of steps that it takes for independent.
pub(crate) fn before_system_call() {
    SYSTEM.fetch_add(1);
}

static SYSTEM: primitives::Counter = primitives::Counter::new();

/// Preemptions in one execution. Nearly all faults of threads need two at most.
#[cfg(test)]
const PREEMPTIONS: usize = 3;

/// Runs `model` under every interleaving with up to three preemptions; `LOOM_MAX_PREEMPTIONS` sets another number.
#[cfg(test)]
pub(crate) fn check(model: impl Fn() + Send + Sync + 'static) {
    check_within(PREEMPTIONS, model);
}

/// Like [`check`], for a model whose interleavings with three preemptions take minutes.
#[cfg(test)]
pub(crate) fn check_within(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}
