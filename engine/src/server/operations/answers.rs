//! The engine's answers to the control plane.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use weir_protocol::control::{
    BackendStatus, BansRequest, Explanation, LedgerRequest, LimitsRequest, Question, Response,
    Status,
};

use super::{Engine, lock};
use crate::control::{Operations, Successor};
use crate::metrics::{render, summary};
use crate::runtime::{os, ring};
use crate::server::panics;

impl Operations for Engine {
    fn status(&self) -> Status {
        let (rings, occupancy) = (ring::ring_setup(), self.table.occupancy());
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: os::now().since(self.started).as_secs(),
            runtime: self.runtime().to_owned(),
            runtime_reason: self.chosen.reason.clone(),
            shards: self.handles.iter().enumerate().map(|(id, shard)| shard.status(id)).collect(),
            rings_cooperative: rings.cooperative,
            rings_plain: rings.plain,
            config_path: self.config_path.display().to_string(),
            config_generation: self.snapshot().generation,
            draining: self.draining.load(Ordering::Relaxed),
            listeners: self.addresses.iter().map(|(_, address)| address.to_string()).collect(),
            ledger: self.ledger_path.display().to_string(),
            live_table: self.standing.live().to_owned(),
            slots_used: occupancy.used as u64,
            slots_capacity: occupancy.capacity as u64,
            panics: panics::count(),
            last_panic: panics::last(),
        }
    }

    fn backends(&self) -> Vec<BackendStatus> {
        let snapshot = self.snapshot();
        let upstreams = snapshot.upstreams.iter().take(snapshot.config.upstreams.len());
        upstreams
            .flat_map(|upstream| {
                upstream.backends.iter().map(|backend| BackendStatus {
                    upstream: upstream.name.clone(),
                    address: backend.label.clone(),
                    healthy: backend.is_healthy(),
                    in_flight: u64::from(backend.in_flight()),
                    requests: backend.requests(),
                    failures: backend.failures(),
                    last_check: match upstream.health {
                        Some(_) => backend.last_check(),
                        None => "checks are off".to_owned(),
                    },
                })
            })
            .collect()
    }

    fn metrics_text(&self) -> String {
        let shards: Vec<_> = self.handles.iter().map(|h| Arc::clone(&h.metrics)).collect();
        render(&shards, &self.families())
    }

    fn stats(&self) -> Value {
        let shards: Vec<_> = self.handles.iter().map(|h| Arc::clone(&h.metrics)).collect();
        let status = self.status();
        // Where files are is weirctl's to say: a route may show this page to anyone.
        json!({
            "version": status.version,
            "uptime_s": status.uptime_s,
            "runtime": status.runtime,
            "draining": status.draining,
            "totals": summary(&shards),
            "backends": self.backends(),
            "shards": status.shards,
        })
    }

    fn reload(&self, by: &str) -> Result<String, String> {
        let done = self.reload_now()?;
        Ok(self.noted(done.clone(), by, "reload", &done))
    }

    fn limits(&self, request: LimitsRequest, by: &str) -> Result<Response, String> {
        self.answer_limits(request, by)
    }

    fn bans(&self, request: BansRequest, by: &str) -> Result<Response, String> {
        self.answer_bans(request, by)
    }

    fn explain(&self, question: &Question) -> Result<Explanation, String> {
        self.answer_explain(question)
    }

    fn ledger(&self, request: LedgerRequest, by: &str) -> Result<Response, String> {
        self.answer_ledger(request, by)
    }

    fn drain(&self, by: &str) {
        self.begin_drain();
        if let Some(remark) = self.note(by, "drain", "") {
            eprintln!("weir: {remark}");
        }
    }

    fn hand_over(&self, successor: Successor) {
        // A later one takes the place of one that nobody has looked at yet.
        *lock(&self.successor) = Some(successor);
        self.succession.notify_one();
    }
}
