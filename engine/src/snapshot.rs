//! A configuration compiled for the shards: immutable, swapped whole.
//!
//! What must outlive a swap is not in here but referred to: backends come from the [`Registry`],
//! counters from the slot table under names that stay the same.

mod forwarding;
mod limits;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use forwarding::Forwarding;
pub(crate) use limits::compile as compile_limits;
pub use limits::{BanLimits, Charges, Limit, Quota, RouteLimits};
use ring::digest;
use weir_protocol::http::HeadLimits;
use weir_protocol::jwt;
use weir_protocol::limit::meter::MeterError;

use crate::admission::Subjects;
use crate::config::{
    BackendConfig, ClientTlsConfig, Config, JwtConfig, ListenerConfig, RetryConfig, UpstreamConfig,
};
use crate::ledger::flight::Numbers;
use crate::router::Router;
use crate::runtime::Endpoint;
use crate::shard::AddressTable;
use crate::slots::SlotTable;
use crate::tls::{ClientTls, ClientTlsError, ServerTls, ServerTlsError};
use crate::upstream::{Registry, Upstream};

/// The name of the upstream that is this engine's own control plane.
pub const CONTROL: &str = "control";

pub struct Snapshot {
    pub config: Config,
    /// Counts reloads, from 1.
    pub generation: u64,
    pub router: Router,
    pub upstreams: Vec<Arc<Upstream>>,
    /// Index into `upstreams` of the control plane, where there is one.
    pub control: Option<usize>,
    /// Of each listener, in the order of the configuration's; `None` is plain text.
    pub tls: Vec<Option<ServerTls>>,
    pub limits: Vec<Limit>,
    /// Of each route, in the order of the configuration's.
    pub route_limits: Vec<RouteLimits>,
    pub ban_limits: BanLimits,
    pub jwt: Option<TokenVerifier>,
    pub head_limits: HeadLimits,
    pub forwarding: Forwarding,
    /// Where connections are counted by address; there once that was asked for.
    pub addresses: Option<Arc<AddressTable>>,
    /// See [`Snapshot::subjects`].
    subjects: OnceLock<Arc<Subjects>>,
    /// How flight records refer to this configuration; there with the recorder.
    pub flight: Option<Numbers>,
    /// SHA-256 of an API key to its index in the configuration.
    keys: BTreeMap<[u8; 32], usize>,
}

pub struct TokenVerifier {
    pub key: jwt::Key,
    pub expectations: jwt::Expectations,
}

/// What `parse` should have refused; kept as an error so that nothing panics on a configuration.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("limit {name:?}: {source}")]
    Limit { name: String, source: MeterError },
    #[error("the token secret: {0}")]
    Token(jwt::KeyError),
    #[error("listener {name:?}: {source}")]
    ListenerTls { name: String, source: ServerTlsError },
    #[error("upstream {name:?}: {source}")]
    UpstreamTls { name: String, source: ClientTlsError },
}

impl Snapshot {
    /// `control_pages` is the Unix socket of the control plane's pages.
    pub fn build(
        config: Config,
        generation: u64,
        registry: &mut Registry,
        control_pages: Option<&Path>,
    ) -> Result<Self, SnapshotError> {
        let mut upstreams = Vec::new();
        for described in &config.upstreams {
            upstreams.push(Arc::new(upstream(described, registry)?));
        }
        let control = control_pages.map(|pages| {
            upstreams.push(Arc::new(control_upstream(pages, registry)));
            upstreams.len() - 1
        });
        let listener = config.listeners.iter().position(|l| l.name == CONTROL);
        let http = &config.http;
        Ok(Self {
            generation,
            router: Router::new(&config.routes, config.listeners.len(), listener),
            upstreams,
            control,
            tls: listeners_tls(&config, registry)?,
            limits: limits::compile(&config)?,
            ban_limits: BanLimits::new(&config.limits),
            route_limits: config
                .routes
                .iter()
                .map(|route| RouteLimits::new(route, &config.limits))
                .collect(),
            jwt: config.jwt.as_ref().map(|jwt| token_verifier(jwt, &config)).transpose()?,
            head_limits: HeadLimits {
                head_bytes: http.head_bytes_max,
                target_bytes: http.target_bytes_max,
                fields: http.fields_max,
            },
            forwarding: Forwarding::new(&config),
            addresses: registry.addresses(http.connections_per_address > 0),
            subjects: OnceLock::new(),
            flight: None,
            keys: config.keys.iter().enumerate().map(|(i, key)| (key.digest, i)).collect(),
            config,
        })
    }

    /// The index in the configuration of an API key, by its plain text. The comparison is of
    /// digests, so its time says nothing about the key.
    pub fn find_key(&self, plain: &[u8]) -> Option<usize> {
        let digest = digest::digest(&digest::SHA256, plain);
        self.keys.get(digest.as_ref()).copied()
    }

    /// What limits know before any request, hashed under the secret of the one table that this
    /// process charges. Whoever comes first makes it, which takes a moment for many keys: the control
    /// plane, before it hands a snapshot to the shards.
    pub fn subjects(&self, table: &SlotTable) -> &Arc<Subjects> {
        self.subjects.get_or_init(|| Arc::new(Subjects::new(self, table)))
    }

    pub fn find_tier(&self, name: &str) -> Option<usize> {
        self.config.tiers.iter().position(|tier| tier.name == name)
    }
}

fn listeners_tls(
    config: &Config,
    registry: &mut Registry,
) -> Result<Vec<Option<ServerTls>>, SnapshotError> {
    let mut built = |listener: &ListenerConfig| {
        let name = &listener.name;
        let tls = listener.tls.as_ref();
        tls.map(|tls| ServerTls::build(name, tls, &mut registry.tickets))
            .transpose()
            .map_err(|source| SnapshotError::ListenerTls { name: name.clone(), source })
    };
    config.listeners.iter().map(&mut built).collect()
}

fn upstream(config: &UpstreamConfig, registry: &mut Registry) -> Result<Upstream, SnapshotError> {
    let tag = config.tls.as_ref().map(ClientTlsConfig::tag).unwrap_or_default();
    let backend =
        |b: &BackendConfig| registry.backend(&config.name, &Endpoint::Tcp(b.address), &tag);
    let addresses = config.backends.iter().map(|backend| backend.address.ip());
    let tls = config.tls.as_ref().map(|tls| ClientTls::build(tls, addresses)).transpose();
    Ok(Upstream {
        tls: tls
            .map_err(|source| SnapshotError::UpstreamTls { name: config.name.clone(), source })?,
        name: config.name.clone(),
        backends: config.backends.iter().map(backend).collect(),
        health: config.health.clone(),
        retry: config.retry,
        retrying: registry.retrying(&config.name),
        connect_timeout: config.connect_timeout,
        response_timeout: config.response_timeout,
        request_timeout: config.request_timeout,
        keepalive_timeout: config.keepalive_timeout,
        keepalive_connections: config.keepalive_connections,
        proxy_protocol: config.proxy_protocol,
    })
}

fn control_upstream(pages: &Path, registry: &mut Registry) -> Upstream {
    Upstream {
        name: CONTROL.to_owned(),
        backends: vec![registry.backend(CONTROL, &Endpoint::Unix(pages.to_owned()), "")],
        health: None,
        retry: Some(RetryConfig::default()),
        retrying: registry.retrying(CONTROL),
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(30),
        request_timeout: Duration::ZERO,
        keepalive_timeout: Duration::from_secs(30),
        keepalive_connections: 16,
        proxy_protocol: None,
        tls: None,
    }
}

fn token_verifier(own: &JwtConfig, config: &Config) -> Result<TokenVerifier, SnapshotError> {
    Ok(TokenVerifier {
        key: jwt::Key::hs256(&own.secret).map_err(SnapshotError::Token)?,
        expectations: jwt::Expectations {
            issuer: own.issuer.clone(),
            audience: own.audience.clone(),
            leeway_s: own.leeway.as_secs(),
            kept: limits::claims(config),
        },
    })
}
