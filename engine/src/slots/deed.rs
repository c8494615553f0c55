//! What can be done to a counter: one decision each, on the word that was seen.

use weir_protocol::limit::meter::{Meter, Moment, Outcome, Shape, Word};

use super::Charge;

/// Something to do to a key's counter. May be asked again with another word, when somebody else
/// wrote first.
pub(super) trait Deed {
    type Answer;
    /// Whether a slot's statistics count it: what writes as admitted, what does not as refused.
    const COUNTS: bool;

    fn to(&self, meter: &Meter, word: Word, now: Moment) -> Step<Self::Answer>;

    /// The same without a lock; `None` when the word counts nothing, so that it takes one.
    #[inline]
    fn to_live(&self, meter: &Meter, word: Word, now: Moment) -> Option<Step<Self::Answer>> {
        (!meter.is_expired(word, now)).then(|| self.to(meter, word, now))
    }

    /// The same, to a word of another shape.
    fn carried(&self, meter: &Meter, shape: Shape, word: Word, now: Moment) -> Step<Self::Answer>;
}

pub(super) enum Step<T> {
    /// The word to write in place of the one that was seen.
    Write(Word, T),
    Keep(T),
}

/// Asks for so many units.
pub(super) struct Admit(pub(super) u64);

impl Deed for Admit {
    type Answer = Charge;
    const COUNTS: bool = true;

    #[inline]
    fn to(&self, meter: &Meter, word: Word, now: Moment) -> Step<Charge> {
        step(meter.charge(word, now, self.0))
    }

    #[inline]
    fn to_live(&self, meter: &Meter, word: Word, now: Moment) -> Option<Step<Charge>> {
        meter.charge_live(word, now, self.0).map(step)
    }

    fn carried(&self, meter: &Meter, shape: Shape, word: Word, now: Moment) -> Step<Charge> {
        step(meter.charge_carried(shape, word, now, self.0))
    }
}

#[inline]
fn step(outcome: Outcome) -> Step<Charge> {
    match outcome {
        Outcome::Admitted { word, remaining, reset_ns } => {
            Step::Write(word, Charge::Admitted { remaining, reset_ns })
        }
        Outcome::Refused { retry_after_ns, reset_ns } => {
            Step::Keep(Charge::Refused { retry_after_ns, reset_ns })
        }
    }
}

/// Adds units that turned out afterwards.
pub(super) struct Settle(pub(super) u64);

impl Deed for Settle {
    type Answer = ();
    const COUNTS: bool = false;

    fn to(&self, meter: &Meter, word: Word, now: Moment) -> Step<()> {
        Step::Write(meter.settle(word, now, self.0), ())
    }

    fn carried(&self, meter: &Meter, shape: Shape, word: Word, now: Moment) -> Step<()> {
        self.to(meter, meter.carry(shape, word, now), now)
    }
}

/// Counts bytes in any case, and says for how many nanoseconds to hold them back.
pub(super) struct Throttle(pub(super) u64);

impl Deed for Throttle {
    type Answer = u64;
    const COUNTS: bool = false;

    fn to(&self, meter: &Meter, word: Word, now: Moment) -> Step<u64> {
        let (word, wait_ns) = meter.throttle(word, now, self.0);
        Step::Write(word, wait_ns)
    }

    fn carried(&self, meter: &Meter, shape: Shape, word: Word, now: Moment) -> Step<u64> {
        self.to(meter, meter.carry(shape, word, now), now)
    }
}
