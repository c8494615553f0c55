//! The chunked transfer coding: RFC 9112 section 7.1.

use super::fields::is_token_byte;
use super::trailers::TrailerSection;

/// What ends the data of every chunk but the last.
pub const CHUNK_END: &[u8] = b"\r\n";
/// The last chunk with an empty trailer section: the end of a body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// The last chunk alone; trailer lines and an empty line follow.
pub const LAST_CHUNK_LINE: &[u8] = b"0\r\n";

/// One digit less than a `u64` holds: no size overflows, and no body comes near.
const SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of extensions on one chunk; nobody uses any.
const EXTENSION_BYTES_MAX: u16 = 256;

/// Bytes of extensions that all chunks so far may have beyond their payload: who sends little with
/// much around it makes the gateway work for nothing.
const EXTENSIONS_EXCESS_MAX: u64 = 8 * 1024;

/// A body that is not chunked as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("a chunk size is malformed")]
    Size,
    #[error("a chunk size is too large")]
    SizeTooLarge,
    #[error("a chunk extension is malformed")]
    Extension,
    #[error("chunk extensions are too long")]
    ExtensionTooLong,
    #[error("a CRLF is missing in a chunked body")]
    LineEnd,
    #[error("a trailer field is malformed")]
    Trailer,
    #[error("the trailer section is too long")]
    TrailersTooLong,
    #[error("a field must not be sent as a trailer")]
    ForbiddenTrailer,
}

/// What one call of [`ChunkedDecoder::decode`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of `buf` that were read. All of them, unless the body ended.
    pub consumed: usize,
    /// Bytes of payload that stand at the front of `buf` now.
    pub payload: usize,
    /// Whether the last chunk and the trailer section have ended.
    pub done: bool,
}

/// Strips chunk framing in place, so that payload can be forwarded from where it was read.
#[derive(Debug, Default)]
pub struct ChunkedDecoder {
    state: State,
    /// Bytes of extensions so far, less the payload.
    extensions_excess: u64,
    trailers: TrailerSection,
}

/// Where in the body the next byte is.
///
/// ```text
/// Size ──► Data ──► DataCr ──► DataLf ──► Size
///  │ ▲
///  ▼ │ (extensions, SizeLf)
///  0 ──► Trailers ──► Done
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    /// Within the extensions of a chunk of `value` bytes.
    Extension {
        value: u64,
        at: Extension,
        bytes: u16,
    },
    /// Behind the CR of the size line.
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailers,
    Done,
    Failed(ChunkError),
}

/// Where in `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    /// White space before `;`, which then must come.
    BeforeSemicolon,
    BeforeName,
    Name,
    /// White space behind a name: `=` or the next `;` must come.
    AfterName,
    BeforeValue,
    Token,
    Quoted,
    QuotedPair,
    /// Behind the closing quote.
    AfterQuoted,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { value: 0, digits: 0 }
    }
}

impl ChunkedDecoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes `buf`, the next bytes of the body: payload is moved to its front and framing
    /// dropped. Bytes behind `consumed` belong to the next message and are untouched; those
    /// between `payload` and `consumed` mean nothing any more.
    ///
    /// # Errors
    /// What is wrong with the body. It stays wrong: each later call fails the same way. Payload
    /// before the fault, in the same `buf`, is lost.
    pub fn decode(&mut self, buf: &mut [u8]) -> Result<Decoded, ChunkError> {
        let (mut read, mut payload) = (0, 0);
        while read < buf.len() {
            self.state = match self.state {
                State::Done => break,
                State::Data { left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len() - read);
                    if read != payload {
                        buf.copy_within(read..read + take, payload);
                    }
                    read += take;
                    payload += take;
                    after_data(left, take)
                }
                state => {
                    let byte = buf[read];
                    read += 1;
                    self.step(state, byte).unwrap_or_else(State::Failed)
                }
            };
            if let State::Failed(error) = self.state {
                return Err(error);
            }
        }
        Ok(Decoded { consumed: read, payload, done: self.state == State::Done })
    }

    /// Bytes of payload that the chunk at hand has said it will still bring.
    #[must_use]
    pub fn announced(&self) -> u64 {
        match self.state {
            State::Data { left } => left,
            _ => 0,
        }
    }

    /// The trailer section so far, as `name: value` lines each with its CRLF, ready to be sent
    /// between [`LAST_CHUNK_LINE`] and an empty line. At most 8 KiB; complete once done.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        self.trailers.lines()
    }

    /// The state behind one byte of framing.
    fn step(&mut self, state: State, byte: u8) -> Result<State, ChunkError> {
        match state {
            State::Size { value, digits } => step_size(value, digits, byte),
            State::Extension { value, at, bytes } => {
                self.extensions_excess += 1;
                if self.extensions_excess > EXTENSIONS_EXCESS_MAX {
                    return Err(ChunkError::ExtensionTooLong);
                }
                step_extension(value, at, bytes, byte)
            }
            State::SizeLf { value } => match (byte, value) {
                (b'\n', 0) => Ok(State::Trailers),
                (b'\n', left) => {
                    self.extensions_excess = self.extensions_excess.saturating_sub(left);
                    Ok(State::Data { left })
                }
                _ => Err(ChunkError::LineEnd),
            },
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::default()),
            State::DataCr | State::DataLf => Err(ChunkError::LineEnd),
            State::Trailers => {
                Ok(if self.trailers.push(byte)? { State::Done } else { State::Trailers })
            }
            State::Failed(error) => Err(error),
            State::Data { .. } | State::Done => Ok(state),
        }
    }
}

fn after_data(left: u64, taken: usize) -> State {
    match left - taken as u64 {
        0 => State::DataCr,
        left => State::Data { left },
    }
}

/// RFC 9112 section 7.1: `1*HEXDIG`, no sign, no prefix, no white space before it.
fn step_size(value: u64, digits: u8, byte: u8) -> Result<State, ChunkError> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ if digits == 0 => return Err(ChunkError::Size),
        b'\r' => return Ok(State::SizeLf { value }),
        b'\n' => return Err(ChunkError::LineEnd),
        b';' => return Ok(State::Extension { value, at: Extension::BeforeName, bytes: 1 }),
        b' ' | b'\t' => {
            return Ok(State::Extension { value, at: Extension::BeforeSemicolon, bytes: 1 });
        }
        _ => return Err(ChunkError::Size),
    };
    if digits == SIZE_DIGITS_MAX {
        return Err(ChunkError::SizeTooLarge);
    }
    Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
}

/// RFC 9112 section 7.1.1: unknown extensions are ignored, and all are unknown here.
fn step_extension(value: u64, at: Extension, bytes: u16, byte: u8) -> Result<State, ChunkError> {
    use Extension::{
        AfterName, AfterQuoted, BeforeName, BeforeSemicolon, BeforeValue, Name, Quoted, QuotedPair,
        Token,
    };
    let at = match (at, byte) {
        (_, b'\n') => return Err(ChunkError::LineEnd),
        // An extension may end the line behind a name or a value, and nowhere else.
        (Name | Token | AfterQuoted, b'\r') => return Ok(State::SizeLf { value }),
        (Quoted, b'"') => AfterQuoted,
        (Quoted, b'\\') => QuotedPair,
        (Quoted | QuotedPair, b'\t' | b' '..=0x7e | 0x80..) => Quoted,
        (BeforeSemicolon | Name | AfterName | Token | AfterQuoted, b';') => BeforeName,
        (Name | AfterName, b'=') => BeforeValue,
        (BeforeValue, b'"') => Quoted,
        (BeforeSemicolon | BeforeName | AfterName | BeforeValue, b' ' | b'\t') => at,
        (Name, b' ' | b'\t') => AfterName,
        (Token | AfterQuoted, b' ' | b'\t') => BeforeSemicolon,
        (BeforeName | Name, byte) if is_token_byte(byte) => Name,
        (BeforeValue | Token, byte) if is_token_byte(byte) => Token,
        _ => return Err(ChunkError::Extension),
    };
    if bytes == EXTENSION_BYTES_MAX {
        return Err(ChunkError::ExtensionTooLong);
    }
    Ok(State::Extension { value, at, bytes: bytes + 1 })
}

/// Writes the line before `size` bytes of data into `out` and returns it. `size` is not 0, which
/// would end the body: that is [`LAST_CHUNK`].
pub fn chunk_header(size: usize, out: &mut [u8; 18]) -> &[u8] {
    debug_assert!(size > 0, "an empty chunk ends the body");
    out[16..].copy_from_slice(b"\r\n");
    let mut start = 16;
    let mut rest = size;
    loop {
        start -= 1;
        out[start] = b"0123456789ABCDEF"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            return &out[start..];
        }
    }
}

#[cfg(test)]
mod tests;
