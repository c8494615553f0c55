use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every permit that is out is kept; none is given beyond the limit, none is lost.
    #[test]
    fn never_more_at_once_than_the_limit(
        limit in 1..=8_u64,
        now_ns in any::<u64>(),
        steps in prop::collection::vec((any::<bool>(), 1..=4_u64, any::<prop::sample::Index>()), 1..100),
    ) {
        let in_flight = InFlight::new(limit).expect("fits");
        let mut word = in_flight.word_at(now_ns, 0);
        let mut out: Vec<u64> = Vec::new();
        for (ends, cost, which) in steps {
            let before = word;
            if ends && !out.is_empty() {
                let cost = out.swap_remove(which.index(out.len()));
                word = release(word, cost).expect("it is out");
            } else {
                let fits = out.iter().sum::<u64>() + cost <= limit;
                let outcome = charge(word, &in_flight, cost);
                prop_assert_eq!(matches!(outcome, Outcome::Admitted { .. }), fits);
                let Outcome::Admitted { word: next, .. } = outcome else { continue };
                word = next;
                out.push(cost);
            }
            // The same count is another word.
            prop_assert_ne!(word, before);
            let taken = out.iter().sum::<u64>();
            prop_assert_eq!(peek(word, &in_flight).remaining, limit - taken);
            prop_assert_eq!(age(word) == Age::Expired, out.is_empty());
        }
    }
}

#[test]
fn a_count_that_comes_back_is_another_word() {
    let in_flight = InFlight::new(2).expect("fits");
    let first = in_flight.word_at(7, 1);
    let Outcome::Admitted { word: second, .. } = charge(first, &in_flight, 1) else {
        panic!("a second permit");
    };
    let third = release(second, 1).expect("two are out");
    assert_ne!(third, first);
    assert_eq!(peek(third, &in_flight), peek(first, &in_flight));
}

#[test]
fn what_is_not_out_cannot_come_back() {
    let in_flight = InFlight::new(5).expect("fits");
    assert_eq!(release(in_flight.word_at(1, 0), 1), None);
    assert_eq!(release(Word::SEALED, 1), None);
    // A restart forgot some of them.
    let word = release(in_flight.word_at(1, 2), 3).expect("two are out");
    assert_eq!(peek(word, &in_flight).remaining, 5);
}
