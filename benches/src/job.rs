//! The jobs that contestants are put to. A new one is a line in [`JOBS`].

use std::time::Duration;

/// The only CPU of the proxy.
pub const PROXY_CPU: usize = 0;
/// The CPU that the load generator and the mock backend share.
pub const LOAD_CPU: usize = 1;

/// What is asked of each contestant.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: JobKind,
    pub body: Body,
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Unless the command line says otherwise.
    pub connections: usize,
}

/// How many slow clients there are beside the load of such a job.
pub const SLOW_CLIENTS: usize = 500;
/// Requests a second of the load beside slow clients, unless the command line says otherwise.
pub const SLOW_LOAD_PER_SECOND: f64 = 2000.0;
/// How long all contestants wait for a head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Requests over keep-alive connections for a given time.
    Load,
    /// Requests on a connection each; with `resume`, their sessions go on with earlier ones.
    Handshake { resume: bool },
    /// A load, first alone and then beside clients that never finish a head.
    Slow,
    /// Connections that asked once and stay; resident memory is what counts.
    Idle,
}

/// The body of every response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `Hello, World!`, 13 bytes.
    Hello,
    /// A pattern of this many bytes, in which no shift by less than 251 goes unnoticed.
    Pattern(usize),
}

const PLAIN: Job = Job {
    name: "plain",
    about: "13-byte bodies over keep-alive connections",
    kind: JobKind::Load,
    body: Body::Hello,
    tls: false,
    connections: 64,
};
const BODY: Job = Job {
    name: "body",
    about: "64 KiB bodies over keep-alive connections",
    body: Body::Pattern(64 * 1024),
    ..PLAIN
};
const IDLE: Job = Job {
    name: "idle",
    about: "resident memory with idle keep-alive connections",
    kind: JobKind::Idle,
    connections: 8000,
    ..PLAIN
};

pub const JOBS: &[Job] = &[
    PLAIN,
    BODY,
    IDLE,
    Job { name: "tls", about: "plain over TLS 1.3", tls: true, ..PLAIN },
    Job { name: "tls-body", about: "body over TLS 1.3", tls: true, ..BODY },
    Job { name: "tls-idle", about: "idle over TLS 1.3", tls: true, ..IDLE },
    Job {
        name: "handshake",
        about: "one request a connection, full TLS 1.3 handshakes",
        kind: JobKind::Handshake { resume: false },
        tls: true,
        connections: 16,
        ..PLAIN
    },
    Job {
        name: "resume",
        about: "one request a connection, TLS 1.3 sessions resumed",
        kind: JobKind::Handshake { resume: true },
        tls: true,
        connections: 16,
        ..PLAIN
    },
    Job {
        name: "slow",
        about: "500 clients that send a head one byte a second, beside a load",
        kind: JobKind::Slow,
        ..PLAIN
    },
];

impl Job {
    pub fn named(name: &str) -> Option<&'static Self> {
        JOBS.iter().find(|job| job.name == name)
    }
}

impl Body {
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Hello => b"Hello, World!".to_vec(),
            Self::Pattern(length) => (0..=250_u8).cycle().take(length).collect(),
        }
    }
}
