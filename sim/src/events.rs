//! The scenario's schedule, carried out on the simulated network and hosts.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use turmoil::Sim;

use crate::backend::Condition;
use crate::scenario::{Action, Event};
use crate::trace::{Step, Trace};

/// The events that are still to come, and what they act on.
pub(crate) struct Schedule {
    events: VecDeque<Event>,
    conditions: BTreeMap<String, Rc<Condition>>,
    trace: Trace,
}

impl Schedule {
    pub(crate) fn new(
        events: &[Event],
        conditions: BTreeMap<String, Rc<Condition>>,
        trace: Trace,
    ) -> Self {
        Self { events: events.iter().cloned().collect(), conditions, trace }
    }

    /// Carries out what is due.
    pub(crate) fn advance(&mut self, sim: &mut Sim<'_>) {
        while let Some(event) = self.events.front() {
            if event.at > sim.elapsed() {
                return;
            }
            self.trace.push_at(sim.elapsed(), Step::Event { text: event.action.to_string() });
            self.act(sim, &event.action);
            self.events.pop_front();
        }
    }

    fn act(&self, sim: &mut Sim<'_>, action: &Action) {
        match action {
            // To crash what is down, or to start what runs, changes nothing.
            Action::Crash(host) if sim.is_host_running(host.as_str()) => sim.crash(host.as_str()),
            Action::Restart(host) if !sim.is_host_running(host.as_str()) => {
                sim.bounce(host.as_str());
            }
            Action::Crash(_) | Action::Restart(_) => {}
            Action::Partition(a, b) => sim.partition(a.as_str(), b.as_str()),
            Action::Repair(a, b) => sim.repair(a.as_str(), b.as_str()),
            Action::Hold(a, b) => sim.hold(a.as_str(), b.as_str()),
            Action::Release(a, b) => sim.release(a.as_str(), b.as_str()),
            Action::Slow(host, by) => self.conditions[host].slow_by.set(*by),
            Action::Fail(host, status) => self.conditions[host].fails_with.set(Some(*status)),
            Action::Refuse(host) => self.conditions[host].refuse(true),
            Action::Recover(host) => {
                let condition = &self.conditions[host];
                condition.slow_by.take();
                condition.fails_with.take();
                condition.refuse(false);
            }
        }
    }
}
