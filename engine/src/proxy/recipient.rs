//! Methods that are about the way to a resource, not about the resource: CONNECT, TRACE and
//! OPTIONS. Some are refused, and some Weir answers itself.

use weir_protocol::http::{Field, FieldId, Hops, Method, RequestBody, RequestHead, TargetForm};

use super::account::Account;
use super::answer::{Answer, Content};
use super::exchange::Exchange;
use crate::config::RouteConfig;
use crate::runtime::Runtime;

impl<'e, R: Runtime> Exchange<'e, R> {
    /// The answer to a request that no route is asked for: `OPTIONS *` is about the server in
    /// general (RFC 9110 section 9.3.7), and to its clients the gateway is the server.
    pub(super) fn answer_for_server(&self) -> Option<Answer<'e>> {
        let target = &self.head.target;
        // An absolute target without a path means the same (RFC 9112 section 3.2.4).
        let whole = target.form == TargetForm::Asterisk || target.path == "*";
        (self.head.method == Method::Options && whole).then(|| self.options(false))
    }

    /// What is left of `Max-Forwards`, for a request to pass on; or the answer to one that is not.
    pub(super) fn pass_on(
        &self,
        route: &RouteConfig,
        account: &mut Account<'e>,
    ) -> Result<Option<u64>, Answer<'e>> {
        match self.head.method {
            Method::Connect => return self.permit_connect(route).map(|()| None),
            Method::Trace => self.permit_trace(route)?,
            Method::Options => {}
            _ => return Ok(None),
        }
        let hops = self.head.hops();
        match hops.map_err(|_| Answer::new(400, "Max-Forwards is not one decimal number"))? {
            Hops::Unlimited => Ok(None),
            Hops::Left(left) => Ok(Some(left)),
            Hops::Last => {
                account.decision = "answered";
                Err(match self.head.method {
                    Method::Trace => self.trace(),
                    _ => self.options(route.connect),
                })
            }
        }
    }

    /// RFC 9110 section 9.3.6: what follows the head belongs to the tunnel, so that nothing may
    /// claim to frame it.
    fn permit_connect(&self, route: &RouteConfig) -> Result<(), Answer<'e>> {
        if !route.connect {
            return Err(self.not_allowed(false, "CONNECT is not allowed"));
        }
        if self.has_body() {
            return Err(Answer::new(400, "a CONNECT request has no body"));
        }
        Ok(())
    }

    /// RFC 9110 section 9.3.8.
    fn permit_trace(&self, route: &RouteConfig) -> Result<(), Answer<'e>> {
        if !self.snapshot.config.http.trace {
            return Err(self.not_allowed(route.connect, "TRACE is not allowed"));
        }
        if self.has_body() {
            return Err(Answer::new(400, "a TRACE request has no body"));
        }
        Ok(())
    }

    fn has_body(&self) -> bool {
        !matches!(self.head.body, RequestBody::None | RequestBody::Length(0))
    }

    fn not_allowed(&self, connect: bool, detail: &'static str) -> Answer<'e> {
        Answer { allow: Some(self.methods(connect)), ..Answer::new(405, detail) }
    }

    fn options(&self, connect: bool) -> Answer<'e> {
        let allow = Some(self.methods(connect));
        Answer { allow, content: Content::Empty, ..Answer::new(200, "") }
    }

    fn trace(&self) -> Answer<'e> {
        Answer { content: Content::Reflection(self.head), ..Answer::new(200, "") }
    }

    /// The methods that are not refused whatever the backend makes of them.
    fn methods(&self, connect: bool) -> &'static str {
        match (self.snapshot.config.http.trace, connect) {
            (false, false) => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            (true, false) => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE",
            (false, true) => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT",
            (true, true) => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT",
        }
    }
}

/// The request as it came, for the content of the answer to TRACE (`message/http`), without what
/// a script must not learn from a browser's own request.
pub(super) fn write_reflection(out: &mut Vec<u8>, head: &RequestHead<'_, '_>) {
    for part in [head.method.as_str(), " ", head.target.raw, " ", head.version.as_str(), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for field in head.fields.iter().filter(|field| !is_secret(field)) {
        super::heads::write_field(out, field.name, field.value);
    }
    out.extend_from_slice(b"\r\n");
}

fn is_secret(field: &Field<'_>) -> bool {
    matches!(
        field.id,
        FieldId::Authorization
            | FieldId::ProxyAuthorization
            | FieldId::Cookie
            | FieldId::ApiKey
            | FieldId::Alias
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_protocol::http::{FieldStore, HeadLimits, parse_request};

    #[test]
    fn secrets_are_not_reflected() {
        let limits = HeadLimits { head_bytes: 16_384, target_bytes: 8192, fields: 100 };
        let head = "TRACE /a?b HTTP/1.1\r\nHost: a\r\nCookie: c\r\nAUTHORIZATION: d\r\nX-Seen: e\r\n\
            X-API-Key: f\r\nx_api_key: g\r\nProxy-Authorization: h\r\nMax-Forwards: 0\r\n\r\n";
        let mut store = FieldStore::new();
        let head = parse_request(head.as_bytes(), &mut store, &limits).expect("a request");
        let mut out = Vec::new();
        write_reflection(&mut out, &head);
        let expected = "TRACE /a?b HTTP/1.1\r\nHost: a\r\nX-Seen: e\r\nMax-Forwards: 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
