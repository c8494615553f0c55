//! The verdict of active checks on one backend.
//!
//! ```text
//!              fall failures in a row
//!   Up(n) ───────────────────────────────► Down(0)
//!     ▲                                      │
//!     └──────────────────────────────────────┘
//!              rise successes in a row
//! ```
//!
//! A success in `Up` and a failure in `Down` start the count anew.

/// The state, with how many results in a row contradict it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Up(u32),
    Down(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    Passed,
    Failed,
}

/// What a result changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    WentUp,
    WentDown,
}

impl Health {
    pub fn is_up(self) -> bool {
        matches!(self, Self::Up(_))
    }

    pub fn step(self, result: CheckResult, rise: u32, fall: u32) -> (Self, Option<Change>) {
        match (self, result) {
            (Self::Up(_), CheckResult::Passed) => (Self::Up(0), None),
            (Self::Down(_), CheckResult::Failed) => (Self::Down(0), None),
            (Self::Up(failed), CheckResult::Failed) if failed + 1 >= fall => {
                (Self::Down(0), Some(Change::WentDown))
            }
            (Self::Up(failed), CheckResult::Failed) => (Self::Up(failed + 1), None),
            (Self::Down(passed), CheckResult::Passed) if passed + 1 >= rise => {
                (Self::Up(0), Some(Change::WentUp))
            }
            (Self::Down(passed), CheckResult::Passed) => (Self::Down(passed + 1), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckResult::{Failed, Passed};

    #[test]
    fn the_whole_table_for_rise_2_and_fall_3() {
        let mut table = String::new();
        let states =
            [Health::Up(0), Health::Up(1), Health::Up(2), Health::Down(0), Health::Down(1)];
        for state in states {
            for result in [Passed, Failed] {
                let (next, change) = state.step(result, 2, 3);
                table += &format!("{state:?} {result:?} -> {next:?} {change:?}\n");
            }
        }
        assert_eq!(
            table,
            "Up(0) Passed -> Up(0) None\n\
             Up(0) Failed -> Up(1) None\n\
             Up(1) Passed -> Up(0) None\n\
             Up(1) Failed -> Up(2) None\n\
             Up(2) Passed -> Up(0) None\n\
             Up(2) Failed -> Down(0) Some(WentDown)\n\
             Down(0) Passed -> Down(1) None\n\
             Down(0) Failed -> Down(0) None\n\
             Down(1) Passed -> Up(0) Some(WentUp)\n\
             Down(1) Failed -> Down(0) None\n"
        );
    }

    #[test]
    fn one_result_suffices_when_rise_and_fall_are_one() {
        assert_eq!(Health::Up(0).step(Failed, 1, 1), (Health::Down(0), Some(Change::WentDown)));
        assert_eq!(Health::Down(0).step(Passed, 1, 1), (Health::Up(0), Some(Change::WentUp)));
    }
}
