//! What `no_over_admission` holds a run against.

use serde::Deserialize;
use toml::Spanned;

use super::Quota;

/// The requests of some groups of clients, counted together or each client by itself, keep to a
/// limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Document")]
pub struct Admitted {
    pub clients: Vec<Spanned<String>>,
    pub per: Per,
    pub promise: Promise,
}

/// What an algorithm promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    Window(Quota),
    Strict(Quota),
    Bucket { rate: Quota, burst: u32 },
    Concurrency { max: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// All of them share one allowance, as callers with the same key do.
    #[default]
    All,
    /// Each has its own, as callers by address do.
    Client,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    clients: Vec<Spanned<String>>,
    #[serde(default)]
    per: Per,
    #[serde(default)]
    algorithm: Algorithm,
    rate: Option<Quota>,
    burst: Option<u32>,
    max: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    #[default]
    SlidingWindow,
    Strict,
    TokenBucket,
    Concurrency,
}

impl TryFrom<Document> for Admitted {
    type Error = &'static str;

    fn try_from(document: Document) -> Result<Self, &'static str> {
        let Document { clients, per, algorithm, rate, burst, max } = document;
        let promise = match (algorithm, rate, burst, max) {
            (Algorithm::SlidingWindow, Some(rate), None, None) => Promise::Window(rate),
            (Algorithm::Strict, Some(rate), None, None) => Promise::Strict(rate),
            (Algorithm::TokenBucket, Some(rate), burst, None) => {
                Promise::Bucket { rate, burst: burst.unwrap_or(rate.count) }
            }
            (Algorithm::Concurrency, None, None, Some(max)) => Promise::Concurrency { max },
            (Algorithm::Concurrency, ..) => return Err("concurrency has a max, and nothing else"),
            _ => return Err("no_over_admission needs a rate; only a token_bucket has a burst"),
        };
        Ok(Self { clients, per, promise })
    }
}
