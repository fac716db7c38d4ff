//! The processors of a server: the `cpu` of its record, set once it has registered. Mirrors `bindCpu` of pomelo's
//! `lib/master/starter.js`, with a system call in place of `taskset`.

use super::command::on_host;
use super::report::Started;
use crate::args::text_of;
use crate::record::cpu_list;
use crate::{Application, ServerInfo};
use serde_json::Value;
use std::collections::BTreeMap;

/// The processors of the servers that this process has started, by their ids.
#[derive(Default)]
pub(crate) struct Cpus(BTreeMap<String, Binding>);

struct Binding {
    cpus: Value,
    /// The server's process, if it is on this host.
    pid: Option<i32>,
    host: String,
}

impl Cpus {
    pub(super) fn remember(&mut self, info: &ServerInfo, started: &Started) {
        if let Some(cpus) = info.get("cpu") {
            let host = crate::record::text(info, "host").unwrap_or_default().to_owned();
            let pid = started.is_local.then_some(started.pid);
            self.0.insert(started.id.clone(), Binding { cpus: cpus.clone(), pid, host });
        }
    }

    /// Removes a process that has ended, whose id another process may have soon.
    pub(super) fn forget(&mut self, ended: &Started) {
        if self.0.get(&ended.id).is_some_and(|binding| binding.pid == Some(ended.pid)) {
            self.0.remove(&ended.id);
        }
    }
}

/// Binds a server that has registered to the processors of its record. `pid` is the process id that it registered with,
/// which is used only on other hosts.
///
/// Does nothing for a server that this process has not started, or without a `cpu`.
pub fn bind_cpus(app: &Application, id: &str, pid: i32) {
    let cpus = app.inner().cpus.borrow();
    let Some(binding) = cpus.0.get(id) else { return };
    let Some(own) = binding.pid else {
        let list = text_of(&binding.cpus).replace(char::is_whitespace, "");
        let words = ["taskset".to_owned(), "-pc".to_owned(), list, pid.to_string()];
        return on_host(app, &binding.host, &words);
    };
    // Checked when the server was started.
    let list = cpu_list(&binding.cpus).unwrap_or_default();
    if let Err(error) = uv_core::process::set_affinity(own, &list) {
        log::warn!(target: "pomelo", "server {id:?}: {error}");
    }
}
