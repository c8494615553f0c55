//! What a route asks of a request beyond its path, and what it does to it and to its answer.
//!
//! Field lines are kept as they are written, each with its CRLF, so that a request costs no more
//! than copying them.

use weir_protocol::http::OriginPattern;

use super::PathPattern;

/// What a request must have besides listener, host and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// Sorted; empty is any. `HEAD` is there wherever `GET` is.
    pub methods: Vec<String>,
    /// Sorted; all must hold.
    pub headers: Vec<HeaderCondition>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderCondition {
    /// Lower case.
    pub name: String,
    /// The whole value of one of the request's fields of that name; `None` is any value.
    pub value: Option<String>,
}

/// How the path that a backend gets is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardPath {
    /// As the client wrote it, without dot segments.
    #[default]
    AsWritten,
    /// In its one spelling: percent-encoding normalised, empty and dot segments removed.
    Normalised,
}

/// An answer that sends the client elsewhere. What is `None` stays as the client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// Whether to `https`.
    pub https: Option<bool>,
    /// Lower case, without port.
    pub host: Option<String>,
    pub port: Option<u16>,
    /// A prefix replaces the one of the route.
    pub path: Option<PathPattern>,
    /// 301, 302, 303, 307 or 308 (default).
    pub status: u16,
}

/// What else a route does. A route that does nothing of it has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutePolicy {
    /// What the backend gets in place of the path; a prefix replaces the one of the route.
    pub path: Option<PathPattern>,
    pub host: HostPolicy,
    pub request_fields: FieldEdits,
    pub response_fields: FieldEdits,
    pub cors: Option<Cors>,
}

/// The `Host` that a backend gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// The client's.
    #[default]
    Kept,
    /// The address of the backend.
    Backend,
    /// A host, perhaps with a port.
    Named(String),
}

/// Changes of the fields of a head.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FieldEdits {
    /// Names in lower case with `-` for `_`, as backends that follow CGI read them.
    pub dropped: Vec<String>,
    /// Field lines to add.
    pub lines: String,
}

impl FieldEdits {
    /// Whether a field of this name is left out.
    pub fn drops(&self, name: &str) -> bool {
        let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        self.dropped
            .iter()
            .any(|known| known.len() == name.len() && name.bytes().map(plain).eq(known.bytes()))
    }
}

/// Without the lines: one may be a credential for the backend.
impl std::fmt::Debug for FieldEdits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FieldEdits").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

/// Who may read a route's answers from a page of another origin (Fetch standard, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    pub origins: Vec<OriginPattern>,
    pub credentials: bool,
    /// Field lines of the answer to a preflight.
    pub preflight_lines: String,
    /// Field lines of the answer to the request itself.
    pub answer_lines: String,
}

impl Cors {
    /// Whether the answer is the same for every origin.
    pub fn any_origin(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }

    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|pattern| pattern.allows(origin))
    }
}
