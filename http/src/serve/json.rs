//! JSON in requests and responses. Mirrors `Request.json` and `Response.json` of the fetch standard.

use super::OwnedRequest;
use crate::{Error, Response, Result};
use serde_core::Serialize;
use serde_core::de::DeserializeOwned;

impl OwnedRequest {
    /// Reads the body, of at most `limit` bytes, as JSON. Dropping the future drops what it has read.
    ///
    /// ```
    /// use http::Response;
    /// use http::serve::{Failure, OwnedRequest};
    /// use std::collections::BTreeMap;
    ///
    /// async fn total(mut request: OwnedRequest, response: Response) -> Result<(), Failure> {
    ///     let counts: BTreeMap<String, u32> = request.json(64 * 1024).await?;
    ///     Ok(response.send_json(&counts.values().sum::<u32>())?)
    /// }
    /// ```
    ///
    /// # Errors
    /// `Refused` with 415 if the `Content-Type` does not say that it is JSON, 400 if it is none, and 422 if it is not what a `T` is
    /// made of; `BodyTooLong` and `Closed` as for [`bytes`](super::BodyReader::bytes). A handler that fails with them has its
    /// client get that status.
    pub async fn json<T: DeserializeOwned>(&mut self, limit: usize) -> Result<T> {
        let media_type = self.fields().get("content-type").unwrap_or_default();
        if !is_json(media_type) {
            return Err(Error::refused(415, "the body is to be JSON, and Content-Type to say so"));
        }
        let body = self.body().bytes(limit).await?;
        serde_json::from_slice(&body).map_err(|error| {
            Error::refused(if error.is_data() { 422 } else { 400 }, format!("the body is refused: {error}"))
        })
    }
}

impl Response {
    /// Ends the response with a value as JSON, and sets `Content-Type`.
    ///
    /// # Errors
    /// `Json` for a value that JSON cannot express; as for [`set_header`](Self::set_header) and [`end`](Self::end).
    pub fn send_json(&self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        let text = serde_json::to_vec(value).map_err(|error| Error::Json(error.to_string()))?;
        self.set_header("Content-Type", "application/json")?.end(&text)
    }
}

/// Whether a media type is JSON, or a format built on it (RFC 6839, 3.1).
fn is_json(media_type: &[u8]) -> bool {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let Some((start, subtype)) = essence.split_at_checked("application/".len()) else { return false };
    let ends_with = |suffix: &[u8]| {
        subtype.len().checked_sub(suffix.len()).is_some_and(|at| subtype[at..].eq_ignore_ascii_case(suffix))
    };
    start.eq_ignore_ascii_case(b"application/")
        && (subtype.eq_ignore_ascii_case(b"json") || ends_with(b"+json"))
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_told_by_its_subtype_or_suffix() {
        for json in [
            "application/json",
            "Application/JSON ; charset=utf-8",
            "application/problem+json",
            "application/vnd.api+json;v=1",
        ] {
            assert!(is_json(json.as_bytes()), "{json}");
        }
        for other in [
            "",
            "text/json",
            "application/",
            "application/jsonp",
            "application/xml+jso",
            "json",
            "text/plain; application/json",
        ] {
            assert!(!is_json(other.as_bytes()), "{other}");
        }
    }
}
