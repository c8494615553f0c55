//! What an operator has blocked by hand.
//!
//! [`Blocks`] is the control plane's: it changes, remembers why and by whom, and forgets what is
//! over. [`BlockSet`] is what shards ask, made from it after each change and swapped whole.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

use super::networks::NetworkMap;

/// Blocks at once. Longer lists are files of the configuration.
pub const BLOCKS_MAX: usize = 100_000;

/// Who is blocked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// All addresses of a network. A subscriber of IPv6 has a /64 at least.
    Network(IpNet),
    /// An API key, by its name.
    Key(String),
    /// A key's user, or a token's subject.
    User(String),
}

/// One block. Reason and author are for operators: no client hears of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub subject: Subject,
    pub reason: String,
    /// Unix seconds of its end; `None` lasts until it is lifted.
    pub until_s: Option<u64>,
    pub by: String,
    /// Unix seconds of its beginning.
    pub at_s: u64,
}

/// What can happen to the list of blocks: the journal's records and an operator's wishes alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockChange {
    /// Takes the place of the subject's earlier block, if there is one.
    Block(Block),
    Lift(Subject),
}

/// One block more than [`BLOCKS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{BLOCKS_MAX} blocks are the most there can be; lift some, or use [access] deny_file")]
pub struct BlocksFull;

/// All blocks, by subject.
#[derive(Debug, Default)]
pub struct Blocks {
    list: BTreeMap<Subject, Block>,
}

/// How long somebody is blocked; the greater ends later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    Free,
    /// Unix seconds.
    Until(u64),
    Lasting,
}

/// The blocks as shards ask them: there is at least one.
#[derive(Debug)]
pub struct BlockSet {
    addresses: Option<NetworkMap<Term>>,
    /// Sorted by name, as the users are.
    keys: Box<[(Box<str>, Term)]>,
    users: Box<[(Box<str>, Term)]>,
}

/// That somebody is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// Unix seconds; `None` has no end yet.
    pub until_s: Option<u64>,
}

impl Subject {
    /// The same in the one way in which it is kept: without bits behind the prefix, and as an IPv4
    /// network where it is one.
    fn normal(self) -> Self {
        let Self::Network(network) = self else { return self };
        let network = network.trunc();
        let mapped = match network.network().to_canonical() {
            IpAddr::V4(address) if network.addr().is_ipv6() => {
                let length = network.prefix_len().checked_sub(96);
                length.and_then(|length| Ipv4Net::new(address, length).ok())
            }
            _ => None,
        };
        Self::Network(mapped.map_or(network, IpNet::V4))
    }
}

/// As an operator writes it: `address 192.0.2.0/24`, `key ann`, `user bob`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "address {network}"),
            Self::Key(name) => write!(f, "key {}", name.escape_debug()),
            Self::User(name) => write!(f, "user {}", name.escape_debug()),
        }
    }
}

impl Blocks {
    /// Makes a change, and returns the block that it replaced or lifted.
    ///
    /// # Errors
    /// When there is no room for another block; nothing has changed then.
    pub fn apply(&mut self, change: BlockChange) -> Result<Option<Block>, BlocksFull> {
        match change {
            BlockChange::Block(block) => {
                let subject = block.subject.normal();
                if self.list.len() >= BLOCKS_MAX && !self.list.contains_key(&subject) {
                    return Err(BlocksFull);
                }
                let block = Block { subject: subject.clone(), ..block };
                Ok(self.list.insert(subject, block))
            }
            BlockChange::Lift(subject) => Ok(self.list.remove(&subject.normal())),
        }
    }

    /// Takes out what is over at `now_s` (Unix seconds), in the order of subjects.
    pub fn expire(&mut self, now_s: u64) -> Vec<Block> {
        let is_over = |block: &Block| block.until_s.is_some_and(|until| until <= now_s);
        self.list.extract_if(.., |_, block| is_over(block)).map(|(_, block)| block).collect()
    }

    /// In the order of subjects: networks, keys, users.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.list.values()
    }

    /// What shards are to ask; `None` when nobody is blocked.
    pub fn compile(&self) -> Option<Arc<BlockSet>> {
        if self.list.is_empty() {
            return None;
        }
        let (mut networks, mut keys, mut users) = (Vec::new(), Vec::new(), Vec::new());
        for block in self.list.values() {
            let term = block.until_s.map_or(Term::Lasting, Term::Until);
            match &block.subject {
                Subject::Network(network) => networks.push((*network, term)),
                Subject::Key(name) => keys.push((name.as_str().into(), term)),
                Subject::User(name) => users.push((name.as_str().into(), term)),
            }
        }
        // A block within a longer one does not cut that short.
        let map = |networks| NetworkMap::new(networks, Term::Free, Ord::max);
        Some(Arc::new(BlockSet {
            addresses: (!networks.is_empty()).then(|| map(networks)),
            keys: keys.into(),
            users: users.into(),
        }))
    }
}

impl BlockSet {
    #[inline]
    pub fn address(&self, address: IpAddr) -> Option<Blocked> {
        self.addresses.as_ref().and_then(|addresses| addresses.find(address).blocked())
    }

    /// A caller by what is known of them.
    pub fn caller(&self, key: Option<&str>, user: Option<&str>) -> Option<Blocked> {
        let key = key.map_or(Term::Free, |name| term_of(&self.keys, name));
        let user = user.map_or(Term::Free, |name| term_of(&self.users, name));
        key.max(user).blocked()
    }
}

fn term_of(names: &[(Box<str>, Term)], name: &str) -> Term {
    let found = names.binary_search_by(|(own, _)| (**own).cmp(name));
    found.map_or(Term::Free, |at| names[at].1)
}

impl Term {
    fn blocked(self) -> Option<Blocked> {
        match self {
            Self::Free => None,
            Self::Until(until_s) => Some(Blocked { until_s: Some(until_s) }),
            Self::Lasting => Some(Blocked { until_s: None }),
        }
    }
}

#[cfg(test)]
mod tests;
