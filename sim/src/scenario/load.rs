//! Text becomes a [`Scenario`], or one line that says where it is wrong and how.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::schedule::{EventDocument, events};
use super::{
    BackendSpec, BackendStep, ClientSpec, ClientStep, Expect, GATEWAY, Gateway, Network, Scenario,
    Span,
};

const SHARDS_MAX: usize = 64;
const CLIENTS_MAX: usize = 1000;

/// Why there is nothing to run.
#[derive(Debug, Error)]
pub enum ScenarioError {
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{source_name}:{line}: {message}")]
    Wrong { source_name: String, line: usize, message: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    #[serde(default = "default_seed")]
    seed: u64,
    duration: Span,
    #[serde(default)]
    network: Network,
    gateway: Spanned<GatewayDocument>,
    #[serde(default, rename = "host")]
    hosts: Vec<BackendSpec>,
    #[serde(default, rename = "client")]
    clients: Vec<ClientSpec>,
    #[serde(default, rename = "event")]
    events: Vec<Spanned<EventDocument>>,
    #[serde(default)]
    expect: Expect,
}

fn default_seed() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayDocument {
    #[serde(default = "default_shards")]
    shards: usize,
    config: Option<String>,
    config_file: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

fn default_shards() -> usize {
    2
}

/// What is wrong, and where in the text.
pub(super) struct Fault {
    pub(super) at: Range<usize>,
    pub(super) message: String,
}

pub(super) fn fault<T>(at: Range<usize>, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { at, message: message.into() })
}

impl Scenario {
    /// Reads the file at `path`. `config`, if given, is a `weir.toml` that takes the place of the
    /// scenario's own; a `config_file` of the scenario is looked for beside it.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line.
    pub fn load(path: &Path, config: Option<&Path>) -> Result<Self, ScenarioError> {
        let text = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut scenario = Self::parse(&text, &path.display().to_string(), folder)?;
        if let Some(config) = config {
            scenario.gateway.config = read(config)?;
            scenario.gateway.config_source = config.display().to_string();
        }
        Ok(scenario)
    }

    /// Like [`Scenario::load`] for text at hand; `source` names it in errors.
    ///
    /// # Errors
    /// The first thing that is wrong, in one line.
    pub fn parse(text: &str, source: &str, folder: &Path) -> Result<Self, ScenarioError> {
        let wrong = |at: Range<usize>, message: String| ScenarioError::Wrong {
            source_name: source.to_owned(),
            line: text[..at.start.min(text.len())].matches('\n').count() + 1,
            message,
        };
        let document: Document = toml::from_str(text).map_err(|error| {
            wrong(error.span().unwrap_or(0..0), error.message().replace('\n', ", "))
        })?;
        let names = names(&document).map_err(|fault| wrong(fault.at, fault.message))?;
        check(&document, &names).map_err(|fault| wrong(fault.at, fault.message))?;
        let events = events(&document.events, &names).map_err(|f| wrong(f.at, f.message))?;
        Ok(Self {
            gateway: gateway(document.gateway.into_inner(), source, folder)?,
            name: document.name,
            seed: document.seed,
            duration: document.duration.0,
            network: document.network,
            backends: document.hosts,
            clients: document.clients,
            events,
            expect: document.expect,
        })
    }
}

fn read(path: &Path) -> Result<String, ScenarioError> {
    std::fs::read_to_string(path)
        .map_err(|error| ScenarioError::Unreadable { path: path.to_owned(), error })
}

fn gateway(
    document: GatewayDocument,
    source: &str,
    folder: &Path,
) -> Result<Gateway, ScenarioError> {
    let GatewayDocument { shards, config, config_file, env } = document;
    let (config, config_source) = match (config, config_file) {
        (Some(text), _) => (text, format!("{source} [gateway] config")),
        (None, Some(file)) => {
            let path = folder.join(file);
            (read(&path)?, path.display().to_string())
        }
        (None, None) => unreachable!("one of them was checked for"),
    };
    Ok(Gateway { shards, config, config_source, env })
}

/// The hosts that events can name.
pub(super) struct Names {
    pub(super) backends: BTreeSet<String>,
    pub(super) all: BTreeSet<String>,
}

fn names(document: &Document) -> Result<Names, Fault> {
    let mut all = BTreeSet::from([GATEWAY.to_owned()]);
    let mut backends = BTreeSet::new();
    for host in &document.hosts {
        check_name(&host.name)?;
        backends.insert(host.name.get_ref().clone());
        if !all.insert(host.name.get_ref().clone()) {
            return fault(host.name.span(), format!("a second host {:?}", host.name.get_ref()));
        }
    }
    for client in &document.clients {
        check_name(&client.name)?;
        if !(1..=CLIENTS_MAX).contains(&client.count) {
            return fault(client.name.span(), format!("count must be 1 to {CLIENTS_MAX}"));
        }
        for host in client.hosts() {
            if !all.insert(host.clone()) {
                return fault(client.name.span(), format!("a second host {host:?}"));
            }
        }
    }
    Ok(Names { backends, all })
}

fn check_name(name: &Spanned<String>) -> Result<(), Fault> {
    let text = name.get_ref();
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return fault(name.span(), format!("{text:?} is not a name; begin with a letter"));
    }
    if !text.chars().all(valid) {
        return fault(name.span(), format!("{text:?}: a name has letters, digits and \"-\" only"));
    }
    Ok(())
}

fn check(document: &Document, names: &Names) -> Result<(), Fault> {
    let gateway = document.gateway.get_ref();
    let here = document.gateway.span();
    if !(1..=SHARDS_MAX).contains(&gateway.shards) {
        return fault(here, format!("shards must be 1 to {SHARDS_MAX}"));
    }
    if gateway.config.is_some() == gateway.config_file.is_some() {
        return fault(here, "[gateway] needs one of config and config_file");
    }
    let [low, high] = document.network.latency;
    if low > high {
        return fault(here, "[network] latency must be [shortest, longest]");
    }
    for host in &document.hosts {
        check_backend(host)?;
    }
    for client in &document.clients {
        check_client(client, document.duration)?;
    }
    let groups: BTreeSet<_> = document.clients.iter().map(|c| c.name.get_ref()).collect();
    for name in document.expect.no_over_admission.iter().flat_map(|limit| &limit.clients) {
        if !groups.contains(name.get_ref()) {
            return fault(name.span(), format!("no [[client]] is called {:?}", name.get_ref()));
        }
    }
    if names.backends.is_empty() {
        return fault(here, "no backend at all; add a [[host]]");
    }
    Ok(())
}

fn check_backend(host: &BackendSpec) -> Result<(), Fault> {
    let here = host.name.span();
    if host.latency[0] > host.latency[1] {
        return fault(here, "latency must be [shortest, longest]");
    }
    if !(200..=599).contains(&host.status) {
        return fault(here, "status must be 200 to 599");
    }
    let Some(trouble) = &host.trouble else { return Ok(()) };
    if let Some(message) = trouble.fault() {
        return fault(here, message);
    }
    if trouble.at.contains(&BackendStep::Trailers) && !host.chunked {
        return fault(here, "trouble at trailers needs chunked = true");
    }
    Ok(())
}

fn check_client(client: &ClientSpec, duration: Span) -> Result<(), Fault> {
    let here = client.name.span();
    match (client.rate, client.think) {
        (Some(rate), None) if !(rate > 0.0 && rate <= 10_000.0) => {
            return fault(here, "rate must be more than 0 and at most 10000 a second");
        }
        (Some(_), None) | (None, Some(_)) => {}
        _ => return fault(here, "a [[client]] needs one of rate and think"),
    }
    let token = |c: char| c.is_ascii_alphanumeric() || "-_!#$%&'*+.^`|~".contains(c);
    if client.method.is_empty() || !client.method.chars().all(token) {
        return fault(here, format!("{:?} is not a method", client.method));
    }
    if !client.path.starts_with('/') || !client.path.chars().all(|c| c.is_ascii_graphic()) {
        return fault(here, format!("{:?} is not a path", client.path));
    }
    for (name, value) in &client.headers {
        let printable = |c: char| c.is_ascii_graphic() || c == ' ';
        if name.is_empty() || !name.chars().all(token) || !value.chars().all(printable) {
            return fault(here, format!("{name:?} is not a header with a plain value"));
        }
    }
    if client.until.unwrap_or(duration) > duration {
        return fault(here, "until lies behind the scenario's duration");
    }
    let Some(trouble) = &client.trouble else { return Ok(()) };
    if let Some(message) = trouble.fault() {
        return fault(here, message);
    }
    let of_body = |step: &ClientStep| matches!(step, ClientStep::BeforeBody | ClientStep::Body);
    if trouble.at.iter().any(of_body) && client.body_bytes == 0 {
        return fault(here, "trouble at a body needs body_bytes");
    }
    Ok(())
}
