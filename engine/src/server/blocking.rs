//! Blocks in force: the one list, and the shards' copies of what follows from it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_protocol::journal::Block;

use crate::access::{BlockChange, Blocks, BlocksFull};
use crate::metrics::{Family, Kind};
use crate::shard::{Command, Mailbox};

/// All blocks of an engine, with whom to tell of a change.
pub(super) struct Blocking {
    blocks: Mutex<Blocks>,
    mailboxes: Vec<Arc<Mailbox<Command>>>,
}

impl Blocking {
    pub(super) fn new(mailboxes: Vec<Arc<Mailbox<Command>>>) -> Self {
        Self { blocks: Mutex::default(), mailboxes }
    }

    /// Makes a change and has every shard obey it.
    pub(super) fn apply(&self, change: BlockChange) -> Result<Option<Block>, BlocksFull> {
        let mut blocks = self.lock();
        let before = blocks.apply(change)?;
        self.tell(&blocks);
        Ok(before)
    }

    /// Takes out what is over at `now_ms` (Unix milliseconds), and tells the operator.
    pub(super) fn expire(&self, now_ms: u64) {
        let mut blocks = self.lock();
        let over = blocks.expire(now_ms);
        if !over.is_empty() {
            self.tell(&blocks);
        }
        drop(blocks);
        over.iter().for_each(|block| eprintln!("weir: the block of {} is over", block.subject));
    }

    pub(super) fn list(&self) -> Vec<Block> {
        self.lock().iter().cloned().collect()
    }

    pub(super) fn family(&self) -> Family {
        let family = Family::new(Kind::Gauge, "weir_blocks", "Blocks by operators in force.");
        family.with(&[], self.lock().iter().count() as u64)
    }

    /// Under the lock, so that shards hear of changes in their order.
    fn tell(&self, blocks: &Blocks) {
        let set = blocks.compile();
        self.mailboxes.iter().for_each(|mailbox| mailbox.send(Command::Blocks(set.clone())));
    }

    /// The control plane's; no shard takes it.
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
