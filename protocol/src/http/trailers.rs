//! The trailer section of a chunked body: RFC 9112 section 7.1.2.

use super::fields::{is_reserved, is_token_byte, is_value_byte, is_x_forwarded};
use super::framing::is_framing_alias;
use super::{ChunkError, FieldId};

const SECTION_BYTES_MAX: usize = 8 * 1024;

/// Gathers trailer lines: refuses those that would frame or route a message, drops those that no
/// recipient may act on here.
#[derive(Debug, Default)]
pub(super) struct TrailerSection {
    /// Whole lines, then the one that is arriving.
    bytes: Vec<u8>,
    line_start: usize,
    /// Bytes of lines that were dropped; they count too, or a section would have no end.
    dropped_bytes: usize,
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
                if self.dropped_bytes + self.bytes.len() + 2 >= SECTION_BYTES_MAX {
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
        if is_kept(line)? {
            self.bytes.extend_from_slice(b"\r\n");
        } else {
            self.dropped_bytes += line.len() + 2;
            self.bytes.truncate(self.line_start);
        }
        self.line_start = self.bytes.len();
        Ok(false)
    }
}

/// Whether a field line is passed on. By RFC 9112 section 5 it is a token, at once a colon. A
/// folded line has no token, and the bytes of the value were checked as they came.
fn is_kept(line: &[u8]) -> Result<bool, ChunkError> {
    let colon = memchr::memchr(b':', line).ok_or(ChunkError::Trailer)?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().copied().all(is_token_byte) {
        return Err(ChunkError::Trailer);
    }
    // RFC 9110 section 6.5.1: nothing for framing, routing, authentication, request modifiers,
    // response controls or the format of the content. The fields that the gateway knows are of
    // these kinds, but for the few that only describe. Those for framing and routing have no
    // innocent reason to be here, and a recipient that merges them reads another message. Others
    // are sent by careless servers: RFC 9112 section 7.1.2 lets whoever reads them drop them.
    match FieldId::of(name) {
        FieldId::ContentLength | FieldId::TransferEncoding | FieldId::Host => {
            Err(ChunkError::ForbiddenTrailer)
        }
        FieldId::Alias if is_framing_alias(name) => Err(ChunkError::ForbiddenTrailer),
        FieldId::Etag | FieldId::Date | FieldId::Server | FieldId::Via => Ok(true),
        FieldId::Other => Ok(!is_reserved(name) && !is_x_forwarded(name)),
        _ => Ok(false),
    }
}
