//! Whom a limit counts: hashes of what a request is, each made once for a request or before it.

use std::cell::Cell;
use std::fmt;
use std::net::IpAddr;

use weir_protocol::http::RequestHead;

use super::identity::{Caller, address_key};
use crate::config::{Conditions, Config, LimitKey, PathPattern, RouteConfig};
use crate::slots::{SlotTable, SubjectHash};
use crate::snapshot::Snapshot;

/// What stays the same for every request, hashed under the table's secret.
pub struct Subjects {
    keys: Box<[KeySubjects]>,
    tiers: Box<[SubjectHash]>,
    routes: Box<[SubjectHash]>,
    /// Of each limit, in its order: what a part of its key is for callers with an allowance of
    /// their own, sorted, and the index of that.
    overrides: Box<[Overrides]>,
}

type Overrides = Box<[(SubjectHash, usize)]>;

struct KeySubjects {
    key: SubjectHash,
    user: SubjectHash,
}

/// Fields of a request, wherever it comes from.
pub trait Fields {
    /// The first value of the field `name`, in any case of letters.
    fn first(&self, name: &str) -> Option<&[u8]>;
}

/// Of a request whose head is not looked at.
pub(super) struct NoFields;

impl Fields for NoFields {
    fn first(&self, _: &str) -> Option<&[u8]> {
        None
    }
}

impl Fields for RequestHead<'_, '_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.by_name(name)
    }
}

/// A request as limits see it.
#[derive(Clone, Copy)]
pub struct Facts<'f> {
    /// Index into the configuration's routes.
    pub route: usize,
    pub address: IpAddr,
    pub caller: &'f Caller,
    /// Index into the configuration's tiers of the caller's.
    pub tier: Option<usize>,
    /// SHA-256 of the client's certificate.
    pub certificate: Option<&'f [u8; 32]>,
    pub fields: &'f dyn Fields,
}

/// Hashes what [`Facts`] say; for one request only, since it remembers.
pub struct Hasher<'h> {
    table: &'h SlotTable,
    subjects: &'h Subjects,
    address: &'h AddressMemo,
    /// Of a token's subject.
    user: Cell<Option<SubjectHash>>,
    certificate: Cell<Option<SubjectHash>>,
}

/// The last address that was hashed, so that a connection's is hashed once. For one table only.
#[derive(Debug, Default)]
pub struct AddressMemo(Cell<Option<(IpAddr, SubjectHash)>>);

impl AddressMemo {
    #[inline]
    fn hash(&self, table: &SlotTable, address: IpAddr) -> SubjectHash {
        match self.0.get() {
            Some((last, hash)) if last == address => hash,
            _ => {
                let hash = address_hash(table, address);
                self.0.set(Some((address, hash)));
                hash
            }
        }
    }
}

impl Subjects {
    /// For this snapshot's limits, counted in this table.
    pub fn new(snapshot: &Snapshot, table: &SlotTable) -> Self {
        let config = &snapshot.config;
        let hash = |kind: &str, name: &str| table.subject(&[kind.as_bytes(), name.as_bytes()]);
        let overrides = config.limits.iter().map(|limit| {
            let mut hashes = Vec::new();
            for (index, other) in limit.overrides.iter().enumerate() {
                let parts = limit.key.iter().flat_map(|part| overridden(table, part, &other.name));
                hashes.extend(parts.map(|hash| (hash, index)));
            }
            hashes.sort_unstable();
            hashes.into()
        });
        Self {
            keys: config
                .keys
                .iter()
                .map(|k| KeySubjects { key: hash("key", &k.name), user: hash("user", &k.user) })
                .collect(),
            tiers: config.tiers.iter().map(|tier| hash("tier", &tier.name)).collect(),
            routes: config
                .routes
                .iter()
                .map(|r| table.subject(&[b"route", route_id(r, config).as_bytes()]))
                .collect(),
            overrides: overrides.collect(),
        }
    }
}

/// What a part of a limit's key may be for the caller that an override names.
fn overridden(table: &SlotTable, part: &LimitKey, name: &str) -> Vec<SubjectHash> {
    let hash = |kind: &str| table.subject(&[kind.as_bytes(), name.as_bytes()]);
    match part {
        LimitKey::Address => {
            name.parse().map(|address| address_hash(table, address)).into_iter().collect()
        }
        // A token has no key's name, and is counted by its subject.
        LimitKey::Key => vec![hash("key"), hash("user")],
        LimitKey::User => vec![hash("user")],
        LimitKey::Tier => vec![hash("tier")],
        LimitKey::Header(field) => {
            vec![table.subject(&[b"header", field.as_bytes(), name.as_bytes()])]
        }
        LimitKey::Claim(claim) => {
            vec![table.subject(&[b"claim", claim.as_bytes(), name.as_bytes()])]
        }
        LimitKey::Certificate | LimitKey::Route => Vec::new(),
    }
}

fn address_hash(table: &SlotTable, address: IpAddr) -> SubjectHash {
    let (bytes, length) = address_key(address);
    table.subject(&[b"address", &bytes[..length]])
}

/// What tells a route from others, whatever its place in the file.
fn route_id(route: &RouteConfig, config: &Config) -> String {
    let listener = route.listener.map_or("", |index| config.listeners[index].name.as_str());
    let mut id = format!("{listener} {}", RouteName(route));
    if let Some(conditions) = &route.conditions {
        let Conditions { methods, headers } = &**conditions;
        id += &format!(" {}", methods.join(","));
        for header in headers {
            id += &format!(" {}={}", header.name, header.value.as_deref().unwrap_or("*"));
        }
    }
    id
}

/// A route as people name it.
pub(crate) struct RouteName<'r>(pub(crate) &'r RouteConfig);

impl fmt::Display for RouteName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host.as_deref().unwrap_or_default())?;
        match &self.0.path {
            PathPattern::Exact(path) => f.write_str(path),
            PathPattern::Prefix(path) => write!(f, "{path}*"),
        }
    }
}

impl<'h> Hasher<'h> {
    pub fn new(table: &'h SlotTable, subjects: &'h Subjects, address: &'h AddressMemo) -> Self {
        let none = || Cell::new(None);
        Self { table, subjects, address, user: none(), certificate: none() }
    }

    /// Whom a limit by `key` counts, and the index of the allowance that the caller has of its own
    /// with the limit of index `limit`. The error is the part that the request lacks.
    pub(super) fn subject<'k>(
        &self,
        key: &'k [LimitKey],
        limit: usize,
        facts: &Facts<'_>,
    ) -> Result<(SubjectHash, Option<usize>), &'k LimitKey> {
        let overrides = &self.subjects.overrides[limit];
        let mut subject: Option<SubjectHash> = None;
        let mut own = None;
        for part in key {
            let hash = self.part(part, facts).ok_or(part)?;
            if !overrides.is_empty() && own.is_none() {
                own = find(overrides, hash);
            }
            subject = Some(subject.map_or(hash, |before| before.and(hash)));
        }
        // A key has at least one part.
        subject.map(|subject| (subject, own)).ok_or(&LimitKey::Address)
    }

    #[inline]
    pub(super) fn part(&self, part: &LimitKey, facts: &Facts<'_>) -> Option<SubjectHash> {
        match part {
            LimitKey::Address => Some(self.address(facts)),
            LimitKey::Key => Some(match facts.caller {
                Caller::Key(index) => self.subjects.keys[*index].key,
                _ => self.user(facts),
            }),
            LimitKey::User => Some(self.user(facts)),
            LimitKey::Certificate => Some(self.certificate(facts)),
            LimitKey::Tier => self.subjects.tiers.get(facts.tier?).copied(),
            LimitKey::Route => self.subjects.routes.get(facts.route).copied(),
            LimitKey::Header(name) => {
                let value = facts.fields.first(name)?;
                Some(self.table.subject(&[b"header", name.as_bytes(), value]))
            }
            LimitKey::Claim(name) => {
                let value = facts.caller.claim(name)?;
                Some(self.table.subject(&[b"claim", name.as_bytes(), value.as_bytes()]))
            }
        }
    }

    fn address(&self, facts: &Facts<'_>) -> SubjectHash {
        self.address.hash(self.table, facts.address)
    }

    /// The address, where there is no user.
    #[inline]
    fn user(&self, facts: &Facts<'_>) -> SubjectHash {
        match facts.caller {
            Caller::Key(index) => self.subjects.keys[*index].user,
            Caller::Token(claims) => match &claims.subject {
                Some(user) => {
                    remember(&self.user, || self.table.subject(&[b"user", user.as_bytes()]))
                }
                None => self.address(facts),
            },
            Caller::Anonymous => self.address(facts),
        }
    }

    fn certificate(&self, facts: &Facts<'_>) -> SubjectHash {
        match facts.certificate {
            Some(digest) => {
                remember(&self.certificate, || self.table.subject(&[b"certificate", digest]))
            }
            None => self.address(facts),
        }
    }
}

fn remember(cell: &Cell<Option<SubjectHash>>, make: impl FnOnce() -> SubjectHash) -> SubjectHash {
    let hash = cell.get().unwrap_or_else(make);
    cell.set(Some(hash));
    hash
}

fn find(overrides: &[(SubjectHash, usize)], hash: SubjectHash) -> Option<usize> {
    let at = overrides.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
    Some(overrides[at].1)
}
