//! What pages of other origins may read: the fields of the Fetch standard, section 3.2.
//!
//! They go into every answer on a route that has them, refusals included, for a browser hides from
//! its page what has none. None of it protects a backend: whoever is not a browser ignores it.

use weir_protocol::http::FieldId;

use super::answer::{Answer, Content};
use super::exchange::Exchange;
use super::heads::ResponsePolicy;
use crate::config::{Cors, RoutePolicy};
use crate::runtime::Runtime;
use crate::shard::Output;

impl<R: Runtime> Exchange<'_, R> {
    /// Notes the fields that answers on this route have, whoever gives them.
    pub(super) fn note_cors(&mut self, cors: &Cors) {
        if self.allow_origin(cors) {
            self.own_lines().extend_from_slice(cors.answer_lines.as_bytes());
        }
    }

    /// The answer to a preflight. Methods and fields are told, not compared: the browser does
    /// that. A page whose origin is not allowed could not read any answer; 403 shows in its
    /// developer's tools and in the log why.
    pub(super) fn preflight(&mut self, cors: &Cors, allowed: bool) -> Answer<'static> {
        if !allowed {
            return Answer::new(403, "this route does not allow the page's origin");
        }
        self.own_lines().extend_from_slice(cors.preflight_lines.as_bytes());
        Answer { content: Content::Empty, ..Answer::new(204, "") }
    }

    /// Notes whether the page may read the answer, with the fields that say so.
    pub(super) fn allow_origin(&mut self, cors: &Cors) -> bool {
        if cors.any_origin() {
            self.own_lines().extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
            return true;
        }
        // Also where it is not allowed, or a cache would give that answer to those who are.
        self.vary_origin = true;
        let mut origins = self.head.get_all(FieldId::Origin);
        let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
        if !cors.allows(origin) {
            return false;
        }
        let lines = self.own_lines();
        lines.extend_from_slice(b"Access-Control-Allow-Origin: ");
        lines.extend_from_slice(origin);
        lines.extend_from_slice(b"\r\n");
        if cors.credentials {
            lines.extend_from_slice(b"Access-Control-Allow-Credentials: true\r\n");
        }
        true
    }
}

/// The field lines that the route adds to an answer.
pub(super) fn own_lines(lines: &Option<Output>) -> &[u8] {
    lines.as_ref().map_or(&[], |lines| lines.as_slice())
}

/// What `policy` does to a backend's answer, to which the route adds `lines`.
pub(super) fn response_policy<'a>(
    policy: &'a RoutePolicy,
    lines: &'a Option<Output>,
    vary_origin: bool,
) -> ResponsePolicy<'a> {
    let cors = policy.cors.as_ref().map(|_| own_lines(lines));
    ResponsePolicy { edits: &policy.response_fields, cors, vary_origin }
}
