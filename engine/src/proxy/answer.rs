//! Answers that Weir gives itself: refusals and failures as problem documents (RFC 9457), redirects,
//! answers to preflights, and what it answers as the recipient of a request.

use weir_protocol::http::{
    Member, PROBLEM_MEDIA_TYPE, Problem, ProxyError, RequestHead, Version, append_proxy_status,
    reason_phrase,
};
use weir_protocol::limit::fields::{Standing, write_fields, write_retry_after};

use super::heads::{write_connection, write_field, write_length, write_status_line};
use super::recipient::write_reflection;
use crate::admission::Refusal;
use crate::config::Auth;
use crate::runtime::Runtime;
use crate::shard::{Buffers, Output, Shard};

/// The problem type of draft-ietf-httpapi-ratelimit-headers for an exhausted quota.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// An answer before it knows its client.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    pub detail: &'a str,
    /// The exhausted limit of a 429.
    pub limit: Option<&'a str>,
    pub retry_after_ns: Option<u64>,
    pub challenge: Option<Challenge>,
    /// What went wrong with the next hop, when that is why there is no other answer.
    pub error: Option<ProxyError>,
    /// The methods that a 405, or an answer to OPTIONS, names (RFC 9110 section 10.2.1).
    pub allow: Option<&'static str>,
    pub content: Content<'a>,
}

/// What an answer of our own says.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// What is wrong.
    Problem,
    Empty,
    /// The request, as it came: the answer to TRACE.
    Reflection(&'a RequestHead<'a, 'a>),
}

/// What `WWW-Authenticate` asks for.
#[derive(Debug, Clone, Copy)]
pub struct Challenge {
    auth: Auth,
    reason: Option<&'static str>,
}

/// What of the client and the moment shapes the bytes.
#[derive(Clone, Copy)]
pub struct AnswerContext<'a> {
    pub client: Version,
    pub persistent: bool,
    /// The answer to HEAD has no body.
    pub head_only: bool,
    pub standings: &'a [Standing<'a>],
    /// For people who ask why: the same id is in the log and at the backend.
    pub request_id: Option<&'a [u8]>,
    /// This gateway's name in `Proxy-Status`, where that is written.
    pub proxy_name: Option<&'a str>,
    /// Field lines that the route adds, each with its CRLF.
    pub lines: &'a [u8],
    /// Whether the answer depends on the page that asks.
    pub vary_origin: bool,
}

impl AnswerContext<'_> {
    /// For a client whose request is not known, or not worth another one.
    pub const LAST_WORD: Self = Self {
        client: Version::Http11,
        persistent: false,
        head_only: false,
        standings: &[],
        request_id: None,
        proxy_name: None,
        lines: &[],
        vary_origin: false,
    };
}

impl<'a> Answer<'a> {
    pub const fn new(status: u16, detail: &'a str) -> Self {
        Self {
            status,
            detail,
            limit: None,
            retry_after_ns: None,
            challenge: None,
            error: None,
            allow: None,
            content: Content::Problem,
        }
    }

    pub fn refusal(refusal: &Refusal<'a>) -> Self {
        match *refusal {
            Refusal::Denied => Self::new(403, "this address is not served"),
            Refusal::Blocked { retry_after_ns } => {
                Self { retry_after_ns, ..Self::new(403, "this caller is blocked") }
            }
            Refusal::Unauthenticated { auth, reason } => Self {
                challenge: Some(Challenge { auth, reason }),
                ..Self::new(401, reason.unwrap_or("this route needs a credential"))
            },
            Refusal::WrongTier => Self::new(403, "this route is not part of the caller's tier"),
            Refusal::Banned { limit, retry_after_ns } => Self {
                limit: Some(limit),
                retry_after_ns: Some(retry_after_ns),
                ..Self::new(429, "banned for asking again too early too often")
            },
            Refusal::LimitExceeded { limit, retry_after_ns } => Self {
                limit: Some(limit),
                retry_after_ns: Some(retry_after_ns),
                ..Self::new(429, "the allowance of this limit is used up")
            },
            Refusal::TableFull { limit } => Self {
                limit: Some(limit),
                retry_after_ns: Some(1_000_000_000),
                ..Self::new(503, "too many callers to count another one")
            },
        }
    }

    /// The whole response, as bytes.
    pub fn compose<R: Runtime>(&self, shard: &Shard<R>, context: AnswerContext<'_>) -> Output {
        let mut out = shard.buffers.output();
        self.write(&mut out, &shard.buffers, &shard.date(), context);
        out
    }

    /// `date` is an IMF-fixdate.
    fn write(&self, out: &mut Vec<u8>, buffers: &Buffers, date: &str, context: AnswerContext<'_>) {
        let mut body = buffers.output();
        let media_type = self.write_content(&mut body);
        write_status_line(out, self.status, reason_phrase(self.status));
        write_field(out, "Date", date.as_bytes());
        if let Some(media_type) = media_type {
            write_field(out, "Content-Type", media_type.as_bytes());
        }
        // RFC 9110 section 8.6.
        if self.status != 204 {
            write_length(out, body.len() as u64);
        }
        if let Some(methods) = self.allow {
            write_field(out, "Allow", methods.as_bytes());
        }
        out.extend_from_slice(context.lines);
        if context.vary_origin {
            write_field(out, "Vary", b"Origin");
        }
        if let Some(challenge) = self.challenge {
            challenge.write(out);
        }
        if let Some(ns) = self.retry_after_ns {
            write_retry_after(out, ns);
        }
        if !context.standings.is_empty() {
            write_fields(out, context.standings);
        }
        if let Some(id) = context.request_id {
            write_field(out, "X-Request-Id", id);
        }
        if let (Some(name), Some(error)) = (context.proxy_name, self.error) {
            append_proxy_status(out, name, error);
        }
        write_connection(out, context.persistent, context.client);
        out.extend_from_slice(b"\r\n");
        if !context.head_only {
            out.extend_from_slice(&body);
        }
    }

    /// Returns its media type, if there is any content.
    fn write_content(&self, out: &mut Vec<u8>) -> Option<&'static str> {
        match self.content {
            Content::Problem => {
                self.write_problem(out);
                Some(PROBLEM_MEDIA_TYPE)
            }
            Content::Empty => None,
            Content::Reflection(head) => {
                write_reflection(out, head);
                Some("message/http")
            }
        }
    }

    fn write_problem(&self, out: &mut Vec<u8>) {
        let violated = self.limit.as_slice();
        let extra: &[(&str, Member<'_>)] = &[("violated-policies", Member::Texts(violated))];
        let quota_exceeded = self.status == 429;
        Problem {
            status: self.status,
            kind: if quota_exceeded { QUOTA_EXCEEDED } else { "about:blank" },
            title: if quota_exceeded { "Quota exceeded" } else { reason_phrase(self.status) },
            detail: self.detail,
            extra: if quota_exceeded { extra } else { &[] },
        }
        .write(out);
    }
}

impl Challenge {
    /// RFC 6750 section 3: no error code when no credential was sent. Reasons are our own words,
    /// without quotes.
    fn write(self, out: &mut Vec<u8>) {
        let scheme: &[u8] = match self.auth {
            Auth::ApiKey => b"ApiKey",
            Auth::Jwt | Auth::Any | Auth::None => b"Bearer",
        };
        out.extend_from_slice(b"WWW-Authenticate: ");
        out.extend_from_slice(scheme);
        out.extend_from_slice(b" realm=\"weir\"");
        if let Some(reason) = self.reason {
            out.extend_from_slice(b", error=\"invalid_token\", error_description=\"");
            out.extend_from_slice(reason.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::limit::fields;

    use super::*;

    fn text(answer: &Answer<'_>, head_only: bool, standings: &[Standing<'_>]) -> String {
        let mut out = Vec::new();
        let date = "Mon, 23 Nov 2026 12:00:00 GMT";
        let request_id = Some(&b"r-1"[..]);
        let context = AnswerContext {
            persistent: true,
            head_only,
            standings,
            request_id,
            proxy_name: Some("weir"),
            ..AnswerContext::LAST_WORD
        };
        answer.write(&mut out, &Buffers::default(), date, context);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_exhausted_limit_says_all_the_draft_asks_for() {
        let refusal = Refusal::LimitExceeded { limit: "tier", retry_after_ns: 29_000_000_001 };
        let policy = fields::Policy::new("tier", 5, fields::Unit::Requests, Some(60));
        let standing = Standing { policy: &policy, remaining: 0, reset_ns: 30_000_000_000 };
        let text = text(&Answer::refusal(&refusal), false, &[standing]);
        assert!(text.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{text}");
        for line in [
            "Retry-After: 30",
            "RateLimit-Policy: \"tier\";q=5;w=60",
            "RateLimit: \"tier\";r=0;t=30",
            "Content-Type: application/problem+json",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
        }
        let body = text.split_once("\r\n\r\n").unwrap().1;
        assert!(
            body.contains("quota-exceeded") && body.contains("\"violated-policies\":[\"tier\"]")
        );
    }

    #[test]
    fn challenges_name_an_error_only_for_a_bad_credential() {
        let missing = Refusal::Unauthenticated { auth: Auth::Any, reason: None };
        let text_missing = text(&Answer::refusal(&missing), false, &[]);
        assert!(text_missing.contains("\r\nWWW-Authenticate: Bearer realm=\"weir\"\r\n"));
        let bad = Refusal::Unauthenticated { auth: Auth::Jwt, reason: Some("expired") };
        let text_bad = text(&Answer::refusal(&bad), false, &[]);
        assert!(text_bad.contains("error=\"invalid_token\", error_description=\"expired\"\r\n"));
    }

    #[test]
    fn answers_carry_their_requests_id_and_name_the_next_hops_error() {
        let error = Some(ProxyError::ConnectionRefused);
        let failed = text(&Answer { error, ..Answer::new(502, "no") }, false, &[]);
        let lines = "X-Request-Id: r-1\r\nProxy-Status: weir; error=connection_refused\r\n";
        assert!(failed.contains(lines), "{failed}");
        let refused = text(&Answer::new(404, "no route"), false, &[]);
        assert!(refused.contains("X-Request-Id: r-1\r\n") && !refused.contains("Proxy-Status"));
    }

    #[test]
    fn redirects_and_preflights_have_no_content() {
        let empty = |status| Answer { content: Content::Empty, ..Answer::new(status, "") };
        let redirect = text(&empty(308), false, &[]);
        assert!(redirect.contains("\r\nContent-Length: 0\r\n"), "{redirect}");
        assert!(!redirect.contains("Content-Type"), "{redirect}");
        assert!(redirect.ends_with("\r\n\r\n"), "{redirect}");
        let preflight = text(&empty(204), false, &[]);
        assert!(!preflight.contains("Content-"), "{preflight}");
        assert!(preflight.ends_with("\r\n\r\n"), "{preflight}");
    }

    #[test]
    fn the_answer_to_head_announces_a_body_and_sends_none() {
        let text = text(&Answer::new(404, "no route"), true, &[]);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("Content-Length: ") && !head.contains("Content-Length: 0"));
        assert_eq!(body, "");
    }
}
