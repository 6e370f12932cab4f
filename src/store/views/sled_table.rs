//! Views in sled 0.34: one tree, so that one batch is atomic. Nothing that is promised rests on it.

use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::{self, Builder, available_parallelism};

use super::{Change, Entry, OWN, Origin, Scan, Table, ViewError};
use crate::limits;
use crate::store::engine::panic_text;
use crate::store::journal::Position;

const APPLIED: [u8; 2] = [OWN, b'a'];
const ORIGIN: [u8; 2] = [OWN, b'o'];

/// A table in a sled database in a folder of its own. A folder that cannot be read is moved aside
/// (one old copy is kept) and the table begins empty.
#[derive(Debug)]
pub struct SledTable {
    folder: PathBuf,
    open: RwLock<Option<sled::Db>>,
    /// The sum that stands beside the position; see [`checked`].
    sum: Mutex<u64>,
    /// Why the folder was moved aside at open, to be told once.
    doubt: Mutex<Option<ViewError>>,
}

impl SledTable {
    /// Opens the database in `folder`, or an empty one in its place.
    pub fn open(folder: &Path) -> Result<Self, ViewError> {
        let table = Self {
            folder: folder.to_owned(),
            open: RwLock::new(None),
            sum: Mutex::new(0),
            doubt: Mutex::new(None),
        };
        match open_database(folder).and_then(|db| checked(&db).map(|sum| (db, sum))) {
            Ok((db, sum)) => {
                *table.open.write().unwrap_or_else(PoisonError::into_inner) = Some(db);
                *table.sum.lock().unwrap_or_else(PoisonError::into_inner) = sum;
            }
            Err(error) => {
                table.start_over()?;
                *table.doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
        Ok(table)
    }

    /// Why the database that was found had to be moved aside; told once.
    pub fn take_doubt(&self) -> Option<ViewError> {
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Moves what there is aside and begins with an empty database.
    fn start_over(&self) -> Result<(), ViewError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        drop(open.take());
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        let old = self.folder.with_extension("old");
        let folder = |doing| move |source| ViewError::Folder { doing, source };
        present(fs::remove_dir_all(&old)).map_err(folder("removing an older copy of the views"))?;
        present(fs::rename(&self.folder, &old)).map_err(folder("moving the views aside"))?;
        *open = Some(open_database(&self.folder)?);
        Ok(())
    }

    fn with<T>(&self, run: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, ViewError> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let db = open.as_ref().ok_or(ViewError::Closed)?;
        guarded(|| run(db))
    }
}

impl Table for SledTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.with(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, ViewError> {
        let Some(bounds) = scan.bounds() else { return Ok(Vec::new()) };
        self.with(|db| {
            let found = db.range(bounds);
            let own = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
                entry.map(|(key, value)| (key.to_vec(), value.to_vec()))
            };
            if scan.reverse {
                found.rev().take(scan.limit).map(own).collect()
            } else {
                found.take(scan.limit).map(own).collect()
            }
        })
    }

    fn apply(&self, changes: &[Change], applied: Position) -> Result<(), ViewError> {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = self.with(|db| {
            let mut batch = sled::Batch::default();
            let mut next = *sum;
            for Change { key, value, is_new } in changes {
                let before = if *is_new { None } else { db.get(key)? };
                if let Some(before) = before {
                    next = next.wrapping_sub(entry_sum(key, &before));
                }
                match value {
                    Some(value) => {
                        next = next.wrapping_add(entry_sum(key, value));
                        batch.insert(key.as_slice(), value.as_slice());
                    }
                    None => batch.remove(key.as_slice()),
                }
            }
            batch.insert(
                APPLIED.as_slice(),
                [applied.to_bytes().as_slice(), next.to_be_bytes().as_slice()].concat(),
            );
            db.apply_batch(batch)?;
            Ok(next)
        })?;
        Ok(())
    }

    fn renew(&self, origin: &Origin) -> Result<(), ViewError> {
        // One that is closed could not be begun last time, on a full disk for example.
        if !self.with(|db| Ok(db.is_empty())).unwrap_or(false) {
            self.start_over()?;
        }
        let origin = serde_json::to_vec(origin).unwrap_or_default();
        self.with(|db| db.insert(ORIGIN, origin).map(drop))
    }

    fn standing(&self) -> Result<Option<(Origin, Option<Position>)>, ViewError> {
        let (origin, applied) = self.with(|db| Ok((db.get(ORIGIN)?, db.get(APPLIED)?)))?;
        let origin = origin.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let applied = applied.and_then(|bytes| Some(split(&bytes)?.0));
        Ok(origin.map(|origin| (origin, applied)))
    }

    fn flush(&self) -> Result<(), ViewError> {
        self.with(|db| db.flush().map(drop))?;
        // sled's flush does not sync its file.
        File::open(self.folder.join("db"))
            .and_then(|file| file.sync_all())
            .map_err(|source| ViewError::Folder { doing: "syncing the views", source })
    }

    fn close(&self) {
        drop(self.open.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

fn open_database(folder: &Path) -> Result<sled::Db, ViewError> {
    guarded(|| {
        sled::Config::new()
            .path(folder)
            .cache_capacity(limits::VIEW_CACHE_BYTES)
            .flush_every_ms(Some(500))
            .mode(sled::Mode::HighThroughput)
            .open()
    })
}

/// Reads every entry and compares their sum with the one that was written with the last change:
/// sled drops what it cannot read of a damaged file without a word. Gives the sum. It is most of what
/// a start takes, so that every core does its part: one kind of entries after another.
fn checked(db: &sled::Db) -> Result<u64, ViewError> {
    let wanted = guarded(|| Ok(db.get(APPLIED)?.and_then(|bytes| Some(split(&bytes)?.1))))?;
    let next = AtomicU16::new(u16::from(OWN) + 1);
    let part = || {
        guarded(|| {
            let mut found: u64 = 0;
            while let Ok(kind) = u8::try_from(next.fetch_add(1, Ordering::Relaxed)) {
                for entry in db.scan_prefix([kind]) {
                    let (key, value) = entry?;
                    found = found.wrapping_add(entry_sum(&key, &value));
                }
            }
            Ok(found)
        })
    };
    let cores = available_parallelism().map_or(1, NonZero::get);
    let found = thread::scope(|scope| {
        // Where the system gives no more threads, those that are there do all of it.
        let helping: Vec<_> = (1..cores.min(limits::VIEW_CHECKERS_MAX))
            .map_while(|_| Builder::new().spawn_scoped(scope, part).ok())
            .collect();
        let own = part()?;
        helping.into_iter().try_fold(own, |found, helper| {
            let ended = helper.join();
            let part = ended.map_err(|panic| ViewError::Panicked(panic_text(panic.as_ref())))??;
            Ok::<_, ViewError>(found.wrapping_add(part))
        })
    })?;
    if wanted.unwrap_or(0) == found { Ok(found) } else { Err(ViewError::Incomplete) }
}

/// The position and the sum of entries that were written with a change.
fn split(bytes: &[u8]) -> Option<(Position, u64)> {
    let (position, sum) = bytes.split_at_checked(Position::BYTES)?;
    Some((Position::from_bytes(position)?, u64::from_be_bytes(sum.try_into().ok()?)))
}

/// One entry's part of the sum of all, which does not depend on their order. It is there to find
/// what a disk did, not what a person did.
fn entry_sum(key: &[u8], value: &[u8]) -> u64 {
    let length = u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&length), key), value);
    // Spread over 64 bits (the finish of splitmix64), so that a sum of many stays a good one.
    let mut mixed = u64::from(crc).wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// sled panics over some damage instead of saying so.
fn guarded<T>(run: impl FnOnce() -> sled::Result<T>) -> Result<T, ViewError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ViewError::Database(error)),
        Err(panic) => Err(ViewError::Panicked(panic_text(panic.as_ref()))),
    }
}

/// A thing that is not there need not be moved.
fn present(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As where the disk was full when it was to begin anew.
    #[test]
    fn what_could_not_be_begun_is_begun_later_without_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let table = SledTable::open(&dir.path().join("views")).unwrap();
        table.close();
        assert!(matches!(table.get(b"k"), Err(ViewError::Closed)));
        let origin = Origin { journal: [1; 16], layout: 1, boot: "boot".to_owned() };
        table.renew(&origin).unwrap();
        assert_eq!(table.get(b"k").unwrap(), None);
        assert_eq!(table.standing().unwrap(), Some((origin, None)));
    }

    #[test]
    fn an_entry_that_is_gone_is_missed_whatever_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("views");
        for lost in [1, b'c', b'z', 255] {
            let table = SledTable::open(&folder).unwrap();
            table.renew(&Origin { journal: [1; 16], layout: 1, boot: String::new() }).unwrap();
            let changes = [1, b'a', b'c', b'z', 255].map(|kind| Change {
                key: vec![kind, 7],
                value: Some(vec![kind; 9]),
                is_new: kind > b'a',
            });
            table.apply(&changes, Position { segment: 1, offset: 0, seq: 1 }).unwrap();
            table.close();
            drop(table);
            let whole = SledTable::open(&folder).unwrap();
            assert!(whole.take_doubt().is_none(), "it is whole");
            whole.with(|db| db.remove([lost, 7])).unwrap();
            whole.close();
            drop(whole);
            let table = SledTable::open(&folder).unwrap();
            assert!(matches!(table.take_doubt(), Some(ViewError::Incomplete)), "{lost}");
        }
    }
}
