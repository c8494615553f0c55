use super::{Engine, lock};
use crate::control::Operations;
use crate::metrics::{Family, Kind, ledger_families};
use crate::runtime::os;
use crate::server::flight::Recording;

impl Engine {
    /// What the shards do not count.
    pub(super) fn families(&self) -> Vec<Family> {
        let occupancy = self.table.occupancy();
        let mut healthy = Family::new(Kind::Gauge, "weir_backend_healthy", "1 if checks pass.");
        let mut in_flight =
            Family::new(Kind::Gauge, "weir_backend_in_flight", "Requests a backend works on.");
        let mut failures = Family::new(
            Kind::Counter,
            "weir_backend_failures_total",
            "Requests that a backend did not answer as it should.",
        );
        for backend in self.backends() {
            let labels = [("upstream", &*backend.upstream), ("backend", &*backend.address)];
            healthy = healthy.with(&labels, u64::from(backend.healthy));
            in_flight = in_flight.with(&labels, backend.in_flight);
            failures = failures.with(&labels, backend.failures);
        }
        let mut stalled =
            Family::new(Kind::Gauge, "weir_shard_stalled", "1 if the shard does not turn.");
        let mut stalls = Family::new(
            Kind::Counter,
            "weir_shard_stalls_total",
            "How often the watchdog found that a shard did not turn.",
        );
        for (id, shard) in self.handles.iter().enumerate() {
            let id = id.to_string();
            stalled = stalled.with(&[("shard", &id)], shard.stalls.now.get());
            stalls = stalls.with(&[("shard", &id)], shard.stalls.total.get());
        }
        let used = Family::new(Kind::Gauge, "weir_slots_used", "Slots of the limit table in use.");
        let capacity = Family::new(Kind::Gauge, "weir_slots_capacity", "Slots of the limit table.");
        let bans = Family::new(Kind::Gauge, "weir_bans", "Callers that limits have banned.");
        let bans_set =
            Family::new(Kind::Counter, "weir_bans_total", "How often a limit banned somebody.");
        let live = self.table.live(os::now());
        let counting =
            Family::new(Kind::Gauge, "weir_slots_live", "Slots that cannot be taken over.");
        let oldest = Family::new(
            Kind::Gauge,
            "weir_slots_oldest_seconds",
            "For how long the oldest live slot has counted, where its algorithm can tell.",
        );
        let mut families = vec![
            self.blocking.family(),
            bans.with(&[], self.table.live_bans(os::now()) as u64),
            bans_set.with(&[], self.table.bans_set()),
            healthy,
            in_flight,
            failures,
            stalled,
            stalls,
            used.with(&[], occupancy.used as u64),
            capacity.with(&[], occupancy.capacity as u64),
            counting.with(&[], live.slots as u64),
            oldest.with(&[], live.oldest_ns.unwrap_or(0) / 1_000_000_000),
        ];
        families.extend(self.journal.metrics().families());
        families.extend(ledger_families(&self.standing, os::now()));
        families.extend(lock(&self.current).recording.iter().flat_map(Recording::families));
        families
    }
}
