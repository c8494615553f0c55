//! What is meant for one connection only and must not be forwarded.

use super::fields::{list_elements, token};
use super::{Field, FieldId, HeadError, Version};

/// Unknown field names that one head may list in `Connection`; nobody honest comes near.
const NAMED_MAX: usize = 8;

/// The options of a head's `Connection` fields (RFC 9110 section 7.6.1).
#[derive(Debug, Clone, Default)]
pub struct ConnectionOptions<'b> {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    pub te: bool,
    /// Names of fields to remove, beyond the ones that are always removed; at most [`NAMED_MAX`].
    /// On the heap, since hardly a head has any and every head is moved.
    named: Vec<&'b str>,
}

impl<'b> ConnectionOptions<'b> {
    /// Adds the options of one field line. Elements that are no tokens can neither be an option
    /// nor name a field, and are passed over.
    pub(super) fn note(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        for option in list_elements(value).filter_map(token) {
            self.note_option(option)?;
        }
        Ok(())
    }

    fn note_option(&mut self, option: &'b str) -> Result<(), HeadError> {
        let is = |known: &str| option.eq_ignore_ascii_case(known);
        if is("close") {
            self.close = true;
        } else if is("keep-alive") {
            self.keep_alive = true;
        } else if is("upgrade") {
            self.upgrade = true;
        } else if is("te") {
            self.te = true;
        } else if FieldId::of(option.as_bytes()) == FieldId::Other {
            // Fields that the gateway knows are hop-by-hop or not by nature. Were they removed at
            // a client's word, it could strip Host, Authorization or X-Forwarded-For: RFC 9110
            // section 7.6.1 forbids to name a field meant for all recipients.
            if self.named.len() == NAMED_MAX {
                return Err(HeadError::TooManyConnectionOptions);
            }
            self.named.push(option);
        }
        Ok(())
    }

    /// Whether the connection outlives the message, as far as this head says: RFC 9112 section 9.3.
    pub(super) fn persistent(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    fn names(&self, name: &str) -> bool {
        self.named.iter().any(|named| named.eq_ignore_ascii_case(name))
    }
}

/// Whether a proxy must not forward `field` of the head that `connection` belongs to (RFC 9110
/// section 7.6.1). `Trailer` is not among them, since trailers are forwarded.
///
/// Names that a backend may take for one of the gateway's own fields ([`FieldId::Alias`]) are kept
/// from it the same way.
#[must_use]
pub fn is_hop_by_hop(field: &Field<'_>, connection: &ConnectionOptions<'_>) -> bool {
    match field.id {
        FieldId::Connection
        | FieldId::KeepAlive
        | FieldId::ProxyConnection
        | FieldId::Te
        | FieldId::TransferEncoding
        | FieldId::Upgrade
        | FieldId::Http2Settings
        | FieldId::Alias => true,
        FieldId::Other => connection.names(field.name),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
