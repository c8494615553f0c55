//! The trailer section of a chunked body: RFC 9112 section 7.1.2.

use super::fields::{is_token_byte, is_value_byte};
use super::{ChunkError, FieldId};

const SECTION_BYTES_MAX: usize = 8 * 1024;

/// Gathers trailer lines and refuses what must not be there.
#[derive(Debug, Default)]
pub(super) struct TrailerSection {
    /// Whole lines, then the one that is arriving.
    bytes: Vec<u8>,
    line_start: usize,
    after_cr: bool,
}

impl TrailerSection {
    /// Takes the next byte; true when it ended the section.
    pub(super) fn push(&mut self, byte: u8) -> Result<bool, ChunkError> {
        if self.after_cr {
            if byte != b'\n' {
                return Err(ChunkError::LineEnd);
            }
            return self.push_line_end();
        }
        match byte {
            b'\r' => self.after_cr = true,
            b'\n' => return Err(ChunkError::LineEnd),
            byte if is_value_byte(byte) => {
                // Two bytes are kept for the line's end.
                if self.bytes.len() + 2 >= SECTION_BYTES_MAX {
                    return Err(ChunkError::TrailersTooLong);
                }
                self.bytes.push(byte);
            }
            _ => return Err(ChunkError::Trailer),
        }
        Ok(false)
    }

    /// The lines that have ended.
    pub(super) fn lines(&self) -> &[u8] {
        &self.bytes[..self.line_start]
    }

    fn push_line_end(&mut self) -> Result<bool, ChunkError> {
        self.after_cr = false;
        let line = &self.bytes[self.line_start..];
        if line.is_empty() {
            return Ok(true);
        }
        check_line(line)?;
        self.bytes.extend_from_slice(b"\r\n");
        self.line_start = self.bytes.len();
        Ok(false)
    }
}

/// A field line by RFC 9112 section 5: a token, at once a colon. A folded line has no token, and
/// the bytes of the value were checked as they came.
fn check_line(line: &[u8]) -> Result<(), ChunkError> {
    let colon = memchr::memchr(b':', line).ok_or(ChunkError::Trailer)?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return Err(ChunkError::Trailer);
    }
    // RFC 9110 section 6.5.1: nothing for framing, routing, authentication, request modifiers,
    // response controls or the format of the content. The fields that the gateway knows are of
    // these kinds, but for the few that only describe.
    match FieldId::of(name) {
        FieldId::Other | FieldId::Etag | FieldId::Date | FieldId::Server | FieldId::Via => Ok(()),
        _ => Err(ChunkError::ForbiddenTrailer),
    }
}
