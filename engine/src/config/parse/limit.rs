//! `[[limit]]`.

mod allowance;
mod key;

use super::super::document::Table;
use super::super::limit::is_by_address;
use super::super::names::Names;
use super::super::node::Node;
use super::super::{Callers, LimitConfig, LimitKey, OnFull, Tier};
use super::ban::ban;
use allowance::Reader;

pub(super) fn limits(
    tables: Vec<Table<'_>>,
    tiers: &[Tier],
    tier_names: &Names,
) -> (Vec<LimitConfig>, Names) {
    let mut names = Names::new("limit");
    let mut limit = |table| limit(table, &mut names, tiers, tier_names);
    let limits = tables.into_iter().map(&mut limit).collect();
    (limits, names)
}

fn limit(
    mut table: Table<'_>,
    names: &mut Names,
    tiers: &[Tier],
    tier_names: &Names,
) -> LimitConfig {
    let name = names.add(table.require("name", "name = \"per-address\"").as_ref(), &[]);
    let key = table.require("key", "key = \"address\"").and_then(|node| key::key(&node));
    let by_address = key.as_ref().map(|key| is_by_address(key));
    let reader = Reader::new(&mut table, tiers, tier_names, by_address == Some(true));
    let rate = reader.rate(&mut table);
    let overrides = table.take("overrides").map(|node| reader.overrides(&node, key.as_deref()));
    let on_full = table
        .take("on_full")
        .and_then(|node| node.choice(&[("refuse", OnFull::Refuse), ("admit", OnFull::Admit)], &[]));
    let callers = table.take("callers").and_then(|node| limit_callers(&node, by_address));
    let ban = table.take("ban").and_then(|node| ban(&node, key.as_deref()));
    let limit = LimitConfig {
        name,
        ban,
        key: key.unwrap_or_else(|| vec![LimitKey::Address]),
        rate,
        overrides: overrides.unwrap_or_default(),
        dry_run: table.take("dry_run").is_some_and(|node| reader.dry_run(&node)),
        on_full: on_full.unwrap_or(OnFull::Refuse),
        callers: callers.unwrap_or(Callers::Anonymous),
    };
    table.finish();
    limit
}

fn limit_callers(node: &Node<'_>, by_address: Option<bool>) -> Option<Callers> {
    let callers = node.choice(&[("anonymous", Callers::Anonymous), ("all", Callers::All)], &[])?;
    if by_address == Some(false) {
        node.fault("only a limit with key = \"address\" chooses its callers; remove it");
    }
    Some(callers)
}
