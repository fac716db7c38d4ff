//! What a failed request tells: whether it may be sent again, what of its upstream, and what its client gets to know.

use super::downstream::Answer;
use super::upstreams::Outcome;
use crate::client::{Error, ErrorKind, Phase};
use crate::proto::RequestHead;

/// Whether a request may be sent twice (RFC 9110, 9.2.2), or tells its server which one it is.
pub(super) fn is_idempotent(head: &RequestHead<'_>) -> bool {
    matches!(head.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
        || head.fields.get("idempotency-key").is_some()
}

/// Whether no upstream has seen the request.
pub(super) fn is_unsent(error: &Error) -> bool {
    let is_before = matches!(error.phase(), Some(Phase::Queue | Phase::Resolve | Phase::Connect));
    error.kind() == ErrorKind::Connect || (error.kind() == ErrorKind::Timeout && is_before)
}

/// What an error tells of its upstream.
pub(super) fn outcome(error: &Error) -> Outcome {
    match error.kind() {
        ErrorKind::Connect | ErrorKind::InvalidResponse(..) | ErrorKind::Truncated { .. } => Outcome::Failed,
        // An upstream may close what was idle.
        ErrorKind::ConnectionLost if !error.is_reused() => Outcome::Failed,
        ErrorKind::Timeout if error.phase() != Some(Phase::Queue) => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

/// What a client is told of a failure, in the words of RFC 9209 too.
pub(super) fn explain(error: Option<&Error>) -> Answer<'static> {
    let of = |status, text, error| Answer { status, text, error };
    match error.map(|error| (error.kind(), error.phase())) {
        Some((ErrorKind::Connect, _)) => {
            of(502, "the server behind this proxy cannot be reached\n", "destination_unavailable")
        }
        Some((ErrorKind::ConnectionLost, _)) => {
            of(502, "the server behind this proxy has closed the connection\n", "connection_terminated")
        }
        Some((ErrorKind::Truncated { .. }, _)) => {
            of(502, "the server behind this proxy has broken off its response\n", "http_response_incomplete")
        }
        Some((ErrorKind::InvalidResponse(..), _)) => {
            of(502, "the server behind this proxy sends an invalid response\n", "http_protocol_error")
        }
        Some((ErrorKind::Timeout, Some(Phase::Resolve | Phase::Connect))) => {
            of(504, "the server behind this proxy cannot be reached in time\n", "connection_timeout")
        }
        Some((ErrorKind::Timeout | ErrorKind::WholeTimeout, _)) => {
            of(504, "the server behind this proxy does not respond in time\n", "http_response_timeout")
        }
        Some((ErrorKind::QueueFull, _)) => {
            of(503, "too many requests wait for the server behind this proxy\n", "connection_limit_reached")
        }
        Some((ErrorKind::AgentClosed, _)) => {
            of(503, "this proxy is being shut down\n", "proxy_internal_error")
        }
        Some((ErrorKind::InvalidRequest(_), _)) => {
            of(400, "the request cannot be passed on\n", "http_request_error")
        }
        _ => of(502, "the server behind this proxy has failed\n", "proxy_internal_error"),
    }
}
