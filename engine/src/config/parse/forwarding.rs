//! `[forwarding]`, and whom listeners trust.

use ipnet::IpNet;
use weir_protocol::http::{ChainField, is_pseudonym};

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::network::network;
use super::super::node::Node;
use super::super::{ForwardedFields, ForwardingConfig, RequestIds, TraceContexts};

/// Networks one listener may trust; the largest lists, of content delivery networks, have hundreds.
const TRUSTED_MAX: usize = 4096;
const NAME_CHARACTERS_MAX: usize = 64;

impl Default for ForwardingConfig {
    fn default() -> Self {
        Self {
            client_address: ChainField::XForwardedFor,
            forwarded: ForwardedFields::XForwarded,
            request_id: RequestIds::Keep,
            request_id_in_response: false,
            trace_context: TraceContexts::Pass,
            via: Some(Self::PSEUDONYM.to_owned()),
            via_in_response: false,
            proxy_status: true,
        }
    }
}

pub(super) fn forwarding(table: Option<Table<'_>>) -> ForwardingConfig {
    let default = ForwardingConfig::default();
    let Some(mut table) = table else { return default };
    let via = table.take("via").map_or(default.via, |node| via(&node));
    let forwarding = ForwardingConfig {
        client_address: choice(&mut table, "client_address", &CHAINS)
            .unwrap_or(default.client_address),
        forwarded: choice(&mut table, "forwarded", &FORWARDED).unwrap_or(default.forwarded),
        request_id: choice(&mut table, "request_id", &REQUEST_IDS).unwrap_or(default.request_id),
        request_id_in_response: table
            .boolean("request_id_in_response")
            .unwrap_or(default.request_id_in_response),
        trace_context: choice(&mut table, "trace_context", &TRACES)
            .unwrap_or(default.trace_context),
        via,
        via_in_response: table.boolean("via_in_response").unwrap_or(default.via_in_response),
        proxy_status: table.boolean("proxy_status").unwrap_or(default.proxy_status),
    };
    if forwarding.via.is_none() && forwarding.via_in_response {
        table.fault("\"via_in_response\" needs a name in \"via\"".to_owned());
    }
    table.finish();
    forwarding
}

const CHAINS: [(&str, ChainField); 3] = [
    ("x-forwarded-for", ChainField::XForwardedFor),
    ("forwarded", ChainField::Forwarded),
    ("x-real-ip", ChainField::XRealIp),
];
const FORWARDED: [(&str, ForwardedFields); 4] = [
    ("x-forwarded", ForwardedFields::XForwarded),
    ("rfc7239", ForwardedFields::Rfc7239),
    ("both", ForwardedFields::Both),
    ("off", ForwardedFields::Off),
];
const REQUEST_IDS: [(&str, RequestIds); 3] =
    [("keep", RequestIds::Keep), ("replace", RequestIds::Replace), ("off", RequestIds::Off)];
const TRACES: [(&str, TraceContexts); 3] =
    [("pass", TraceContexts::Pass), ("make", TraceContexts::Make), ("off", TraceContexts::Off)];

fn choice<T: Copy>(table: &mut Table<'_>, key: &'static str, words: &[(&str, T)]) -> Option<T> {
    table.take(key)?.choice(words, &[])
}

/// A name, or `false` for none.
fn via(node: &Node<'_>) -> Option<String> {
    if node.is_boolean() {
        if node.boolean() == Some(true) {
            node.fault("needs a name, such as \"weir\"; or false");
        }
        return None;
    }
    let name = node.text()?;
    if name.len() > NAME_CHARACTERS_MAX || !is_pseudonym(name) {
        let quoted = Quoted(name);
        node.fault(format_args!(
            "{quoted} is not a token (RFC 9110 section 5.6.2) of 1 to {NAME_CHARACTERS_MAX} \
             characters, such as \"weir\""
        ));
    }
    Some(name.to_owned())
}

/// Takes `trusted_proxies` of a listener.
pub(super) fn trusted_proxies(table: &mut Table<'_>) -> Vec<IpNet> {
    let Some(node) = table.take("trusted_proxies") else { return Vec::new() };
    let items = node.list().unwrap_or_default();
    if items.len() > TRUSTED_MAX {
        node.fault(format_args!("{} networks are too many; at most {TRUSTED_MAX}", items.len()));
        return Vec::new();
    }
    items.iter().filter_map(|item| item.scalar("a string", |text| Ok(network(text)?))).collect()
}

/// Takes `proxy_protocol` of a listener.
pub(super) fn proxy_protocol(table: &mut Table<'_>, trusted: &[IpNet]) -> bool {
    let Some(node) = table.take("proxy_protocol") else { return false };
    let asked = node.boolean().unwrap_or(false);
    if asked && trusted.is_empty() {
        node.fault(
            "needs \"trusted_proxies\" beside it: only they may say who the client is, such as \
             trusted_proxies = [\"10.0.0.0/8\"]",
        );
    }
    asked
}
