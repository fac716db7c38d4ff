//! The lifecycle of this server's type. Mirrors `loadLifecycle` of pomelo's `lib/util/appUtil.js`.

use crate::application::ShutDown;
use crate::upcall::Lifecycle;
use crate::{AppEvent, Application, Completion};
use async_wrap::layer::HandlerCell;

#[derive(Default)]
pub(super) struct Registered(HandlerCell<Box<dyn Lifecycle>>);

impl Registered {
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

/// What a lifecycle is given to say that it has finished.
pub(super) trait Finish {
    fn finish_now(self);
}

impl Finish for Completion {
    fn finish_now(self) {
        self.ok(());
    }
}

impl Finish for ShutDown {
    fn finish_now(self) {
        self.go();
    }
}

impl Application {
    /// Sets what servers of a type do around their start and their end; dropped at once in servers of other types.
    pub fn lifecycle(&self, server_type: &str, lifecycle: impl Lifecycle + 'static) -> &Self {
        if server_type == self.server_type() {
            self.inner().lifecycle.0.set(Box::new(lifecycle));
        }
        self
    }

    /// Calls the lifecycle with what it is to finish; without one that is finished at once.
    pub(super) fn on_lifecycle<T: Finish>(&self, finish: T, call: impl FnOnce(&mut dyn Lifecycle, T)) {
        let lifecycle = &self.inner().lifecycle.0;
        if lifecycle.is_empty() {
            finish.finish_now();
        } else {
            lifecycle.call(|lifecycle| call(&mut **lifecycle, finish));
        }
    }

    /// Every server has started: tells the lifecycle, then the handlers of [`AppEvent::StartAll`].
    pub(crate) fn all_started(&self) {
        let app = self.clone();
        self.environment().next_tick(move || {
            app.inner().lifecycle.0.call(|lifecycle| lifecycle.on_after_start_all(&app));
            app.emit(AppEvent::StartAll);
        });
    }
}
