//! How many connections each client address has open, on all shards together.
//!
//! A fixed table of words, each an address's tag and a count, in groups of [`GROUP`]. Whoever opens
//! a connection increments a word of its address first, then adds up what the group has under the
//! tag, and takes its own unit back when that is too much. Two that race for the last unit may both
//! be refused; never are both admitted.
//!
//! Invariants:
//! - a unit stays in the word it was counted in, and a word keeps its tag while it counts anything;
//! - one address may have several words (two shards may each have found none), so only their sum
//!   says how many there are;
//! - a word whose last unit goes is free at once.
//!
//! Every access is sequentially consistent: the sum must see the increments of all who will not
//! see ours, which acquire and release leave open for two different words. It is done once for each
//! connection, and only where addresses are limited.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Words of 8 bytes; with fewer addresses than that, no group fills up in practice.
const WORDS: usize = 1 << 16;
/// Words that one address can use; two cache lines.
const GROUP: usize = 16;
const COUNT_BITS: u32 = 16;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const FREE: u64 = 0;

pub struct AddressTable {
    words: Box<[AtomicU64]>,
}

/// A counted connection. It counts until it is given to [`AddressTable::leave`].
#[derive(Debug, PartialEq, Eq)]
pub struct Claim(NonZeroU32);

/// What became of an attempt to count one more.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    Counted(Claim),
    /// The address has as many as it may.
    Over,
    /// The group has no room for another address: it is not counted.
    NoRoom,
}

impl Default for AddressTable {
    fn default() -> Self {
        Self::with_words(WORDS)
    }
}

impl AddressTable {
    fn with_words(words: usize) -> Self {
        Self { words: (0..words).map(|_| AtomicU64::new(FREE)).collect() }
    }

    /// Counts a connection of the address whose keyed hash is `hash`, unless it has `most` already;
    /// `most` is at most 32,768, so that a count cannot overflow before it is taken back.
    pub fn enter(&self, hash: u64, most: u32) -> Entered {
        let (group, tag) = self.place(hash);
        let Some(index) = self.increment(group, tag) else { return Entered::NoRoom };
        let sum: u64 = self.words[group..group + GROUP]
            .iter()
            .map(|word| word.load(Ordering::SeqCst))
            .filter(|word| word & !COUNT == tag)
            .map(|word| word & COUNT)
            .sum();
        let claim = Claim(number(index));
        if sum > u64::from(most) {
            self.leave(claim);
            return Entered::Over;
        }
        Entered::Counted(claim)
    }

    /// The connection is closed.
    #[expect(clippy::needless_pass_by_value, reason = "a claim is given back once")]
    pub fn leave(&self, claim: Claim) {
        let word = &self.words[claim.0.get() as usize - 1];
        let taken =
            word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| match word & COUNT {
                0 => None,
                1 => Some(FREE),
                _ => Some(word - 1),
            });
        assert!(taken.is_ok(), "a claim counts in its word");
    }

    /// First word of the group, and the tag as it stands in a word: never zero.
    fn place(&self, hash: u64) -> (usize, u64) {
        let groups = self.words.len() / GROUP;
        let group = usize::try_from(hash & COUNT).unwrap_or(0) % groups;
        let tag = hash & !COUNT;
        (group * GROUP, if tag == 0 { 1 << COUNT_BITS } else { tag })
    }

    /// Adds one to a word of `tag`, or to a free one; its index.
    fn increment(&self, group: usize, tag: u64) -> Option<usize> {
        let words = &self.words[group..group + GROUP];
        loop {
            let found = |wanted: &dyn Fn(u64) -> bool| {
                let loaded = words.iter().map(|word| word.load(Ordering::SeqCst));
                loaded.enumerate().find(|(_, word)| wanted(*word))
            };
            let own = found(&|word| word & !COUNT == tag && word & COUNT < COUNT);
            let (index, before) = own.or_else(|| found(&|word| word == FREE))?;
            let after = if before == FREE { tag | 1 } else { before + 1 };
            let swapped =
                words[index].compare_exchange(before, after, Ordering::SeqCst, Ordering::SeqCst);
            if swapped.is_ok() {
                return Some(group + index);
            }
        }
    }
}

fn number(index: usize) -> NonZeroU32 {
    let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
    number.expect("fewer words than 2^32")
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn is_empty(table: &AddressTable) -> bool {
        table.words.iter().all(|word| word.load(Ordering::SeqCst) == FREE)
    }

    #[test]
    fn as_many_as_are_allowed_and_no_more() {
        let table = AddressTable::default();
        let claims: Vec<_> = (0..3)
            .map(|_| match table.enter(7 << 40, 3) {
                Entered::Counted(claim) => claim,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(table.enter(7 << 40, 3), Entered::Over);
        // Another address of the same group has its own count.
        assert!(matches!(table.enter(8 << 40, 1), Entered::Counted(_)));
        assert_eq!(table.enter(8 << 40, 1), Entered::Over);
        claims.into_iter().for_each(|claim| table.leave(claim));
        assert!(matches!(table.enter(7 << 40, 1), Entered::Counted(_)));
    }

    #[test]
    fn a_full_group_counts_nobody_else() {
        let table = AddressTable::with_words(GROUP);
        let mut claims = Vec::new();
        for tag in 0..16_u64 {
            let Entered::Counted(claim) = table.enter(tag << 20, 9) else { panic!("room") };
            claims.push(claim);
        }
        assert_eq!(table.enter(77 << 20, 9), Entered::NoRoom);
        let Entered::Counted(again) = table.enter(3 << 20, 9) else { panic!("it is there") };
        claims.push(again);
        table.leave(claims.remove(0));
        let Entered::Counted(new) = table.enter(77 << 20, 9) else { panic!("a word is free") };
        claims.push(new);
        claims.into_iter().for_each(|claim| table.leave(claim));
        assert!(is_empty(&table));
    }

    #[test]
    fn racing_threads_never_exceed_the_limit_and_leave_nothing_behind() {
        const THREADS: usize = 4;
        const MOST: u32 = 3;
        let table = AddressTable::with_words(GROUP);
        let open = [AtomicU64::new(0), AtomicU64::new(0)];
        let admitted = AtomicU64::new(0);
        let start = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (table, open, admitted, start) = (&table, &open, &admitted, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..20_000 {
                        let which = (round + thread) % open.len();
                        let Entered::Counted(claim) = table.enter(1 << (20 + which), MOST) else {
                            continue;
                        };
                        admitted.fetch_add(1, Ordering::SeqCst);
                        let now = open[which].fetch_add(1, Ordering::SeqCst) + 1;
                        assert!(now <= u64::from(MOST), "{now} at once");
                        open[which].fetch_sub(1, Ordering::SeqCst);
                        table.leave(claim);
                    }
                });
            }
        });
        assert!(admitted.load(Ordering::SeqCst) > 1000, "the race was one");
        assert!(is_empty(&table));
    }
}
