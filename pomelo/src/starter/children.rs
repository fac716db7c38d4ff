//! The running processes of servers on this host that this process has started.

use std::collections::BTreeMap;

/// The ids of servers by process id.
#[derive(Default)]
pub(crate) struct Children(BTreeMap<i32, String>);

impl Children {
    pub(super) fn began(&mut self, pid: i32, id: &str) {
        self.0.insert(pid, id.to_owned());
    }

    pub(super) fn ended(&mut self, pid: i32) {
        self.0.remove(&pid);
    }

    /// Whether the process runs, or has ended and was not waited for yet: until then no other process has its id.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.0.contains_key(&pid)
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(i32, String)> {
        self.0.iter().map(|(pid, id)| (*pid, id.clone())).collect()
    }

    /// The processes of one server.
    pub(crate) fn of(&self, id: &str) -> Vec<i32> {
        self.0.iter().filter(|(_, of)| *of == id).map(|(pid, _)| *pid).collect()
    }
}
