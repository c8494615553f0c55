//! shuttle schedules the protocol over a table of several groups, with many threads and keys: what
//! loom cannot explore whole. Each step of a run is chosen from a seed, so that a run fails always
//! or never.

use std::sync::atomic::{AtomicU64 as Tally, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Arc;
use shuttle::sync::atomic::AtomicU64;
use shuttle::{Config, Runner, thread};
use weir_protocol::limit::meter::{Meter, Moment};

use super::deed::Admit;
use super::groups::{Ask, Groups};
use super::heap::Heap;
use super::slot::{FREE, Slot};
use super::sync::atomic;
use super::{Charge, Policy, SubjectHash};

const SECOND: u64 = 1_000_000_000;
const THREADS: u64 = 4;
const SLOTS: usize = 16;
const LIMIT: u64 = 3;

atomic!(AtomicU64, |_| thread::yield_now());

/// Four groups of four slots, and what became of each key's requests. The tallies are no part of
/// the schedule.
struct Scale {
    slots: Vec<Slot<AtomicU64>>,
    heap: Heap<AtomicU64>,
    policies: Vec<Policy>,
    admitted: Vec<Tally>,
    refused: Vec<Tally>,
    full: Vec<Tally>,
}

impl Scale {
    fn new(keys: usize) -> Arc<Self> {
        // Windows that differ by a nanosecond tell the keys' slots apart.
        let window = |key: usize| Meter::window(LIMIT, SECOND + key as u64);
        let meter = |key| window(key).expect("within the bounds");
        let tallies = || (0..keys).map(|_| Tally::new(0)).collect();
        Arc::new(Self {
            slots: (0..SLOTS).map(|_| Slot::free()).collect(),
            heap: Heap::new(SLOTS, 4),
            policies: (0..keys).map(|k| Policy::new(&format!("limit {k}"), meter(k))).collect(),
            admitted: tallies(),
            refused: tallies(),
            full: tallies(),
        })
    }

    fn groups(&self) -> Groups<'_, AtomicU64, 4> {
        Groups { slots: &self.slots, names: &[], heap: &self.heap }
    }

    fn ask(&self, key: usize, epoch: u64) -> Ask<'_> {
        let policy = &self.policies[key];
        let now = Moment { table_ns: epoch * SECOND, wall_s: 0 };
        Ask { tag: tag(policy), policy, now }
    }

    fn charge(&self, key: usize, epoch: u64) -> bool {
        let charge = self.groups().run(&self.ask(key, epoch), &Admit(1), &"");
        let (admitted, tally) = match charge {
            Some(Charge::Admitted { .. }) => (true, &self.admitted),
            Some(Charge::Refused { .. }) => (false, &self.refused),
            Some(Charge::TableFull) | None => (false, &self.full),
        };
        tally[key].fetch_add(1, Ordering::Relaxed);
        admitted
    }

    fn remaining(&self, key: usize, epoch: u64) -> u64 {
        self.groups().peek(&self.ask(key, epoch)).remaining
    }
}

/// One subject under many limits.
fn tag(policy: &Policy) -> u64 {
    SubjectHash(0x0123_4567_89AB_CDEF).tag(policy.seed)
}

/// Runs `body` on some hundred schedules: drawn step by step, and with a few preemptions where they
/// hurt most (probabilistic concurrency testing, Burckhardt et al., ASPLOS 2010).
fn explore(body: fn()) {
    Runner::new(RandomScheduler::new_from_seed(4, 250), Config::new()).run(body);
    Runner::new(PctScheduler::new_from_seed(4, 5, 250), Config::new()).run(body);
}

fn each_thread(scale: &Arc<Scale>, work: impl Fn(&Scale, u64) + Send + Sync + Copy + 'static) {
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let scale = Arc::clone(scale);
            thread::spawn(move || work(&scale, number))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

/// A key out of `count`, differently mixed by each thread.
fn pick(step: u64, number: u64, count: u64) -> usize {
    usize::try_from((step * (2 * number + 1) + number) % count).expect("small")
}

/// All threads insert and charge the same keys: each is admitted its limit, and not once more.
#[test]
fn many_threads_admit_each_key_its_limit_exactly() {
    const KEYS: u64 = 8;
    explore(|| {
        let scale = Scale::new(8);
        each_thread(&scale, |scale, number| {
            for step in 0..KEYS {
                scale.charge(pick(step, number, KEYS), 10);
            }
        });
        for key in 0..8 {
            let asked = scale.refused[key].load(Ordering::Relaxed)
                + scale.admitted[key].load(Ordering::Relaxed);
            assert_eq!(scale.full[key].load(Ordering::Relaxed), 0);
            assert_eq!(scale.admitted[key].load(Ordering::Relaxed), asked.min(LIMIT));
            assert_eq!(scale.remaining(key, 10), LIMIT - asked.min(LIMIT));
        }
    });
}

/// Each thread charges old keys, then, when those have expired, new ones, which take their slots
/// from them while other threads lag behind. Fourteen of each: most groups are full.
#[test]
fn slots_that_change_hands_charge_their_owners_only() {
    const OLD: u64 = 14;
    explore(|| {
        let scale = Scale::new(28);
        each_thread(&scale, |scale, number| {
            for step in 0..OLD {
                scale.charge(pick(step, number, OLD), 10);
            }
            for step in 0..OLD {
                scale.charge(14 + pick(step, number, OLD), 20);
            }
        });
        for key in 14..28 {
            let [admitted, refused] =
                [&scale.admitted, &scale.refused].map(|tally| tally[key].load(Ordering::Relaxed));
            assert!(admitted <= LIMIT, "key {key} was admitted {admitted}");
            assert!(refused == 0 || admitted == LIMIT, "key {key} was refused for another");
            assert_eq!(scale.remaining(key, 20), LIMIT - admitted, "key {key}");
        }
        for key in 0..14 {
            // A shard that lags may begin anew what another has let go of.
            assert!(scale.admitted[key].load(Ordering::Relaxed) <= 2 * LIMIT);
        }
    });
}

/// Every other charge is given back: what is left in the end is what was kept.
#[test]
fn refunds_give_back_to_their_own_key() {
    const KEYS: u64 = 6;
    explore(|| {
        let scale = Scale::new(6);
        each_thread(&scale, |scale, number| {
            for step in 0..KEYS {
                let key = pick(step, number, KEYS);
                if scale.charge(key, 10) && (step + number).is_multiple_of(2) {
                    let ask = scale.ask(key, 10);
                    scale.groups().refund(&ask, ask.now, 1);
                    scale.admitted[key].fetch_sub(1, Ordering::Relaxed);
                }
            }
        });
        for key in 0..6 {
            let admitted = scale.admitted[key].load(Ordering::Relaxed);
            assert_eq!(scale.remaining(key, 10), LIMIT - admitted, "key {key}");
        }
    });
}

/// The ledger's thread copies while slots change hands: what it gets is of one owner.
#[test]
fn copies_are_of_one_owner() {
    const KEYS: u64 = 14;
    explore(|| {
        let scale = Scale::new(42);
        let copier = Arc::clone(&scale);
        let copier = thread::spawn(move || {
            for slot in copier.slots.iter().chain(&copier.slots) {
                let Some([owner, word, .., shape]) = slot.copy() else { continue };
                let is_owner = |policy: &&Policy| tag(policy) == owner;
                let policy = copier.policies.iter().find(is_owner);
                assert!(owner != FREE || word == 0);
                assert_eq!(shape, policy.map_or(0, |policy| policy.meter().shape().0));
                assert!(word & 0xF_FFFF <= LIMIT);
            }
        });
        each_thread(&scale, |scale, number| {
            for step in 0..KEYS {
                let round = step % 3;
                let first = usize::try_from(round * KEYS).expect("small");
                scale.charge(first + pick(step, number, KEYS), 10 + 10 * round);
            }
        });
        copier.join().expect("no panic");
    });
}
