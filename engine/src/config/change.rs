//! What a configuration is in one line, and what of it a reload cannot change.

use std::net::SocketAddr;

use super::fault::{Fault, Faults};
use super::scalar::Span;
use super::{AccessLog, Config, ControlConfig, EngineConfig, LiveTable, RuntimeChoice, Shards};

impl Config {
    /// Whether `next` can replace this configuration in a running engine.
    ///
    /// # Errors
    /// One line for each key that changed and needs a restart.
    pub fn reloadable(&self, next: &Self) -> Result<(), Faults> {
        let mut changes = Vec::new();
        for ((key, old), (_, new)) in self.fixed().into_iter().zip(next.fixed()) {
            if old != new {
                let message = format!("{key} needs a restart to change from {old} to {new}");
                changes.push(Fault { position: None, message });
            }
        }
        if changes.is_empty() { Ok(()) } else { Err(Faults::new("", changes)) }
    }

    /// Each key that only a restart changes, with its value as a reader would write it.
    fn fixed(&self) -> [(&'static str, String); 13] {
        let EngineConfig {
            shards,
            runtime,
            ledger,
            slots,
            live_table,
            sync_interval: _,
            flight,
            drain_timeout,
            connections_per_shard,
            watchdog: _,
            watchdog_action: _,
        } = &self.engine;
        let ControlConfig { address, socket, sample_api } = &self.control;
        let runtime = match runtime {
            RuntimeChoice::Auto => "\"auto\"",
            RuntimeChoice::Glommio => "\"glommio\"",
            RuntimeChoice::Epoll => "\"epoll\"",
        };
        let live_table = match live_table {
            LiveTable::Auto => "\"auto\"",
            LiveTable::Tmpfs => "\"tmpfs\"",
            LiveTable::File => "\"file\"",
        };
        let shards = match shards {
            Shards::Auto => "\"auto\"".to_owned(),
            Shards::Count(count) => count.to_string(),
            Shards::Cpus(cpus) => format!("{cpus:?}"),
        };
        let output = match &self.access_log {
            AccessLog::Off => "\"off\"".to_owned(),
            AccessLog::Stdout => "\"stdout\"".to_owned(),
            AccessLog::File(path) => format!("{path:?}"),
        };
        let address = address.map_or("none".to_owned(), |address| format!("\"{address}\""));
        [
            ("\"shards\" in [engine]", shards),
            ("\"runtime\" in [engine]", runtime.to_owned()),
            ("\"ledger\" in [engine]", format!("{ledger:?}")),
            ("\"slots\" in [engine]", slots.to_string()),
            ("\"live_table\" in [engine]", live_table.to_owned()),
            ("\"flight\" in [engine]", flight.to_string()),
            ("\"drain_timeout\" in [engine]", format!("\"{}\"", Span(drain_timeout))),
            ("\"connections_per_shard\" in [engine]", connections_per_shard.to_string()),
            ("\"output\" in [access_log]", output),
            ("\"address\" in [control]", address),
            ("\"socket\" in [control]", format!("{socket:?}")),
            ("\"sample_api\" in [control]", sample_api.to_string()),
            ("the addresses of [[listener]]", self.addresses()),
        ]
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

    /// Those of the file's own listeners, sorted: their order does not matter.
    fn addresses(&self) -> String {
        let own = self.listeners.len() - usize::from(self.control.address.is_some());
        // In order: a connection remembers its listener by its place.
        let addresses: Vec<SocketAddr> =
            self.listeners[..own].iter().map(|listener| listener.address).collect();
        format!("{addresses:?}")
    }
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
