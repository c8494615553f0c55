//! Response heads: RFC 9112 section 4.

use std::mem::MaybeUninit;

use super::fields::{all, first, named};
use super::framing::{Framing, FramingFields};
use super::head::{
    check_lines, fields_behind, head_error, is_later_minor, start_line, version_error,
};
use super::{
    ConnectionOptions, FIELDS_CAP, Field, FieldId, FieldStore, HeadError, HeadLimits, Method,
    Version,
};

/// How the body of a response is framed: RFC 9112 section 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseBody {
    /// There is none, whatever the fields say.
    None,
    Length(u64),
    Chunked,
    /// All that comes until the backend closes.
    UntilClose,
}

/// A response head that is well-formed and whose framing is beyond doubt.
#[derive(Debug, Clone)]
pub struct ResponseHead<'b, 's> {
    pub version: Version,
    /// 100 to 599.
    pub status: u16,
    /// Empty when there is none, or one with bytes over 0x7f.
    pub reason: &'b str,
    pub fields: &'s [Field<'b>],
    pub connection: ConnectionOptions<'b>,
    pub body: ResponseBody,
    /// Whether the connection can carry another exchange after this body.
    pub persistent: bool,
    /// All of the head, as it was given.
    pub bytes: &'b [u8],
}

impl<'b, 's> ResponseHead<'b, 's> {
    /// The first value of `id`.
    #[must_use]
    pub fn get(&self, id: FieldId) -> Option<&'b [u8]> {
        first(self.fields, id)
    }

    /// Every value of `id`, in the order sent.
    pub fn get_all(&self, id: FieldId) -> impl Iterator<Item = &'b [u8]> + use<'b, 's> {
        all(self.fields, id)
    }

    /// The first value of the field `name`, in any case of letters.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&'b [u8]> {
        named(self.fields, name)
    }
}

/// Reads the head of a response to `request_method`: `head` exactly up to the end that
/// [`super::HeadScanner`] found. `store` is cleared and filled. Interim (1xx) responses are
/// responses like any other here, without a body.
///
/// # Errors
/// Whatever is malformed, ambiguous or over `limits`. All of it is the backend's fault (502).
pub fn parse_response<'b, 's>(
    head: &'b [u8],
    store: &'s mut FieldStore<'b>,
    limits: &HeadLimits,
    request_method: &Method<'_>,
) -> Result<ResponseHead<'b, 's>, HeadError> {
    if head.len() > limits.head_bytes {
        return Err(HeadError::HeadTooLarge);
    }
    // Empty lines are skipped before requests only: httparse would do it here too.
    if !head.starts_with(b"HTTP/") {
        return Err(HeadError::StatusLine);
    }
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS_CAP];
    let mut response = httparse::Response::new(&mut []);
    // RFC 9112 section 5.1: white space behind a name is an error in a request, and to be removed
    // from a response.
    let parsed = httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response_with_uninit_headers(&mut response, head, &mut headers);
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(httparse::Error::Version) => return later_minor(head, store, limits, request_method),
        Err(error) => return Err(head_error(error, HeadError::StatusLine)),
    };
    check_lines(head, parsed, response.headers)?;
    let line = StatusLine {
        version: Version::of_minor(response.version)?,
        code: response.code.ok_or(HeadError::StatusLine)?,
        reason: response.reason.unwrap_or_default(),
    };
    of_parts(head, &line, response.headers, store, limits, request_method)
}

struct StatusLine<'b> {
    version: Version,
    code: u16,
    reason: &'b str,
}

/// Reads a head with a version that httparse does not know, as for requests: of white space before a
/// colon, too, it is not as forgiving as of HTTP/1.1's.
#[cold]
fn later_minor<'b, 's>(
    head: &'b [u8],
    store: &'s mut FieldStore<'b>,
    limits: &HeadLimits,
    request_method: &Method<'_>,
) -> Result<ResponseHead<'b, 's>, HeadError> {
    let text = start_line(head);
    let mut words = text.splitn(3, |byte| *byte == b' ');
    let (version, code) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !is_later_minor(version) {
        return Err(version_error(version));
    }
    let [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] = code else { return Err(HeadError::StatusLine) };
    let reason = words.next().unwrap_or_default();
    if reason.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(HeadError::StatusLine);
    }
    let reason = std::str::from_utf8(reason).ok().filter(|reason| reason.is_ascii());
    let line = StatusLine {
        version: Version::Http11,
        code: code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')),
        reason: reason.unwrap_or_default(),
    };
    let mut headers = [httparse::EMPTY_HEADER; FIELDS_CAP];
    let fields = fields_behind(head, text.len(), &mut headers, HeadError::StatusLine)?;
    of_parts(head, &line, fields, store, limits, request_method)
}

/// Judges what was read, and what it means together.
fn of_parts<'b, 's>(
    bytes: &'b [u8],
    line: &StatusLine<'b>,
    headers: &[httparse::Header<'b>],
    store: &'s mut FieldStore<'b>,
    limits: &HeadLimits,
    request_method: &Method<'_>,
) -> Result<ResponseHead<'b, 's>, HeadError> {
    let (version, status) = (line.version, line.code);
    // RFC 9110 section 15: a client is to treat any other as a 5xx, which a 502 is.
    if !(100..=599).contains(&status) {
        return Err(HeadError::StatusLine);
    }
    if headers.len() > limits.fields {
        return Err(HeadError::TooManyFields);
    }
    let (connection, framing) = gather(headers, store)?;
    let framing = framing.resolve(version)?;
    let body = body_of(framing, status, request_method);
    let persistent =
        connection.persistent(version) && leaves_connection_clean(framing, body, status);
    Ok(ResponseHead {
        version,
        status,
        reason: line.reason,
        fields: store,
        connection,
        body,
        persistent,
        bytes,
    })
}

fn gather<'b>(
    headers: &[httparse::Header<'b>],
    store: &mut FieldStore<'b>,
) -> Result<(ConnectionOptions<'b>, FramingFields<'b>), HeadError> {
    let mut connection = ConnectionOptions::default();
    let mut framing = FramingFields::default();
    store.clear();
    for header in headers {
        let id = FieldId::of(header.name.as_bytes());
        let mut field = Field { id, name: header.name, value: header.value };
        match id {
            FieldId::Connection => connection.note(field.value)?,
            FieldId::ContentLength => match framing.merge_length(field.value)? {
                Some(length) => field.value = length,
                None => continue,
            },
            FieldId::TransferEncoding => framing.note(&field)?,
            // A backend's `Content_Length` frames nothing, and it is not forwarded.
            _ => {}
        }
        store.try_push(field).map_err(|_| HeadError::TooManyFields)?;
    }
    Ok((connection, framing))
}

/// RFC 9112 section 6.3, in its order.
fn body_of(framing: Framing, status: u16, request_method: &Method<'_>) -> ResponseBody {
    // Rule 1.
    if *request_method == Method::Head || matches!(status, 100..=199 | 204 | 304) {
        return ResponseBody::None;
    }
    // Rule 2: what follows is a tunnel, whatever the fields say.
    if *request_method == Method::Connect && matches!(status, 200..=299) {
        return ResponseBody::None;
    }
    match framing {
        // Rule 4.
        Framing::Chunked => ResponseBody::Chunked,
        // Rule 6.
        Framing::Length(length) => ResponseBody::Length(length),
        // Rule 8.
        Framing::Absent => ResponseBody::UntilClose,
    }
}

/// A body that ends with the connection leaves none; nor does a 204 that announces a body
/// (RFC 9112 section 6.1 and RFC 9110 section 8.6 forbid it), since the bytes that a confused
/// backend sends next would be taken for the next response.
fn leaves_connection_clean(framing: Framing, body: ResponseBody, status: u16) -> bool {
    let promises_bytes = !matches!(framing, Framing::Absent | Framing::Length(0));
    body != ResponseBody::UntilClose && !(status == 204 && promises_bytes)
}

#[cfg(test)]
mod tests;
