//! What each fault is answered with, and what Node calls it.

use http::proto::ParseError::{self, *};

const FAULTS: &[(ParseError, u16, Option<&str>)] = &[
    (TooManyBlankLines, 400, None),
    (InvalidMethod, 400, Some("HPE_INVALID_METHOD")),
    (MethodTooLong, 501, None),
    (InvalidTarget, 400, Some("HPE_INVALID_URL")),
    (UriTooLong, 414, Some("HPE_HEADER_OVERFLOW")),
    (InvalidVersion, 400, Some("HPE_INVALID_VERSION")),
    (UnsupportedVersion, 505, Some("HPE_INVALID_VERSION")),
    (InvalidStatus, 502, Some("HPE_INVALID_STATUS")),
    (InvalidReason, 502, Some("HPE_INVALID_HEADER_TOKEN")),
    (InvalidLineEnd, 400, Some("HPE_CR_EXPECTED")),
    (LeadingWhitespace, 400, Some("HPE_INVALID_HEADER_TOKEN")),
    (InvalidFieldName, 400, Some("HPE_INVALID_HEADER_TOKEN")),
    (InvalidFieldValue, 400, Some("HPE_INVALID_HEADER_TOKEN")),
    (HeadTooLarge, 431, Some("HPE_HEADER_OVERFLOW")),
    (TooManyFields, 431, Some("HPE_HEADER_OVERFLOW")),
    (MissingHost, 400, None),
    (DuplicateHost, 400, None),
    (InvalidHost, 400, None),
    (InvalidContentLength, 400, Some("HPE_INVALID_CONTENT_LENGTH")),
    (DuplicateContentLength, 400, Some("HPE_UNEXPECTED_CONTENT_LENGTH")),
    (InvalidTransferEncoding, 400, Some("HPE_INVALID_TRANSFER_ENCODING")),
    (LengthWithTransferEncoding, 400, Some("HPE_INVALID_TRANSFER_ENCODING")),
    (TransferEncodingInHttp10, 400, Some("HPE_INVALID_TRANSFER_ENCODING")),
    (UnsupportedTransferCoding, 501, Some("HPE_INVALID_TRANSFER_ENCODING")),
    (InvalidChunkSize, 400, Some("HPE_INVALID_CHUNK_SIZE")),
    (InvalidChunkExtension, 400, Some("HPE_STRICT")),
    (ChunkExtensionsTooLarge, 413, Some("HPE_CHUNK_EXTENSIONS_OVERFLOW")),
    (InvalidChunkEnd, 400, Some("HPE_STRICT")),
    (TrailersTooLarge, 431, Some("HPE_HEADER_OVERFLOW")),
    (TooManyInformational, 502, None),
    (UnexpectedUpgrade, 502, None),
    (Unsolicited, 502, None),
    (UnexpectedEof, 400, Some("HPE_INVALID_EOF_STATE")),
];

#[test]
fn every_fault_has_a_status_and_a_text_of_its_own() {
    let mut texts = Vec::new();
    for &(fault, status, code) in FAULTS {
        assert_eq!((fault.status(), fault.code()), (status, code), "{fault:?}");
        // `closing_answer` takes every one of these statuses.
        assert!(http::proto::Encoder::closing(fault.status(), None, &mut Vec::new()).is_ok());
        texts.push(fault.to_string());
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), FAULTS.len());
}
