//! The options of a `Connection` field, of a request or of a response (RFC 9110, 7.6.1). Mirrors llhttp's
//! `F_CONNECTION_…`.

use super::chars;

/// The options in `Connection` that decoder and encoder act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ConnectionOptions {
    /// `close`.
    pub(super) close: bool,
    /// `keep-alive`.
    pub(super) keep_alive: bool,
    /// `upgrade`.
    pub(super) upgrade: bool,
}

impl ConnectionOptions {
    /// Adds the options of one `Connection` field; several fields form one list.
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in chars::list(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => {}
            }
        }
    }
}
