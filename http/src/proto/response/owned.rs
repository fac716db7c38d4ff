//! A response's head that is kept: a copy of the bytes and of what they mean. Its buffers can be used again.

use super::IncomingResponse;
use crate::proto::fields::OwnedFields;
use crate::proto::{Framing, Version};
use std::fmt;

/// A copy of an [`IncomingResponse`], which [`head`](Self::head) lends.
///
/// ```
/// use http::proto::{FieldTable, Limits, OwnedResponse, ResponseDecoder, ResponseEvent, ResponseTo};
///
/// let (mut decoder, mut table, mut kept) = (ResponseDecoder::new(), FieldTable::new(), OwnedResponse::default());
/// assert!(decoder.begin(ResponseTo::default()));
/// let mut input: &[u8] = b"HTTP/1.1 200 Fine\r\nETag: \"1\"\r\n\r\n";
/// if let Ok(ResponseEvent::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) {
///     kept.copy(&head);
/// }
/// assert_eq!((kept.head().status, kept.head().reason), (200, &b"Fine"[..]));
/// ```
#[derive(Clone)]
pub struct OwnedResponse {
    status: u16,
    reason: Vec<u8>,
    version: Version,
    fields: OwnedFields,
    framing: Framing,
    keep_alive: bool,
    is_upgrade: bool,
}

impl OwnedResponse {
    /// Copies a head in place of the head that is kept. Allocates only if the kept head was shorter.
    pub fn copy(&mut self, head: &IncomingResponse<'_>) {
        let IncomingResponse { status, reason, version, fields, framing, keep_alive, is_upgrade } = *head;
        self.reason.clear();
        self.reason.extend_from_slice(reason);
        self.fields.copy(fields);
        (self.status, self.version, self.framing) = (status, version, framing);
        (self.keep_alive, self.is_upgrade) = (keep_alive, is_upgrade);
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> IncomingResponse<'_> {
        IncomingResponse {
            status: self.status,
            reason: &self.reason,
            version: self.version,
            fields: self.fields.lend(),
            framing: self.framing,
            keep_alive: self.keep_alive,
            is_upgrade: self.is_upgrade,
        }
    }
}

/// No response: status 0, without fields.
impl Default for OwnedResponse {
    fn default() -> Self {
        Self {
            status: 0,
            reason: Vec::new(),
            version: Version::Http11,
            fields: OwnedFields::default(),
            framing: Framing::None,
            keep_alive: false,
            is_upgrade: false,
        }
    }
}

impl From<&IncomingResponse<'_>> for OwnedResponse {
    fn from(head: &IncomingResponse<'_>) -> Self {
        let mut kept = Self::default();
        kept.copy(head);
        kept
    }
}

impl fmt::Debug for OwnedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head().fmt(f)
    }
}
