//! What the flight recorder is told of an exchange.

use std::time::Duration;

use super::account::Account;
use super::exchange::Exchange;
use crate::admission::{self, Caller, Refusal};
use crate::ledger::flight::{
    Decision, IDENTIFIED, Numbers, PREFLIGHT, REPORTED, Record, Recorder, mapped,
};
use crate::runtime::Runtime;

impl<R: Runtime> Exchange<'_, R> {
    /// Where nothing is recorded, a branch.
    #[inline]
    pub(super) fn record_flight(
        &self,
        decision: &admission::Decision<'_>,
        account: &Account<'_>,
        elapsed: Duration,
    ) {
        if let (Some(flight), Some(numbers)) = (&self.shard.flight, &self.snapshot.flight) {
            let record = self.flight_record(flight, numbers, decision, account, elapsed);
            flight.record(&record, &self.shard.metrics.flight_dropped);
        }
    }

    fn flight_record(
        &self,
        flight: &Recorder,
        numbers: &Numbers,
        decision: &admission::Decision<'_>,
        account: &Account<'_>,
        elapsed: Duration,
    ) -> Record {
        let (key, user) = self.flight_caller(numbers, &decision.caller);
        let tier = decision.caller.tier(self.snapshot);
        // Limits are few, and refusals cost more than looking for one.
        let limit = account.limit.and_then(|name| {
            let mut limits = self.snapshot.limits.iter();
            limits.position(|limit| limit.name == name)
        });
        let own_cost = || account.route.map_or(0, |route| self.snapshot.config.routes[route].cost);
        let cost = account.reported.unwrap_or_else(own_cost);
        Record {
            time: flight.time(self.started),
            address: mapped(self.origin.address),
            key,
            user,
            cost: u32::try_from(cost).unwrap_or(u32::MAX),
            latency_us: u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX),
            status: account.status,
            route: account.route.map_or(0, |route| numbers.routes[route]),
            tier: tier.map_or(0, |tier| numbers.tiers[tier]),
            decision: decided(decision, account),
            limit: limit.map_or(0, |limit| numbers.limits[limit]),
            flags: flags(decision, account),
        }
    }

    /// The hashes of a caller's key and user.
    fn flight_caller(&self, numbers: &Numbers, caller: &Caller) -> (u64, u64) {
        match caller {
            Caller::Anonymous => (0, 0),
            Caller::Key(index) => numbers.keys[*index],
            Caller::Token(claims) => {
                let hash = |user: &String| self.shard.table.subject(&[b"user", user.as_bytes()]);
                (0, claims.subject.as_ref().map_or(0, |user| hash(user).as_u64()))
            }
        }
    }
}

fn decided(decision: &admission::Decision<'_>, account: &Account<'_>) -> Decision {
    match decision.refusal {
        None => match account.decision {
            "forwarded" => Decision::Forwarded,
            "tunnelled" => Decision::Tunnelled,
            "failed" => Decision::Failed,
            "redirected" => Decision::Redirected,
            "preflight" => Decision::Preflight,
            "no-route" => Decision::NoRoute,
            "answered" => Decision::Answered,
            "denied" => Decision::Denied,
            "blocked" => Decision::Blocked,
            _ => Decision::Refused,
        },
        Some(Refusal::LimitExceeded { .. }) => Decision::Limited,
        Some(Refusal::TableFull { .. }) => Decision::TableFull,
        Some(Refusal::Unauthenticated { .. }) => Decision::Unauthenticated,
        Some(Refusal::WrongTier) => Decision::WrongTier,
        Some(Refusal::Denied) => Decision::Denied,
        Some(Refusal::Blocked { .. }) => Decision::Blocked,
        Some(Refusal::Banned { .. }) => Decision::Banned,
    }
}

fn flags(decision: &admission::Decision<'_>, account: &Account<'_>) -> u8 {
    let set = |flag, yes| if yes { flag } else { 0 };
    set(PREFLIGHT, account.preflight)
        | set(IDENTIFIED, decision.identified)
        | set(REPORTED, account.reported.is_some())
}
