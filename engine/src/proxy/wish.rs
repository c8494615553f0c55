//! Whether a request asks for a tunnel, may have one, and got it.

use weir_protocol::http::{Method, Protocol, RequestBody, RequestHead, ResponseHead};

use crate::config::{RouteConfig, Upgrades};

/// What a request asks its connection to become, as far as the route allows it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish<'c> {
    Nothing,
    /// Another protocol, one of these: RFC 9110 section 7.8.
    Upgrade(&'c Upgrades),
    /// A connection to what the target names: RFC 9110 section 9.3.6.
    Connect,
}

/// What an answer makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An answer like others.
    Ordinary,
    /// Behind its head HTTP is over.
    Tunnel,
    /// It switches to what nobody asked for.
    Malformed,
}

impl<'c> Wish<'c> {
    /// A request to upgrade that has a body, or names nothing that the route allows, is served as
    /// if it had not asked, which a server may always do.
    pub(super) fn of(head: &RequestHead<'_, '_>, route: &'c RouteConfig) -> Self {
        if head.method == Method::Connect {
            return if route.connect { Self::Connect } else { Self::Nothing };
        }
        let bodiless = matches!(head.body, RequestBody::None | RequestBody::Length(0));
        if head.upgrade && bodiless && head.protocols().any(|p| route.upgrade.allow(p.name)) {
            return Self::Upgrade(&route.upgrade);
        }
        Self::Nothing
    }

    pub(super) fn is_some(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The protocols that the backend is asked for.
    pub(super) fn protocols<'b>(
        self,
        head: &RequestHead<'b, '_>,
    ) -> impl Iterator<Item = Protocol<'b>> {
        head.protocols().filter(move |protocol| match self {
            Self::Upgrade(allowed) => allowed.allow(protocol.name),
            Self::Nothing | Self::Connect => false,
        })
    }

    #[inline]
    pub(super) fn verdict(
        self,
        request: &RequestHead<'_, '_>,
        answer: &ResponseHead<'_, '_>,
    ) -> Verdict {
        match (self, answer.status) {
            (Self::Connect, 200..=299) => Verdict::Tunnel,
            (_, 101) => {
                let asked =
                    |chosen: &Protocol<'_>| self.protocols(request).any(|p| p.is(chosen.name));
                if answer.switches_to(asked) { Verdict::Tunnel } else { Verdict::Malformed }
            }
            _ => Verdict::Ordinary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, ForwardPath, PathPattern, RouteTarget};
    use weir_protocol::http::{FieldStore, HeadLimits, parse_request, parse_response};

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 16_384, target_bytes: 8192, fields: 100 };

    fn route(upgrade: Upgrades, connect: bool) -> RouteConfig {
        RouteConfig {
            listener: None,
            host: None,
            path: PathPattern::Prefix("/".to_owned()),
            target: RouteTarget::Control,
            auth: Auth::None,
            limits: Vec::new(),
            cost: 1,
            cost_header: None,
            tiers: Vec::new(),
            upgrade,
            connect,
            conditions: None,
            forward_path: ForwardPath::AsWritten,
            policy: None,
            access: None,
        }
    }

    /// What the backend is asked for, and what its answer means.
    fn outcome(request: &str, route: &RouteConfig, answer: &str) -> (Vec<String>, Verdict) {
        let mut store = FieldStore::new();
        let request = parse_request(request.as_bytes(), &mut store, &LIMITS).expect("a request");
        let wish = Wish::of(&request, route);
        let asked = wish.protocols(&request).map(|p| p.text.to_owned()).collect();
        let mut store = FieldStore::new();
        let answer = parse_response(answer.as_bytes(), &mut store, &LIMITS, &request.method);
        (asked, wish.verdict(&request, &answer.expect("an answer")))
    }

    #[test]
    fn what_is_asked_for_and_got() {
        let upgrade = |fields: &str, protocols: &str| {
            let fields =
                format!("Host: a\r\nConnection: upgrade\r\nUpgrade: {protocols}\r\n{fields}");
            format!("GET / HTTP/1.1\r\n{fields}\r\n")
        };
        let switch = |protocol: &str| {
            format!("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n")
        };
        let (default, none, any) = (
            route(Upgrades::default(), false),
            route(Upgrades::Only(Vec::new()), false),
            route(Upgrades::Any, false),
        );
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned();
        let (tunnel, ordinary, malformed) =
            (Verdict::Tunnel, Verdict::Ordinary, Verdict::Malformed);
        let cases: [(String, &RouteConfig, String, &[&str], Verdict); 10] = [
            (upgrade("", "WebSocket"), &default, switch("websocket"), &["WebSocket"], tunnel),
            (upgrade("", "x, websocket"), &default, switch("websocket"), &["websocket"], tunnel),
            (upgrade("", "x, websocket"), &default, switch("x"), &["websocket"], malformed),
            (upgrade("", "x/2, y"), &any, switch("x/2"), &["x/2", "y"], tunnel),
            (upgrade("", "x"), &default, switch("x"), &[], malformed),
            (upgrade("", "websocket"), &none, switch("websocket"), &[], malformed),
            (upgrade("", "websocket"), &default, ok.clone(), &["websocket"], ordinary),
            (
                upgrade("Content-Length: 0\r\n", "websocket"),
                &default,
                ok.clone(),
                &["websocket"],
                ordinary,
            ),
            (upgrade("Content-Length: 1\r\n", "websocket"), &default, ok.clone(), &[], ordinary),
            (upgrade("", "h2c"), &any, switch("h2c"), &[], malformed),
        ];
        for (request, route, answer, asked, verdict) in cases {
            let expected = (asked.iter().map(|p| (*p).to_owned()).collect(), verdict);
            assert_eq!(outcome(&request, route, &answer), expected, "{request}{answer}");
        }
        let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
        for (allowed, answer, verdict) in [
            (true, "HTTP/1.1 200 OK\r\n\r\n", tunnel),
            (true, "HTTP/1.1 299 X\r\n\r\n", tunnel),
            (true, "HTTP/1.1 403 No\r\n\r\n", ordinary),
            (false, "HTTP/1.1 200 OK\r\n\r\n", ordinary),
            (true, &switch("websocket"), malformed),
        ] {
            let route = route(Upgrades::default(), allowed);
            assert_eq!(outcome(connect, &route, answer).1, verdict, "{answer}");
        }
    }
}
