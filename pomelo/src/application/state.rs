//! The states of an application, and the calls of its components. Mirrors `STATE_INITED` and the like.

use std::fmt;

/// The states of an application, in their order; the numbers are pomelo's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Made, or starting its components.
    Inited = 1,
    /// The start of its components has ended, with or without a failure.
    Start = 2,
    /// The `on_after_start` of its components has ended, with or without a failure.
    Started = 3,
    /// `stop` was called.
    Stopped = 4,
}

/// A call of a component or of a lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A plugin's `on_use`.
    Use,
    /// A lifecycle's `on_before_startup`.
    BeforeStartup,
    /// A component's `on_start`.
    Start,
    /// A component's `on_after_start`.
    AfterStart,
    /// A lifecycle's `on_after_startup`.
    AfterStartup,
    /// A component's `on_stop`.
    Stop,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Use => "use",
            Self::BeforeStartup => "beforeStartup",
            Self::Start => "start",
            Self::AfterStart => "afterStart",
            Self::AfterStartup => "afterStartup",
            Self::Stop => "stop",
        })
    }
}
