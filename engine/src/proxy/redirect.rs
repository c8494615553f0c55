//! Answers that send the client elsewhere.

use weir_protocol::http::{Location, forwarded_path, host_without_port};

use super::answer::{Answer, Content};
use super::exchange::Exchange;
use super::route::{HIDDEN_DOTS, replaced};
use crate::config::{Redirect, RouteConfig};
use crate::runtime::Runtime;

impl<'e, R: Runtime> Exchange<'e, R> {
    /// The answer to a request on a route that redirects; its `Location` goes to the gateway's own
    /// lines.
    pub(super) fn redirect(&mut self, route: &RouteConfig, to: &Redirect) -> Answer<'e> {
        let mut scratch = self.shard.buffers.output();
        let target = self.head.target;
        let Ok(path) = forwarded_path(target.path, &mut scratch) else {
            return Answer::new(400, HIDDEN_DOTS);
        };
        let path = match replaced(path, &route.path, to.path.as_ref()) {
            Ok(path) => path,
            Err(answer) => return answer,
        };
        let secure = self.origin.secure;
        let https = to.https.unwrap_or(secure);
        let asked = self.head.host.unwrap_or_default();
        let asked_host = host_without_port(asked);
        // A port belongs to the host and the scheme that it was asked with.
        let same_place = to.host.is_none() && https == secure;
        let asked_port =
            asked[asked_host.len()..].strip_prefix(':').and_then(|port| port.parse().ok());
        let location = Location {
            https,
            host: to.host.as_deref().unwrap_or(asked_host),
            port: to.port.or(asked_port.filter(|_| same_place)),
            prefix: path.prefix,
            rest: path.rest,
            query: target.query,
        };
        if location.host.is_empty() {
            return Answer::new(400, "the request names no host to lead back to");
        }
        let lines = self.own_lines();
        lines.extend_from_slice(b"Location: ");
        location.write(lines);
        lines.extend_from_slice(b"\r\n");
        Answer { content: Content::Empty, ..Answer::new(to.status, "") }
    }
}
