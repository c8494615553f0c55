//! A lock word for each group, on the heap so that no kill leaves one taken.

use std::sync::atomic::Ordering;

use super::sync::Atomic;

/// Holds one or two groups until dropped.
pub(super) struct Held<'a, A: Atomic> {
    locks: [Option<&'a A>; 2],
}

/// Locks both groups of a key; they may be the same one. Always in ascending order, so that two
/// keys with the same groups cannot wait for each other.
pub(super) fn lock<A: Atomic>(locks: &[A], groups: [usize; 2]) -> Held<'_, A> {
    let (low, high) = (groups[0].min(groups[1]), groups[0].max(groups[1]));
    acquire(&locks[low]);
    if high != low {
        acquire(&locks[high]);
    }
    Held { locks: [Some(&locks[low]), (high != low).then(|| &locks[high])] }
}

fn acquire<A: Atomic>(word: &A) {
    let mut rounds = 0;
    // Acquire pairs with the release in `drop`: what the last holder wrote to the group is seen.
    while word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
        A::pause(rounds);
        rounds = rounds.saturating_add(1);
    }
}

impl<A: Atomic> Drop for Held<'_, A> {
    fn drop(&mut self) {
        for word in self.locks.iter().flatten() {
            // Release pairs with the acquire above.
            word.store(0, Ordering::Release);
        }
    }
}
