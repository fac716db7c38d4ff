//! The fields that the encoder has to know about: those that it sends by itself, and those that decide how the body is
//! delimited. They are recognised here and nowhere else.

/// A field that the encoder knows about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Date,
    Trailer,
    KeepAlive,
    Connection,
    ContentLength,
    TransferEncoding,
}

const NAMES: [(&str, Known); 6] = [
    ("date", Known::Date),
    ("trailer", Known::Trailer),
    ("keep-alive", Known::KeepAlive),
    ("connection", Known::Connection),
    ("content-length", Known::ContentLength),
    ("transfer-encoding", Known::TransferEncoding),
];

/// The lengths of those names, a bit each.
const LENGTHS: u32 = {
    let (mut lengths, mut index) = (0, 0);
    while index < NAMES.len() {
        lengths |= 1 << NAMES[index].0.len();
        index += 1;
    }
    lengths
};

impl Known {
    /// Whether a field may be known: no known name has another length. Most fields are decided by this test.
    #[inline]
    pub(super) fn may_be(name: &str) -> bool {
        name.len() < 32 && LENGTHS >> name.len() & 1 == 1
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, known)| known)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of known fields.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KnownSet(u8);

impl KnownSet {
    pub(super) fn contains(self, field: Known) -> bool {
        self.0 & field.bit() != 0
    }

    pub(super) fn insert(&mut self, field: Known) {
        self.0 |= field.bit();
    }

    pub(super) fn remove(&mut self, field: Known) {
        self.0 &= !field.bit();
    }
}

#[cfg(test)]
mod tests {
    use super::Known;

    #[test]
    fn known_fields_are_recognised_in_any_case_and_others_are_not() {
        for (name, field) in [("DATE", Known::Date), ("Transfer-Encoding", Known::TransferEncoding)] {
            assert!(Known::may_be(name));
            assert_eq!(Known::of(name), Some(field));
        }
        assert!(Known::may_be("host"), "it is as long as `date`");
        assert_eq!(Known::of("host"), None);
        for name in ["", "a", "content-type", &"x".repeat(32), &"x".repeat(36), &"x".repeat(300)] {
            assert!(!Known::may_be(name));
        }
    }
}
