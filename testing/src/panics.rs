//! Panics in a world are outcomes that its report shows: they are kept, with their places, and nothing is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::sync::Once;

/// What the standard library says when it ends the process, as a panic cannot unwind. It says nothing else of why.
const ABORTS: &str = "panic in a ";

thread_local! {
    /// The panics of this thread's world: the message of each, and its place.
    static KEPT: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Sets the hook, once for the process.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !uv_core::faults::is_on() {
                return before(info);
            }
            let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
            let message = message(info.payload());
            if message.starts_with(ABORTS) {
                tell(&message);
            }
            KEPT.with_borrow_mut(|kept| kept.push((message, place.unwrap_or_default())));
        }));
    });
}

/// Takes note of the seed that runs, for the case that the process ends with it.
pub(crate) fn begin(seed: u64) {
    SEED.set(seed);
}

/// Says before the process ends what nothing can say afterwards, and where the output of a test is not kept back.
fn tell(last: &str) {
    let mut text = format!("seed {}: {last}", SEED.get());
    KEPT.with_borrow(|kept| {
        for (message, place) in kept {
            text += &format!("\n  panic at {place}: {message}");
        }
    });
    // Fails only if nothing reads it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Forgets the panics of this thread: those that a scenario caught by itself are none of its outcome, nor of the next run's.
pub(crate) fn forget() {
    drop(KEPT.take());
}

/// Where a panic was that was caught, and its message.
pub(crate) fn text(payload: &(dyn Any + Send)) -> String {
    let message = message(payload);
    let is_it = |(other, _): &&(String, String)| *other == message;
    let place = KEPT.with_borrow(|kept| kept.iter().rev().find(is_it).map(|(_, place)| place.clone()));
    // `resume_unwind` has no place.
    place.map_or_else(|| format!("panic: {message}"), |place| format!("panic at {place}: {message}"))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value of another type").to_owned()
}
