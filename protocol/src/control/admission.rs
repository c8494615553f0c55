//! Limits, bans and the question why, as `weirctl` asks and is told.

use bincode::{Decode, Encode};
use serde::Serialize;

/// Whom a counter or a ban is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An address, or for bans a network in CIDR notation.
    Address(String),
    /// An API key, by the name it has in the configuration.
    Key(String),
    User(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(text) => write!(f, "address {text}"),
            Self::Key(name) => write!(f, "key {name}"),
            Self::User(name) => write!(f, "user {name}"),
        }
    }
}

/// About counters. The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum LimitsRequest {
    /// The counters with the most of something, most first.
    Top {
        by: TopBy,
        /// Of this limit only.
        limit: Option<String>,
        /// How many.
        count: u32,
    },
    /// Every counter that a subject has by itself.
    Show { subject: Subject },
    /// Forget what was counted for a subject: under one limit, or under all of them.
    Reset { subject: Subject, limit: Option<String> },
}

/// What the first counters of a list have most of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum TopBy {
    /// Part of the allowance that is used now.
    Used,
    /// Requests refused since the counter began.
    Refused,
    /// Requests admitted since the counter began.
    Admitted,
}

/// One counter: what one limit has counted for one subject.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct CounterStatus {
    /// The limit's name; empty when the configuration has no such limit any more.
    pub limit: String,
    /// In words, such as `address 203.0.113.7`; cut short after some fifty letters.
    pub subject: String,
    pub algorithm: String,
    /// Units allowed, as the configuration has it now; 0 when that depends on who asks.
    pub quota: u64,
    pub used: u64,
    /// Until the whole allowance is back.
    pub reset_ms: u64,
    /// Since the counter began.
    pub admitted: u64,
    pub refused: u64,
    /// What is left of a ban; 0 for none.
    pub banned_s: u64,
}

/// Bans in one answer, which has to fit a frame.
pub const BANS_PAGE: usize = 1_000;

/// About bans. The order of variants is the wire format: append only.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum BansRequest {
    /// [`BANS_PAGE`] of them at most.
    List {
        /// So many before were told already.
        skip: u32,
    },
    /// Refuse a subject everything.
    Add {
        subject: Subject,
        /// For how long; `None` until it is lifted.
        seconds: Option<u64>,
        reason: String,
    },
    /// End what bans a subject, by hand or by itself.
    Lift { subject: Subject },
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct BanStatus {
    /// In words, such as `address 203.0.113.7`.
    pub subject: String,
    /// The limit that banned by itself; `None` for a ban by hand.
    pub limit: Option<String>,
    /// What is left of it; `None` until it is lifted.
    pub left_s: Option<u64>,
    /// How often in a row, for a ban that came by itself.
    pub step: u32,
    /// Why, for a ban by hand.
    pub reason: String,
    /// Who set it, for a ban by hand.
    pub by: String,
}

/// A request that nobody sends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Question {
    pub method: String,
    /// Without a host only routes for any host match.
    pub host: Option<String>,
    pub path: String,
    /// The listener's name or address; `None` for the first one.
    pub listener: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The name of an API key of the configuration.
    pub key: Option<String>,
    /// A token's subject.
    pub user: Option<String>,
    /// A token's tier.
    pub tier: Option<String>,
    /// Fields, for routes and limits that look at them.
    pub headers: Vec<(String, String)>,
}

/// What would become of a [`Question`], now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Encode, Decode)]
pub struct Explanation {
    /// In the order in which a request meets them, up to the one that would end it.
    pub steps: Vec<Step>,
    /// Every limit of the route.
    pub limits: Vec<AppliedLimit>,
    /// The answer's status, if the gateway would answer by itself.
    pub status: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Step {
    /// Such as `access`, `route`, `identity`.
    pub name: String,
    pub verdict: Verdict,
    /// For a person.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Passes,
    Refuses,
    /// Has nothing to say here.
    Skipped,
}

/// One of a route's limits, for one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct AppliedLimit {
    pub name: String,
    pub verdict: Verdict,
    /// Why it applies, or why not.
    pub detail: String,
    pub dry_run: bool,
    /// `None` when the limit does not apply.
    pub counter: Option<CounterStatus>,
    /// Units that the request would cost.
    pub cost: u64,
    /// When the request would be admitted, in milliseconds; 0 is now.
    pub retry_after_ms: u64,
}
