//! Components that are async functions, and what to await. Pomelo's components are written with callbacks.
//!
//! [`Application::startup`] and [`Application::shutdown`] are the start and the stop for a task;
//! [`Completion::pair`] makes what takes a completion a future, and [`Completion::finish_with`] ends a call with a future.

use crate::upcall::Component;
use crate::{Application, Completion};
use async_wrap::task::TaskHandle;
use std::error::Error;
use std::rc::Rc;

pub use crate::completion::Finished;

/// A [`Component`] whose calls are async functions: load it as [`Awaited`].
///
/// The error of a call may be of any kind; it is reported in words, as a [`Failure`](crate::Failure), and so is a panic. A call that is
/// pending when the next one comes is dropped first: a component that is stopped in the middle of its start is not starting
/// any more. It is dropped, too, when the time limit ends the stop, and with the loop.
///
/// ```
/// use pomelo::Application;
/// use pomelo::futures::{AsyncComponent, Awaited};
/// use net::ConnectOptions;
/// use net::futures::AsyncSocket;
/// use std::cell::Cell;
/// use std::error::Error;
///
/// #[derive(Default)]
/// struct Database(Cell<Option<AsyncSocket>>);
///
/// impl AsyncComponent for Database {
///     async fn start(&self, app: &Application) -> Result<(), Box<dyn Error>> {
///         let options = ConnectOptions::host("localhost", 5432);
///         let mut socket = AsyncSocket::connect(app.environment(), options).await?;
///         socket.write_all(b"hello\n").await?;
///         self.0.set(Some(socket));
///         Ok(())
///     }
/// }
///
/// fn load(app: &Application) -> pomelo::Result<()> {
///     app.load("database", Awaited::new(Database::default()))?;
///     Ok(())
/// }
/// ```
pub trait AsyncComponent: 'static {
    /// The application starts; the components before this one have started.
    fn start(&self, app: &Application) -> impl Future<Output = Result<(), Box<dyn Error>>> {
        let _ = app;
        async { Ok(()) }
    }

    /// Every component has started.
    fn after_start(&self, app: &Application) -> impl Future<Output = Result<(), Box<dyn Error>>> {
        let _ = app;
        async { Ok(()) }
    }

    /// The application stops; with `force` the process will end. A failure is logged and holds up nothing.
    fn stop(&self, app: &Application, force: bool) -> impl Future<Output = Result<(), Box<dyn Error>>> {
        let _ = (app, force);
        async { Ok(()) }
    }
}

/// A [`Component`] whose calls are those of an [`AsyncComponent`], each a task of its own.
#[derive(Debug)]
pub struct Awaited<C> {
    component: Rc<C>,
    /// The call that is pending.
    task: Option<TaskHandle>,
}

impl<C: AsyncComponent> Awaited<C> {
    /// A component for [`Application::load`].
    pub fn new(component: C) -> Self {
        Self { component: Rc::new(component), task: None }
    }

    /// Makes a call in place of a pending call: a stop in place of a start, which is given up.
    fn run<F>(&mut self, app: &Application, done: Completion, call: impl FnOnce(Rc<C>, Application) -> F)
    where
        F: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        self.abort();
        self.task = done.finish_with(call(Rc::clone(&self.component), app.clone()));
    }
}

impl<C> Awaited<C> {
    fn abort(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl<C: AsyncComponent> Component for Awaited<C> {
    fn on_start(&mut self, app: &Application, done: Completion) {
        self.run(app, done, async |component, app| component.start(&app).await);
    }

    fn on_after_start(&mut self, app: &Application, done: Completion) {
        self.run(app, done, async |component, app| component.after_start(&app).await);
    }

    fn on_stop(&mut self, app: &Application, force: bool, done: Completion) {
        self.run(app, done, async move |component, app| component.stop(&app, force).await);
    }
}

impl<C> Drop for Awaited<C> {
    fn drop(&mut self) {
        self.abort();
    }
}
