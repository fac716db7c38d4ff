//! Why a command failed, and the exit code that tells the kind of failure.

use super::table::printable;
use pomelo::admin::RequestError;
use std::error::Error;
use std::fmt;

#[derive(Debug)]
pub(super) struct Failure {
    /// 1 anything else, 2 no master there, 3 login refused, 4 command refused or done in part, 5 no answer.
    pub(super) code: u8,
    reason: String,
}

impl Failure {
    /// The master refused the command, or carried out a part of it.
    pub(super) fn command(reason: String) -> Self {
        Self { code: 4, reason }
    }

    /// The master did not answer in time, or went away before.
    pub(super) fn no_answer(reason: String) -> Self {
        Self { code: 5, reason }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Self {
        Self { code: 1, reason: error.to_string() }
    }
}

impl From<pomelo::Error> for Failure {
    fn from(error: pomelo::Error) -> Self {
        let code = match error {
            pomelo::Error::Refused(_) => 3,
            pomelo::Error::Unreachable(_) => 2,
            _ => 1,
        };
        Self { code, reason: printable(&error.to_string()) }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::no_answer(format!("the master: {error}"))
    }
}
