//! Responses as a server writes them: how they are delimited, and their bytes.

mod encode;
mod framing;
mod reason;

pub use encode::{
    CHUNK_END, CONTINUE, EncodeError, check_field, chunk, chunk_head, closing_answer, content_length_end,
    date_field, field, informational, keep_alive_field, last_chunk, status_line,
};
pub use framing::{
    BodyFraming, ConnectionLine, FieldLine, RequestFacts, ResponseFacts, ResponseFraming, SetEncoding,
    TrailerWithoutChunked, response_framing,
};
pub use reason::reason_phrase;
