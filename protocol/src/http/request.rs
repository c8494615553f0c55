//! Request heads: RFC 9112 section 3.

use std::mem::MaybeUninit;

use super::fields::{all, first, list_elements, named, token};
use super::framing::{Framing, FramingFields};
use super::head::{
    check_lines, fields_behind, head_error, is_later_minor, start_line, version_error,
};
use super::target::parse_host;
use super::{
    ConnectionOptions, FIELDS_CAP, Field, FieldId, FieldSet, FieldStore, HeadError, HeadLimits,
    Method, Target, Version,
};

/// How the body of a request is framed: RFC 9112 section 6.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestBody {
    None,
    /// So many bytes; 0 when the request says so.
    Length(u64),
    Chunked,
}

/// A request head that is well-formed and whose framing is beyond doubt.
#[derive(Debug, Clone)]
pub struct RequestHead<'b, 's> {
    pub method: Method<'b>,
    pub target: Target<'b>,
    pub version: Version,
    /// The effective authority: the target's when it has one, else the Host field's (RFC 9112
    /// section 3.2.2). Always there in HTTP/1.1.
    pub host: Option<&'b str>,
    pub fields: &'s [Field<'b>],
    /// Which fields there are.
    pub present: FieldSet,
    pub connection: ConnectionOptions<'b>,
    pub body: RequestBody,
    /// Whether the client wants the connection to outlive this request (RFC 9112 section 9.3).
    pub persistent: bool,
    /// The client holds its body back until it is told to go on (RFC 9110 section 10.1.1).
    pub expect_continue: bool,
    /// The client asks for another protocol, and for one that may be tunnelled.
    pub upgrade: bool,
    /// All of the head, as it was given.
    pub bytes: &'b [u8],
}

impl<'b, 's> RequestHead<'b, 's> {
    /// The first value of `id`.
    #[must_use]
    pub fn get(&self, id: FieldId) -> Option<&'b [u8]> {
        if self.present.contains(id) { first(self.fields, id) } else { None }
    }

    /// The value of `id` when exactly one field line has it.
    #[must_use]
    pub fn only(&self, id: FieldId) -> Option<&'b [u8]> {
        if !self.present.contains(id) {
            return None;
        }
        let mut values = self.get_all(id);
        values.next().filter(|_| values.next().is_none())
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

/// Reads a request head: `head` from its first byte (leading CRLFs included) exactly up to the end
/// that [`super::HeadScanner`] found. `store` is cleared and filled.
///
/// # Errors
/// Whatever is malformed, ambiguous or over `limits`; [`HeadError::status`] is the answer.
pub fn parse_request<'b, 's>(
    head: &'b [u8],
    store: &'s mut FieldStore<'b>,
    limits: &HeadLimits,
) -> Result<RequestHead<'b, 's>, HeadError> {
    if head.len() > limits.head_bytes {
        return Err(HeadError::HeadTooLarge);
    }
    let message = skip_empty_lines(head)?;
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS_CAP];
    let mut request = httparse::Request::new(&mut []);
    let parsed = match request.parse_with_uninit_headers(message, &mut headers) {
        Ok(parsed) => parsed,
        Err(httparse::Error::Version) => return later_minor(head, message, store, limits),
        Err(error) => return Err(head_error(error, HeadError::RequestLine)),
    };
    check_lines(message, parsed, request.headers)?;
    let line = RequestLine {
        method: request.method.ok_or(HeadError::RequestLine)?,
        target: request.path.ok_or(HeadError::RequestLine)?,
        version: Version::of_minor(request.version)?,
    };
    of_parts(head, &line, request.headers, store, limits)
}

struct RequestLine<'b> {
    method: &'b str,
    target: &'b str,
    version: Version,
}

/// Reads a head with a version that httparse does not know. RFC 9110 section 2.5: of a later minor
/// version, what is known of HTTP/1.1 holds.
#[cold]
fn later_minor<'b, 's>(
    head: &'b [u8],
    message: &'b [u8],
    store: &'s mut FieldStore<'b>,
    limits: &HeadLimits,
) -> Result<RequestHead<'b, 's>, HeadError> {
    let text = start_line(message);
    let mut words = text.splitn(3, |byte| *byte == b' ');
    let mut word = || words.next().ok_or(HeadError::RequestLine);
    let (method, target, version) = (word()?, word()?, word()?);
    if !is_later_minor(version) {
        return Err(version_error(version));
    }
    let line = RequestLine {
        method: token(method).ok_or(HeadError::RequestLine)?,
        target: std::str::from_utf8(target).map_err(|_| HeadError::Target)?,
        version: Version::Http11,
    };
    let mut headers = [httparse::EMPTY_HEADER; FIELDS_CAP];
    let fields = fields_behind(message, text.len(), &mut headers, HeadError::RequestLine)?;
    of_parts(head, &line, fields, store, limits)
}

/// Judges what was read, and what it means together.
fn of_parts<'b, 's>(
    bytes: &'b [u8],
    line: &RequestLine<'b>,
    headers: &[httparse::Header<'b>],
    store: &'s mut FieldStore<'b>,
    limits: &HeadLimits,
) -> Result<RequestHead<'b, 's>, HeadError> {
    let (method, version) = (Method::of(line.method), line.version);
    if line.target.len() > limits.target_bytes {
        return Err(HeadError::TargetTooLong);
    }
    let target = Target::parse(line.target, &method)?;
    if headers.len() > limits.fields {
        return Err(HeadError::TooManyFields);
    }
    let facts = Facts::gather(headers, store)?;
    let host = facts.effective_host(&target, version)?;
    let body = match facts.framing.resolve(version)? {
        Framing::Absent => RequestBody::None,
        Framing::Length(length) => RequestBody::Length(length),
        Framing::Chunked => RequestBody::Chunked,
    };
    Ok(RequestHead {
        method,
        target,
        version,
        host,
        fields: store,
        present: facts.present,
        body,
        persistent: facts.connection.persistent(version),
        expect_continue: facts.expects_continue(version, body),
        upgrade: facts.upgrades(version),
        connection: facts.connection,
        bytes,
    })
}

/// RFC 9112 section 2.2: a server should ignore at least one empty line before the request line.
/// httparse would ignore ones without a CR too.
fn skip_empty_lines(mut head: &[u8]) -> Result<&[u8], HeadError> {
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    if head.starts_with(b"\n") { Err(HeadError::BareLf) } else { Ok(head) }
}

/// What one pass over the fields finds.
#[derive(Default)]
struct Facts<'b> {
    present: FieldSet,
    connection: ConnectionOptions<'b>,
    framing: FramingFields<'b>,
    host: Option<&'b [u8]>,
    expect_continue: bool,
    upgrade: Upgrade,
}

/// What the Upgrade fields of a request ask for.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    #[default]
    Absent,
    Tunnel,
    /// HTTP/2 without TLS: a tunnel of further requests that the gateway would not see.
    H2c,
}

impl<'b> Facts<'b> {
    fn gather(
        headers: &[httparse::Header<'b>],
        store: &mut FieldStore<'b>,
    ) -> Result<Self, HeadError> {
        let mut facts = Self::default();
        store.clear();
        for header in headers {
            let id = FieldId::of(header.name.as_bytes());
            let field = Field { id, name: header.name, value: header.value };
            facts.present.insert(id);
            facts.note(&field)?;
            store.try_push(field).map_err(|_| HeadError::TooManyFields)?;
        }
        Ok(facts)
    }

    fn note(&mut self, field: &Field<'b>) -> Result<(), HeadError> {
        match field.id {
            FieldId::Connection => self.connection.note(field.value)?,
            FieldId::ContentLength | FieldId::TransferEncoding | FieldId::Alias => {
                self.framing.note(field)?;
            }
            FieldId::Host => self.note_host(field.value)?,
            FieldId::Expect => {
                let expected = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
                self.expect_continue |= list_elements(field.value).any(expected);
            }
            FieldId::Upgrade => self.note_upgrade(field.value),
            _ => {}
        }
        Ok(())
    }

    fn note_host(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(HeadError::SeveralHosts),
        }
    }

    fn note_upgrade(&mut self, value: &[u8]) {
        for protocol in list_elements(value) {
            let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
            if name.eq_ignore_ascii_case(b"h2c") {
                self.upgrade = Upgrade::H2c;
            } else if self.upgrade == Upgrade::Absent {
                self.upgrade = Upgrade::Tunnel;
            }
        }
    }

    /// RFC 9112 section 3.2: exactly one valid Host in HTTP/1.1, at most one in HTTP/1.0.
    fn effective_host(
        &self,
        target: &Target<'b>,
        version: Version,
    ) -> Result<Option<&'b str>, HeadError> {
        let host = self.host.map(parse_host).transpose()?;
        if host.is_none() && version == Version::Http11 {
            return Err(HeadError::MissingHost);
        }
        Ok(target.authority.or(host))
    }

    /// RFC 9110 section 10.1.1: ignored in HTTP/1.0, and pointless without a body.
    fn expects_continue(&self, version: Version, body: RequestBody) -> bool {
        let has_body = !matches!(body, RequestBody::None | RequestBody::Length(0));
        self.expect_continue && version == Version::Http11 && has_body
    }

    /// RFC 9110 section 7.8: both fields must agree, and HTTP/1.0 has no upgrades.
    fn upgrades(&self, version: Version) -> bool {
        let tunnel = self.upgrade == Upgrade::Tunnel;
        tunnel && self.connection.upgrade && version == Version::Http11
    }
}

#[cfg(test)]
mod tests;
