//! The primitives of [`crate::sync`] in a model: loom's, with what loom lacks.

use mio::{Registry, Token};
use std::io;
use std::marker::PhantomData;
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use loom::thread;

/// loom's atomics, and a pointer that may be a static.
pub(crate) mod atomic {
    use super::Static;
    use std::ptr;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

    /// A null pointer in the beginning of every execution.
    pub(crate) struct AtomicPtr<T: 'static>(Static<loom::sync::atomic::AtomicPtr<T>>);

    impl<T> AtomicPtr<T> {
        pub(crate) const fn new(null: *mut T) -> Self {
            assert!(null.is_null(), "in a model only a null pointer");
            Self(Static::new(|| loom::sync::atomic::AtomicPtr::new(ptr::null_mut())))
        }

        pub(crate) fn load(&'static self, order: Ordering) -> *mut T {
            self.0.get().load(order)
        }

        pub(crate) fn compare_exchange(
            &'static self,
            current: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            self.0.get().compare_exchange(current, new, success, failure)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Like std's, with the waits on a condition.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    pub(crate) fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.0.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits without a limit: in a model the time limit is never reached.
    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, InTime)> {
        Ok((self.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner), InTime))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// The end of a wait that has no limit.
pub(crate) struct InTime;

impl InTime {
    #[expect(clippy::unused_self, reason = "std's has it")]
    pub(crate) fn timed_out(&self) -> bool {
        false
    }
}

/// A value that is set once. loom has none, and a static of std's would keep its value from one execution to the next.
/// The value of each execution is leaked.
pub(crate) struct OnceLock<T: 'static>(Static<Mutex<Option<&'static T>>>);

impl<T: Send + Sync> OnceLock<T> {
    pub(crate) const fn new() -> Self {
        Self(Static::new(|| Mutex::new(None)))
    }

    pub(crate) fn get(&'static self) -> Option<&'static T> {
        *lock(self.0.get())
    }

    pub(crate) fn set(&'static self, value: T) -> Result<(), T> {
        let mut place = lock(self.0.get());
        if place.is_some() {
            return Err(value);
        }
        *place = Some(Box::leak(Box::new(value)));
        Ok(())
    }
}

/// A static with a value of its own in every execution.
struct Static<T: 'static>(loom::lazy_static::Lazy<T>);

impl<T> Static<T> {
    const fn new(init: fn() -> T) -> Self {
        Self(loom::lazy_static::Lazy { init, _p: PhantomData })
    }

    fn get(&'static self) -> &'static T {
        self.0.get()
    }
}

/// A number that all threads change.
pub(crate) struct Counter(Static<atomic::AtomicUsize>);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(Static::new(|| atomic::AtomicUsize::new(0)))
    }

    pub(crate) fn fetch_add(&'static self, more: usize) {
        self.0.get().fetch_add(more, atomic::Ordering::Relaxed);
    }
}

/// The wake-up of a loop: mio's, which the kernel keeps, and a flag that the model knows.
#[derive(Debug)]
pub(crate) struct Waker {
    kernel: mio::Waker,
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Waker {
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let kernel = mio::Waker::new(registry, token)?;
        Ok(Self { kernel, is_woken: Mutex::new(false), woken: Condvar::new() })
    }

    pub(crate) fn wake(&self) -> io::Result<()> {
        let mut is_woken = lock(&self.is_woken);
        *is_woken = true;
        self.woken.notify_one();
        // Under the lock, so that no poll comes between the two.
        self.kernel.wake()
    }

    /// What a poll does in the model: it waits for a wake-up if it has no limit, and uses up what there is. The poll of
    /// the kernel, right after it, finds the same and does not block.
    pub(crate) fn before_poll(&self, timeout: Option<Duration>) {
        let mut is_woken = lock(&self.is_woken);
        if timeout.is_none() {
            is_woken = self
                .woken
                .wait_while(is_woken, |is_woken| !*is_woken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *is_woken = false;
    }
}
