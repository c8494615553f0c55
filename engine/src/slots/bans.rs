//! Bans, in the slots of the counters that led to them: who has to wait and does not.
//!
//! The two words of a ban are written under the group's lock, which only a refusal takes that may
//! be a strike; who is banned is refused before a counter is asked.

use std::sync::atomic::Ordering;

use weir_protocol::limit::ban::{Ban, Ladder, Refused, Strikes};

use super::groups::{Ask, Groups};
use super::lock::lock;
use super::slot::Slot;
use super::sync::Atomic;
use super::{Policy, SlotTable, SubjectHash};
use crate::runtime::Instant;

impl<A: Atomic, const G: usize> Groups<'_, A, G> {
    /// Notes a refusal of the key; true when it was one too many.
    pub(super) fn strike(&self, ask: &Ask<'_>, ladder: &Ladder, retry_after_ns: u64) -> bool {
        let _held = self.lock(ask.tag);
        let Some(slot) = self.find(ask.tag).filter(|_| !self.heap.is_given_away()) else {
            return false;
        };
        // Relaxed: these words change under the lock only.
        let strikes = Strikes(slot.strikes.load(Ordering::Relaxed));
        let ban = Ban(slot.ban.load(Ordering::Relaxed));
        let now_ns = ask.now.table_ns;
        if ban.is_running(now_ns) {
            // Another shard's refusal was the last one.
            return false;
        }
        self.keep_strikes_for(ladder.within_s());
        let (next, out) = match ladder.refuse(strikes, now_ns, retry_after_ns) {
            Refused::Noted(next) => (next, false),
            Refused::Out(next) => (next, true),
        };
        if out {
            // Release, here and below, pairs with the acquire loads in `Slot::copy`. The ban comes
            // first: a kill in between must not lose it.
            slot.ban.store(ladder.ban(ban, now_ns).0, Ordering::Release);
            self.heap.mark_banned(self.index_of(slot) / G);
        }
        slot.strikes.store(next.0, Ordering::Release);
        out
    }

    fn keep_strikes_for(&self, within_s: u64) {
        // Relaxed: a bound; that of two ladders at once may be the lower one until the next strike.
        if self.heap.strikes_within_s.load(Ordering::Relaxed) < within_s {
            self.heap.strikes_within_s.store(within_s, Ordering::Relaxed);
        }
    }

    fn banned_for_ns(&self, ask: &Ask<'_>) -> Option<u64> {
        if !self.candidates(ask.tag).iter().any(|group| self.heap.banned.contains(*group)) {
            return None;
        }
        let [tag, _, ban, ..] = self.find(ask.tag).and_then(Slot::copy)?;
        let (ban, now_ns) = (Ban(ban), ask.now.table_ns);
        (tag == ask.tag && ban.is_running(now_ns)).then(|| ban.remaining_ns(now_ns))
    }

    /// Ends the key's ban, and forgets all earlier ones.
    fn lift(&self, tag: u64) -> bool {
        let _held = self.lock(tag);
        let Some(slot) = self.find(tag).filter(|_| !self.heap.is_given_away()) else {
            return false;
        };
        // Release as in `strike`.
        let banned = slot.ban.load(Ordering::Relaxed) != 0;
        slot.ban.store(0, Ordering::Release);
        slot.strikes.store(0, Ordering::Release);
        banned
    }

    /// How many bans of a group are running; the group is forgotten when none is.
    fn live_bans(&self, group: usize, now_ns: u64) -> usize {
        let _held = lock(&self.heap.locks, [group; 2]);
        let running = |slot: &&Slot<A>| Ban(slot.ban.load(Ordering::Relaxed)).is_running(now_ns);
        let live = self.group(group).iter().filter(running).count();
        if live == 0 {
            self.heap.clear_banned(group);
        }
        live
    }
}

impl SlotTable {
    #[cold]
    pub(super) fn strike(&self, ask: &Ask<'_>, ladder: &Ladder, retry_after_ns: u64) {
        if self.groups().strike(ask, ladder, retry_after_ns) {
            // A statistic.
            self.bans_set.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For how many nanoseconds the subject is still banned for what it did under this limit. Costs
    /// one load while nobody is.
    #[inline]
    pub fn banned_for_ns(
        &self,
        subject: SubjectHash,
        policy: &Policy,
        now: Instant,
    ) -> Option<u64> {
        if !self.may_have_bans() {
            return None;
        }
        self.groups().banned_for_ns(&self.ask(subject, policy, now))
    }

    /// Whether anybody may be banned: false while nobody is, for the price of one load.
    #[inline]
    pub fn may_have_bans(&self) -> bool {
        // Relaxed: a ban that is being set now may be seen by the next request.
        self.heap.banned_groups.load(Ordering::Relaxed) > 0
    }

    /// Ends a subject's ban and forgets those before it; false when there was none.
    pub fn lift(&self, subject: SubjectHash, policy: &Policy) -> bool {
        self.groups().lift(subject.tag(policy.seed))
    }

    /// Like [`lift`](Self::lift), for the tag that [`entries`](Self::entries) showed.
    pub fn lift_tag(&self, tag: u64) -> bool {
        self.groups().lift(tag)
    }

    /// How many bans are running. For the control plane, now and then: after the last ban it makes
    /// [`banned_for_ns`](Self::banned_for_ns) cheap again.
    pub fn live_bans(&self, now: Instant) -> usize {
        let now_ns = self.clock().at(now).0;
        let groups = self.groups();
        self.heap.banned.iter().map(|group| groups.live_bans(group, now_ns)).sum()
    }

    /// Bans set since the table was opened.
    pub fn bans_set(&self) -> u64 {
        self.bans_set.load(Ordering::Relaxed)
    }
}
