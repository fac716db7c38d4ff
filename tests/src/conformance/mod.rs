//! The conformance suite of the HTTP server: cases as data, run over real connections against an address.
//!
//! The cases are the Markdown files of `tests/conformance`; its `README.md` describes their notation. Each case is a
//! conversation: bytes to send, answers to expect, and the state in which the connection must be left. Each runs as
//! written, with each request block in one write, and byte by byte.
//!
//! Nothing here uses the `http` crate: the suite has a response parser of its own, stricter than any client's, so
//! that a fault of the server cannot hide behind the same fault in its judge. Requirements come from RFC 9110 and
//! RFC 9112, and from Node's strict parser where the RFCs leave a choice.

mod answer;
mod case;
mod date;
mod expect;
mod file;
mod json;
mod judge;
mod peer;
mod report;
mod response;
mod rules;
mod run;
mod text;

pub use report::{Failure, Report};
pub use run::{BadSuite, Config, run, run_all};
