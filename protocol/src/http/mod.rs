//! HTTP/1.1 messages: heads, framing, chunked bodies, problem documents.
//!
//! Invariants:
//! - what parses is unambiguous: framing that two recipients might read differently is an error;
//! - a run of bytes is handed on only after every byte of it was validated;
//! - nothing here allocates for a head, and bodies are never held.
//!
//! The way of a message: [`HeadScanner`] finds the end of the head, [`parse_request`] or
//! [`parse_response`] reads it, `body` says how the rest is framed, [`ChunkedDecoder`] strips the
//! chunks.

mod chunked;
mod connection;
mod error;
mod fields;
mod forwarded;
mod framing;
mod head;
mod path;
mod problem;
mod request;
mod response;
mod scanner;
mod target;
mod trailers;

pub use chunked::{
    CHUNK_END, ChunkError, ChunkedDecoder, Decoded, LAST_CHUNK, LAST_CHUNK_LINE, chunk_header,
};
pub use connection::{ConnectionOptions, is_hop_by_hop};
pub use error::HeadError;
pub use fields::{FIELDS_CAP, Field, FieldId, FieldStore};
pub use forwarded::{append_x_forwarded_for, append_x_forwarded_host, append_x_forwarded_proto};
pub use head::{HeadLimits, Method, Version};
pub use path::{PathError, forwarded_path, normalise_path};
pub use problem::{Member, PROBLEM_MEDIA_TYPE, Problem, reason_phrase};
pub use request::{RequestBody, RequestHead, parse_request};
pub use response::{ResponseBody, ResponseHead, parse_response};
pub use scanner::HeadScanner;
pub use target::{Target, TargetForm, host_without_port};
