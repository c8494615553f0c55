//! What a failed attempt means: for the client, for the metrics, and for whether the request is
//! sent again.
//!
//! A request is sent again only if no backend can have acted on it twice: nothing of it was sent,
//! or it is idempotent (RFC 9110 section 9.2.2), all of it is still here, and nothing of an answer
//! was seen.
//!
//! What draws from the budget is what adds to the work of backends. A refused connection has cost
//! nobody anything, so going elsewhere is free. So is a fresh connection in the place of a kept one
//! that turned out to be closed: each of these was earned by an exchange that ended well, so a
//! backend that fails everything soon gets no more of them.

use std::io;

use weir_protocol::http::ProxyError;

use super::conversation::ReplyFault;
use super::fault::{Fault, connect_error};
use super::forward::Forward;
use super::pump::{PumpError, WaitsFor};
use crate::metrics::Timeout;
use crate::runtime::{Runtime, is_exhausted};
use crate::upstream::{Backend, budget};

/// A failed attempt.
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) retry: Retry,
}

/// Whether a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    No,
    /// To another backend; `free` is without a draw from the budget.
    Elsewhere {
        free: bool,
    },
    /// To the same one: only the kept connection was stale.
    Fresh,
}

/// A retry that may go on.
pub(super) struct Permit {
    /// Counts until dropped.
    _draw: Option<budget::Retry>,
}

impl<R: Runtime> Forward<'_, R> {
    /// Asks for another attempt, while the failed one still counts as in flight.
    pub(super) fn permit(&self, retry: Retry, tried: &Tried) -> Option<Permit> {
        let config = self.upstream.retry?;
        let free = match retry {
            Retry::No => return None,
            Retry::Fresh => true,
            Retry::Elsewhere { .. } if !self.has_other(tried) => return None,
            Retry::Elsewhere { free } => free,
        };
        if free {
            return Some(Permit { _draw: None });
        }
        let permit = self.upstream.retrying.begin(self.upstream.in_flight(), &config);
        if permit.is_none() {
            self.shard.metrics.retries_refused_by_budget.increment();
        }
        permit.map(|draw| Permit { _draw: Some(draw) })
    }

    fn has_other(&self, tried: &Tried) -> bool {
        (0..self.upstream.backends.len()).any(|index| self.is_eligible(index, tried))
    }

    /// No connection could be made.
    pub(super) fn connect_failure(&self, backend: &Backend, error: &io::Error) -> Failure {
        let metrics = &self.shard.metrics;
        metrics.backend_connect_errors.increment();
        if is_exhausted(error) {
            // No backend is to blame, and the next one would find no descriptor either.
            let detail = "the gateway has no room for a connection to the backend";
            let fault = Fault::because(503, detail, ProxyError::ProxyInternalError);
            return Failure { fault, retry: Retry::No };
        }
        backend.count_failure();
        let why = connect_error(error.kind());
        if error.kind() != io::ErrorKind::TimedOut {
            let free = is_refusal(error.kind());
            let fault = Fault::because(502, "the backend could not be reached", why);
            return Failure { fault, retry: Retry::Elsewhere { free } };
        }
        let late = self.is_late();
        metrics.record_timeout(if late { Timeout::Request } else { Timeout::Connect });
        let retry = if late { Retry::No } else { Retry::Elsewhere { free: false } };
        let fault = Fault::because(504, "the backend could not be reached in time", why);
        Failure { fault, retry }
    }

    /// There is no answer to pass on. `reused` says that the connection was a kept one.
    pub(super) fn failure(&self, backend: &Backend, fault: &ReplyFault, reused: bool) -> Failure {
        let metrics = &self.shard.metrics;
        let answer = |status, detail| Fault::Answer { status, detail, error: None };
        let mut retry = Retry::No;
        let fault = match fault {
            ReplyFault::Client(PumpError::Framing(_)) => {
                answer(400, "the body's chunks are malformed")
            }
            ReplyFault::Client(PumpError::TooLarge) => {
                answer(413, "the body is larger than the limit")
            }
            ReplyFault::Client(_) => Fault::ClientGone,
            ReplyFault::TimedOut { upload: Some(WaitsFor::Source) } => {
                metrics.record_timeout(self.or_request(Timeout::Body));
                answer(408, "the request's body took too long")
            }
            ReplyFault::TimedOut { upload } => {
                backend.count_failure();
                metrics.record_timeout(self.or_request(Timeout::Response));
                let error = match upload {
                    Some(_) => ProxyError::ConnectionWriteTimeout,
                    None => ProxyError::HttpResponseTimeout,
                };
                Fault::because(504, "the backend did not answer in time", error)
            }
            ReplyFault::NoAnswer { unsent } => {
                let repeatable = *unsent || self.is_repeatable();
                if !(repeatable && reused) {
                    backend.count_failure();
                }
                if repeatable {
                    let elsewhere = Retry::Elsewhere { free: *unsent };
                    retry = if reused { Retry::Fresh } else { elsewhere };
                }
                let error = ProxyError::ConnectionTerminated;
                Fault::because(502, "the backend closed without an answer", error)
            }
            ReplyFault::Malformed(error) => {
                backend.count_failure();
                Fault::because(502, "the backend's answer cannot be passed on", *error)
            }
        };
        Failure { fault, retry }
    }

    fn or_request(&self, timeout: Timeout) -> Timeout {
        if self.is_late() { Timeout::Request } else { timeout }
    }

    /// Whether all that the request may take is over.
    pub(super) fn is_late(&self) -> bool {
        self.shard.runtime.now() >= self.deadline
    }

    /// Whether a backend that acts on it twice has done no harm, and all of it is still here.
    pub(super) fn is_repeatable(&self) -> bool {
        self.head.method.is_idempotent() && self.is_replayable()
    }
}

/// Nobody was there to do any work.
fn is_refusal(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(kind, ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// The backends that were asked. Beyond 64 all share the last bit, which only costs retries.
#[derive(Default)]
pub(super) struct Tried(u64);

impl Tried {
    pub(super) fn insert(&mut self, index: usize) {
        self.0 |= Self::bit(index);
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.0 & Self::bit(index) != 0
    }

    fn bit(index: usize) -> u64 {
        1 << index.min(63)
    }
}
