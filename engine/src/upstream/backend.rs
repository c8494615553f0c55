//! A backend as all shards see it: a few atomics, exact across cores, that outlive reloads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::budget::Retrying;
use crate::runtime::{Endpoint, UnixNanos};
use crate::shard::AddressTable;
use crate::tls::Tickets;

/// Between lines on failed handshakes with one backend.
const TELL_EVERY_S: u64 = 10;

/// Names a backend for the life of the process; never reused, so that a pool cannot hand out a
/// connection to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackendId(u32);

impl BackendId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub struct Backend {
    pub id: BackendId,
    pub endpoint: Endpoint,
    /// As logs, metrics and pages name it.
    pub label: String,
    healthy: AtomicBool,
    in_flight: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    /// When a failed handshake was last told of, in seconds since 1970.
    tls_told_s: AtomicU64,
    /// What the last active check found; written by the checker, read by `weirctl backends`.
    last_check: Mutex<String>,
}

impl Backend {
    fn new(id: BackendId, endpoint: Endpoint) -> Self {
        Self {
            id,
            label: endpoint.to_string(),
            endpoint,
            healthy: AtomicBool::new(true),
            in_flight: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            tls_told_s: AtomicU64::new(0),
            last_check: Mutex::new("not checked yet".into()),
        }
    }

    /// The `Host` for a request that has none (HTTP/1.0).
    pub fn host(&self) -> &str {
        match self.endpoint {
            Endpoint::Tcp(_) => &self.label,
            Endpoint::Unix(_) => "localhost",
        }
    }

    // The words below are independent of each other and guard no other memory, so every access is
    // relaxed: a reader needs a recent value, not an order.

    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    pub fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// No answer, or none that could be used.
    pub fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request until the guard is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Counts on what [`Backend::begin`] began, and what outlives its first guard.
    pub fn go_on(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Whether a failed handshake is to be told of now: one in [`TELL_EVERY_S`], by whichever shard
    /// comes first.
    pub fn may_tell_of_tls(&self, now: UnixNanos) -> bool {
        let (now, told) = (now.as_secs(), self.tls_told_s.load(Ordering::Relaxed));
        let due = told == 0 || now.abs_diff(told) >= TELL_EVERY_S;
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        due && self.tls_told_s.compare_exchange(told, now, success, failure).is_ok()
    }

    pub fn last_check(&self) -> String {
        self.last_check.lock().map(|text| text.clone()).unwrap_or_default()
    }

    /// Control plane only: shards take no lock.
    pub fn set_last_check(&self, text: String) {
        if let Ok(mut last) = self.last_check.lock() {
            *last = text;
        }
    }
}

/// A request that a backend has not finished.
pub struct InFlight<'a>(&'a Backend);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What outlives snapshots.
///
/// Every backend this process has known, by upstream, endpoint and TLS: a reload finds the same
/// [`Backend`], with its health and counts, under the same name. With another TLS it is another
/// one, so that no kept connection is used on terms it was not made on. Then the retries of every
/// upstream, and the connections of every address.
#[derive(Default)]
pub struct Registry {
    known: BTreeMap<(String, String, String), Arc<Backend>>,
    retrying: BTreeMap<String, Arc<Retrying>>,
    addresses: Option<Arc<AddressTable>>,
    /// Keys of session tickets, by listener.
    pub tickets: Tickets,
}

impl Registry {
    /// The one table of connections by address, made when it is first `needed`.
    pub fn addresses(&mut self, needed: bool) -> Option<Arc<AddressTable>> {
        if needed {
            self.addresses.get_or_insert_default();
        }
        self.addresses.clone()
    }

    /// `tls` is the [`ClientTlsConfig::tag`](crate::config::ClientTlsConfig::tag) of the upstream,
    /// empty for plain text.
    pub fn backend(&mut self, upstream: &str, endpoint: &Endpoint, tls: &str) -> Arc<Backend> {
        let id = BackendId(u32::try_from(self.known.len()).expect("fewer backends than 2^32"));
        let entry = self.known.entry((upstream.to_owned(), endpoint.to_string(), tls.to_owned()));
        Arc::clone(entry.or_insert_with(|| Arc::new(Backend::new(id, endpoint.clone()))))
    }

    pub fn retrying(&mut self, upstream: &str) -> Arc<Retrying> {
        Arc::clone(self.retrying.entry(upstream.to_owned()).or_default())
    }
}
