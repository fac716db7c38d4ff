//! How many descriptors this process may have. Mirrors `PlatformInit` of Node's `src/node.cc`.
//!
//! A process begins with a soft limit, mostly 1024, that is there for programs which use `select(2)`; epoll has no such
//! bound, and each connection needs a descriptor. So what serves raises the soft limit to the hard one, as Node does.
//! Processes that it starts inherit that, as Node's do: workers, and pomelo's servers, which need it as well.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;
use std::io;

/// The limit of this process, after the attempt to raise it.
#[derive(Debug)]
pub struct Limit {
    /// Descriptors at once; `None` for no limit.
    pub descriptors: Option<u64>,
    /// Why it is not the hard limit.
    refused: Option<(Option<u64>, io::Error)>,
}

/// Raises the soft limit of descriptors to the hard one, for this process and those that it starts.
#[must_use]
pub fn raise() -> Limit {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Limit { descriptors: current, refused: None };
    }
    // Refused where the hard limit is above what the kernel grants any more: `fs.nr_open` was lowered.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => Limit { descriptors: maximum, refused: None },
        Err(error) => Limit { descriptors: current, refused: Some((maximum, error.into())) },
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.descriptors {
            Some(descriptors) => write!(f, "descriptors: at most {descriptors}, one for each connection")?,
            None => f.write_str("descriptors: no limit")?,
        }
        if let Some((hard, error)) = &self.refused {
            let hard = hard.map_or_else(|| "no limit".to_owned(), |hard| hard.to_string());
            write!(f, " (cannot be raised to {hard}: {error})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_limit_is_and_why_it_is_no_more_is_said_in_one_line() {
        let limit = |descriptors, refused| Limit { descriptors, refused }.to_string();
        assert_eq!(limit(Some(4096), None), "descriptors: at most 4096, one for each connection");
        assert_eq!(limit(None, None), "descriptors: no limit");
        let refused = Some((Some(4096), io::Error::from(io::ErrorKind::PermissionDenied)));
        assert_eq!(
            limit(Some(256), refused),
            "descriptors: at most 256, one for each connection (cannot be raised to 4096: permission denied)"
        );
    }
}
