//! The scenarios of Upcall's own layers: what each layer promises, under every fault that a seed decides.
//!
//! A scenario is a function of a `testing::World`. `ALL` names them for the program `upcall-faults`, which
//! `cargo xtask faults` builds with `--cfg upcall_faults` and becomes.
#![cfg(upcall_faults)]
#![forbid(unsafe_code)]

mod awaits;
mod branches;
mod cluster;
mod core;
mod http;
mod net;
mod parts;
mod pomelo;
pub mod run;
mod tasks;
mod terms;

use testing::{Fault, Kind, World};
use uv_core::Errno;

/// A scenario and its name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// As on the command line: `layer/what`.
    pub name: &'static str,
    /// Its code.
    pub run: fn(&World) -> Result<(), String>,
}

/// Seeds that have shown a mistake, and what it was: every run begins with them. A seed shows another run once its scenario
/// or the harness has changed, so most mistakes have a test of their own, too.
pub const REGRESSIONS: &[(&str, u64, &str)] = &[
    ("cluster/deaths", 1695, "a worker to which a signal was refused (EPERM) counted as dead"),
    ("cluster/hand-off", 6, "a worker that could not be started shared its id with the next one"),
    ("cluster/hand-off", 79035, "streams that waited for memory woke their loop one after the other"),
    ("cluster/primary-lost", 79035, "streams that waited for memory woke their loop one after the other"),
    ("http/conversations", 144, "a drain that was asked for out of turn did not come"),
    ("pomelo/console", 7, "two restarts at once started two processes"),
    (
        "pomelo/registration",
        17,
        "a master that had lost its own connection did not learn of its servers any more",
    ),
    ("net/sockets-unix", 99, "a resumed socket without a handler lost its input"),
];

/// All scenarios, by layer.
pub const ALL: &[Scenario] = &[
    Scenario { name: "cluster/hand-off", run: cluster::hand_off },
    Scenario { name: "cluster/limits", run: cluster::limits },
    Scenario { name: "cluster/leaves", run: cluster::leaves },
    Scenario { name: "cluster/stopped", run: cluster::stopped },
    Scenario { name: "cluster/deaths", run: cluster::deaths },
    Scenario { name: "cluster/primary-lost", run: cluster::primary_lost },
    Scenario { name: "cluster/terms", run: terms::terms },
    Scenario { name: "core/streams-unix", run: core::streams::unix },
    Scenario { name: "core/streams-tcp", run: core::streams::tcp },
    Scenario { name: "core/reuse", run: core::reuse::places },
    Scenario { name: "core/descriptors", run: core::descriptors::passing },
    Scenario { name: "core/pipes", run: core::files::pipes },
    Scenario { name: "core/strange-descriptors", run: core::files::strange_descriptors },
    Scenario { name: "core/names", run: core::files::names },
    Scenario { name: "core/pulls", run: core::pulls::pulls },
    Scenario { name: "core/pulls-tcp", run: core::pulls::pulls_tcp },
    Scenario { name: "core/poll", run: core::poll::watching },
    Scenario { name: "core/timers", run: core::timers::deadlines },
    Scenario { name: "core/pool", run: core::pool::work },
    Scenario { name: "core/file-io", run: core::file_io::requests },
    Scenario { name: "core/file-sending", run: core::file_io::sending },
    Scenario { name: "core/lookups", run: core::lookups::names },
    Scenario { name: "core/children", run: core::children::output_and_end },
    Scenario { name: "core/watchers", run: core::watchers::phases },
    Scenario { name: "core/calls", run: core::watchers::calls_from_elsewhere },
    Scenario { name: "core/signals", run: core::watchers::signals },
    Scenario { name: "core/misuse", run: core::wrong_calls },
    Scenario { name: "core/datagrams", run: core::datagrams::datagrams },
    Scenario { name: "async-wrap/tasks", run: tasks::tasks },
    Scenario { name: "async-wrap/signals", run: tasks::signals },
    Scenario { name: "async-wrap/requests", run: tasks::requests },
    Scenario { name: "net/echo", run: net::echo },
    Scenario { name: "net/sockets-unix", run: net::sockets::unix },
    Scenario { name: "net/sockets-tcp", run: net::sockets::tcp },
    Scenario { name: "net/connects", run: net::connects::waiting },
    Scenario { name: "net/in-use", run: net::connects::in_use },
    Scenario { name: "net/gates-unix", run: net::gates::unix },
    Scenario { name: "net/gates-tcp", run: net::gates::tcp },
    Scenario { name: "net/names", run: net::names::names },
    Scenario { name: "net/pulls", run: net::pulls::pulls },
    Scenario { name: "net/futures-unix", run: net::futures::unix },
    Scenario { name: "net/futures-tcp", run: net::futures::tcp },
    Scenario { name: "net/futures-udp", run: net::futures::datagrams },
    Scenario { name: "net/futures-children", run: net::futures::children },
    Scenario { name: "net/unusual", run: net::unusual::unusual },
    Scenario { name: "net/datagrams", run: net::datagrams::datagrams },
    Scenario { name: "http/conversations", run: http::conversations },
    Scenario { name: "http/serve", run: http::serve },
    Scenario { name: "http/serve-upgrades", run: http::serve_upgrades },
    Scenario { name: "http/malformed", run: http::malformed },
    Scenario { name: "http/timeouts", run: http::timeouts },
    Scenario { name: "http/endings", run: http::endings },
    Scenario { name: "http/files", run: http::files },
    Scenario { name: "http/upgrades", run: http::upgrades },
    Scenario { name: "http/resets", run: http::resets },
    Scenario { name: "pomelo/registration", run: pomelo::registration },
    Scenario { name: "pomelo/restarts", run: pomelo::restarts },
    Scenario { name: "pomelo/stops", run: pomelo::stops },
    Scenario { name: "pomelo/crashes", run: pomelo::crashes },
    Scenario { name: "pomelo/console", run: pomelo::console },
    Scenario { name: "pomelo/orders", run: pomelo::orders },
    Scenario { name: "pomelo/frames", run: pomelo::frames },
];

/// Whether a fault makes something later than it could be.
pub(crate) fn is_delay(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::Held | Kind::Late) || !fault.lasts.is_zero()
}

/// Whether a call that fails like this only has to be repeated, so that no peer notices: what was to be sent or received
/// waits. Not taken from uv-core's own table, which this judges.
pub(crate) fn is_passing(fault: &Fault) -> bool {
    let Kind::Refused(errno) = fault.kind else { return true };
    match fault.call {
        "event" | "order" | "epoll_wait(2)" | "kcmp(2)" | "poll(2)" => true,
        "recv(2)" | "send(2)" | "recvmsg(2)" | "sendmsg(2)" => is_repeated(errno),
        // EINVAL: the file is copied.
        "sendfile(2)" => errno == Errno::EINVAL || is_repeated(errno),
        "pread" => errno == Errno::EINTR,
        "accept4(2)" => matches!(errno, Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ENOMEM),
        _ => false,
    }
}

/// Whether a transfer that fails like this is repeated by the loop itself, so that no program ever gets this error of it.
pub(crate) fn is_repeated(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::EINTR | Errno::ENOMEM | Errno::ENOBUFS | Errno::ETOOMANYREFS)
}
