//! Why a head is refused, and with which status.

/// A head that is malformed, ambiguous or too large. The text may be shown to whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("a line ends in LF without CR")]
    BareLf,
    #[error("a CR is not followed by LF")]
    BareCr,
    #[error("the head is incomplete or goes on behind its end")]
    NotOneHead,
    #[error("the request line is malformed")]
    RequestLine,
    #[error("the status line is malformed")]
    StatusLine,
    #[error("the HTTP version is malformed")]
    MalformedVersion,
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    UnsupportedVersion,
    #[error("the request target is malformed")]
    Target,
    #[error("the request target is too long")]
    TargetTooLong,
    #[error("the head is too large")]
    HeadTooLarge,
    #[error("there are too many header fields")]
    TooManyFields,
    #[error("a field name is malformed")]
    FieldName,
    #[error("a field value holds a forbidden byte")]
    FieldValue,
    #[error("a field name may be mistaken for a framing field")]
    FramingAlias,
    #[error("the Connection field names too many options")]
    TooManyConnectionOptions,
    #[error("an HTTP/1.1 request needs a Host field")]
    MissingHost,
    #[error("there is more than one Host field")]
    SeveralHosts,
    #[error("the Host field is malformed")]
    Host,
    #[error("there is more than one Content-Length")]
    SeveralContentLengths,
    #[error("the Content-Length is not a decimal number of bytes")]
    ContentLength,
    #[error("Content-Length and Transfer-Encoding are both present")]
    BothFramings,
    #[error("there is more than one Transfer-Encoding field")]
    SeveralTransferEncodings,
    #[error("the Transfer-Encoding is malformed")]
    TransferEncoding,
    #[error("HTTP/1.0 has no Transfer-Encoding")]
    TransferEncodingInHttp10,
    #[error("the transfer coding is not implemented")]
    UnknownTransferCoding,
}

impl HeadError {
    /// The status that answers a request with this fault. A response with a fault is the
    /// backend's: its client gets 502 whatever this says.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::UnknownTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }
}
