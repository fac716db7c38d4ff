//! The time limits of a master and its servers. Mirrors `TIME` of pomelo's `lib/util/constants.js`.

use crate::{Error, Result};
use std::time::Duration;

/// The time limits of a master and its servers. The defaults are pomelo's, where it has the limit.
///
/// The time in which servers must answer, obey and end runs only while the master runs: what suspends the master (a
/// stopped process group, a suspended machine) mostly suspends its servers too. A suspension counts as a quarter of the
/// limit at most.
///
/// ```
/// use pomelo::admin::Times;
/// use std::time::Duration;
///
/// let times = Times::default().stop_within(Duration::from_secs(10));
/// assert_eq!(times.stop_after, Duration::from_secs(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// The time limit of a registration. Default: 10 s. Node has none.
    pub register_within: Duration,
    /// The pause before the refusal of a wrong password or token, which slows guessing. Default: 1 s. Node refuses at once.
    pub refuse_after: Duration,
    /// The longest silence of a registered peer; clients send a ping once a minute. Default: 180 s. Node has no limit.
    pub silence: Duration,
    /// The time limit of a server's answer to `list`, `restart` and the watcher (`TIME_WAIT_COUNTDOWN`). Default: 10 s.
    pub answer_within: Duration,
    /// The time limit of a server's answer to `kill`; SIGKILL follows. Default: 10 s. Node waits 120 s
    /// (`TIME_WAIT_MASTER_KILL`) and gives up.
    pub kill_within: Duration,
    /// The time between a process's answer to `kill` and its end (`TIME_WAIT_MONITOR_KILL`). Default: 2 s.
    pub kill_after: Duration,
    /// The least time between a `stop` of all servers and the stop of the master (`TIME_WAIT_STOP`). Default: 3 s.
    pub stop_after: Duration,
    /// The time limit of a server's stop. SIGKILL follows where all servers stop; else the server is named as running.
    /// Default: 4 s, as an application limits its own stop to 3 s.
    pub stop_within: Duration,
    /// The time limit of the end of a server that restarts (`TIME_WAIT_RESTART`). Default: 5 s.
    pub restart_after: Duration,
    /// The pause before a crashed server is started again (`TIME_WAIT_STOP`), doubled after each start that fails.
    /// Default: 3 s. Node tries once.
    pub auto_restart_after: Duration,
    /// The longest pause between starts, which are repeated until the server is up or told to stop. Default: 60 s.
    pub auto_restart_at_most: Duration,
    /// The time after which a start counts as successful: the next pause is the first one again. Default: 60 s.
    pub stable_after: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            register_within: seconds(10),
            refuse_after: seconds(1),
            silence: seconds(180),
            answer_within: seconds(10),
            kill_within: seconds(10),
            kill_after: seconds(2),
            stop_after: seconds(3),
            stop_within: seconds(4),
            restart_after: seconds(5),
            auto_restart_after: seconds(3),
            auto_restart_at_most: seconds(60),
            stable_after: seconds(60),
        }
    }
}

impl Times {
    /// Refuses time limits that leave no time.
    pub(crate) fn check(&self) -> Result<()> {
        positive("register_within", self.register_within)?;
        positive("answer_within", self.answer_within)?;
        positive("kill_within", self.kill_within)?;
        positive("stop_within", self.stop_within)
    }
}

/// Refuses an option of no time.
pub(crate) fn positive(name: &'static str, time: Duration) -> Result<()> {
    if time.is_zero() { Err(Error::Option { name, expected: "a time above 0" }) } else { Ok(()) }
}

/// The setters of fields, each named as its field.
macro_rules! setters {
    ($($field:ident)*) => {
        impl Times {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub const fn $field(mut self, time: Duration) -> Self {
                    self.$field = time;
                    self
                }
            )*
        }
    };
}

setters! {
    register_within refuse_after silence answer_within kill_within kill_after stop_after stop_within restart_after
    auto_restart_after auto_restart_at_most stable_after
}
