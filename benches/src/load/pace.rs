//! When the next request is due: the difference between a closed and an open loop.

use std::time::{Duration, Instant};

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection asks again as soon as it was answered.
    Closed,
    /// This many requests a second whatever the answers do. Latency counts from the time at
    /// which a request *should* have been sent, or a stalled proxy would hide its own stall by
    /// holding back the requests that would have met it (coordinated omission).
    Open { per_second: f64 },
}

/// Hands out intended send times from a start to an end.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    end: Instant,
    pace: Pace,
    handed_out: u32,
}

impl Schedule {
    pub fn new(start: Instant, length: Duration, pace: Pace) -> Self {
        Self { start, end: start + length, pace, handed_out: 0 }
    }

    pub fn end(&self) -> Instant {
        self.end
    }

    /// The intended time of a request that is due at `now`, if one is.
    pub fn take_due(&mut self, now: Instant) -> Option<Instant> {
        let due = match self.pace {
            Pace::Closed => now,
            Pace::Open { .. } => self.upcoming()?,
        };
        if due > now || due >= self.end {
            return None;
        }
        self.handed_out = self.handed_out.saturating_add(1);
        Some(due)
    }

    /// How long nothing will become due of itself; `None` when nothing ever will.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let due = self.upcoming()?;
        (due < self.end).then(|| due.saturating_duration_since(now))
    }

    /// The next time of an open loop.
    fn upcoming(&self) -> Option<Instant> {
        match self.pace {
            Pace::Closed => None,
            Pace::Open { per_second } => {
                let offset = f64::from(self.handed_out) / per_second;
                Some(self.start + Duration::try_from_secs_f64(offset).ok()?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn open_loop_keeps_its_times_however_late_it_is_asked() {
        let start = crate::clock::now();
        let mut schedule = Schedule::new(start, SECOND, Pace::Open { per_second: 4.0 });
        assert_eq!(schedule.take_due(start), Some(start));
        assert_eq!(schedule.take_due(start), None);
        assert_eq!(schedule.wait(start), Some(SECOND / 4));
        let late = start + SECOND * 5;
        let due: Vec<_> = std::iter::from_fn(|| schedule.take_due(late)).collect();
        assert_eq!(due, [1, 2, 3].map(|quarter| start + SECOND / 4 * quarter));
        assert_eq!(schedule.wait(late), None);
    }

    #[test]
    fn closed_loop_is_due_until_the_end() {
        let start = crate::clock::now();
        let mut schedule = Schedule::new(start, SECOND, Pace::Closed);
        let now = start + SECOND / 2;
        assert_eq!(schedule.take_due(now), Some(now));
        assert_eq!(schedule.take_due(now), Some(now));
        assert_eq!(schedule.wait(now), None);
        assert_eq!(schedule.take_due(start + SECOND), None);
    }
}
