use std::collections::{BTreeMap, VecDeque};

use weir_protocol::journal::{Audit, Block, Record, Reset, Subject};

/// How many entries of the history are kept; a snapshot drops the others.
const HISTORY_MAX: usize = 10_000;

/// What the journal's records add up to. Expired blocks are among it until a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    blocks: BTreeMap<Subject, Block>,
    /// Audits and resets, the oldest first.
    history: VecDeque<Record>,
    /// The latest time in any record, in milliseconds since 1970.
    latest_ms: u64,
    /// How many records of a snapshot are still to come, or `u64::MAX` when they were not as many
    /// as it said.
    outstanding: Option<u64>,
}

impl State {
    /// Who is blocked, in order; those among it whose time has passed no longer are.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.values()
    }

    /// What keeps a subject out at a time in milliseconds since 1970.
    #[must_use]
    pub fn block(&self, subject: &Subject, now_ms: u64) -> Option<&Block> {
        self.blocks.get(subject).filter(|block| block.until_ms.is_none_or(|until| now_ms < until))
    }

    /// What was done lately, the oldest first: [`Record::Audit`] and [`Record::Reset`].
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.history.iter()
    }

    /// Takes a record in, whether it was just written or is read again.
    pub(super) fn apply(&mut self, record: &Record) {
        self.outstanding = match (record, self.outstanding) {
            (Record::SnapshotBegin { records }, _) => Some(*records),
            (Record::SnapshotEnd { .. }, Some(0)) => None,
            (Record::SnapshotEnd { .. }, _) => Some(u64::MAX),
            (_, Some(left)) => Some(left.checked_sub(1).unwrap_or(u64::MAX)),
            (_, None) => None,
        };
        match record {
            Record::SnapshotBegin { .. } => {
                *self = Self { outstanding: self.outstanding, ..Self::default() };
            }
            Record::SnapshotEnd { .. } => {}
            Record::Block(block) => {
                self.at(block.at_ms);
                self.blocks.insert(block.subject.clone(), block.clone());
            }
            Record::Lift(lift) => {
                self.at(lift.at_ms);
                self.blocks.remove(&lift.subject);
            }
            Record::Audit(Audit { at_ms, .. }) | Record::Reset(Reset { at_ms, .. }) => {
                self.at(*at_ms);
                if self.history.len() == HISTORY_MAX {
                    self.history.pop_front();
                }
                self.history.push_back(record.clone());
            }
        }
    }

    fn at(&mut self, ms: u64) {
        self.latest_ms = self.latest_ms.max(ms);
    }

    /// Whether no snapshot broke off.
    pub(super) const fn is_whole(&self) -> bool {
        self.outstanding.is_none()
    }

    /// Forgets blocks that had ended when the last record was written.
    pub(super) fn forget_expired(&mut self) {
        let latest_ms = self.latest_ms;
        self.blocks.retain(|_, block| block.until_ms.is_none_or(|until| latest_ms < until));
    }

    /// Records from which a new state becomes this one.
    pub(super) fn snapshot(&self) -> Vec<Record> {
        let records = (self.blocks.len() + self.history.len()) as u64;
        let mut snapshot = vec![Record::SnapshotBegin { records }];
        snapshot.extend(self.blocks().cloned().map(Record::Block));
        snapshot.extend(self.history().cloned());
        snapshot.push(Record::SnapshotEnd { records });
        snapshot
    }
}
