//! How long the body behind a head is: RFC 9112 sections 6.1 to 6.3.
//!
//! Whatever two recipients could read differently is refused, since the difference is what
//! request smuggling is made of.

use super::fields::{is_alias, token, trim_ows};
use super::{Field, FieldId, HeadError, Version};

/// What a head says of its body, before the rules of requests or responses apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Absent,
    Length(u64),
    Chunked,
}

/// The framing fields of one head, gathered line by line.
#[derive(Debug, Default)]
pub(super) struct FramingFields<'b> {
    transfer_encoding: Option<&'b [u8]>,
    content_length: Option<u64>,
}

impl<'b> FramingFields<'b> {
    pub(super) fn note(&mut self, field: &Field<'b>) -> Result<(), HeadError> {
        match field.id {
            FieldId::ContentLength => self.note_length(field.value),
            FieldId::TransferEncoding => self.note_transfer_encoding(field.value),
            FieldId::Alias if is_framing_alias(field.name.as_bytes()) => {
                Err(HeadError::FramingAlias)
            }
            _ => Ok(()),
        }
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        // RFC 9112 section 6.3, rule 5 lets identical duplicates be merged; refusing them is the
        // other choice it gives, and a hop that takes the first or the last is never asked.
        if self.content_length.is_some() {
            return Err(HeadError::SeveralContentLengths);
        }
        self.content_length = Some(parse_length(value)?);
        Ok(())
    }

    /// Takes a length of an answer: RFC 9110 section 8.6 lets one that is said several times, in a
    /// list or in lines, be replaced with one. That one is returned at its first line, `None` at
    /// the others.
    pub(super) fn merge_length(&mut self, value: &'b [u8]) -> Result<Option<&'b [u8]>, HeadError> {
        let known = self.content_length;
        // What every backend sends.
        if known.is_none()
            && let Ok(length) = parse_length(value)
        {
            self.content_length = Some(length);
            return Ok(Some(value));
        }
        let mut elements = value.split(|byte| *byte == b',').map(trim_ows).peekable();
        let first = elements.peek().copied();
        for element in elements {
            let length = parse_length(element)?;
            if self.content_length.replace(length).is_some_and(|other| other != length) {
                return Err(HeadError::SeveralContentLengths);
            }
        }
        Ok(first.filter(|_| known.is_none()))
    }

    fn note_transfer_encoding(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        if self.transfer_encoding.is_some() {
            return Err(HeadError::SeveralTransferEncodings);
        }
        self.transfer_encoding = Some(value);
        Ok(())
    }

    pub(super) fn resolve(&self, version: Version) -> Result<Framing, HeadError> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Framing::Absent),
            (None, Some(length)) => Ok(Framing::Length(length)),
            // RFC 9112 section 6.3, rule 3: ought to be handled as an error.
            (Some(_), Some(_)) => Err(HeadError::BothFramings),
            // RFC 9112 section 6.1: the framing of such a message is to be treated as faulty.
            (Some(_), None) if version == Version::Http10 => {
                Err(HeadError::TransferEncodingInHttp10)
            }
            (Some(codings), None) => check_codings(codings).map(|()| Framing::Chunked),
        }
    }
}

/// Whether `name` is one like `Content_Length`, which CGI-like backends read as a framing field.
pub(super) fn is_framing_alias(name: &[u8]) -> bool {
    let framing: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
    framing.iter().any(|known| is_alias(name, known))
}

/// RFC 9110 section 8.6: `1*DIGIT`, and no number that does not fit.
fn parse_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() {
        return Err(HeadError::ContentLength);
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        digit
            .and_then(|digit| length.checked_mul(10)?.checked_add(digit))
            .ok_or(HeadError::ContentLength)
    })
}

/// Accepts `chunked` alone. Everything else is an error, and only one that is a well-formed list
/// with `chunked` once and last is merely unknown.
fn check_codings(value: &[u8]) -> Result<(), HeadError> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut chunked_before = false;
    for coding in value.split(|byte| *byte == b',').map(trim_ows) {
        let name = token(coding).ok_or(HeadError::TransferEncoding)?;
        // RFC 9112 section 6.1: chunked only once; section 6.3, rule 4: and last.
        if chunked_before {
            return Err(HeadError::TransferEncoding);
        }
        chunked_before = name.eq_ignore_ascii_case("chunked");
    }
    // RFC 9112 section 6.3, rule 4 asks for 400 when chunked is not the last; section 6.1 for 501
    // when a coding is not understood.
    Err(if chunked_before { HeadError::UnknownTransferCoding } else { HeadError::TransferEncoding })
}

#[cfg(test)]
mod tests;
