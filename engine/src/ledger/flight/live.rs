//! The ring between a shard and the recorder's thread: one writer, one reader, no lock, in a map that
//! outlives the process.
//!
//! A line of words, then records of eight words each:
//!
//! ```text
//! 0 magic   1 layout   2, 3 identity   4 capacity   5 written   6 drained
//! ```
//!
//! `written` and `drained` count records and only grow; a record is there once `written` says so, so
//! that a kill loses the one that was being written and no other. The writer holds the file's lock.

use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::Record;
use super::record::{RECORD_BYTES, Words, halves, layout};
use crate::ledger::disk::reserve;
use crate::metrics::Counter;
use crate::runtime::{Instant, UnixNanos};

/// Records of a new ring: a third of a second at a hundred thousand requests a second.
pub(super) const LIVE_RECORDS: u64 = 32_768;
/// `WEIRFLYR`.
const MAGIC: u64 = u64::from_le_bytes(*b"WEIRFLYR");

/// The first line of the map.
#[repr(C, align(64))]
struct Head {
    magic: AtomicU64,
    layout: AtomicU64,
    identity: [AtomicU64; 2],
    capacity: AtomicU64,
    written: AtomicU64,
    drained: AtomicU64,
    reserved: AtomicU64,
}

#[repr(C, align(64))]
struct Place([AtomicU64; RECORD_BYTES / 8]);

const _: () = assert!(size_of::<Head>() == RECORD_BYTES && size_of::<Place>() == RECORD_BYTES);

/// A ring in a file that is mapped. The lock, where this process has it, lasts as long as the ring.
pub(crate) struct LiveRing {
    path: PathBuf,
    file: File,
    map: MmapRaw,
    /// A power of two.
    capacity: u64,
}

/// What is done with the records of one pass.
pub(super) struct Taken {
    /// How many there were.
    pub(super) records: u64,
    /// The ring's own counts contradict each other: what it held is lost.
    pub(super) damaged: bool,
}

impl LiveRing {
    /// A new ring of [`LIVE_RECORDS`], locked.
    pub(super) fn create(path: PathBuf, identity: u128) -> io::Result<Self> {
        let bytes = (LIVE_RECORDS + 1) * RECORD_BYTES as u64;
        let (file, map) = map_shared(&path, bytes)?;
        let ring = Self { path, file, map, capacity: LIVE_RECORDS };
        if let Err(error) = ring.file.try_lock() {
            ring.remove();
            return Err(error.into());
        }
        let head = ring.head();
        head.layout.store(u64::from(layout()), Ordering::Relaxed);
        for (word, half) in head.identity.iter().zip(halves(identity)) {
            word.store(half, Ordering::Relaxed);
        }
        head.capacity.store(LIVE_RECORDS, Ordering::Relaxed);
        // Last, and after the others for whoever reads it: a ring that is half made has none.
        head.magic.store(MAGIC, Ordering::Release);
        Ok(ring)
    }

    /// One that another process has made. `None`: it is not a ring of this identity and layout.
    pub(super) fn open(path: PathBuf, identity: u128) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)?;
        let metadata = file.metadata()?;
        // SAFETY: asks for this process's user; no memory is involved, and it cannot fail.
        let own = unsafe { libc::geteuid() };
        let records = (metadata.len() / RECORD_BYTES as u64).saturating_sub(1);
        let whole = (records + 1) * RECORD_BYTES as u64 == metadata.len();
        if !metadata.is_file() || metadata.uid() != own || !whole || !records.is_power_of_two() {
            return Ok(None);
        }
        let map = MmapOptions::new().map_raw(&file)?;
        let ring = Self { path, file, map, capacity: records };
        let head = ring.head();
        // Acquire: pairs with the store in `create`.
        let known = head.magic.load(Ordering::Acquire) == MAGIC
            && head.layout.load(Ordering::Relaxed) == u64::from(layout())
            && head.identity.each_ref().map(|word| word.load(Ordering::Relaxed))
                == halves(identity)
            && head.capacity.load(Ordering::Relaxed) == records;
        Ok(known.then_some(ring))
    }

    /// Whether its writer is gone; then this process holds the lock.
    pub(super) fn is_abandoned(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Its name goes; the map stays until the last user is gone.
    pub(super) fn remove(&self) {
        // Whatever stays is found at the next start, and emptied again.
        let _ = std::fs::remove_file(&self.path);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands what was written and not drained to `put`, in order and in pieces of at most
    /// `buffer`'s capacity. Only one thread of all processes may.
    pub(super) fn drain(&self, buffer: &mut Vec<Words>, mut put: impl FnMut(&[Words])) -> Taken {
        let head = self.head();
        // Acquire: pairs with the writer's Release, so that the records are there.
        let written = head.written.load(Ordering::Acquire);
        let mut drained = head.drained.load(Ordering::Relaxed);
        let records = written.wrapping_sub(drained);
        if records > self.capacity {
            head.drained.store(written, Ordering::Release);
            return Taken { records: 0, damaged: true };
        }
        while drained != written {
            buffer.clear();
            while drained != written && buffer.len() < buffer.capacity() {
                let place = &self.place(drained).0;
                // Relaxed: ordered by the load of `written`, and not overwritten before `drained`
                // says that they may be.
                buffer.push(std::array::from_fn(|at| place[at].load(Ordering::Relaxed)));
                drained = drained.wrapping_add(1);
            }
            put(buffer);
            // Release: pairs with the writer's Acquire; the loads above come before its stores.
            head.drained.store(drained, Ordering::Release);
        }
        Taken { records, damaged: false }
    }

    fn head(&self) -> &Head {
        // SAFETY: the map begins at a page, which is aligned, and holds at least a line, as `create`
        // made and `open` checked. It is shared, writable, and lives as long as `self`. A head is
        // atomics only, so every bit pattern is one, and others may write at any time.
        unsafe { &*self.map.as_ptr().cast::<Head>() }
    }

    #[inline]
    fn place(&self, count: u64) -> &Place {
        let index = usize::try_from(count & (self.capacity - 1)).unwrap_or(0);
        // SAFETY: as for the head; the index is below the capacity, and the map holds that many
        // records behind its first line.
        unsafe { &*self.map.as_ptr().cast::<Place>().add(1 + index) }
    }
}

/// The writer's end of a ring; its shard's.
pub struct Recorder {
    ring: Arc<LiveRing>,
    written: Cell<u64>,
    /// As it was when the ring was last found full.
    drained: Cell<u64>,
    /// What is added to a runtime's time, wrapping, to make Unix nanoseconds.
    clock_offset_ns: u64,
}

impl Recorder {
    /// The one writer of `ring`, which is new.
    pub(super) fn new(ring: Arc<LiveRing>, clock_offset_ns: u64) -> Self {
        let (written, drained) = Default::default();
        Self { ring, written, drained, clock_offset_ns }
    }

    /// The ledger's clock at a moment of the runtime's.
    #[inline]
    pub fn time(&self, at: Instant) -> UnixNanos {
        UnixNanos(at.as_nanos().wrapping_add(self.clock_offset_ns))
    }

    /// Writes a record, or counts it in `dropped` where there is no room: a shard never waits.
    #[inline]
    pub fn record(&self, record: &Record, dropped: &Counter) {
        let written = self.written.get();
        let head = self.ring.head();
        if written.wrapping_sub(self.drained.get()) >= self.ring.capacity {
            // Acquire: pairs with the reader's Release; its loads come before the stores below.
            self.drained.set(head.drained.load(Ordering::Acquire));
            if written.wrapping_sub(self.drained.get()) >= self.ring.capacity {
                return dropped.increment();
            }
        }
        for (place, word) in self.ring.place(written).0.iter().zip(record.words()) {
            // Relaxed: published by the store of `written`.
            place.store(word, Ordering::Relaxed);
        }
        let written = written.wrapping_add(1);
        // Release: pairs with the reader's Acquire, and orders the record before its count for
        // whoever finds the map after a kill.
        head.written.store(written, Ordering::Release);
        self.written.set(written);
    }
}

/// A new file of this user's only, fully allocated and mapped: a hole in a full filesystem would be
/// a SIGBUS to whoever writes.
fn map_shared(path: &Path, bytes: u64) -> io::Result<(File, MmapRaw)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let mapped = reserve(&file, bytes).and_then(|()| MmapOptions::new().map_raw(&file));
    match mapped {
        Ok(map) => Ok((file, map)),
        Err(error) => {
            // The error is the thing to tell.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}
