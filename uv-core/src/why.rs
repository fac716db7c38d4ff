//! What keeps a loop alive, as a text for people. Mirrors `uv_print_active_handles`, which prints kinds and addresses of
//! memory; requests and results that are not reported yet keep a loop alive too, and libuv prints none of them.

use crate::LoopHandle;
use crate::handle::{HandleInfo, HandleInner};
use std::fmt::Write;

/// What a handle does, for the text.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// As in `listens on 127.0.0.1:80`. May be empty.
    pub(crate) text: String,
    /// The requests of the handle that are not reported.
    pub(crate) requests: usize,
}

impl About {
    /// A handle without requests.
    pub(crate) fn saying(text: impl Into<String>) -> Self {
        Self { text: text.into(), requests: 0 }
    }
}

impl LoopHandle {
    /// What keeps the loop alive, a line for each: handles that are active and referenced, or closing, with their kind,
    /// descriptor and address; requests; results that are not reported yet. For a program that does not end, and for its
    /// log: the words are for people and may change.
    ///
    /// A handle's line also has the place in the sources where the handle was made, in a build with debug assertions; a
    /// release build keeps no places, and pays nothing for them. The layers above tell this crate for which line of the program
    /// they make a handle: see [`Place`](crate::layer::Place).
    ///
    /// ```
    /// use std::time::Duration;
    /// use uv_core::{Loop, Timer};
    ///
    /// let event_loop = Loop::new()?;
    /// let timer = Timer::new(&event_loop);
    /// timer.start(Duration::from_secs(60), Duration::ZERO, |_: &Timer| {})?;
    /// let why = event_loop.why_alive();
    /// assert!(why.starts_with("timer: due in 60"), "{why}");
    /// timer.stop();
    /// assert_eq!(event_loop.why_alive(), "nothing keeps the loop alive");
    /// # Ok::<(), uv_core::Error>(())
    /// ```
    #[must_use]
    pub fn why_alive(&self) -> String {
        let mut lines = Vec::new();
        let mut of_handles = 0;
        for handle in self.open_handles() {
            let (info, about) = (HandleInfo::of(&*handle), handle.about());
            of_handles += about.requests;
            if info.keeps_alive() || about.requests > 0 {
                lines.push(line(&*handle, info, about));
            }
        }
        let works = self.inner().works.len();
        if works > 0 {
            lines.push(counted(works, "request", " in the thread pool: work, look-ups, files"));
        }
        // Those of handles that are closed, and those that this list does not know.
        let others = self.active_requests().saturating_sub(of_handles + works);
        if others > 0 {
            lines.push(counted(others, "other request", ""));
        }
        let results = self.inner().pending.len();
        if results > 0 {
            lines.push(counted(results, "handle", " with results that are not reported yet"));
        }
        if lines.is_empty() { "nothing keeps the loop alive".to_owned() } else { lines.join("\n") }
    }
}

/// A number of things, in words.
pub(crate) fn counted(count: usize, thing: &str, rest: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}{rest}")
}

fn line(handle: &dyn HandleInner, info: HandleInfo, about: About) -> String {
    let mut line = format!("{:?}", info.kind).to_lowercase();
    let mut add = |text: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = line.write_fmt(text);
    };
    if let Some(fd) = info.fd {
        add(format_args!(" fd {fd}"));
    }
    let closing = if info.closing { "closing" } else { "" };
    let unreferenced = if about.requests > 0 && !info.referenced { "unreferenced" } else { "" };
    let parts = [about.text.as_str(), closing, unreferenced].into_iter().filter(|part| !part.is_empty());
    for (index, part) in parts.enumerate() {
        add(format_args!("{} {part}", if index == 0 { ":" } else { "," }));
    }
    if let Some(place) = handle.base().made_at() {
        add(format_args!(", made at {place}"));
    }
    line
}
