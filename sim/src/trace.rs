//! Everything that could be observed from outside the gateway, in order, and its running hash.
//!
//! Invariant: a record's hash covers its simulated time and its text, and nothing of the machine
//! that ran the simulation, so the same seed gives the same hash anywhere.

use std::cell::RefCell;
use std::fmt;
use std::hash::Hasher;
use std::rc::Rc;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::scenario::Does;

/// How a request ended for its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer; `backend` says whose it was, unless the gateway made it itself.
    Answered { status: u16, backend: Option<String> },
    /// The connection could not be made, or ended before the whole answer was there.
    Broken(String),
    /// Nothing, until the client's deadline.
    Hung,
    /// The client broke it off itself.
    Left,
    /// An answer that cannot be this request's, or bytes that nobody asked for.
    Wrong(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A client began a request; `client` is its host.
    Sent { id: Rc<str>, client: Rc<str>, method: Rc<str>, path: Rc<str> },
    /// A request was over for its client.
    Done { id: Rc<str>, outcome: Outcome },
    /// A backend had read a request's head and body.
    Arrived { id: Rc<str>, backend: Rc<str> },
    /// A backend answered a health check.
    Checked { backend: Rc<str>, status: u16 },
    /// The gateway's verdict on a backend changed. For explanations only: no property uses it.
    Health { backend: String, up: bool },
    /// A host does to a connection what its scenario asks for.
    Trouble {
        host: Rc<str>,
        /// The request, if the host knows it.
        id: Option<Rc<str>>,
        at: &'static str,
        does: Does,
        /// Whether it broke an answer off that had begun.
        broken_off: bool,
    },
    /// A backend got another request on a connection that it had half-closed in an answer.
    Reused { backend: Rc<str> },
    /// An event of the scenario.
    Event { text: String },
    /// A host's software started.
    Started { host: Rc<str> },
}

/// A step and its time, in simulated nanoseconds from the beginning.
#[derive(Debug, Clone)]
pub struct Record {
    pub at_ns: u64,
    pub step: Step,
}

/// When everybody has started; later starts are news.
const STARTED_NS: u64 = 10_000_000;

impl Record {
    /// Whether it tells of faults, restarts and health rather than of one request.
    pub fn concerns_hosts(&self) -> bool {
        match self.step {
            Step::Started { .. } => self.at_ns > STARTED_NS,
            Step::Health { .. } | Step::Event { .. } => true,
            Step::Sent { .. }
            | Step::Done { .. }
            | Step::Arrived { .. }
            | Step::Checked { .. }
            | Step::Trouble { .. }
            | Step::Reused { .. } => false,
        }
    }
}

/// The steps of one run; shared by its hosts, which live on one thread.
#[derive(Clone, Default)]
pub struct Trace {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    hasher: SipHasher24,
    records: Vec<Record>,
}

impl Default for Shared {
    fn default() -> Self {
        // The key is of no account: hashes are compared with each other only.
        Self { hasher: SipHasher24::new_with_keys(0, 0), records: Vec::new() }
    }
}

impl Trace {
    /// Records a step of the host that is running, at its present time.
    pub fn push(&self, step: Step) {
        let elapsed = turmoil::sim_elapsed().expect("a host of the simulation is running");
        self.push_at(elapsed, step);
    }

    /// Records a step that happened `elapsed` after the beginning.
    pub fn push_at(&self, elapsed: Duration, step: Step) {
        let at_ns = nanos(elapsed);
        let mut shared = self.shared.borrow_mut();
        shared.hasher.write_u64(at_ns);
        shared.hasher.write(step.to_string().as_bytes());
        shared.hasher.write_u8(0xff);
        shared.records.push(Record { at_ns, step });
    }

    /// The hash of every step so far.
    pub fn hash(&self) -> u64 {
        self.shared.borrow().hasher.finish()
    }

    /// Takes the records out.
    pub fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.shared.borrow_mut().records)
    }
}

/// Nanoseconds of a simulated time.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Shows nanoseconds as seconds with three digits behind the point.
pub struct Seconds(pub u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0 / 1_000_000;
        write!(f, "{}.{:03}", milliseconds / 1000, milliseconds % 1000)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { status, backend: Some(backend) } => {
                write!(f, "{status} from {backend}")
            }
            Self::Answered { status, backend: None } => write!(f, "{status} from the gateway"),
            Self::Broken(reason) => write!(f, "broken connection: {reason}"),
            Self::Hung => f.write_str("no answer until the client's deadline"),
            Self::Left => f.write_str("nothing, for it left"),
            Self::Wrong(reason) => write!(f, "wrong answer: {reason}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { id, method, path, .. } => write!(f, "{id} sends {method} {path}"),
            Self::Done { id, outcome } => write!(f, "{id} gets {outcome}"),
            Self::Arrived { id, backend } => write!(f, "{id} arrives at {backend}"),
            Self::Checked { backend, status } => {
                write!(f, "{backend} answers a health check with {status}")
            }
            Self::Health { backend, up: true } => write!(f, "the gateway finds {backend} healthy"),
            Self::Health { backend, up: false } => {
                write!(f, "the gateway finds {backend} unhealthy")
            }
            Self::Trouble { host, id, at, does, .. } => {
                let id = id.as_deref().unwrap_or("a connection");
                write!(f, "{id} meets trouble at {host}: {} at {at}", does.name())
            }
            Self::Reused { backend } => write!(f, "{backend} gets a request behind its end"),
            Self::Event { text } => write!(f, "event: {text}"),
            Self::Started { host } => write!(f, "{host} starts"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Seconds(self.at_ns), self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(steps: &[(u64, &str)]) -> u64 {
        let trace = Trace::default();
        for (at_ms, text) in steps {
            let step = Step::Event { text: (*text).to_owned() };
            trace.push_at(Duration::from_millis(*at_ms), step);
        }
        trace.hash()
    }

    #[test]
    fn time_text_and_order_all_count() {
        let base = hash_of(&[(1, "a"), (2, "b")]);
        assert_eq!(base, hash_of(&[(1, "a"), (2, "b")]));
        for other in
            [&[(1, "a"), (3, "b")][..], &[(1, "a"), (2, "c")], &[(2, "b"), (1, "a")], &[(1, "a")]]
        {
            assert_ne!(base, hash_of(other));
        }
    }

    #[test]
    fn times_read_as_seconds() {
        assert_eq!(Seconds(12_034_999_999).to_string(), "12.034");
    }
}
