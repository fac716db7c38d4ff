//! A server's part of a list. Mirrors the signal `list` of pomelo's `lib/modules/console.js`.
//!
//! In place of the heap of a JavaScript engine stand the data segment (`VmData`) and the resident part of the process's
//! own memory (`RssAnon`).

use crate::Application;
use crate::admin::monitor_agent::MonitorAgent;
use serde_json::{Value, json};

/// The answer to `list`; numbers are texts with two decimals: MiB, and minutes.
pub(super) fn of_process(app: &Application, agent: &MonitorAgent) -> Value {
    let status = status();
    let mib = |key| format!("{:.2}", kib(&status, key) / 1024.0);
    let uptime = app.uptime().as_secs_f64() / 60.0;
    json!({
        "serverId": agent.id(),
        "body": {
            "serverId": agent.id(),
            "serverType": agent.server_type(),
            "pid": uv_core::os::pid(),
            "rss": mib("VmRSS:"),
            "heapTotal": mib("VmData:"),
            "heapUsed": mib("RssAnon:"),
            "uptime": format!("{uptime:.2}"),
        },
    })
}

/// The kernel's account of this process.
fn status() -> String {
    // A seed of a test is the same in every process.
    #[cfg(upcall_faults)]
    if uv_core::faults::is_on() {
        return String::new();
    }
    std::fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// A number of the process's status, in KiB; 0 if the status does not have it.
fn kib(status: &str, key: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
