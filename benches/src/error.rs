//! Why a comparison could not be made, or must not be believed.

use std::io;
use std::path::PathBuf;

use weir_protocol::limit::meter::MeterError;

use crate::load::ResponseError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{doing}: {source}")]
    Io { doing: String, source: io::Error },
    #[error("there is no {0}")]
    UnknownName(String),
    #[error("none of the contestants is installed: {0}")]
    NobodyInstalled(String),
    #[error("template {name}: {fault}")]
    Template { name: &'static str, fault: String },
    #[error("{name} did not listen on its port in time; its last words:\n{log}")]
    NotReady { name: &'static str, log: String },
    #[error("{name} exited before it listened ({status}); its last words:\n{log}")]
    Exited { name: &'static str, status: String, log: String },
    #[error("no answer for {seconds} s with {waiting} requests outstanding")]
    Stalled { seconds: u64, waiting: usize },
    #[error("gave up after {count} failed requests; the last one: {last}")]
    TooManyFailures { count: u64, last: ResponseError },
    #[error("an idle connection's first request failed: {0}")]
    Idle(ResponseError),
    #[error("only {alive} of {connections} idle connections were kept open")]
    IdleLost { alive: usize, connections: usize },
    #[error("{answered} requests answered, but the backend saw only {served}: not a proxy's work")]
    NotForwarded { answered: u64, served: u64 },
    #[error("process {0} left no trace in /proc; it has died")]
    ProcessGone(u32),
    #[error("{path} does not exist", path = .0.display())]
    NoBinary(PathBuf),
    #[error("{failures} of the requests failed; no figure of this run counts")]
    Failures { failures: u64 },
    #[error("the thread of the {0} panicked")]
    Panicked(&'static str),
    #[error("a limit to measure: {0}")]
    Limit(MeterError),
    #[error("nothing was measured")]
    NoRounds,
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up the TLS client: {0}")]
    Tls(#[from] rustls::Error),
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// For `map_err`: names what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
