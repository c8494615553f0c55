//! `ban` of a `[[limit]]`: who does not wait when told to is shut out for a while.

use std::ops::RangeInclusive;
use std::time::Duration;

use weir_protocol::limit::ban::{
    AFTER_MAX, CEILING_S_MAX, DECAY_S_MAX, FACTOR_MAX, Ladder, LadderRules, WITHIN_S_MAX,
};

use super::super::LimitKey;
use super::super::document::Table;
use super::super::node::{A_DURATION, Node};
use super::super::scalar;

/// What an empty table means.
const DEFAULT: LadderRules = LadderRules {
    after: 10,
    within_s: 60,
    for_s: 300,
    factor: 2,
    ceiling_s: 86_400,
    decay_s: 3_600,
};

/// The ladder of a limit that counts by `key`; `None` when it cannot be one, which is reported.
pub(super) fn ban(node: &Node<'_>, key: Option<&[LimitKey]>) -> Option<Ladder> {
    let shuts_out =
        |key: &[LimitKey]| matches!(key, [LimitKey::Address | LimitKey::Key | LimitKey::User]);
    if key.is_some_and(|key| !shuts_out(key)) {
        node.fault(
            "who is banned is refused everything; only a limit whose key is \"address\", \"key\" \
             or \"user\" alone can do that",
        );
    }
    let mut table = node.table()?;
    let for_node = table.take("for");
    let for_range = 1..=CEILING_S_MAX;
    let for_s = for_node.as_ref().and_then(|node| whole_seconds(node, &for_range));
    let rules = LadderRules {
        after: table.integer("after", 1..=AFTER_MAX).unwrap_or(DEFAULT.after),
        within_s: seconds(&mut table, "within", 1..=WITHIN_S_MAX).unwrap_or(DEFAULT.within_s),
        for_s: for_s.unwrap_or(DEFAULT.for_s),
        factor: table.integer("factor", 1..=FACTOR_MAX).unwrap_or(DEFAULT.factor),
        ceiling_s: seconds(&mut table, "ceiling", 1..=CEILING_S_MAX).unwrap_or(DEFAULT.ceiling_s),
        decay_s: seconds(&mut table, "decay", 1..=DECAY_S_MAX).unwrap_or(DEFAULT.decay_s),
    };
    table.finish();
    let ladder = Ladder::new(rules);
    if let Err(error) = &ladder {
        // Each is within its own bounds; what is left is the first ban against the longest.
        for_node.as_ref().unwrap_or(node).fault(error);
    }
    ladder.ok()
}

fn seconds(table: &mut Table<'_>, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
    table.take(key).and_then(|node| whole_seconds(&node, &range))
}

fn whole_seconds(node: &Node<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
    let bounds = Duration::from_secs(*range.start())..=Duration::from_secs(*range.end());
    let duration = node.scalar(A_DURATION, |text| scalar::duration_within(text, &bounds))?;
    if duration.subsec_nanos() > 0 {
        node.fault("bans are counted in whole seconds");
    }
    Some(duration.as_secs())
}
