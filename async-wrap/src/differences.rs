//! Deliberate differences from Node: the order of ticks, microtasks, tasks, immediates and timeouts.
//!
//! `tests/tests/order` has one program twice, in Rust and in JavaScript, and compares what the two say line by line. A task
//! stands beside an async function of JavaScript: [`start_detached`](crate::Environment::start_detached) calls it,
//! [`spawn_local`](crate::Environment::spawn_local) calls it from a microtask, and each wake-up is one pass through the
//! microtasks. The order is Node's but in these cases:
//!
//! | | in Node | here |
//! |---|---|---|
//! | a value that is there is awaited | each `await` is a pass through the microtasks | a future that is ready is not waited for |
//! | an async function awaits another | the return of the inner one is a pass | the inner future is a part of the task: no pass |
//! | an async function returns what another promises | three passes | the same: no pass |
//! | a thousand awaits | all before anything else | 64 polls in one callback; the rest in the loop's next turn, so that timers and I/O are not starved |
//! | a timeout that throws | the timeouts that are due with it run before the ticks that it has queued | its ticks and microtasks run first |
//! | an immediate that throws | likewise | likewise |
//! | an async function that throws, without a handler | `unhandledRejection`, when the ticks and microtasks have run | the panic passes out of `run` at once; what is queued runs with the next `run` |
//!
//! A [`JoinHandle`](crate::task::JoinHandle) that is kept and never awaited keeps the panic of its task, which is not reported then.
