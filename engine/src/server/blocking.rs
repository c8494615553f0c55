//! Blocks in force: the one list, and the shards' copies of what follows from it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_protocol::journal::{Block, Network, Record, Subject};

use crate::access::{BlockChange, BlockSet, Blocks, BlocksFull};
use crate::ledger::journal::{AppendError, JournalHandle};
use crate::metrics::{Family, Kind};
use crate::shard::{Command, Mailbox};

/// Why a block was neither made nor lifted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    #[error(transparent)]
    Full(#[from] BlocksFull),
    #[error(transparent)]
    Journal(#[from] AppendError),
}

/// All blocks of an engine, with whom to tell of a change.
pub(super) struct Blocking {
    blocks: Mutex<Blocks>,
    /// Held while one change waits for the disk, so that the journal has them in their order.
    changing: Mutex<()>,
    journal: JournalHandle,
    mailboxes: Vec<Arc<Mailbox<Command>>>,
}

impl Blocking {
    /// With what the journal remembers and is not over at `now_ms` (Unix milliseconds).
    pub(super) fn new(
        mailboxes: Vec<Arc<Mailbox<Command>>>,
        journal: JournalHandle,
        now_ms: u64,
    ) -> Self {
        let mut blocks = Blocks::default();
        journal.look(|state| {
            for block in state.blocks().cloned() {
                if block.until_ms.is_none_or(|until_ms| now_ms < until_ms)
                    && let Err(full) = blocks.apply(BlockChange::Block(block))
                {
                    eprintln!("weir: a block is not obeyed: {full}");
                }
            }
        });
        let (blocks, changing) = (Mutex::new(blocks), Mutex::default());
        let blocking = Self { blocks, changing, journal, mailboxes };
        blocking.tell(&blocking.lock());
        blocking
    }

    /// Makes a change once the journal has it, together with a record of who wanted it, and has
    /// every shard obey it. Returns the block that was replaced or lifted.
    pub(super) fn apply(
        &self,
        change: BlockChange,
        record: Record,
    ) -> Result<Option<Block>, BlockError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().check(&change)?;
        self.journal.append_and_wait(vec![change.clone().into(), record])?;
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

    /// Whether just this subject is blocked.
    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.lock().iter().any(|block| block.subject == *subject)
    }

    /// A block of a network that this one is a part of.
    pub(super) fn covering(&self, part: &Network) -> Option<Network> {
        let blocks = self.lock();
        let networks = blocks.iter().filter_map(|block| match &block.subject {
            Subject::Address(network) => Some(*network),
            Subject::Key(_) | Subject::User(_) => None,
        });
        networks.into_iter().find(|network| {
            network.prefix() <= part.prefix()
                && Network::new(part.address(), network.prefix()) == Some(*network)
        })
    }

    /// As shards obey them now.
    pub(super) fn compile(&self) -> Option<Arc<BlockSet>> {
        self.lock().compile()
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use weir_protocol::journal::{Audit, Lift, Subject};

    use super::*;
    use crate::access::parse_network;
    use crate::ledger::disk::SimDisk;
    use crate::ledger::journal::{AppendError, Journal, Options, Repair};
    use crate::runtime::Instant;

    /// Does something with the blocks that the journal on a disk remembers at 100 ms.
    fn with_blocks(disk: &SimDisk, run: impl FnOnce(Blocking)) {
        let options = Options::new(|| Instant::from_nanos(0));
        let journal = Journal::open(&*disk.root(), [0; 16], options, Repair::No);
        let mut journal = journal.expect("whole");
        let (sender, tasks) = channel();
        // A receiver that is gone is the end of the test.
        let handle = journal.handle(move |task| drop(sender.send(task)));
        std::thread::scope(|scope| {
            scope.spawn(move || tasks.iter().for_each(|task| journal.serve([task])));
            run(Blocking::new(Vec::new(), handle, 100));
        });
    }

    fn record() -> Record {
        let (actor, action) = ("ops".to_owned(), "bans".to_owned());
        Record::Audit(Audit { at_ms: 90, actor, action, detail: String::new() })
    }

    fn block(subject: Subject, until_ms: Option<u64>) -> Block {
        Block { subject, reason: "abuse".to_owned(), until_ms, by: "ops".to_owned(), at_ms: 90 }
    }

    #[test]
    fn blocks_outlive_a_loss_of_power_until_they_are_lifted_or_over() {
        let network = |text: &str| Subject::Address(parse_network(text).expect("a network"));
        let lasting = [
            block(network("192.0.2.0/24"), None),
            block(network("2001:db8::/64"), Some(101)),
            block(Subject::Key("ann".to_owned()), None),
        ];
        let disk = SimDisk::new(0);
        with_blocks(&disk, |blocking| {
            let user = || Subject::User("bob".to_owned());
            let over = block(Subject::Key("bob".to_owned()), Some(100));
            let lifted = block(user(), None);
            for block in lasting.iter().chain([&over, &lifted]) {
                assert_eq!(blocking.apply(BlockChange::Block(block.clone()), record()), Ok(None));
            }
            let lift = Lift { subject: user(), reason: String::new(), by: "me".into(), at_ms: 95 };
            assert_eq!(blocking.apply(BlockChange::Lift(lift), record()), Ok(Some(lifted)));
        });
        disk.crash(1);
        with_blocks(&disk, |blocking| assert_eq!(blocking.list(), lasting));
    }

    #[test]
    fn a_block_that_the_disk_does_not_have_is_not_in_force() {
        let disk = SimDisk::new(0);
        with_blocks(&disk, |blocking| {
            disk.fill_at(1);
            let change = || BlockChange::Block(block(Subject::Key("ann".to_owned()), None));
            assert_eq!(blocking.apply(change(), record()), Err(AppendError::NoRoom.into()));
            assert!(blocking.list().is_empty());
            disk.make_room();
            assert_eq!(blocking.apply(change(), record()), Ok(None));
            assert_eq!(blocking.list().len(), 1);
        });
    }
}
