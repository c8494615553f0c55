//! The scenario's events paired to spans of time in which a host is unwell.

use crate::scenario::{Action, Event};
use crate::trace::nanos;

/// A host that is unwell for a while. A fault between two hosts is an ailment of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ailment {
    pub(super) host: String,
    /// The other host, when only the way between them is cut.
    pub(super) towards: Option<String>,
    pub(super) from_ns: u64,
    /// `None` when nothing in the scenario ends it.
    pub(super) to_ns: Option<u64>,
}

impl Ailment {
    /// Its last moment, or the end of all time.
    pub(super) fn end_ns(&self) -> u64 {
        self.to_ns.unwrap_or(u64::MAX)
    }
}

/// What events do: begin or end something that goes by this key.
enum Effect {
    Begins,
    Ends,
}

/// Pairs each beginning with the next event that ends it.
pub(super) fn ailments(events: &[Event]) -> Vec<Ailment> {
    let mut open: Vec<(&'static str, Ailment)> = Vec::new();
    let mut closed = Vec::new();
    for event in events {
        let at_ns = nanos(event.at);
        for (class, effect, host, towards) in effects(&event.action) {
            let same =
                |(c, a): &(&str, Ailment)| *c == class && a.host == host && a.towards == towards;
            match effect {
                Effect::Begins if open.iter().any(same) => {}
                Effect::Begins => {
                    let ailment = Ailment { host, towards, from_ns: at_ns, to_ns: None };
                    open.push((class, ailment));
                }
                Effect::Ends => {
                    let ended = open.extract_if(.., |entry| same(entry));
                    closed.extend(ended.map(|(_, a)| Ailment { to_ns: Some(at_ns), ..a }));
                }
            }
        }
    }
    closed.extend(open.into_iter().map(|(_, ailment)| ailment));
    closed.sort_by_key(|ailment| ailment.from_ns);
    closed
}

type Host = String;

fn effects(action: &Action) -> Vec<(&'static str, Effect, Host, Option<Host>)> {
    // A link has one state, so that repairing ends a hold as well.
    let link = |effect: fn() -> Effect, a: &Host, b: &Host| {
        vec![
            ("link", effect(), a.clone(), Some(b.clone())),
            ("link", effect(), b.clone(), Some(a.clone())),
        ]
    };
    match action {
        Action::Crash(host) => vec![("crash", Effect::Begins, host.clone(), None)],
        Action::Restart(host) => vec![("crash", Effect::Ends, host.clone(), None)],
        Action::Partition(a, b) | Action::Hold(a, b) => link(|| Effect::Begins, a, b),
        Action::Repair(a, b) | Action::Release(a, b) => link(|| Effect::Ends, a, b),
        Action::Slow(host, _) | Action::Fail(host, _) | Action::Refuse(host) => {
            vec![("condition", Effect::Begins, host.clone(), None)]
        }
        Action::Recover(host) => vec![("condition", Effect::Ends, host.clone(), None)],
    }
}
