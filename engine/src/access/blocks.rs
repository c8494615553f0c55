//! What an operator has blocked by hand.
//!
//! [`Blocks`] is the control plane's: it changes, remembers why and by whom, and forgets what is
//! over. [`BlockSet`] is what shards ask, made from it after each change and swapped whole.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use thiserror::Error;
use weir_protocol::journal::{Block, Lift, Network, Record, Subject};

use super::networks::NetworkMap;

/// Blocks at once. Longer lists are files of the configuration.
pub const BLOCKS_MAX: usize = 100_000;

/// What can happen to the list of blocks: by the journal's records and an operator's wishes alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockChange {
    /// Takes the place of the subject's earlier block, if there is one.
    Block(Block),
    Lift(Lift),
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
    /// Unix milliseconds.
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
    /// Unix milliseconds; `None` has no end yet.
    pub until_ms: Option<u64>,
}

/// What the journal is told before the change is made.
impl From<BlockChange> for Record {
    fn from(change: BlockChange) -> Self {
        match change {
            BlockChange::Block(block) => Self::Block(block),
            BlockChange::Lift(lift) => Self::Lift(lift),
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
                self.check_room(&block.subject)?;
                Ok(self.list.insert(block.subject.clone(), block))
            }
            BlockChange::Lift(lift) => Ok(self.list.remove(&lift.subject)),
        }
    }

    /// Whether a change could be made now.
    ///
    /// # Errors
    /// Those that [`Blocks::apply`] would have.
    pub fn check(&self, change: &BlockChange) -> Result<(), BlocksFull> {
        match change {
            BlockChange::Block(block) => self.check_room(&block.subject),
            BlockChange::Lift(_) => Ok(()),
        }
    }

    fn check_room(&self, subject: &Subject) -> Result<(), BlocksFull> {
        let fits = self.list.len() < BLOCKS_MAX || self.list.contains_key(subject);
        if fits { Ok(()) } else { Err(BlocksFull) }
    }

    /// Takes out what is over at `now_ms` (Unix milliseconds), in the order of subjects.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Block> {
        let is_over = |block: &Block| block.until_ms.is_some_and(|until| until <= now_ms);
        self.list.extract_if(.., |_, block| is_over(block)).map(|(_, block)| block).collect()
    }

    /// In the order of subjects: addresses, keys, users.
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
            let term = block.until_ms.map_or(Term::Lasting, Term::Until);
            match &block.subject {
                Subject::Address(network) => {
                    networks.extend(net(*network).map(|network| (network, term)));
                }
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

/// What an operator means by an address or a network: `192.0.2.0/24`, `192.0.2.7`, or an IPv6
/// address, which stands for the /64 that limits count it by. `None` when it is neither.
pub fn parse_network(text: &str) -> Option<Network> {
    if let Some((address, prefix)) = text.split_once('/') {
        return Network::new(address.parse().ok()?, prefix.parse().ok()?);
    }
    let address: IpAddr = text.parse().ok()?;
    let address = address.to_canonical();
    Network::new(address, if address.is_ipv4() { 32 } else { 64 })
}

/// None only for a prefix longer than addresses, which a [`Network`] never has.
fn net(network: Network) -> Option<IpNet> {
    IpNet::new(network.address(), network.prefix()).ok()
}

fn term_of(names: &[(Box<str>, Term)], name: &str) -> Term {
    let found = names.binary_search_by(|(own, _)| (**own).cmp(name));
    found.map_or(Term::Free, |at| names[at].1)
}

impl Term {
    fn blocked(self) -> Option<Blocked> {
        match self {
            Self::Free => None,
            Self::Until(until_ms) => Some(Blocked { until_ms: Some(until_ms) }),
            Self::Lasting => Some(Blocked { until_ms: None }),
        }
    }
}

#[cfg(test)]
mod tests;
