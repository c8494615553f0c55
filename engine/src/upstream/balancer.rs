//! Which backend is next. Pure: the cursor comes in, the choice and the new cursor go out.

/// Round robin over the backends that are healthy and were not tried yet for this request.
///
/// `eligible(i)` says so of backend `i` of `count`. Returns the choice and the cursor for the next
/// call; `None` when nobody is eligible.
pub fn round_robin(
    cursor: usize,
    count: usize,
    eligible: impl Fn(usize) -> bool,
) -> Option<(usize, usize)> {
    (0..count)
        .map(|step| (cursor + step) % count)
        .find(|index| eligible(*index))
        .map(|index| (index, (index + 1) % count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_turns() {
        let mut cursor = 1;
        let mut chosen = Vec::new();
        for _ in 0..5 {
            let (index, next) = round_robin(cursor, 3, |_| true).unwrap();
            chosen.push(index);
            cursor = next;
        }
        assert_eq!(chosen, [1, 2, 0, 1, 2]);
    }

    #[test]
    fn nobody_eligible_is_no_choice() {
        assert_eq!(round_robin(0, 3, |_| false), None);
        assert_eq!(round_robin(7, 0, |_| true), None);
    }

    proptest! {
        #[test]
        fn only_the_eligible_are_chosen_and_equally_often(
            healthy in proptest::collection::vec(any::<bool>(), 1..12),
            start in 0usize..100,
        ) {
            let up = healthy.iter().filter(|h| **h).count();
            let mut counts = vec![0; healthy.len()];
            let mut cursor = start;
            for _ in 0..up * 7 {
                let (index, next) = round_robin(cursor, healthy.len(), |i| healthy[i]).unwrap();
                prop_assert!(healthy[index]);
                counts[index] += 1;
                cursor = next;
            }
            for (count, healthy) in counts.iter().zip(&healthy) {
                prop_assert_eq!(*count, if *healthy { 7 } else { 0 });
            }
        }
    }
}
