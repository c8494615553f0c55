//! What an exchange leaves behind: no connection that is used after an error, and in the end
//! nothing at all.

use super::Facts;
use crate::scenario::Does;
use crate::trace::{Seconds, Step};
use crate::world::{Left, Run};

/// A connection that a backend half-closed in the middle of an answer carries no other request.
pub(super) fn no_reuse(facts: &Facts<'_>) -> Result<String, String> {
    let mut judged = 0;
    for record in &facts.run.records {
        match &record.step {
            Step::Trouble { does: Does::HalfClose, broken_off: true, .. } => judged += 1,
            Step::Reused { backend } => {
                let at = Seconds(record.at_ns);
                return Err(format!(
                    "{backend} got a request at {at} s on a connection it had ended"
                ));
            }
            _ => {}
        }
    }
    if judged == 0 {
        return Err("no backend half-closed in an answer: there is nothing to judge".to_owned());
    }
    Ok(format!("{judged} connections that ended in an answer"))
}

/// Nothing is open, in flight or being retried. These are gauges of the gateway's, as `/metrics`
/// shows them, except for the connections that backends count.
pub(super) fn drained(run: &Run) -> Result<String, String> {
    let Some(left) = run.left else { return Err("the run did not get to its end".to_owned()) };
    if left == Left::default() {
        Ok("nothing is left".to_owned())
    } else {
        Err(format!("{left:?}"))
    }
}
