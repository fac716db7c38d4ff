//! The lifecycle of this server's type. Mirrors `loadLifecycle` of pomelo's `lib/util/appUtil.js`.

use crate::futures::Finished;
use crate::upcall::Lifecycle;
use crate::{AppEvent, Application, Completion, completion};
use async_wrap::layer::HandlerCell;

pub(super) struct Registered(HandlerCell<Box<dyn Lifecycle>>);

impl Default for Registered {
    /// A lifecycle that does nothing.
    fn default() -> Self {
        let cell = HandlerCell::empty();
        cell.set(Box::new(()) as Box<dyn Lifecycle>);
        Self(cell)
    }
}

impl Registered {
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

impl Application {
    /// Sets the lifecycle of the servers of a type; in servers of other types it is dropped at once.
    pub fn lifecycle(&self, server_type: &str, lifecycle: impl Lifecycle + 'static) -> &Self {
        if server_type == self.server_type() {
            self.inner().lifecycle.0.set(Box::new(lifecycle));
        }
        self
    }

    /// Calls the lifecycle in a tick. Returns a future that is ready when that has finished.
    pub(super) fn call_lifecycle(
        &self,
        call: impl FnOnce(&mut dyn Lifecycle, &Self, Completion) + 'static,
    ) -> Finished<()> {
        let app = self.clone();
        completion::call(self.environment(), move |done| {
            app.on_lifecycle(|lifecycle| call(lifecycle, &app, done));
        })
    }

    fn on_lifecycle(&self, call: impl FnOnce(&mut dyn Lifecycle)) {
        self.inner().lifecycle.0.call(|lifecycle| call(&mut **lifecycle));
    }

    /// Whether this process was told that all servers have started.
    pub(crate) fn has_all_started(&self) -> bool {
        self.inner().is_all_started.get()
    }

    /// Reports to the lifecycle, then as [`AppEvent::StartAll`], that every server has started.
    pub(crate) fn all_started(&self) {
        // A master repeats it if it does not know that it was heard.
        if self.inner().is_all_started.replace(true) {
            return;
        }
        let app = self.clone();
        self.environment().next_tick(move || {
            app.on_lifecycle(|lifecycle| lifecycle.on_after_start_all(&app));
            app.emit(AppEvent::StartAll);
        });
    }
}
