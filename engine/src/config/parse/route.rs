//! `[[route]]`, where the other parts of the file meet.

use weir_protocol::http::{FieldId, is_token};

use super::super::document::Table;
use super::super::fault::Quoted;
use super::super::names::Names;
use super::super::node::Node;
use super::super::scalar;
use super::super::{
    Auth, ForwardPath, LIMITS_PER_ROUTE_MAX, LimitConfig, PathPattern, RouteConfig, RouteTarget,
};
use super::access::access;
use super::conditions::conditions;
use super::policy::{forward_path, policy};
use super::redirect::redirect;
use super::{CONTROL, tunnel};

const FIELD_NAME_BYTES_MAX: usize = 128;

const AUTH_WORDS: [(&str, Auth); 4] =
    [("none", Auth::None), ("api_key", Auth::ApiKey), ("jwt", Auth::Jwt), ("any", Auth::Any)];

/// What routes name.
pub(super) struct References<'n> {
    pub(super) listeners: &'n Names,
    pub(super) upstreams: &'n Names,
    pub(super) limits: &'n Names,
    pub(super) limit_configs: &'n [LimitConfig],
    pub(super) tiers: &'n Names,
    pub(super) has_jwt: bool,
    pub(super) has_keys: bool,
    /// What `[http]` says; a route may say otherwise.
    pub(super) forward_path: ForwardPath,
}

pub(super) fn routes(tables: Vec<Table<'_>>, references: &References<'_>) -> Vec<RouteConfig> {
    let mut routes: Vec<RouteConfig> = Vec::new();
    for table in tables {
        let (route, path) = route(table, references);
        let repeats = |r: &RouteConfig| {
            (r.listener, &r.host, &r.path) == (route.listener, &route.host, &route.path)
                && r.conditions == route.conditions
        };
        if let (Some(path), true) = (path, routes.iter().any(repeats)) {
            let conditions =
                if route.conditions.is_some() { ", with the same conditions" } else { "" };
            path.fault(format_args!(
                "an earlier [[route]] has this listener, host and path{conditions}; remove one"
            ));
        }
        routes.push(route);
    }
    routes
}

/// A route, and where its path stands when the route can be compared with others.
fn route<'d>(mut table: Table<'d>, references: &References<'_>) -> (RouteConfig, Option<Node<'d>>) {
    let listener = table.take("listener").map(|node| references.listeners.find(&node));
    let host = table
        .take("host")
        .map(|node| node.scalar("a host such as \"api.example.com\"", scalar::host));
    let path = table.require("path", "path = \"/*\"");
    let pattern = path
        .as_ref()
        .and_then(|node| node.scalar("a path such as \"/api/*\"", scalar::path_pattern));
    let comparable = listener != Some(None) && host != Some(None) && pattern.is_some();
    // One that fits whatever would replace it, so that a faulty path is reported once.
    let pattern = pattern.unwrap_or(PathPattern::Prefix("/".to_owned()));
    let limits = table.take("limits").map_or(Vec::new(), |node| route_limits(&node, references));
    let route = RouteConfig {
        listener: listener.flatten(),
        host: host.flatten(),
        conditions: conditions(&mut table),
        target: route_target(&mut table, &pattern, references),
        auth: table.take("auth").map_or(Auth::None, |node| route_auth(&node, references)),
        cost: table.take("cost").and_then(|node| cost(&node, &limits, references)).unwrap_or(1),
        cost_header: table.take("cost_header").and_then(|node| cost_header(&node)),
        limits,
        tiers: table.take("tiers").map_or(Vec::new(), |node| references.tiers.find_all(&node)),
        upgrade: tunnel::upgrades(&mut table),
        connect: tunnel::connect(&mut table, &pattern),
        forward_path: forward_path(&mut table).unwrap_or(references.forward_path),
        policy: policy(&mut table, &pattern),
        access: table.take("access").and_then(|node| access(&node)),
        path: pattern,
    };
    table.not_yet(&["cache", "mirror"]);
    table.finish();
    (route, path.filter(|_| comparable))
}

fn route_target(
    table: &mut Table<'_>,
    pattern: &PathPattern,
    references: &References<'_>,
) -> RouteTarget {
    if let Some(node) = table.take("redirect") {
        let redirect = redirect(&node, table, pattern);
        return redirect.map_or(RouteTarget::Control, |to| RouteTarget::Redirect(Box::new(to)));
    }
    let node = table.require("upstream", "upstream = \"api\"");
    node.map_or(RouteTarget::Control, |node| upstream(&node, references))
}

fn upstream(node: &Node<'_>, references: &References<'_>) -> RouteTarget {
    if node.is_string() && node.text() == Some(CONTROL) {
        return RouteTarget::Control;
    }
    references.upstreams.find(node).map_or(RouteTarget::Control, RouteTarget::Upstream)
}

fn route_auth(node: &Node<'_>, references: &References<'_>) -> Auth {
    let Some(auth) = node.choice(&AUTH_WORDS, &["certificate", "mtls"]) else { return Auth::None };
    let (has_jwt, has_keys) = (references.has_jwt, references.has_keys);
    let missing = match auth {
        Auth::Jwt if !has_jwt => "\"jwt\" needs a [jwt] table",
        Auth::ApiKey if !has_keys => "\"api_key\" needs at least one [[key]]",
        Auth::Any if !has_jwt && !has_keys => "\"any\" needs a [jwt] table or a [[key]]",
        _ => return auth,
    };
    node.fault(format_args!("{missing}; add it or use \"none\""));
    auth
}

fn route_limits(node: &Node<'_>, references: &References<'_>) -> Vec<usize> {
    let limits = references.limits.find_all(node);
    if limits.len() > LIMITS_PER_ROUTE_MAX {
        let found = limits.len();
        node.fault(format_args!(
            "{found} limits; a request is charged {LIMITS_PER_ROUTE_MAX} at most"
        ));
    }
    limits
}

/// What a request costs: no more than each of the route's limits can admit at once.
fn cost(node: &Node<'_>, limits: &[usize], references: &References<'_>) -> Option<u64> {
    let cost = node.integer(&(0..=u64::from(u32::MAX)))?;
    let limits = limits.iter().map(|index| &references.limit_configs[*index]);
    for limit in limits {
        if let Some(most) = limit.cost_max().filter(|most| *most < cost) {
            let name = Quoted(&limit.name);
            node.fault(format_args!(
                "the limit {name} never admits more than {most} at once; a cost of {cost} would \
                 be refused for ever"
            ));
        }
    }
    Some(cost)
}

fn cost_header(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    if !is_token(name) || name.len() > FIELD_NAME_BYTES_MAX {
        let name = Quoted(name);
        node.fault(format_args!("{name} is no field's name; write \"X-Request-Cost\", say"));
        return None;
    }
    if FieldId::of(name.as_bytes()) != FieldId::Other {
        let name = Quoted(name);
        node.fault(format_args!("{name} has a meaning of its own; choose another field"));
        return None;
    }
    Some(name.to_ascii_lowercase())
}
