//! The `[[event]]` tables become a schedule: typed, checked against the hosts, in order of time.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::Spanned;

use super::load::{Fault, Names, fault};
use super::{Action, Event, GATEWAY, Span};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventDocument {
    at: Span,
    kind: Kind,
    host: Option<String>,
    between: Option<[String; 2]>,
    /// After this time the event is undone.
    #[serde(rename = "for")]
    lasts: Option<Span>,
    latency: Option<Span>,
    status: Option<u16>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Crash,
    Restart,
    Partition,
    Repair,
    Hold,
    Release,
    Slow,
    Fail,
    Refuse,
    Recover,
}

pub(super) fn events(
    documents: &[Spanned<EventDocument>],
    names: &Names,
) -> Result<Vec<Event>, Fault> {
    let mut events = Vec::new();
    for document in documents {
        let (event, here) = (document.get_ref(), document.span());
        let action = action(event, names)
            .and_then(|action| applicable(event, action))
            .map_err(|message| Fault { at: here.clone(), message })?;
        let end = event.lasts.map(|lasts| (lasts, undone(&action)));
        events.push(Event { at: event.at.0, action });
        match end {
            None => {}
            Some((lasts, Some(action))) => {
                let at = event.at.0 + lasts.0;
                events.push(Event { at, action });
            }
            Some((_, None)) => return fault(here, "an event that ends another has no \"for\""),
        }
    }
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn action(event: &EventDocument, names: &Names) -> Result<Action, String> {
    let host = |known: &BTreeSet<String>| match &event.host {
        Some(name) if known.contains(name) => Ok(name.clone()),
        Some(name) => Err(format!("{name:?} is not a host that this can happen to")),
        None => Err("this kind needs host = \"...\"".to_owned()),
    };
    let pair = || {
        let [a, b] =
            event.between.as_ref().ok_or("this kind needs between = [\"...\", \"...\"]")?;
        let unknown = [a, b].into_iter().find(|name| !names.all.contains(*name));
        match unknown {
            Some(name) => Err(format!("no host is called {name:?}")),
            None if a == b => Err(format!("{a:?} is one host, not two")),
            None => Ok((a.clone(), b.clone())),
        }
    };
    let backend = || host(&names.backends);
    let server = || {
        let mut servers = names.backends.clone();
        servers.insert(GATEWAY.to_owned());
        host(&servers)
    };
    Ok(match event.kind {
        Kind::Crash => Action::Crash(server()?),
        Kind::Restart => Action::Restart(server()?),
        Kind::Partition => pair().map(|(a, b)| Action::Partition(a, b))?,
        Kind::Repair => pair().map(|(a, b)| Action::Repair(a, b))?,
        Kind::Hold => pair().map(|(a, b)| Action::Hold(a, b))?,
        Kind::Release => pair().map(|(a, b)| Action::Release(a, b))?,
        Kind::Slow => {
            let by = event.latency.ok_or("slow needs latency = \"...\"")?;
            Action::Slow(backend()?, by.0)
        }
        Kind::Fail => Action::Fail(backend()?, event.status.unwrap_or(503)),
        Kind::Refuse => Action::Refuse(backend()?),
        Kind::Recover => Action::Recover(backend()?),
    })
}

/// Refuses keys that the kind of event has no use for.
fn applicable(event: &EventDocument, action: Action) -> Result<Action, String> {
    let between = matches!(
        action,
        Action::Partition(..) | Action::Repair(..) | Action::Hold(..) | Action::Release(..)
    );
    let unused = [
        ("host", event.host.is_some() && between),
        ("between", event.between.is_some() && !between),
        ("latency", event.latency.is_some() && !matches!(action, Action::Slow(..))),
        ("status", event.status.is_some() && !matches!(action, Action::Fail(..))),
    ];
    match unused.into_iter().find(|(_, unused)| *unused) {
        Some((key, _)) => Err(format!("{key:?} has no meaning for this kind; remove it")),
        None if matches!(action, Action::Fail(_, status) if !(200..=599).contains(&status)) => {
            Err("status must be 200 to 599".to_owned())
        }
        None => Ok(action),
    }
}

fn undone(action: &Action) -> Option<Action> {
    match action.clone() {
        Action::Crash(host) => Some(Action::Restart(host)),
        Action::Partition(a, b) => Some(Action::Repair(a, b)),
        Action::Hold(a, b) => Some(Action::Release(a, b)),
        Action::Slow(host, _) | Action::Fail(host, _) | Action::Refuse(host) => {
            Some(Action::Recover(host))
        }
        Action::Restart(_) | Action::Repair(..) | Action::Release(..) | Action::Recover(_) => None,
    }
}
