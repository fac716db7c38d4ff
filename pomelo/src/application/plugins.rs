//! Plugins. Mirrors `app.use`, which reads folders of components and events; here the plugin loads its own.

use crate::upcall::Plugin;
use crate::{Application, Result};

impl Application {
    /// Has a plugin load its components and add its event handlers (`app.use`).
    ///
    /// # Errors
    /// What the plugin says.
    pub fn use_plugin(&self, mut plugin: impl Plugin) -> Result<&Self> {
        plugin.on_use(self)?;
        Ok(self)
    }
}
