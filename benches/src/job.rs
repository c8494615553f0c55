//! The jobs that contestants are put to. A new one is a line in [`JOBS`].

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
    /// Unless the command line says otherwise.
    pub connections: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Requests over keep-alive connections for a given time.
    Load,
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

pub const JOBS: &[Job] = &[
    Job {
        name: "plain",
        about: "13-byte bodies over keep-alive connections",
        kind: JobKind::Load,
        body: Body::Hello,
        connections: 64,
    },
    Job {
        name: "body",
        about: "64 KiB bodies over keep-alive connections",
        kind: JobKind::Load,
        body: Body::Pattern(64 * 1024),
        connections: 64,
    },
    Job {
        name: "idle",
        about: "resident memory per idle keep-alive connection",
        kind: JobKind::Idle,
        body: Body::Hello,
        connections: 4000,
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
