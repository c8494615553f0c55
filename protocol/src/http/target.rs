//! Request targets and authorities.

use std::net::Ipv6Addr;

use super::{HeadError, Method};

/// The four shapes of RFC 9112 section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    Origin,
    Absolute,
    Authority,
    Asterisk,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'b> {
    pub form: TargetForm,
    /// As it was sent.
    pub raw: &'b str,
    /// What goes to the backend, before `?`: starts with `/`, or is `*`; empty for
    /// [`TargetForm::Authority`].
    pub path: &'b str,
    /// Behind `?`.
    pub query: Option<&'b str>,
    /// Of the absolute and authority forms: a host, perhaps with a port.
    pub authority: Option<&'b str>,
}

impl<'b> Target<'b> {
    pub(super) fn parse(raw: &'b str, method: &Method<'_>) -> Result<Self, HeadError> {
        // Stricter than nginx and HAProxy only where recipients differ: controls and spaces end a
        // target for some, a fragment is cut off by some. `|`, `"`, `{` and their like are no
        // more legal (RFC 3986 section 2), but real clients send them and nobody misreads them.
        // Looking at all bytes whatever the first ones are is what can be done to many at once.
        let legal = |byte: u8| byte.is_ascii_graphic() & (byte != b'#');
        if !raw.bytes().fold(true, |all, byte| all & legal(byte)) {
            return Err(HeadError::Target);
        }
        if *method == Method::Connect {
            return Self::parse_authority(raw);
        }
        if raw.starts_with('/') {
            let (path, query) = split_query(raw);
            return Ok(Self { form: TargetForm::Origin, raw, path, query, authority: None });
        }
        if raw == "*" {
            return Self::parse_asterisk(raw, method);
        }
        Self::parse_absolute(raw, method)
    }

    /// RFC 9112 section 3.2.3: `host:port`, and the port is not optional; nor may it be 0, where
    /// nothing listens (RFC 9110 section 9.3.6).
    fn parse_authority(raw: &'b str) -> Result<Self, HeadError> {
        let port = raw.get(host_without_port(raw).len() + 1..).unwrap_or_default();
        if !is_authority(raw) || port.bytes().all(|digit| digit == b'0') {
            return Err(HeadError::Target);
        }
        let form = TargetForm::Authority;
        Ok(Self { form, raw, path: "", query: None, authority: Some(raw) })
    }

    /// RFC 9112 section 3.2.4: for OPTIONS only.
    fn parse_asterisk(raw: &'b str, method: &Method<'_>) -> Result<Self, HeadError> {
        if *method != Method::Options {
            return Err(HeadError::Target);
        }
        Ok(Self { form: TargetForm::Asterisk, raw, path: raw, query: None, authority: None })
    }

    /// RFC 9112 section 3.2.2. User information is refused (RFC 9110 section 4.2.4), as is an
    /// empty host (section 4.2.1).
    fn parse_absolute(raw: &'b str, method: &Method<'_>) -> Result<Self, HeadError> {
        let (scheme, rest) = raw.split_once("://").ok_or(HeadError::Target)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(HeadError::Target);
        }
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if !is_authority(authority) {
            return Err(HeadError::Target);
        }
        let (path, query) = split_query(rest);
        let path = match path {
            // RFC 9112 section 3.2.4: the last proxy turns this back into the asterisk form.
            "" if *method == Method::Options && query.is_none() => "*",
            "" => "/",
            path => path,
        };
        let form = TargetForm::Absolute;
        Ok(Self { form, raw, path, query, authority: Some(authority) })
    }
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'?', text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// The host of an authority; brackets of an IPv6 address stay.
#[must_use]
pub fn host_without_port(authority: &str) -> &str {
    // A port is short, so this looks at few bytes; the bracket of an IPv6 address ends it.
    match authority.bytes().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(at) if authority.as_bytes()[at] == b':' => &authority[..at],
        _ => authority,
    }
}

/// The value of a Host field as text, when it is `uri-host [ ":" port ]` (RFC 9110 section 7.2).
pub(super) fn parse_host(value: &[u8]) -> Result<&str, HeadError> {
    let text = std::str::from_utf8(value).map_err(|_| HeadError::Host)?;
    if is_authority(text) { Ok(text) } else { Err(HeadError::Host) }
}

/// RFC 3986 section 3.2, without user information and tighter where hosts are concerned: not
/// empty, no `%` (routes compare hosts as they stand; a backend might decode first) and no `,`
/// (which would read as two Host fields merged).
#[must_use]
pub fn is_authority(text: &str) -> bool {
    let host = host_without_port(text);
    is_port(&text[host.len()..]) && is_host(host)
}

/// `port` with its colon, or nothing.
fn is_port(port: &str) -> bool {
    let digits = port.strip_prefix(':').unwrap_or("");
    // One that cannot be is past being a port for good: no digit makes it smaller.
    let number = digits.bytes().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        Some(number * 10 + digit).filter(|number| *number <= u32::from(u16::MAX))
    });
    number.is_some()
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    }
    !host.is_empty() && host.bytes().all(|byte| HOST_BYTES[byte as usize])
}

/// Whether a host's name may hold a byte, looked up: every request has a host.
const HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < u8::MAX {
        table[byte as usize] = is_host_byte(byte);
        byte += 1;
    }
    table
};

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
}

#[cfg(test)]
mod tests;
