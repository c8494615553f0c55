//! What the recorder's thread does: takes records out of live rings and writes them into files.
//! Best effort: what fails is counted and told once, and never stops the engine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Place;
use super::live::LiveRing;
use super::record::Words;
use super::ring::{Header, RingFile};
use crate::metrics::Counter;

/// Records that are written at once: 64 KiB.
const CHUNK_RECORDS: usize = 1024;

/// What the recorder's thread counts.
#[derive(Debug, Default)]
pub struct FlightStats {
    /// Records brought to the files.
    pub records: Counter,
    /// Records that could not be written, or that a damaged live ring held.
    pub lost: Counter,
    /// Failed writes and syncs.
    pub errors: Counter,
}

/// Rings on both sides.
pub struct Drain {
    /// How the files are made.
    pub(super) header: Header,
    pub(super) dir: PathBuf,
    pub(super) files: Vec<RingFile>,
    /// One for each shard of this process.
    pub(super) own: Vec<Arc<LiveRing>>,
    /// Of processes before this one, each with the file that gets its records. One whose writer
    /// still ends its last requests is drained until that is gone.
    pub(super) inherited: Vec<(LiveRing, usize)>,
    pub(super) buffer: Vec<Words>,
    pub(super) stats: Arc<FlightStats>,
    /// An error has been told.
    pub(super) told: bool,
    /// Something was written since the last sync.
    pub(super) dirty: bool,
}

impl Drain {
    pub(super) fn new(place: &Place<'_>, header: Header, files: Vec<RingFile>) -> Self {
        Self {
            header,
            dir: place.dir(),
            files,
            own: Vec::new(),
            inherited: Vec::new(),
            buffer: Vec::with_capacity(CHUNK_RECORDS),
            stats: Arc::default(),
            told: false,
            dirty: false,
        }
    }

    /// Brings to the files what the shards have written since the last time.
    pub fn run(&mut self) {
        for shard in 0..self.own.len() {
            let ring = Arc::clone(&self.own[shard]);
            self.take(&ring, shard);
        }
        let inherited = std::mem::take(&mut self.inherited);
        for (ring, file) in inherited {
            // Looked at first: what is written before the end is taken after it.
            let abandoned = ring.is_abandoned();
            self.take(&ring, file);
            match abandoned {
                Ok(false) => self.inherited.push((ring, file)),
                Ok(true) => ring.remove(),
                Err(error) => self.tell("look at", ring.path(), &error),
            }
        }
    }

    fn take(&mut self, ring: &LiveRing, file: usize) {
        let Self { files, buffer, stats, .. } = self;
        let target = &mut files[file];
        let mut outcome = Ok(());
        let taken = ring.drain(buffer, |records| match target.append(records) {
            Ok(()) => stats.records.add(records.len() as u64),
            Err(error) => {
                stats.lost.add(records.len() as u64);
                outcome = Err(error);
            }
        });
        self.dirty |= taken.records > 0;
        if taken.damaged {
            self.stats.lost.increment();
            let error = io::Error::other("its counts contradict each other");
            self.tell("read", ring.path(), &error);
        }
        if let Err(error) = outcome {
            let path = self.files[file].path().to_owned();
            self.tell("write", &path, &error);
        }
    }

    /// Waits until the disk has what was written.
    pub fn sync(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        for file in 0..self.files.len() {
            if let Err(error) = self.files[file].sync() {
                let path = self.files[file].path().to_owned();
                self.tell("sync", &path, &error);
            }
        }
    }

    /// Takes the files up again, after another process may have written them.
    pub fn resume(&mut self) {
        for shard in 0..self.files.len() {
            let path = self.dir.join(format!("shard-{shard}"));
            let mut told = Vec::new();
            match RingFile::open(&path, &self.header, &mut told) {
                Ok(file) => self.files[shard] = file,
                Err(error) => self.tell("open", &path, &error),
            }
            told.iter().for_each(|line| eprintln!("weir: {line}"));
        }
    }

    /// Once the shards have ended: takes what is left, and leaves nothing to the next process.
    pub fn close(mut self) {
        self.run();
        self.sync();
        self.own.iter().for_each(|ring| ring.remove());
    }

    pub fn stats(&self) -> Arc<FlightStats> {
        Arc::clone(&self.stats)
    }

    fn tell(&mut self, action: &str, path: &Path, error: &io::Error) {
        self.stats.errors.increment();
        if !std::mem::replace(&mut self.told, true) {
            let path = path.display();
            eprintln!("weir: the flight recorder cannot {action} {path}: {error}; it goes on");
        }
    }
}
