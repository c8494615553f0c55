//! What request and response heads have in common.

use super::{FIELDS_CAP, HeadError};

/// Bounds on a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Start line, fields and the line ends, with the empty lines before them.
    pub head_bytes: usize,
    pub target_bytes: usize,
    /// Field lines; at most [`super::FIELDS_CAP`].
    pub fields: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    pub(super) fn of_minor(minor: Option<u8>) -> Result<Self, HeadError> {
        match minor {
            Some(0) => Ok(Self::Http10),
            Some(1) => Ok(Self::Http11),
            _ => Err(HeadError::UnsupportedVersion),
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// A request's method; case matters (RFC 9110 section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'b> {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    Trace,
    Connect,
    /// Any other token.
    Other(&'b str),
}

impl<'b> Method<'b> {
    /// The method that `token` names.
    #[must_use]
    pub fn of(token: &'b str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "PATCH" => Self::Patch,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            "CONNECT" => Self::Connect,
            other => Self::Other(other),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &'b str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
            Self::Other(token) => token,
        }
    }

    /// Asks for nothing but an answer: RFC 9110 section 9.2.1.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// May be sent again without doing more: RFC 9110 section 9.2.2.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }
}

/// Gives httparse's errors their names. Line ends and versions are told apart by the caller.
pub(super) fn head_error(error: httparse::Error, start_line: HeadError) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::FieldName,
        httparse::Error::HeaderValue => HeadError::FieldValue,
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version => HeadError::MalformedVersion,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => start_line,
    }
}

/// What a version that httparse refuses is: one that is not spoken here, or none at all.
pub(super) fn version_error(version: &[u8]) -> HeadError {
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HeadError::UnsupportedVersion
        }
        _ => HeadError::MalformedVersion,
    }
}

/// Whether `version` is one of HTTP/1.2 to 1.9: what is known of 1.1 holds (RFC 9110 section 2.5).
pub(super) fn is_later_minor(version: &[u8]) -> bool {
    matches!(version, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])
}

/// Reads the fields behind a start line of `line_len` bytes that httparse does not know.
pub(super) fn fields_behind<'h, 'b>(
    message: &'b [u8],
    line_len: usize,
    headers: &'h mut [httparse::Header<'b>; FIELDS_CAP],
    start_line: HeadError,
) -> Result<&'h [httparse::Header<'b>], HeadError> {
    let lines = message[line_len..].strip_prefix(b"\r\n").ok_or(HeadError::NotOneHead)?;
    match httparse::parse_headers(lines, headers) {
        Ok(httparse::Status::Complete((read, fields))) => {
            let parsed = message.len() - lines.len() + read;
            check_lines(message, httparse::Status::Complete(parsed), fields)?;
            Ok(fields)
        }
        Ok(httparse::Status::Partial) => Err(HeadError::NotOneHead),
        Err(error) => Err(head_error(error, start_line)),
    }
}

/// The start line, without its end.
pub(super) fn start_line(head: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    &head[..end]
}

/// Checks that httparse read all of `head` and that no line of it ended in a bare LF, which
/// httparse lets pass. It lets no bare CR pass, so what stands before a field's name tells how the
/// line before it ended; the last two line ends are the last four bytes.
pub(super) fn check_lines(
    head: &[u8],
    parsed: httparse::Status<usize>,
    fields: &[httparse::Header<'_>],
) -> Result<(), HeadError> {
    if parsed != httparse::Status::Complete(head.len()) {
        return Err(HeadError::NotOneHead);
    }
    let origin = head.as_ptr() as usize;
    let crlf_before = |field: &httparse::Header<'_>| {
        let at = field.name.as_ptr() as usize - origin;
        at >= 2 && head[at - 2] == b'\r'
    };
    if head.ends_with(b"\r\n\r\n") && fields.iter().all(crlf_before) {
        Ok(())
    } else {
        Err(HeadError::BareLf)
    }
}
