use std::time::Duration;

use super::{Counter, Histogram, LimitMetrics};

/// Statuses counted on their own: those that a gateway makes or that its operator watches.
/// 499 is a client that left before its answer.
pub const STATUSES: [u16; 16] =
    [400, 401, 403, 404, 405, 408, 413, 414, 429, 431, 499, 500, 501, 502, 503, 504];

/// Labels of the classes that [`Outcome::record`] counts; the last is for anything else.
pub const STATUS_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// Requests by what was answered.
#[derive(Debug, Default)]
pub struct Outcome {
    classes: [Counter; STATUS_CLASSES.len()],
    statuses: [Counter; STATUSES.len()],
}

impl Outcome {
    /// Counts one request, with its final status.
    #[inline]
    pub fn record(&self, status: u16) {
        let class = match status {
            100..=599 => usize::from(status / 100) - 1,
            _ => STATUS_CLASSES.len() - 1,
        };
        self.classes[class].increment();
        if status >= 400
            && let Ok(at) = STATUSES.binary_search(&status)
        {
            self.statuses[at].increment();
        }
    }

    /// Requests of one class, by its place in [`STATUS_CLASSES`].
    pub fn class(&self, index: usize) -> u64 {
        self.classes[index].get()
    }

    /// Requests of one status, by its place in [`STATUSES`].
    pub fn status(&self, index: usize) -> u64 {
        self.statuses[index].get()
    }

    /// All requests.
    pub fn total(&self) -> u64 {
        self.classes.iter().map(Counter::get).sum()
    }
}

/// Which deadline passed. Its discriminant is its place in [`ShardMetrics::timeouts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// The client took too long to send a head.
    Head,
    /// Bytes of a request's body stalled, or of an answer's on the backend's side.
    Body,
    /// No request on a kept connection.
    Idle,
    /// A backend did not accept a connection.
    Connect,
    /// A backend did not answer.
    Response,
    /// No answer within all that a request may take.
    Request,
    /// The client did not read its answer.
    Write,
    /// Nothing moved in a tunnel.
    Tunnel,
    /// A client did not complete its TLS handshake.
    Handshake,
}

impl Timeout {
    pub const ALL: [Self; 9] = [
        Self::Head,
        Self::Body,
        Self::Idle,
        Self::Connect,
        Self::Response,
        Self::Request,
        Self::Write,
        Self::Tunnel,
        Self::Handshake,
    ];

    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Response => "response",
            Self::Request => "request",
            Self::Write => "write",
            Self::Tunnel => "tunnel",
            Self::Handshake => "handshake",
        }
    }
}

/// What one shard counts. Only the shard's own thread may write; anyone may read.
///
/// The alignment keeps two shards' counters off one cache line, and off the pair of lines that
/// the processor fetches together.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardMetrics {
    /// A gauge.
    pub connections_open: Counter,
    /// A gauge: those of the open ones that are parked.
    pub connections_parked: Counter,
    pub connections_accepted: Counter,
    /// Closed unserved, because the shard was full.
    pub connections_refused: Counter,
    /// Closed unserved, because their client address had too many.
    pub connections_refused_by_address: Counter,
    /// Not counted for their address, because the table of addresses was full there.
    pub connections_uncounted: Counter,
    /// Closed, because their peer may not send the PROXY header that the listener wants.
    pub proxy_protocol_untrusted: Counter,
    /// Closed, because their PROXY header was malformed.
    pub proxy_protocol_errors: Counter,
    /// Failures of `accept` itself, such as no descriptor left.
    pub accept_errors: Counter,
    pub requests: Outcome,
    /// From clients, heads and bodies.
    pub bytes_in: Counter,
    /// To clients, heads and bodies.
    pub bytes_out: Counter,
    /// Requests sent again to another connection or backend.
    pub retries: Counter,
    /// Requests not sent again, because too many were on their second way.
    pub retries_refused_by_budget: Counter,
    pub backend_connects: Counter,
    pub backend_connect_errors: Counter,
    /// Handshakes with backends that failed; each is a connect error too.
    pub backend_tls_errors: Counter,
    /// Handshakes with clients that were completed, resumptions among them.
    pub tls_handshakes: Counter,
    pub tls_resumptions: Counter,
    /// Handshakes that failed, but for those that took too long.
    pub tls_errors: Counter,
    /// Requests that found an idle connection to their backend.
    pub backend_reuses: Counter,
    /// By limit.
    pub limits: LimitMetrics,
    /// Reports of a request's cost by its backend that are no number.
    pub cost_reports_invalid: Counter,
    /// Requests of addresses that a list denies.
    pub access_denied: Counter,
    /// Requests of addresses, keys and users that an operator has blocked.
    pub access_blocked: Counter,
    /// Requests without a valid credential where one is asked for.
    pub auth_failures: Counter,
    /// Requests refused because `Via` names this gateway too often.
    pub loops: Counter,
    pub log_lines_dropped: Counter,
    /// Requests that are missing in the flight recorder, because its thread lagged.
    pub flight_dropped: Counter,
    /// A gauge.
    pub tunnels_open: Counter,
    pub tunnels_opened: Counter,
    /// Requests that were refused because the shard had all the tunnels it may.
    pub tunnels_refused: Counter,
    /// From clients to backends in tunnels; part of `bytes_in`.
    pub tunnel_bytes_in: Counter,
    /// From backends to clients in tunnels; part of `bytes_out`.
    pub tunnel_bytes_out: Counter,
    /// Connections ended by a bug of the gateway itself.
    pub panics: Counter,
    /// Grows each second for as long as the shard turns; for the watchdog.
    pub beats: Counter,
    timeouts: [Counter; Timeout::ALL.len()],
    /// From a request's first byte to its answer's last.
    pub latency: Histogram,
    /// From sending a request to a backend to the end of its answer.
    pub upstream_latency: Histogram,
}

impl ShardMetrics {
    /// Counts one request that was answered, or given up on, after `elapsed`.
    #[inline]
    pub fn record_request(&self, status: u16, elapsed: Duration) {
        self.requests.record(status);
        self.latency.record_ns(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts one answer that a backend gave, `elapsed` after it was asked.
    #[inline]
    pub fn record_upstream(&self, elapsed: Duration) {
        self.upstream_latency.record_ns(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts one deadline that passed.
    #[inline]
    pub fn record_timeout(&self, kind: Timeout) {
        self.timeouts[kind as usize].increment();
    }

    pub fn timeouts(&self, kind: Timeout) -> u64 {
        self.timeouts[kind as usize].get()
    }

    /// Answers with a 5xx status.
    pub fn server_errors(&self) -> u64 {
        self.requests.class(4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_once_in_its_class_and_once_by_itself_when_watched() {
        let outcome = Outcome::default();
        for status in [101, 200, 204, 302, 404, 418, 429, 429, 599, 0, 99, 600, u16::MAX] {
            outcome.record(status);
        }
        let classes: Vec<u64> = (0..STATUS_CLASSES.len()).map(|at| outcome.class(at)).collect();
        assert_eq!(classes, [1, 2, 1, 4, 1, 4]);
        let watched = |status| outcome.status(STATUSES.binary_search(&status).expect("watched"));
        assert_eq!((watched(404), watched(429), watched(400)), (1, 2, 0));
        assert_eq!(outcome.total(), 13);
    }

    #[test]
    fn every_watched_status_is_found() {
        let outcome = Outcome::default();
        STATUSES.iter().for_each(|&status| outcome.record(status));
        assert!((0..STATUSES.len()).all(|at| outcome.status(at) == 1));
    }

    #[test]
    fn timeouts_are_counted_apart() {
        let metrics = ShardMetrics::default();
        for (times, kind) in Timeout::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| metrics.record_timeout(kind));
        }
        assert_eq!(Timeout::ALL.map(|kind| metrics.timeouts(kind)), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_gauge_stops_at_zero() {
        let gauge = Counter::new();
        gauge.increment();
        gauge.decrement();
        gauge.decrement();
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn shards_share_no_cache_line() {
        assert_eq!(align_of::<ShardMetrics>(), 128);
        assert_eq!(size_of::<ShardMetrics>() % 128, 0);
    }
}
