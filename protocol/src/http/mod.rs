//! HTTP/1.1 messages: heads, framing, chunked bodies, problem documents.
//!
//! Invariants:
//! - what parses is unambiguous: framing that two recipients might read differently is an error;
//! - a run of bytes is handed on only after every byte of it was validated.
