//! The model of [`PerProcess`]: all threads get the same value, and see it whole.

use super::PerProcess;
use crate::models::check;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;
use std::sync::Arc;

#[test]
fn two_threads_get_the_same_value_and_see_it_whole() {
    static PLACE: PerProcess<AtomicUsize> = PerProcess::new();
    check(|| {
        let made = Arc::new(());
        let get = |made: Arc<()>| {
            let value = PLACE.get(|| {
                drop(made);
                let value = AtomicUsize::new(0);
                // A part of making it that no other thread may miss.
                value.store(1, Ordering::Relaxed);
                value
            });
            assert_eq!(value.load(Ordering::Relaxed), 1);
            std::ptr::from_ref(value) as usize
        };
        let theirs = Arc::clone(&made);
        let other = thread::spawn(move || get(theirs));
        let ours = get(made);
        assert_eq!(other.join().expect("the other thread"), ours);
    });
}
