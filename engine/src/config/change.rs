//! What a configuration is in one line, and what of it a reload cannot change.

use std::fmt::Debug;
use std::net::SocketAddr;

use super::Config;
use super::fault::{Fault, Faults};

impl Config {
    /// Whether `next` can replace this configuration in a running engine.
    ///
    /// # Errors
    /// One line for each key that changed and needs a restart.
    pub fn reloadable(&self, next: &Self) -> Result<(), Faults> {
        let mut changes = Changes::default();
        let (old, new) = (&self.engine, &next.engine);
        changes.compare("shards in [engine]", &old.shards, &new.shards);
        changes.compare("runtime in [engine]", &old.runtime, &new.runtime);
        changes.compare("ledger in [engine]", &old.ledger, &new.ledger);
        changes.compare("slots in [engine]", &old.slots, &new.slots);
        changes.compare("drain_timeout in [engine]", &old.drain_timeout, &new.drain_timeout);
        changes.compare(
            "connections_per_shard in [engine]",
            &old.connections_per_shard,
            &new.connections_per_shard,
        );
        changes.compare("address in [control]", &self.control.address, &next.control.address);
        changes.compare("socket in [control]", &self.control.socket, &next.control.socket);
        let (old, new) = (self.control.sample_api, next.control.sample_api);
        changes.compare("sample_api in [control]", &old, &new);
        changes.compare("addresses in [[listener]]", &self.addresses(), &next.addresses());
        changes.into_result()
    }

    /// What `weir check` says of a file without a fault:
    /// `2 listeners, 3 routes, 1 upstream, 3 backends, 2 limits, 4 tiers, 0 keys, jwt`.
    pub fn summary(&self) -> String {
        let backends = self.upstreams.iter().map(|upstream| upstream.backends.len()).sum();
        let mut parts = vec![
            counted(self.listeners.len(), "listener"),
            counted(self.routes.len(), "route"),
            counted(self.upstreams.len(), "upstream"),
            counted(backends, "backend"),
            counted(self.limits.len(), "limit"),
            counted(self.tiers.len(), "tier"),
            counted(self.keys.len(), "key"),
        ];
        if self.jwt.is_some() {
            parts.push("jwt".to_owned());
        }
        parts.join(", ")
    }

    /// The addresses of the file's own listeners; their order does not matter.
    fn addresses(&self) -> Vec<SocketAddr> {
        let own = self.listeners.len() - usize::from(self.control.address.is_some());
        let mut addresses: Vec<SocketAddr> =
            self.listeners[..own].iter().map(|listener| listener.address).collect();
        addresses.sort_unstable();
        addresses
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[derive(Default)]
struct Changes(Vec<Fault>);

impl Changes {
    fn compare<T: PartialEq + Debug>(&mut self, key: &str, old: &T, new: &T) {
        if old != new {
            let message = format!("{key} needs a restart to change from {old:?} to {new:?}");
            self.0.push(Fault { position: None, message });
        }
    }

    fn into_result(self) -> Result<(), Faults> {
        if self.0.is_empty() { Ok(()) } else { Err(Faults::new("", self.0)) }
    }
}
