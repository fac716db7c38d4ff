//! What the commands say. Nobody listening is no reason to fail: a server whose output is closed goes on serving.

use std::fmt::Display;
use std::io::Write;

/// Says a line on standard output.
pub fn out(line: impl Display) {
    // Refused only if nobody reads it.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Says a line on standard error.
pub fn err(line: impl Display) {
    // Refused only if nobody reads it.
    let _ = writeln!(std::io::stderr(), "{line}");
}
