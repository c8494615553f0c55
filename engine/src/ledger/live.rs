//! The live table: the memory in which shards count, as a file that outlives the process.
//!
//! It is on tmpfs, so that no shard ever waits for a filesystem, or else in the ledger's folder. A
//! page with a header comes first, then the slots, then their names. Little-endian:
//!
//! ```text
//!  0 magic (8)      8 layout (4)    12 zeros (4)     16 slots (8)
//! 24 boot id (16)  40 identity (16)  56 generation (8)  64 CRC32C of 0..56 (4)
//! 72 the generation that the disk acknowledged (8)
//! ```
//!
//! What a process left behind is taken up again only if its boot, identity, layout, size and owner
//! agree, and its generation is that of `counters` or the one that was about to be written there:
//! a copy of the ledger that was put in its place is older, and the table of another time.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::disk::reserve;
use super::header::{Header, PAGE_BYTES, layout};
use super::{BootId, Identity, LedgerError};
use crate::runtime::os;
use crate::slots::table_bytes;

const MAGIC: [u8; 8] = *b"WEIRLIVE";
const GENERATION_AT: usize = 56;
const CRC_AT: usize = 56;
const HEADER_BYTES: usize = 68;
const ACKNOWLEDGED_AT: usize = 72;
/// In the ledger's folder.
const FILE_NAME: &str = "counters.live";
/// `TMPFS_MAGIC` of statfs(2).
const TMPFS: i64 = 0x0102_1994;

/// Where the live table may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveTable {
    /// On tmpfs if there is room, else in the ledger's folder.
    Auto,
    Tmpfs,
    /// In the ledger's folder.
    File,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LivePlace {
    Tmpfs,
    /// In the ledger's folder, for this reason.
    File {
        reason: String,
    },
}

impl LivePlace {
    /// As `weirctl status` shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tmpfs => "tmpfs",
            Self::File { .. } => "file",
        }
    }
}

/// Which live table is looked for, and where.
pub(super) struct Search<'a> {
    pub(super) dir: &'a Path,
    /// A folder on tmpfs.
    pub(super) shared_memory: &'a Path,
    pub(super) choice: LiveTable,
    pub(super) boot_id: BootId,
    /// Of `counters`.
    pub(super) header: &'a Header,
}

/// A live table that is this process's alone.
pub(super) struct Live {
    path: PathBuf,
    place: LivePlace,
    /// Holds the file's own lock: a copy of the ledger's folder has the same identity.
    file: File,
    map: MmapRaw,
}

impl Live {
    /// The one that a process before this left behind; `None` when there is none to be trusted.
    pub(super) fn find(search: &Search<'_>) -> Option<Self> {
        if search.boot_id == BootId::default() {
            return None;
        }
        let by_tmpfs = || open_left(&search.tmpfs_path(), LivePlace::Tmpfs, search);
        let by_file = || {
            let reason = "it was there when this weir started".to_owned();
            open_left(&search.file_path(), LivePlace::File { reason }, search)
        };
        by_tmpfs().or_else(by_file)
    }

    /// A new one, free slots only, in the place of whatever had its name; nobody's until
    /// [`Live::vouch`].
    pub(super) fn make(search: &Search<'_>) -> Result<Self, LedgerError> {
        let (tmpfs, file) = (search.tmpfs_path(), search.file_path());
        let reason = match search.choice {
            LiveTable::File => "live_table = \"file\"".to_owned(),
            LiveTable::Auto | LiveTable::Tmpfs => match make_on_tmpfs(&tmpfs, search) {
                Ok(live) => {
                    // What a process before this had there is of no use any more.
                    let _ = remove_left(&file);
                    return Ok(live);
                }
                Err(source) if search.choice == LiveTable::Tmpfs => {
                    let bytes = search.bytes();
                    return Err(LedgerError::NoRoom { path: tmpfs, bytes, source });
                }
                Err(error) => format!("{}: {error}", search.shared_memory.display()),
            },
        };
        // Of no use any more, unless it is somebody else's.
        let _ = remove_left(&tmpfs);
        let bytes = search.bytes();
        let no_room = |source| LedgerError::NoRoom { path: file.clone(), bytes, source };
        make_at(&file, LivePlace::File { reason }, search).map_err(no_room)
    }

    pub(super) const fn place(&self) -> &LivePlace {
        &self.place
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Another mapping of the same memory.
    pub(super) fn map(&self) -> Result<MmapRaw, LedgerError> {
        map(&self.file).map_err(|source| LedgerError::io("map", &self.path, source))
    }

    /// Says which header of `counters` is written next, or was written last.
    pub(super) fn announce(&self, generation: u64) {
        // Release: it stands in the page before the header is written. Nobody reads it while this
        // process lives; a kill keeps the page as it is.
        self.field(GENERATION_AT).store(generation.to_le(), Ordering::Release);
    }

    /// Says which header was the last that the disk acknowledged.
    pub(super) fn acknowledge(&self, generation: u64) {
        // Release: as above, after the sync.
        self.field(ACKNOWLEDGED_AT).store(generation.to_le(), Ordering::Release);
    }

    /// Which that was, by what the last process said. Later ones may be in the page cache only,
    /// where a sync that failed leaves them looking like any other.
    pub(super) fn acknowledged(&self) -> u64 {
        u64::from_le(self.field(ACKNOWLEDGED_AT).load(Ordering::Acquire))
    }

    fn field(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at + 8 <= PAGE_BYTES);
        // SAFETY: the header's page is within the map, which lives as long as `self`; the field is
        // aligned, and nobody in this process makes another kind of reference to it.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast::<u64>()) }
    }

    /// Lets a successor lock it.
    pub(super) fn unlock(&self) -> Result<(), LedgerError> {
        self.file.unlock().map_err(|source| LedgerError::io("unlock", &self.path, source))
    }

    /// Locks it again, after [`Live::unlock`].
    pub(super) fn lock(&self) -> Result<(), LedgerError> {
        self.file.lock().map_err(|source| LedgerError::io("lock", &self.path, source))
    }

    /// Takes its name away: what it counted is in `counters`.
    pub(super) fn remove(&self) -> Result<(), LedgerError> {
        match fs::remove_file(&self.path) {
            // Somebody was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(|source| LedgerError::io("remove", &self.path, source)),
        }
    }

    /// Lets later processes take it up, from now on: it has all that `counters` has, of which
    /// `header` is the newest. One that was left behind before is as empty as it was made.
    pub(super) fn vouch(&self, boot_id: &BootId, header: &Header) -> Result<(), LedgerError> {
        let written = self.file.write_all_at(&encode(boot_id, header), 0);
        written.map_err(|source| LedgerError::io("write", &self.path, source))
    }
}

impl Search<'_> {
    fn tmpfs_path(&self) -> PathBuf {
        tmpfs_path(self.shared_memory, &self.header.identity)
    }

    fn file_path(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    fn bytes(&self) -> u64 {
        usize::try_from(self.header.slots).ok().and_then(live_bytes).unwrap_or(u64::MAX)
    }
}

/// Where the live table of a ledger is on tmpfs.
pub(super) fn tmpfs_path(shared_memory: &Path, identity: &Identity) -> PathBuf {
    shared_memory.join(format!("weir-{:032x}", u128::from_be_bytes(*identity)))
}

/// The size of a live table; `None` when it does not fit memory.
pub(super) fn live_bytes(slots: usize) -> Option<u64> {
    let bytes = table_bytes(slots)?.checked_add(PAGE_BYTES)?;
    i64::try_from(bytes).ok().map(i64::unsigned_abs)
}

/// What a file that is to be the live table says of itself, without its owner and lock.
pub(super) fn encode(boot_id: &BootId, header: &Header) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &MAGIC);
    put(8, &layout().to_le_bytes());
    put(16, &header.slots.to_le_bytes());
    put(24, boot_id);
    put(40, &header.identity);
    put(GENERATION_AT, &header.generation.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..CRC_AT]);
    bytes[CRC_AT + 8..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Whether a table that was left behind is this ledger's, of this boot and of no other time.
fn agrees(found: &[u8; HEADER_BYTES], boot_id: &BootId, header: &Header) -> bool {
    let mut generation = [0; 8];
    generation.copy_from_slice(&found[GENERATION_AT..GENERATION_AT + 8]);
    let generation = u64::from_le_bytes(generation);
    // The table's is written first; a kill may come in between.
    let same_time = [generation, generation.wrapping_sub(1)].contains(&header.generation);
    let expected = encode(boot_id, &Header { generation, ..*header });
    same_time && *found == expected
}

/// Whether there is one that [`Live::find`] would take up, now or when nobody uses it any more.
pub(super) fn is_left(search: &Search<'_>) -> bool {
    let paths = [search.tmpfs_path(), search.file_path()];
    paths.iter().any(|path| look_at(path, search).is_some_and(|file| fits(&file, search)))
}

fn open_left(path: &Path, place: LivePlace, search: &Search<'_>) -> Option<Live> {
    let file = look_at(path, search)?;
    // Looked into under the lock only: until then another may change it.
    if file.try_lock().is_err() || !fits(&file, search) {
        return None;
    }
    let map = map(&file).ok()?;
    Some(Live { path: path.to_owned(), place, file, map })
}

/// The file, if it is this user's alone and as large as it should be.
fn look_at(path: &Path, search: &Search<'_>) -> Option<File> {
    let file = safely().open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_ours = metadata.is_file()
        && metadata.uid() == os::user()
        && metadata.mode() & 0o077 == 0
        && metadata.nlink() == 1
        && metadata.len() == search.bytes();
    is_ours.then_some(file)
}

fn fits(file: &File, search: &Search<'_>) -> bool {
    let mut found = [0; HEADER_BYTES];
    let read = file.read_exact_at(&mut found, 0);
    read.is_ok() && agrees(&found, &search.boot_id, search.header)
}

fn make_on_tmpfs(path: &Path, search: &Search<'_>) -> io::Result<Live> {
    let (kind, free) = super::room::of(search.shared_memory)?;
    if kind != TMPFS {
        return Err(io::Error::other("is no tmpfs"));
    }
    let bytes = search.bytes();
    if free < bytes {
        return Err(io::Error::other(format!("{free} bytes are free, {bytes} are needed")));
    }
    make_at(path, LivePlace::Tmpfs, search)
}

fn make_at(path: &Path, place: LivePlace, search: &Search<'_>) -> io::Result<Live> {
    remove_left(path)?;
    let file = safely().create_new(true).open(path)?;
    let made = fill(&file, search);
    if made.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(path);
    }
    Ok(Live { path: path.to_owned(), place, map: made?, file })
}

/// Takes away what has the name, unless somebody uses it.
fn remove_left(path: &Path) -> io::Result<()> {
    if let Ok(left) = safely().open(path)
        && left.metadata()?.is_file()
        && left.try_lock().is_err()
    {
        return Err(io::Error::other(
            "another weir uses the live table of a copy of this ledger's folder",
        ));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Allocates every page now: a write to a mapped hole without room is a SIGBUS.
fn fill(file: &File, search: &Search<'_>) -> io::Result<MmapRaw> {
    file.try_lock().map_err(io::Error::from)?;
    reserve(file, search.bytes())?;
    map(file)
}

fn map(file: &File) -> io::Result<MmapRaw> {
    MmapOptions::new().map_raw(file)
}

/// For the owner only; never through a link, and never waiting for a pipe.
fn safely() -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    options.read(true).write(true).mode(0o600).custom_flags(flags);
    options
}
