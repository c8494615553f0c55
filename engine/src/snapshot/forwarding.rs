//! What is written about a request's path, put together once for each configuration.

use std::net::IpAddr;

use weir_protocol::http::{ChainField, Version, append_via};

use crate::addresses::AddressSet;
use crate::config::{Config, ForwardedFields, RequestIds, TraceContexts};

pub struct Forwarding {
    pub client_address: ChainField,
    pub fields: ForwardedFields,
    pub request_id: RequestIds,
    pub request_id_in_response: bool,
    pub trace_context: TraceContexts,
    pub via_in_response: bool,
    /// This gateway's name in `Via`.
    pub via: Option<String>,
    /// Its name in `Proxy-Status`, where that is written.
    pub proxy_status: Option<String>,
    /// By listener.
    trusted: Vec<AddressSet>,
    /// The lines of `Via` for both versions; empty when there is none.
    via_lines: [Vec<u8>; 2],
}

impl Forwarding {
    pub fn new(config: &Config) -> Self {
        let forwarding = &config.forwarding;
        let via = forwarding.via.clone();
        let via_line = |version| {
            let mut line = Vec::new();
            via.iter().for_each(|name| append_via(&mut line, version, name));
            line
        };
        Self {
            client_address: forwarding.client_address,
            fields: forwarding.forwarded,
            request_id: forwarding.request_id,
            request_id_in_response: forwarding.request_id_in_response,
            trace_context: forwarding.trace_context,
            via_in_response: forwarding.via_in_response,
            proxy_status: forwarding.proxy_status.then(|| forwarding.pseudonym().to_owned()),
            trusted: config.listeners.iter().map(|l| AddressSet::new(&l.trusted_proxies)).collect(),
            via_lines: [via_line(Version::Http10), via_line(Version::Http11)],
            via,
        }
    }

    /// Whether a peer of that listener may say whose request it passes on.
    #[inline]
    pub fn is_trusted(&self, listener: usize, peer: IpAddr) -> bool {
        let trusted = &self.trusted[listener];
        !trusted.is_empty() && trusted.contains(peer)
    }

    /// The line of `Via` for a message received in `version`, or nothing.
    #[inline]
    pub fn via_line(&self, version: Version) -> &[u8] {
        match version {
            Version::Http10 => &self.via_lines[0],
            Version::Http11 => &self.via_lines[1],
        }
    }
}
