//! What can be done with the journal of a ledger that nobody uses. All but [`verify`] and [`dump`]
//! hold the ledger's lock; those only read.

use std::io::{self, Write};
use std::path::Path;

use weir_protocol::journal::Entry;

use super::recover::{Row, read_row};
use super::{FOLDER, Journal, JournalError, Options, Repair, Report};
use crate::ledger::disk::{Folder, RealFolder, read_all};
use crate::ledger::{LedgerError, files};
use crate::runtime::os;

/// Reads the journal of the ledger in `dir`, and says what is in it.
///
/// # Errors
/// Any [`JournalError`], the first damage among them.
pub fn verify(dir: &Path) -> Result<Report, JournalError> {
    Ok(read(dir, &mut |_| Ok(()))?.report)
}

/// Writes each record of the journal in `dir` as a line of JSON, up to the first damage.
///
/// # Errors
/// Any [`JournalError`]; what `out` says is one that names the standard output.
pub fn dump(dir: &Path, out: &mut dyn Write) -> Result<Report, JournalError> {
    let failed = |source| JournalError::io("write", "the output".into(), source);
    let row = read(dir, &mut |Entry { sequence, record, .. }| {
        let mut line = serde_json::to_value(record).map_err(|e| failed(e.into()))?;
        line["sequence"] = (*sequence).into();
        writeln!(out, "{line}").map_err(failed)
    })?;
    out.flush().map_err(failed)?;
    Ok(row.report)
}

/// Puts a snapshot in the place of the journal's segments.
///
/// # Errors
/// Any [`LedgerError`], and then nothing is lost.
pub fn compact(dir: &Path) -> Result<Report, LedgerError> {
    rewrite(dir, Repair::No)
}

/// Makes a damaged journal usable again, with what comes before the damage. The segments that have
/// the rest are kept, under names that end in `.damaged`.
///
/// # Errors
/// Any [`LedgerError`] that damage is not the reason for.
pub fn repair(dir: &Path) -> Result<Report, LedgerError> {
    rewrite(dir, Repair::Yes)
}

/// Copies the journal of `dir` to the ledger's folder `to`, which has none.
///
/// # Errors
/// Any [`LedgerError`]. A copy of a damaged journal is not made.
pub fn backup(dir: &Path, to: &Path) -> Result<Report, LedgerError> {
    let source = folder_of(dir)?;
    let _lock = files::lock(dir)?;
    Ok(copy(&*source, to)?)
}

impl Journal {
    /// Copies this journal to the ledger's folder `to`, which has none.
    ///
    /// # Errors
    /// Any [`JournalError`].
    pub fn backup(&self, to: &Path) -> Result<Report, JournalError> {
        copy(&*self.folder, to)
    }
}

fn rewrite(dir: &Path, repair: Repair) -> Result<Report, LedgerError> {
    folder_of(dir)?;
    let _lock = files::lock(dir)?;
    let failed = |source| JournalError::io("open", dir.to_owned(), source);
    let ledger = RealFolder::new(dir).map_err(failed)?;
    // Never used: there is a journal.
    let identity = [0; 16];
    let mut journal = Journal::open(&ledger, identity, Options::new(os::now), repair)?;
    journal.compact()?;
    Ok(journal.report())
}

fn read(
    dir: &Path,
    tell: &mut dyn FnMut(&Entry) -> Result<(), JournalError>,
) -> Result<Row, JournalError> {
    read_row(&*folder_of(dir)?, Repair::No, tell)
}

/// The journal's folder; it is not made where there is none.
fn folder_of(dir: &Path) -> Result<Box<dyn Folder>, JournalError> {
    let path = dir.join(FOLDER);
    if !path.is_dir() {
        return Err(JournalError::Missing { path });
    }
    match RealFolder::new(&path) {
        Ok(folder) => Ok(Box::new(folder)),
        Err(source) => Err(JournalError::io("open", path, source)),
    }
}

fn copy(source: &dyn Folder, to: &Path) -> Result<Report, JournalError> {
    let row = read_row(source, Repair::No, &mut |_| Ok(()))?;
    let path = to.join(FOLDER);
    let copied = RealFolder::new(&path).and_then(|target| {
        if !target.list()?.is_empty() {
            return Ok(false);
        }
        row.names.iter().try_for_each(|name| copy_file(source, &target, name))?;
        target.sync()?;
        RealFolder::new(to)?.sync()?;
        Ok(true)
    });
    match copied {
        Ok(true) => Ok(read_row(
            &RealFolder::new(&path).map_err(|e| JournalError::io("open", path, e))?,
            Repair::No,
            &mut |_| Ok(()),
        )?
        .report),
        Ok(false) => Err(JournalError::Exists { path }),
        Err(source) => Err(JournalError::io("copy to", path, source)),
    }
}

fn copy_file(source: &dyn Folder, target: &dyn Folder, name: &str) -> io::Result<()> {
    let bytes = read_all(&*source.open(name)?)?;
    let copy = target.create(name)?;
    copy.allocate(bytes.len() as u64)?;
    copy.write_at(&bytes, 0)?;
    copy.sync()
}
