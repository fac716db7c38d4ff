//! Storages: values that follow causes, from a callback to all that it starts. Mirrors `AsyncLocalStorage`, Node's
//! `lib/internal/async_local_storage/async_context_frame.js`.

use crate::frame::{Entry, Frame};
use crate::layer::OnDrop;
use crate::{AsyncId, Environment};
use pin_project_lite::pin_project;
use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Whether a value of a [`Storage`] is inherited. Default: `Inherit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Propagation {
    /// A resource that is created where the storage has a value has it too: timers, ticks, tasks, requests, connections.
    #[default]
    Inherit,
    /// The value ends with the scope in which it was set. What the scope starts does not have it.
    Scope,
}

/// A value for each chain of causes (`AsyncLocalStorage`): a request's id in each callback that the request leads to, say.
///
/// A value that is set for a callback is there in all that the callback starts, and in what that starts: timeouts, intervals,
/// immediates, ticks, microtasks, tasks and each of their polls, the completions of connects, writes, shutdowns, sends,
/// look-ups and work. A server's connections have what the server had when it began to listen, and each HTTP request has a
/// context of its own.
///
/// Storages do not mix, and are typed: `T` is what [`get`](Self::get) returns. Clones share the values. A program
/// without a storage pays nothing for them; with one, entering a context with values costs a look-up in a table.
///
/// ```
/// use async_wrap::Environment;
/// use async_wrap::storage::Storage;
/// use std::time::Duration;
///
/// let env = Environment::with_new_loop()?;
/// let request = Storage::<u32>::new(&env);
/// for id in [1, 2] {
///     let inner = request.clone();
///     request.run(id, || {
///         env.set_timeout(Duration::ZERO, move || println!("the timeout of request {:?}", inner.get()))
///     });
/// }
/// assert_eq!(request.get(), None);
/// env.run_to_end()?;
/// # Ok::<(), uv_core::Error>(())
/// ```
pub struct Storage<T> {
    env: Environment,
    number: u64,
    name: Option<&'static str>,
    default: Option<Rc<T>>,
    propagation: Propagation,
}

impl<T: 'static> Storage<T> {
    /// Creates a storage without a value.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        let number = env.inner().frames.next_storage();
        env.hooks().watch_for_storages();
        Self { env: env.clone(), number, name: None, default: None, propagation: Propagation::Inherit }
    }

    /// Sets the name, for the program's log. Default: none.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets what [`get`](Self::get) returns where no value is set (`defaultValue`). Default: none. Set it before cloning: it
    /// belongs to this clone.
    #[must_use]
    pub fn with_default(mut self, value: impl Into<Rc<T>>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Sets whether values that are set by this clone are inherited. Default: [`Propagation::Inherit`].
    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// Calls `work` with `value`, and restores what this storage had before, also if `work` panics. What `work` has entered of
    /// other storages stays.
    pub fn run<R>(&self, value: impl Into<Rc<T>>, work: impl FnOnce() -> R) -> R {
        let _outer = self.enter(Some(value.into()));
        work()
    }

    /// Sets the value for the rest of the executing callback, and for what that starts (`enterWith`). In a task it is there
    /// after each `.await`, too. Outside of every callback it stays, up to the end of the environment; after that nothing is set.
    pub fn enter_with(&self, value: impl Into<Rc<T>>) {
        self.env.inner().frames.stay(self.frame_with(Some(value.into())));
    }

    /// Calls `work` without a value, not even the default, and restores what was there before (`exit`).
    pub fn exit<R>(&self, work: impl FnOnce() -> R) -> R {
        let _outer = self.enter(None);
        work()
    }

    /// The value in the executing callback, else the default (`getStore`).
    #[must_use]
    pub fn get(&self) -> Option<Rc<T>> {
        let frame = self.env.inner().frames.current();
        match frame.entry(self.number) {
            // The values of a storage's number are of its type.
            Some(entry) => entry.value.clone().and_then(|value| value.downcast().ok()),
            None => self.default.clone(),
        }
    }

    /// Calls `work` with the value in the executing callback, else the default.
    pub fn with<R>(&self, work: impl FnOnce(Option<&T>) -> R) -> R {
        work(self.get().as_deref())
    }

    /// A future with values of its own: those where it is polled first, with `value` (`run` with an async function). It finds
    /// them in each poll and when it is dropped, and what it [enters](Self::enter_with) stays behind its `.await`, as in a task;
    /// the task around it does not see them. Dropping it drops `future`.
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use async_wrap::storage::Storage;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let user = Storage::<String>::new(&env);
    /// let inner = user.clone();
    /// let greet = async move { inner.with(|name| println!("hello {}", name.map_or("you", String::as_str))) };
    /// env.spawn_local(user.scope("Ada".to_owned(), greet));
    /// env.run_to_end()?;
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn scope<V: Into<Rc<T>>, F: Future>(
        &self,
        value: V,
        future: F,
    ) -> impl Future<Output = F::Output> + use<T, V, F> {
        Within { future: Some(future), storage: self.clone(), value: value.into(), frame: None }
    }

    fn frame_with(&self, value: Option<Rc<T>>) -> Frame {
        self.env.inner().frames.current().with(self.entry(value))
    }

    fn entry(&self, value: Option<Rc<T>>) -> Entry {
        let value = value.map(|value| value as Rc<dyn Any>);
        Entry { storage: self.number, value, is_inherited: self.propagation == Propagation::Inherit }
    }

    /// Sets a value until the guard is dropped. What other storages have entered until then stays.
    fn enter(&self, value: Option<Rc<T>>) -> OnDrop<impl FnOnce() + use<'_, T>> {
        let (frames, frame) = (&self.env.inner().frames, self.frame_with(value));
        frames.enter_until(frame.clone(), move |outer| {
            let left = frames.current();
            if left == frame { outer } else { left.with_that_of(self.number, &outer) }
        })
    }
}

pin_project! {
    /// A future with values of its own: see [`Storage::scope`].
    struct Within<T, F> where T: 'static {
        // `None` once it is over.
        #[pin]
        future: Option<F>,
        storage: Storage<T>,
        value: Rc<T>,
        // What its last poll has left; `None` before the first.
        frame: Option<Frame>,
    }

    impl<T, F> PinnedDrop for Within<T, F> where T: 'static {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _outer = this.storage.enter_within(this.frame.take(), this.value);
                this.future.set(None);
            }
        }
    }
}

impl<T: 'static, F: Future> Future for Within<T, F> {
    type Output = F::Output;

    /// Stays pending once it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let _outer = this.storage.enter_within(this.frame.take(), this.value);
        let polled = future.poll(context);
        if polled.is_ready() {
            this.future.set(None);
        } else {
            *this.frame = Some(this.storage.env.inner().frames.inherited());
        }
        polled
    }
}

impl<T: 'static> Storage<T> {
    /// Enters the values that a future has left, or those that are here with its own.
    fn enter_within(&self, left: Option<Frame>, value: &Rc<T>) -> OnDrop<impl FnOnce() + use<'_, T>> {
        self.env.inner().frames.enter(match left {
            // A value that is not inherited is missing in what was left.
            Some(left) if self.propagation == Propagation::Scope => {
                left.with(self.entry(Some(Rc::clone(value))))
            }
            Some(left) => left,
            None => self.frame_with(Some(Rc::clone(value))),
        })
    }
}

/// Clones share the values.
impl<T> Clone for Storage<T> {
    fn clone(&self) -> Self {
        let Self { env, number, name, default, propagation } = self;
        Self {
            env: env.clone(),
            number: *number,
            name: *name,
            default: default.clone(),
            propagation: *propagation,
        }
    }
}

impl<T> fmt::Debug for Storage<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, propagation, .. } = self;
        f.debug_struct("Storage")
            .field("name", name)
            .field("propagation", propagation)
            .finish_non_exhaustive()
    }
}

/// The values of all storages at one moment: see [`Environment::snapshot`].
#[derive(Clone)]
pub struct Snapshot {
    env: Environment,
    frame: Frame,
}

impl Snapshot {
    /// Calls `work` with the values of this moment, and restores what was there before.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let _outer = self.env.inner().frames.enter(self.frame.clone());
        work()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("frame", &self.frame).finish_non_exhaustive()
    }
}

impl Environment {
    /// Keeps the values of all storages that would be inherited now, for work that is done later
    /// (`AsyncLocalStorage.snapshot`).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { env: self.clone(), frame: self.inner().frames.inherited() }
    }

    /// Gives a resource the values that all storages have now, in place of those that they had when it was created: a handler
    /// that is given to it then finds what is there where it is given. The resource is not destroyed yet; its
    /// [`emit_destroy`](Self::emit_destroy) drops the values.
    pub fn keep_values(&self, resource: AsyncId) {
        let frames = &self.inner().frames;
        if frames.has_storages() {
            frames.set(resource, frames.inherited());
        }
    }

    /// Binds a closure to the values of all storages that would be inherited now (`AsyncLocalStorage.bind`).
    ///
    /// ```
    /// use async_wrap::Environment;
    /// use async_wrap::storage::Storage;
    ///
    /// let env = Environment::with_new_loop()?;
    /// let depth = Storage::<u32>::new(&env);
    /// let storage = depth.clone();
    /// let mut bound = depth.run(1, || env.bind(move |_: &str| storage.get().as_deref().copied()));
    /// assert_eq!((depth.get(), bound("here")), (None, Some(1)));
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    pub fn bind<A, R, F: FnMut(A) -> R>(&self, mut callback: F) -> impl FnMut(A) -> R + use<A, R, F> {
        let snapshot = self.snapshot();
        move |argument| snapshot.run(|| callback(argument))
    }
}
