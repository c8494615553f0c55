//! What backends and clients are told about the path of a request.

use weir_protocol::http::ChainField;

/// `[forwarding]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingConfig {
    /// Where trusted proxies name the client. Default `X-Forwarded-For`.
    pub client_address: ChainField,
    /// Which fields tell backends of the client. Default `XForwarded`.
    pub forwarded: ForwardedFields,
    /// Default `Keep`.
    pub request_id: RequestIds,
    /// Whether answers of backends carry the request's id too; Weir's own always do. Default no:
    /// answers are passed on as they are.
    pub request_id_in_response: bool,
    /// Default `Pass`.
    pub trace_context: TraceContexts,
    /// This gateway's name in `Via`, a token; `None` when it stays out. Default `weir`.
    pub via: Option<String>,
    /// Whether answers get `Via` too, which RFC 9110 section 7.6.3 leaves to gateways. Default no.
    pub via_in_response: bool,
    /// Whether answers that Weir gives because of a backend say what happened (RFC 9209). Default
    /// yes.
    pub proxy_status: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardedFields {
    /// `X-Forwarded-For`, `-Proto`, `-Host` and, from trusted proxies, `-Port`.
    XForwarded,
    /// `Forwarded`.
    Rfc7239,
    Both,
    Off,
}

/// What becomes of `X-Request-Id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestIds {
    /// A client's valid one is passed on, else one is made.
    Keep,
    /// One is always made.
    Replace,
    Off,
}

/// What becomes of `traceparent` and `tracestate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceContexts {
    /// A valid context is passed on.
    Pass,
    /// As `Pass`, and a request without one begins a trace that is not sampled.
    Make,
    Off,
}

impl ForwardingConfig {
    /// This gateway's name in `Proxy-Status`.
    pub fn pseudonym(&self) -> &str {
        self.via.as_deref().unwrap_or(Self::PSEUDONYM)
    }

    pub(super) const PSEUDONYM: &str = "weir";
}

impl ForwardedFields {
    pub fn has_x_forwarded(self) -> bool {
        matches!(self, Self::XForwarded | Self::Both)
    }

    pub fn has_rfc7239(self) -> bool {
        matches!(self, Self::Rfc7239 | Self::Both)
    }
}
