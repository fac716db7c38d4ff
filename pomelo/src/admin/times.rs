//! How long a master waits for what. Mirrors `TIME` of pomelo's `lib/util/constants.js`.

use std::time::Duration;

/// The times of a master and its servers; pomelo's at first, where it has them.
///
/// What servers may take to answer, to obey and to end counts while the master runs: what keeps it from running (a
/// stopped process group, a suspended machine) mostly keeps them too. A standstill takes a quarter of such a time at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A connection may be there without having registered: 10 s. Node lets it stay.
    pub register_within: Duration,
    /// A wrong password or token is refused after this, so that nobody guesses fast: 1 s. Node refuses at once.
    pub refuse_after: Duration,
    /// A registered peer may be silent, although clients send a ping once in a minute: 180 s. Node lets it stay.
    pub silence: Duration,
    /// Servers may take to answer `list`, `restart` and the watcher (`TIME_WAIT_COUNTDOWN`): 10 s.
    pub answer_within: Duration,
    /// Servers may take to answer `kill`, before they are ended by the system's signal: 10 s. Node waits 120 s
    /// (`TIME_WAIT_MASTER_KILL`), and gives up.
    pub kill_within: Duration,
    /// A process that is killed ends so long after its answer (`TIME_WAIT_MONITOR_KILL`): 2 s.
    pub kill_after: Duration,
    /// Servers that were all told to stop may take before the master stops too (`TIME_WAIT_STOP`): 3 s.
    pub stop_after: Duration,
    /// Servers that were told to stop may take before they are ended by the system's signal, where all are to stop, or
    /// named as running: 4 s, as a stop of their own is limited to 3 s.
    pub stop_within: Duration,
    /// A server that restarts may take to end (`TIME_WAIT_RESTART`): 5 s.
    pub restart_after: Duration,
    /// A server that crashed is started again after this (`TIME_WAIT_STOP`): 3 s. The pause is twice as long after each
    /// start that comes to nothing. Node tries once.
    pub auto_restart_after: Duration,
    /// The longest pause between starts: 60 s. There is no last one: it goes on until the server is up or told to stop.
    pub auto_restart_at_most: Duration,
    /// A server that was up for so long has started well, and its next pause is the first one again: 60 s.
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
