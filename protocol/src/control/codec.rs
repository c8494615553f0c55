//! Frames of the control socket.
//!
//! ```text
//! +----------------+---------+---------------------------+
//! | length: u32 LE | version | body: bincode, standard   |
//! +----------------+---------+---------------------------+
//!                  |<------------- length ------------->|
//! ```
//!
//! `length` counts the version byte and the body, and is 1 to [`FRAME_BYTES_MAX`].

use super::handover::{self, FromSuccessor, ToSuccessor, VERSION_BIT};
use super::{Request, Response};
use crate::wire;

/// The protocol spoken here. A change to any message's fields is another version.
pub const VERSION: u8 = 3;

/// Bytes of the length field.
pub const HEADER_BYTES: usize = 4;

/// Most bytes that may follow the length field.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Why bytes are not a frame, or a message does not fit one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame is incomplete")]
    Truncated,
    #[error("the frame is empty")]
    Empty,
    #[error("the frame has {0} bytes; at most {FRAME_BYTES_MAX} are allowed")]
    Oversize(usize),
    #[error("the peer speaks version {0} of the control protocol, this is version {VERSION}")]
    Version(u8),
    #[error(
        "the peer speaks version {0} of the hand-over, this is version {ours}",
        ours = handover::VERSION
    )]
    HandoverVersion(u8),
    #[error("the peer knows no hand-over")]
    NoHandover,
    #[error("the frame's body is not a message: {0}")]
    Body(String),
    #[error("the frame has {0} bytes after its message")]
    Trailing(usize),
}

/// What travels in a frame: [`Request`], [`Response`], and those of [`handover`].
pub trait Message: sealed::Body {
    /// The frame's version byte.
    const VERSION: u8;
}

impl Message for Request {
    const VERSION: u8 = VERSION;
}
impl Message for Response {
    const VERSION: u8 = VERSION;
}
impl Message for FromSuccessor {
    const VERSION: u8 = handover::VERSION | VERSION_BIT;
}
impl Message for ToSuccessor {
    const VERSION: u8 = handover::VERSION | VERSION_BIT;
}

/// Keeps bincode's traits out of every signature.
mod sealed {
    pub trait Body: bincode::Encode + bincode::Decode<()> {}

    impl Body for super::Request {}
    impl Body for super::Response {}
    impl Body for super::FromSuccessor {}
    impl Body for super::ToSuccessor {}
}

/// How many bytes follow a length field.
///
/// # Errors
/// [`FrameError::Empty`] and [`FrameError::Oversize`]: the stream is not worth reading on.
pub fn payload_bytes(header: [u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    match length {
        0 => Err(FrameError::Empty),
        1..=FRAME_BYTES_MAX => Ok(length),
        _ => Err(FrameError::Oversize(length)),
    }
}

/// A whole frame, length field included.
///
/// # Errors
/// [`FrameError::Oversize`] when the message does not fit a frame.
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut body = Vec::new();
    wire::encode_to(message, &mut body).map_err(FrameError::Body)?;
    let payload = body.len() + 1;
    let Some(length) = u32::try_from(payload).ok().filter(|_| payload <= FRAME_BYTES_MAX) else {
        return Err(FrameError::Oversize(payload));
    };
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.push(M::VERSION);
    frame.extend_from_slice(&body);
    Ok(frame)
}

/// The message in `payload`: what follows the length field, all of it.
///
/// # Errors
/// Any [`FrameError`]; the version is looked at before anything else.
pub fn decode<M: Message>(payload: &[u8]) -> Result<M, FrameError> {
    if payload.len() > FRAME_BYTES_MAX {
        return Err(FrameError::Oversize(payload.len()));
    }
    let (&version, body) = payload.split_first().ok_or(FrameError::Empty)?;
    if version != M::VERSION {
        return Err(match (M::VERSION & VERSION_BIT != 0, version & VERSION_BIT != 0) {
            (false, _) => FrameError::Version(version),
            (true, false) => FrameError::NoHandover,
            (true, true) => FrameError::HandoverVersion(version & !VERSION_BIT),
        });
    }
    let (message, used) = wire::decode(body).map_err(FrameError::Body)?;
    match body.len() - used {
        0 => Ok(message),
        rest => Err(FrameError::Trailing(rest)),
    }
}

/// The message of the first frame in `bytes`, and how many bytes that frame has.
///
/// # Errors
/// [`FrameError::Truncated`] when more bytes are needed; any other is final.
pub fn decode_frame<M: Message>(bytes: &[u8]) -> Result<(M, usize), FrameError> {
    let (&header, rest) = bytes.split_first_chunk().ok_or(FrameError::Truncated)?;
    let payload = payload_bytes(header)?;
    let payload = rest.get(..payload).ok_or(FrameError::Truncated)?;
    Ok((decode(payload)?, HEADER_BYTES + payload.len()))
}
