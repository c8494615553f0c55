//! Text becomes a [`Config`]: one file here for each part of the document.

use std::path::Path;

use toml::de::DeTable;

use super::document::{Report, Table};
use super::fault::{Fault, Faults, Position, Quoted};
use super::{Auth, Config, PathPattern, RouteConfig, RouteTarget, Upgrades};

mod access;
mod access_log;
mod ban;
mod conditions;
mod cors;
mod engine;
mod fields;
mod flight;
mod forwarding;
mod http;
mod identity;
mod limit;
mod policy;
mod redirect;
mod route;
mod secret;
mod tls;
mod tunnel;
mod upstream;

/// The name of the control listener and of the control plane as an upstream.
const CONTROL: &str = "control";

/// Looks up an environment variable.
type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads the file at `path`; secrets may come from this process's environment. Paths inside
    /// the file are relative to the working directory.
    ///
    /// # Errors
    /// Every fault of the file at once, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        let source = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|error| Faults::whole(&source, format!("cannot be read: {error}")))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, &source),
            Err(error) => {
                let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                let position = Some(Position::of(&valid, valid.len()));
                let message = "not UTF-8; save the file as UTF-8".to_owned();
                Err(Faults::new(&source, vec![Fault { position, message }]))
            }
        }
    }

    /// Like [`Config::load`] for text at hand; `source` names it in faults.
    ///
    /// # Errors
    /// Every fault of the text at once.
    pub fn parse(text: &str, source: &str) -> Result<Self, Faults> {
        Self::parse_with(text, source, &|name| std::env::var(name).ok())
    }

    /// Like [`Config::parse`] with another source of environment variables.
    ///
    /// # Errors
    /// Every fault of the text at once.
    pub fn parse_with(text: &str, source: &str, variable: Variable<'_>) -> Result<Self, Faults> {
        let report = Report::new(source, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        // A repeated key leaves the rest readable; after any other error of syntax, what follows
        // would be reported for what it only seems to say.
        let readable = errors.iter().all(is_repetition);
        for error in &errors {
            syntax(&report, text, error);
        }
        let config =
            readable.then(|| assemble(Table::document(&report, document.get_ref()), variable));
        match (report.into_faults(), config) {
            (None, Some(config)) => Ok(config),
            (Some(faults), _) => Err(faults),
            (None, None) => unreachable!("an unreadable document has an error of syntax"),
        }
    }
}

fn is_repetition(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

/// Reports an error of TOML itself. Its message is one of the parser's own, never text of the
/// file, which could be a secret without its quotes; a repeated key is no secret.
fn syntax(report: &Report<'_>, text: &str, error: &toml::de::Error) {
    let span = error.span().unwrap_or(0..0);
    let at = span.start;
    if is_repetition(error) {
        let key = text.get(span).unwrap_or_default();
        report.add(at, format!("key {} repeats; remove one", Quoted(key)));
    } else {
        report.add(at, format!("not TOML: {}", error.message()));
    }
}

fn assemble(mut document: Table<'_>, variable: Variable<'_>) -> Config {
    let engine = engine::engine(document.table("engine"));
    let (control, control_tls) = engine::control(document.table("control"));
    let http = http::http(document.table("http"));
    let forwarding = forwarding::forwarding(document.table("forwarding"));
    let access_log = access_log::access_log(document.table("access_log"));
    let access = document.take("access").and_then(|node| access::access(&node));
    let (listeners, listener_names) =
        engine::listeners(document.tables("listener"), control.address, control_tls);
    if listeners.is_empty() {
        let example = "[[listener]] with address = \"0.0.0.0:8080\"";
        document.fault(format!("no listener at all; add one, such as {example}"));
    }
    let (tiers, tier_names) = identity::tiers(document.table("tiers"));
    let jwt = identity::jwt(document.table("jwt"), variable);
    let keys = identity::keys(document.tables("key"), &tier_names, variable);
    let (limits, limit_names) = limit::limits(document.tables("limit"), &tiers, &tier_names);
    let (upstreams, upstream_names) = upstream::upstreams(document.tables("upstream"));
    let references = route::References {
        listeners: &listener_names,
        upstreams: &upstream_names,
        limits: &limit_names,
        limit_configs: &limits,
        tiers: &tier_names,
        has_jwt: jwt.is_some(),
        has_keys: !keys.is_empty(),
        forward_path: http.forward_path,
    };
    let routes = document.tables("route");
    if routes.is_empty() {
        let example = "[[route]] with path = \"/*\" and upstream = \"api\"";
        document.fault(format!("no route at all; add one, such as {example}"));
    }
    let routes = route::routes(routes, &references);
    document.finish();
    let mut config = Config {
        engine,
        control,
        http,
        forwarding,
        access_log,
        access,
        listeners,
        tiers,
        keys,
        jwt,
        limits,
        upstreams,
        routes,
    };
    config.add_control_route();
    config
}

impl Config {
    /// The preset route of the control listener, after the file's own; none when the file itself
    /// routes everything there.
    fn add_control_route(&mut self) {
        if self.control.address.is_none() {
            return;
        }
        let listener = Some(self.listeners.len() - 1);
        let path = PathPattern::Prefix("/".to_owned());
        let is_same = |r: &RouteConfig| {
            r.listener == listener && r.host.is_none() && r.path == path && r.conditions.is_none()
        };
        if self.routes.iter().any(is_same) {
            return;
        }
        let by_address = |index: &usize| self.limits[*index].is_by_address();
        self.routes.push(RouteConfig {
            listener,
            host: None,
            path,
            conditions: None,
            target: RouteTarget::Control,
            auth: Auth::None,
            limits: (0..self.limits.len()).filter(by_address).collect(),
            cost: 1,
            cost_header: None,
            tiers: Vec::new(),
            forward_path: self.http.forward_path,
            policy: None,
            upgrade: Upgrades::default(),
            connect: false,
            access: None,
        });
    }
}
