//! Records of several rings in the order in which their requests began. A ring has them in the order
//! in which they ended, so each is read some way ahead.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use crate::ledger::flight::{Record, RingReader, Skipped};

/// Records of a ring that are looked at together: a second at that many requests a second.
const AHEAD: usize = 1 << 16;

pub(super) struct Merge {
    rings: Vec<Ahead>,
    /// The earliest of each ring that has one.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    last: u64,
    /// Requests that took so long that later ones came first.
    pub(super) late: u64,
}

struct Ahead {
    ring: RingReader,
    /// By time, then in the order of the ring; with the place in `records`.
    order: BinaryHeap<Reverse<(u64, u64, usize)>>,
    records: Vec<Record>,
    read: u64,
}

impl Ahead {
    /// Reads one more, into `place`.
    fn read(&mut self, place: usize) -> io::Result<()> {
        if let Some(record) = self.ring.next_record()? {
            self.order.push(Reverse((record.time.0, self.read, place)));
            self.read += 1;
            match self.records.get_mut(place) {
                Some(slot) => *slot = record,
                None => self.records.push(record),
            }
        }
        Ok(())
    }

    fn earliest(&self) -> Option<u64> {
        self.order.peek().map(|Reverse((time, ..))| *time)
    }
}

impl Merge {
    pub(super) fn new(rings: Vec<RingReader>) -> io::Result<Self> {
        let ahead = |ring| Ahead { ring, order: BinaryHeap::new(), records: Vec::new(), read: 0 };
        let mut rings: Vec<_> = rings.into_iter().map(ahead).collect();
        let mut next = BinaryHeap::new();
        for (number, ring) in rings.iter_mut().enumerate() {
            for place in 0..AHEAD {
                ring.read(place)?;
                if ring.records.len() == place {
                    break;
                }
            }
            next.extend(ring.earliest().map(|time| Reverse((time, number))));
        }
        Ok(Self { rings, next, last: 0, late: 0 })
    }

    pub(super) fn next_record(&mut self) -> io::Result<Option<Record>> {
        let Some(Reverse((time, number))) = self.next.pop() else { return Ok(None) };
        let ring = &mut self.rings[number];
        let Some(Reverse((.., place))) = ring.order.pop() else { return Ok(None) };
        let record = ring.records[place];
        ring.read(place)?;
        self.next.extend(ring.earliest().map(|time| Reverse((time, number))));
        self.late += u64::from(time < self.last);
        self.last = self.last.max(time);
        Ok(Some(record))
    }

    /// What the rings left out.
    pub(super) fn skipped(&self) -> Skipped {
        self.rings.iter().fold(Skipped::default(), |sum, ahead| {
            let Skipped { damaged, overwritten } = ahead.ring.skipped();
            Skipped { damaged: sum.damaged + damaged, overwritten: sum.overwritten + overwritten }
        })
    }
}
