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
mod cors;
mod error;
mod fields;
mod forwarded;
mod framing;
mod head;
mod max_forwards;
mod path;
mod problem;
mod proxy_status;
mod redirect;
mod request;
mod request_id;
mod response;
mod rewrite;
mod scanner;
mod target;
mod trace_context;
mod trailers;
mod upgrade;
mod via;

pub use chunked::{
    CHUNK_END, ChunkError, ChunkedDecoder, Decoded, LAST_CHUNK, LAST_CHUNK_LINE, chunk_header,
};
pub use connection::{ConnectionOptions, is_hop_by_hop};
pub use cors::OriginPattern;
pub use error::HeadError;
pub use fields::{
    FIELDS_CAP, Field, FieldId, FieldSet, FieldStore, is_field_value, is_reserved, is_token,
    is_x_forwarded, list_elements,
};
pub use forwarded::{
    ChainField, Client, Hop, append_forwarded, append_x_forwarded_for, append_x_forwarded_host,
    append_x_forwarded_proto, client_of, is_forwarded, is_forwarded_host, is_forwarded_port,
    is_forwarded_tls,
};
pub use head::{HeadLimits, Method, Version};
pub use max_forwards::{Hops, HopsError};
pub use path::{PathError, forwarded_path, is_normal_path, normalise_path};
pub use problem::{Member, PROBLEM_MEDIA_TYPE, Problem, reason_phrase};
pub use proxy_status::{ProxyError, append_proxy_status};
pub use redirect::Location;
pub use request::{RequestBody, RequestHead, parse_request};
pub use request_id::{REQUEST_ID_CHARACTERS, is_request_id, request_id};
pub use response::{ResponseBody, ResponseHead, parse_response};
pub use rewrite::{PathTail, is_legal_path, normalised_path, path_below};
pub use scanner::HeadScanner;
pub use target::{Target, TargetForm, host_without_port, is_authority};
pub use trace_context::{append_traceparent, append_tracestate, is_traceparent, is_tracestate};
pub use upgrade::Protocol;
pub use via::{append_via, count_via, is_pseudonym};
