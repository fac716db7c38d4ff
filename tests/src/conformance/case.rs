//! What a case is: a conversation of steps with one server connection.

/// One case of a file.
#[derive(Debug)]
pub(crate) struct Case {
    /// The heading: the section that demands the behaviour, then the behaviour.
    pub(crate) name: String,
    /// File name and line of the heading.
    pub(crate) place: String,
    /// Run only as written: neither in one write nor byte by byte.
    pub(crate) only_as_written: bool,
    /// The conversation.
    pub(crate) steps: Vec<Step>,
    /// The final state of the connection.
    pub(crate) end: End,
}

/// One step of a conversation.
#[derive(Debug)]
pub(crate) enum Step {
    /// Writes these pieces, each by a write of its own.
    Send(Vec<Vec<u8>>),
    /// Ends the client's side of the connection.
    Shutdown,
    /// Reads and judges one response, or several alike.
    Expect(Expected),
}

/// The state in which a case leaves the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A further request is answered.
    Open,
    /// Ended or reset by the server, with no more bytes.
    Closed,
    /// Either, as the last response announced.
    AsAnnounced,
}

/// An expected response.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The line in the file, for messages.
    pub(crate) line: usize,
    /// What the file says, for messages.
    pub(crate) source: String,
    /// How many such responses follow one another.
    pub(crate) times: usize,
    /// An interim response that the server may omit.
    pub(crate) optional: bool,
    /// Only the beginning of the response: it is read again, whole, by a later step.
    pub(crate) begins: bool,
    /// What the response answers.
    pub(crate) request: RequestKind,
    /// What may come, in the order of preference.
    pub(crate) alternatives: Vec<Alternative>,
}

/// The traits of a request that decide how its response is framed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestKind {
    /// The method was HEAD.
    pub(crate) head: bool,
    /// The version was HTTP/1.0.
    pub(crate) http10: bool,
}

/// One of the things that may come where a response is expected.
#[derive(Debug)]
pub(crate) enum Alternative {
    /// The connection is closed without an answer.
    Closed,
    /// A response with one of these statuses, for which all the checks hold.
    Answer { statuses: Vec<StatusPattern>, checks: Vec<Check> },
}

/// A status code, or a class of them such as `4xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusPattern {
    /// This code.
    Code(u16),
    /// Any code with this first digit.
    Class(u16),
}

impl StatusPattern {
    /// Whether `status` fits.
    pub(crate) fn fits(self, status: u16) -> bool {
        match self {
            Self::Code(code) => status == code,
            Self::Class(class) => status / 100 == class,
        }
    }
}

/// A demand on one response, beyond its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// The body is this.
    Body(Vec<u8>),
    /// The body contains this.
    BodyContains(Vec<u8>),
    /// The body does not contain this.
    BodyLacks(Vec<u8>),
    /// The body is chunked.
    Chunked,
    /// The body ends with the connection.
    UntilClose,
    /// The response breaks off: the connection is closed before the body is complete.
    Truncated,
    /// The field is present.
    Field(String),
    /// The field has this value.
    FieldIs(String, String),
    /// The field's comma-separated list has this member, in any case.
    FieldHas(String, String),
    /// The field is absent.
    NoField(String),
    /// The body is a JSON object whose member has this value.
    JsonIs(String, String),
    /// The body is a JSON object without this member.
    NoJson(String),
}
