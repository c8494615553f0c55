//! Values as bytes: bincode's standard configuration (integers as variable-length little-endian).
//! The only module that calls bincode; what derives its traits says where its bytes are.

use bincode::{Decode, Encode};

/// Most memory that decoding may claim. bincode counts values as they are in memory, where the
/// worst (an empty text: one byte on the wire) is 24 times as large, so that whatever comes in
/// 1 MiB fits.
const DECODE_BYTES_MAX: usize = 32 << 20;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<DECODE_BYTES_MAX>,
> = bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();

/// Appends `value` to `bytes`; how many bytes that took, or why it cannot be written.
pub(crate) fn encode_to(value: &impl Encode, bytes: &mut Vec<u8>) -> Result<usize, String> {
    bincode::encode_into_std_write(value, bytes, CONFIG).map_err(|error| error.to_string())
}

/// The value that `bytes` begin with, and how many of them it takes.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<(T, usize), String> {
    bincode::decode_from_slice(bytes, CONFIG).map_err(|error| error.to_string())
}
