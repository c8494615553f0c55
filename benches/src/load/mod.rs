//! The load generator: keep-alive connections driven by one epoll loop.

mod idle;
mod pace;
mod response;
mod slow;
mod transport;

pub use idle::IdleConnections;
pub use pace::{Pace, Schedule};
pub use response::{Answer, ResponseError, ResponseReader};
pub use slow::{SlowClients, SlowOutcome};
pub use transport::Security;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::clock::{self, nanoseconds};
use crate::error::Error;
use crate::sys::{self, Epoll, READABLE};
use transport::Transport;

/// Silence that long with requests outstanding ends the run.
const STALL: Duration = Duration::from_secs(10);
/// A run with that many failures has nothing left to measure.
const FAILURES_MAX: u64 = 1000;
const SCRATCH_BYTES: usize = 64 * 1024;
/// Longest latency that is told apart, in nanoseconds: a minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// What a load is sent to, and how.
#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub security: Security,
    pub reuse: Reuse,
    /// The body that every response must have.
    pub expected: Vec<u8>,
}

impl Target {
    /// Plain text over keep-alive connections.
    pub fn plain(address: SocketAddr, expected: &[u8]) -> Self {
        let (security, reuse) = (Security::Plain, Reuse::KeepAlive);
        Self { address, security, reuse, expected: expected.to_vec() }
    }
}

/// How many requests a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    KeepAlive,
    /// One; the client closes after the answer.
    Never,
}

/// What one measured run saw.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Requests answered with 200 and the right body.
    pub answered: u64,
    /// Of them, those over a TLS session that was resumed.
    pub resumed: u64,
    pub failed: u64,
    /// The first failure, for the report.
    pub first_failure: Option<ResponseError>,
    /// Open loop only: requests whose time came but for which no connection was ever free. They
    /// are in `latency_ns` with the time they had waited, a lower bound.
    pub unsent: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    pub latency_ns: Histogram<u64>,
}

impl Sample {
    fn new() -> Self {
        Self {
            answered: 0,
            resumed: 0,
            failed: 0,
            first_failure: None,
            unsent: 0,
            elapsed: Duration::ZERO,
            latency_ns: latency_histogram(),
        }
    }

    fn record(&mut self, latency: Duration) {
        self.latency_ns.saturating_record(nanoseconds(latency));
    }

    fn fail(&mut self, error: ResponseError) -> Result<(), Error> {
        self.failed += 1;
        if self.failed >= FAILURES_MAX {
            return Err(Error::TooManyFailures { count: self.failed, last: error });
        }
        self.first_failure.get_or_insert(error);
        Ok(())
    }
}

/// An empty histogram of latencies in nanoseconds, three digits exact, up to a minute.
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("constant bounds are valid")
}

/// The bytes of the request that every connection repeats.
pub fn request(address: SocketAddr) -> Vec<u8> {
    format!("GET /plain HTTP/1.1\r\nHost: {address}\r\nUser-Agent: weir-bench\r\n\r\n").into_bytes()
}

struct Connection {
    transport: Transport,
    reader: ResponseReader,
    /// When the outstanding request should have been sent.
    intended: Option<Instant>,
}

/// Connections to one proxy, reusable for several runs.
pub struct LoadGenerator {
    target: Target,
    request: Vec<u8>,
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Connections without an outstanding request.
    idle: Vec<usize>,
    scratch: Vec<u8>,
}

impl LoadGenerator {
    /// Opens `count` connections to `target`.
    pub fn open(target: Target, count: usize) -> Result<Self, Error> {
        let epoll = Epoll::new().map_err(Error::io("create the generator's epoll"))?;
        let mut connections = Vec::with_capacity(count);
        for token in 0..count {
            let connection = open_connection(&target, &epoll, token)
                .map_err(Error::io(format!("connect to {}", target.address)))?;
            connections.push(connection);
        }
        let idle = (0..count).collect();
        let (request, scratch) = (request(target.address), vec![0; SCRATCH_BYTES]);
        Ok(Self { target, request, epoll, connections, idle, scratch })
    }

    /// Loads the proxy for `length`, then waits for the answers still outstanding.
    pub fn run(&mut self, length: Duration, pace: Pace) -> Result<Sample, Error> {
        let start = clock::now();
        let mut schedule = Schedule::new(start, length, pace);
        let mut sample = Sample::new();
        let (mut ready, mut heard) = (Vec::new(), start);
        loop {
            self.send_due(&mut schedule, &mut sample)?;
            let now = clock::now();
            let waiting = self.connections.len() - self.idle.len();
            if waiting == 0 && now >= schedule.end() {
                break;
            }
            if waiting == 0 {
                heard = now;
            }
            if now.saturating_duration_since(heard) >= STALL {
                return Err(Error::Stalled { seconds: STALL.as_secs(), waiting });
            }
            self.wait(&schedule, now, &mut ready)?;
            if !ready.is_empty() {
                heard = clock::now();
            }
            for &token in &ready {
                self.receive(token, &mut sample)?;
            }
        }
        sample.elapsed = clock::now().saturating_duration_since(start);
        count_unsent(&mut schedule, &mut sample);
        Ok(sample)
    }

    fn wait(
        &mut self,
        schedule: &Schedule,
        now: Instant,
        ready: &mut Vec<usize>,
    ) -> Result<(), Error> {
        if sys::interrupted() {
            return Err(Error::Interrupted);
        }
        let until_end = schedule.end().saturating_duration_since(now);
        let quiet = if self.idle.is_empty() || until_end.is_zero() {
            Duration::from_secs(1)
        } else {
            schedule.wait(now).unwrap_or(until_end)
        };
        self.epoll.wait(quiet, ready).map_err(Error::io("wait for answers"))
    }

    fn send_due(&mut self, schedule: &mut Schedule, sample: &mut Sample) -> Result<(), Error> {
        while let Some(&token) = self.idle.last() {
            let Some(intended) = schedule.take_due(clock::now()) else {
                break;
            };
            let connection = &mut self.connections[token];
            match connection.transport.write(&self.request) {
                Ok(count) if count == self.request.len() => {
                    connection.intended = Some(intended);
                    self.idle.pop();
                }
                Ok(_) => self.replace(token, ResponseError::Unwritten, sample)?,
                Err(error) => self.replace(token, ResponseError::Socket(error.kind()), sample)?,
            }
        }
        Ok(())
    }

    fn receive(&mut self, token: usize, sample: &mut Sample) -> Result<(), Error> {
        let connection = &mut self.connections[token];
        let outcome = match connection.transport.read(&mut self.scratch) {
            Ok(0) => Err(ResponseError::Closed),
            Ok(_) if connection.intended.is_none() => Err(ResponseError::Surplus),
            Ok(count) => connection.reader.feed(&self.scratch[..count], &self.target.expected),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(ResponseError::Socket(error.kind())),
        };
        match outcome {
            Ok(None) => Ok(()),
            Ok(Some(answer)) => self.finish(token, answer, sample),
            Err(error) => {
                if self.connections[token].intended.is_some() {
                    self.idle.push(token);
                }
                self.replace(token, error, sample)
            }
        }
    }

    fn finish(&mut self, token: usize, answer: Answer, sample: &mut Sample) -> Result<(), Error> {
        if let Some(intended) = self.connections[token].intended.take() {
            sample.record(clock::now().saturating_duration_since(intended));
        }
        sample.answered += 1;
        sample.resumed += u64::from(self.connections[token].transport.resumed());
        self.idle.push(token);
        // A proxy may announce the end of a connection; that is no failure.
        let stays = answer.keep_alive && self.target.reuse == Reuse::KeepAlive;
        if stays { Ok(()) } else { self.reopen(token) }
    }

    fn replace(
        &mut self,
        token: usize,
        error: ResponseError,
        sample: &mut Sample,
    ) -> Result<(), Error> {
        sample.fail(error)?;
        self.reopen(token)
    }

    /// A new connection in the place of an old one, which leaves the epoll set by being closed.
    fn reopen(&mut self, token: usize) -> Result<(), Error> {
        self.connections[token] = open_connection(&self.target, &self.epoll, token)
            .map_err(Error::io(format!("reconnect to {}", self.target.address)))?;
        Ok(())
    }
}

fn open_connection(target: &Target, epoll: &Epoll, token: usize) -> io::Result<Connection> {
    let transport = Transport::connect(target.address, &target.security)?;
    transport.socket().set_nonblocking(true)?;
    epoll.add(&transport, token, READABLE)?;
    Ok(Connection { transport, reader: ResponseReader::default(), intended: None })
}

/// Requests of an open loop that the end overtook still waited: leaving them out would flatter.
fn count_unsent(schedule: &mut Schedule, sample: &mut Sample) {
    let end = schedule.end();
    while let Some(intended) = schedule.take_due(end) {
        sample.unsent += 1;
        sample.record(end.saturating_duration_since(intended));
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_tls;
