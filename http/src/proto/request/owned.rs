//! A request's head that is kept: a copy of the bytes and of what they mean. Its buffers can be used again.

use super::head::RequestHead;
use crate::proto::fields::OwnedFields;
use crate::proto::{Expect, Framing, TargetForm, Version};
use std::fmt;

/// A copy of a [`RequestHead`], which [`head`](Self::head) lends.
///
/// ```
/// use http::proto::{Decoder, Event, FieldTable, Limits, OwnedHead};
///
/// let (mut decoder, mut table, mut kept) = (Decoder::new(), FieldTable::new(), OwnedHead::default());
/// let mut input: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
/// if let Ok(Event::Head(head)) = decoder.decode(&mut input, &mut table, &Limits::default()) {
///     kept.copy(&head);
/// }
/// assert_eq!((kept.head().path(), kept.head().authority()), ("/a", "h"));
/// ```
#[derive(Clone)]
pub struct OwnedHead {
    /// Method and target.
    line: String,
    method_len: usize,
    fields: OwnedFields,
    form: TargetForm,
    version: Version,
    framing: Framing,
    expect: Expect,
    keep_alive: bool,
    upgrade: bool,
}

impl OwnedHead {
    /// Copies a head in place of the head that is kept. Allocates only if the kept head was shorter.
    pub fn copy(&mut self, head: &RequestHead<'_>) {
        let RequestHead { method, target, form, version, fields, framing, keep_alive, expect, upgrade } =
            *head;
        self.line.clear();
        self.line.push_str(method);
        self.line.push_str(target);
        self.method_len = method.len();
        self.fields.copy(fields);
        (self.form, self.version, self.framing, self.expect) = (form, version, framing, expect);
        (self.keep_alive, self.upgrade) = (keep_alive, upgrade);
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> RequestHead<'_> {
        let (method, target) = self.line.split_at(self.method_len);
        RequestHead {
            method,
            target,
            form: self.form,
            version: self.version,
            fields: self.fields.lend(),
            framing: self.framing,
            keep_alive: self.keep_alive,
            expect: self.expect,
            upgrade: self.upgrade,
        }
    }

    /// The memory that it keeps, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.line.capacity() + self.fields.capacity()
    }
}

/// No request: without method, target and fields.
impl Default for OwnedHead {
    fn default() -> Self {
        Self {
            line: String::new(),
            method_len: 0,
            fields: OwnedFields::default(),
            form: TargetForm::Origin,
            version: Version::Http11,
            framing: Framing::None,
            expect: Expect::None,
            keep_alive: true,
            upgrade: false,
        }
    }
}

impl From<&RequestHead<'_>> for OwnedHead {
    fn from(head: &RequestHead<'_>) -> Self {
        let mut kept = Self::default();
        kept.copy(head);
        kept
    }
}

impl fmt::Debug for OwnedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head().fmt(f)
    }
}
