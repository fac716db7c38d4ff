//! The processes of servers on this host that this process has started and that have not ended.

use std::collections::BTreeMap;

/// Ids of servers by the numbers of their processes.
#[derive(Default)]
pub(crate) struct Children(BTreeMap<i32, String>);

impl Children {
    pub(super) fn began(&mut self, pid: i32, id: &str) {
        self.0.insert(pid, id.to_owned());
    }

    pub(super) fn ended(&mut self, pid: i32) {
        self.0.remove(&pid);
    }

    /// Whether the process runs, or has ended and was not noticed yet: its number is no other process's until then.
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
