//! Words that count nothing and are charged without a lock all the same, while another key takes
//! the slot: a bucket that is full again, permits that have all come back.

use super::*;

/// One slot of the old key's, which has counted and counts nothing any more.
fn spent(policy: &Policy) -> Arc<Model> {
    let model = Model::new(1, 0);
    assert!(matches!(model.charge_under(policy, OLD, 10), Charge::Admitted { .. }));
    model
}

/// Whoever of both comes first has the slot, and nobody's unit is in another's count: what is in
/// the slot is what its owner was charged.
fn is_charged_to_its_owner_only(model: &Arc<Model>, policy: Policy, cost: u64) -> (bool, bool) {
    let other = Arc::clone(model);
    let thread = thread::spawn(move || other.charge_under(&policy, OLD, 20));
    let ask = model.ask(&policy, NEW, 20);
    let new = model.groups().run(&ask, &Admit(cost), &"").unwrap_or(Charge::TableFull);
    let old = thread.join().expect("no panic");
    let admitted = |charge| matches!(charge, Charge::Admitted { .. });
    assert!(!admitted(new) || !admitted(old), "one slot: {new:?} {old:?}");
    (admitted(old), admitted(new))
}

#[test]
fn a_full_bucket_is_charged_to_its_owner_only() {
    explore(|| {
        let meter = Meter::bucket(5, SECOND, 5).expect("within the bounds");
        let policy = Policy::new("model", meter);
        let model = spent(&policy);
        let (old, new) = is_charged_to_its_owner_only(&model, policy, 2);
        assert!(old ^ new);
        assert_eq!(model.tag(), if new { NEW } else { OLD });
        assert_eq!(model.word(), meter.holding(at(20), if new { 2 } else { 1 }));
    });
}

/// The bucket became full at the moment at which another key asks for nothing: its word would be
/// the same.
#[test]
fn an_equal_word_never_goes_to_another_key() {
    explore(|| {
        let meter = Meter::bucket(1, 10 * SECOND, 1).expect("within the bounds");
        let policy = Policy::new("model", meter);
        let model = spent(&policy);
        assert_eq!(model.word(), meter.fresh(at(20)));
        let (old, new) = is_charged_to_its_owner_only(&model, policy, 0);
        assert!(old && !new);
        assert_eq!((model.tag(), model.word()), (OLD, meter.holding(at(20), 1)));
    });
}

#[test]
fn permits_that_came_back_are_charged_to_their_owner_only() {
    explore(|| {
        let policy = Policy::new("model", Meter::in_flight(5).expect("within the bounds"));
        let model = spent(&policy);
        model.groups().refund(&model.ask(&policy, OLD, 10), at(10), 1);
        let (old, new) = is_charged_to_its_owner_only(&model, policy, 2);
        assert!(old ^ new);
        assert_eq!(model.tag(), if new { NEW } else { OLD });
        assert_eq!(model.word().0 & u64::from(u32::MAX), if new { 2 } else { 1 });
    });
}
