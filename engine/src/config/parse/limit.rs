//! `[[limit]]`.

use std::time::Duration;

use super::super::document::Table;
use super::super::names::Names;
use super::super::node::Node;
use super::super::scalar;
use super::super::{Callers, LimitConfig, LimitKey, LimitRate, OnFull, Rate};
use super::ban::ban;

/// For messages and for a limit whose rate is faulty.
const ONE_A_SECOND: Rate = Rate { count: 1, window: Duration::from_secs(1) };

pub(super) fn limits(tables: Vec<Table<'_>>) -> (Vec<LimitConfig>, Names) {
    let mut names = Names::new("limit");
    let limits = tables.into_iter().map(|table| limit(table, &mut names)).collect();
    (limits, names)
}

fn limit(mut table: Table<'_>, names: &mut Names) -> LimitConfig {
    let name = names.add(table.require("name", "name = \"per-address\"").as_ref(), &[]);
    let key = table.require("key", "key = \"address\"").and_then(|node| limit_key(&node));
    let rate = table.require("rate", "rate = \"100/1m\" or rate = \"tier\"");
    let rate = rate.and_then(|node| limit_rate(&node, key));
    if let Some(node) = table.take("algorithm") {
        let later = ["strict", "token_bucket", "concurrency", "byte_rate", "quota"];
        node.choice(&[("sliding_window", ())], &later);
    }
    let on_full = table
        .take("on_full")
        .and_then(|node| node.choice(&[("refuse", OnFull::Refuse), ("admit", OnFull::Admit)], &[]));
    let callers = table.take("callers").and_then(|node| limit_callers(&node, key));
    let limit = LimitConfig {
        name,
        key: key.unwrap_or(LimitKey::Address),
        rate: rate.unwrap_or(LimitRate::Fixed(ONE_A_SECOND)),
        dry_run: table.boolean("dry_run").unwrap_or(false),
        ban: table.take("ban").and_then(|node| ban(&node, key)),
        on_full: on_full.unwrap_or(OnFull::Refuse),
        callers: callers.unwrap_or(Callers::Anonymous),
    };
    table.not_yet(&["burst"]);
    table.finish();
    limit
}

fn limit_key(node: &Node<'_>) -> Option<LimitKey> {
    if node.is_list() {
        node.fault("a list of keys is not available yet in this version; use one of them");
        return None;
    }
    let words = [
        ("address", LimitKey::Address),
        ("key", LimitKey::Key),
        ("user", LimitKey::User),
        ("certificate", LimitKey::Certificate),
    ];
    let text = if node.is_string() { node.text()? } else { "" };
    let family = ["header:", "claim:"].into_iter().find(|prefix| text.starts_with(prefix));
    if let Some(family) = family {
        node.fault(format_args!(
            "\"{family}...\" is not available yet in this version; use \"address\" or \"key\" or \
             \"user\" or \"certificate\""
        ));
        return None;
    }
    node.choice(&words, &["tier", "route"])
}

fn limit_rate(node: &Node<'_>, key: Option<LimitKey>) -> Option<LimitRate> {
    if node.is_string() && node.text() == Some("tier") {
        if key == Some(LimitKey::Address) {
            // Such limits are charged before the caller is known, so that forged tokens are paid for.
            node.fault(
                "a limit by address is charged before the caller's tier is known; write a rate, \
                 such as \"100/1m\"",
            );
        }
        return Some(LimitRate::Tier);
    }
    node.scalar("a rate such as \"100/1m\", or \"tier\"", scalar::rate).map(LimitRate::Fixed)
}

fn limit_callers(node: &Node<'_>, key: Option<LimitKey>) -> Option<Callers> {
    let callers = node.choice(&[("anonymous", Callers::Anonymous), ("all", Callers::All)], &[])?;
    if key.is_some_and(|key| key != LimitKey::Address) {
        node.fault("only a limit with key = \"address\" chooses its callers; remove it");
    }
    Some(callers)
}
