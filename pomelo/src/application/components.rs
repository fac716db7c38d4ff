//! The components of an application, in the order in which they were loaded, and the plugins that load several. Mirrors
//! `app.load`, `app.use` and `optComponents`.

use crate::futures::Finished;
use crate::upcall::{Component, Plugin};
use crate::{Application, Completion, Error, Failure, Method, Result, completion};
use async_wrap::layer::HandlerCell;
use std::cell::RefCell;
use std::rc::Rc;

/// A method of a component.
pub(super) type Call = fn(&mut dyn Component, &Application, Completion);

#[derive(Default)]
pub(super) struct Components(RefCell<Vec<Rc<Loaded>>>);

pub(super) struct Loaded {
    pub(super) name: String,
    component: HandlerCell<Box<dyn Component>>,
}

impl Components {
    /// Drops every component: they may hold the application.
    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}

impl Application {
    /// Adds a component, which is started after those that were loaded before it.
    ///
    /// # Errors
    /// [`Error::DuplicateComponent`] if a component of this name is loaded, which stays.
    pub fn load(&self, name: impl Into<String>, component: impl Component + 'static) -> Result<&Self> {
        let name = name.into();
        let mut loaded = self.inner().components.0.borrow_mut();
        if loaded.iter().any(|other| other.name == name) {
            log::warn!(target: "pomelo", "ignore duplicate component: {name}");
            return Err(Error::DuplicateComponent(name));
        }
        let slot = HandlerCell::empty();
        slot.set(Box::new(component) as Box<dyn Component>);
        loaded.push(Rc::new(Loaded { name, component: slot }));
        drop(loaded);
        Ok(self)
    }

    /// Has a plugin load its components and add its event handlers (`app.use`).
    ///
    /// # Errors
    /// The plugin's error.
    pub fn use_plugin(&self, mut plugin: impl Plugin) -> Result<&Self> {
        plugin.on_use(self)?;
        Ok(self)
    }

    /// The names of the loaded components, in their order.
    #[must_use]
    pub fn components(&self) -> Vec<String> {
        self.inner().components.0.borrow().iter().map(|loaded| loaded.name.clone()).collect()
    }

    /// The loaded components, and those that are loaded meanwhile.
    pub(super) fn loaded(&self) -> impl Iterator<Item = Rc<Loaded>> {
        (0..).map_while(|index| self.inner().components.0.borrow().get(index).cloned())
    }

    /// Calls a component in a tick. Returns a future that is ready when that has finished, and keeps no component alive.
    pub(super) fn call_component(
        &self,
        loaded: Rc<Loaded>,
        call: impl FnOnce(&mut dyn Component, &Self, Completion) + 'static,
    ) -> Finished<()> {
        let app = self.clone();
        completion::call(self.environment(), move |done| {
            // Never empty: the component is in its cell whenever a tick begins.
            loaded.component.call(|component| call(&mut **component, &app, done));
        })
    }
}

/// Makes and logs the error of a component.
pub(super) fn failed(component: impl Into<String>, method: Method, failure: Failure) -> Error {
    let error = Error::Failed { component: component.into(), method, failure };
    log::error!(target: "pomelo", "{error}");
    error
}
