//! Views in sled 0.34: one tree, so that one batch is atomic. Nothing that is promised rests on it.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use super::{Change, Entry, OWN, Origin, Scan, Table, ViewError};
use crate::limits;
use crate::store::journal::Position;

const APPLIED: [u8; 2] = [OWN, b'a'];
const ORIGIN: [u8; 2] = [OWN, b'o'];

/// A table in a sled database in a folder of its own. A folder that cannot be read is moved aside
/// (one old copy is kept) and the table begins empty.
#[derive(Debug)]
pub struct SledTable {
    folder: PathBuf,
    open: RwLock<Option<sled::Db>>,
    /// Why the folder was moved aside at open, to be told once.
    doubt: Mutex<Option<ViewError>>,
}

impl SledTable {
    /// Opens the database in `folder`, or an empty one in its place.
    pub fn open(folder: &Path) -> Result<Self, ViewError> {
        let table =
            Self { folder: folder.to_owned(), open: RwLock::new(None), doubt: Mutex::new(None) };
        match open_database(folder).and_then(|db| checked(&db).map(|()| db)) {
            Ok(db) => *table.open.write().unwrap_or_else(PoisonError::into_inner) = Some(db),
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
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        batch.insert(&APPLIED, &applied.to_bytes());
        self.with(|db| db.apply_batch(batch))
    }

    fn renew(&self, origin: &Origin) -> Result<(), ViewError> {
        if self.with(|db| Ok(!db.is_empty()))? {
            self.start_over()?;
        }
        let origin = serde_json::to_vec(origin).unwrap_or_default();
        self.with(|db| db.insert(ORIGIN, origin).map(drop))
    }

    fn standing(&self) -> Result<Option<(Origin, Option<Position>)>, ViewError> {
        let (origin, applied) = self.with(|db| Ok((db.get(ORIGIN)?, db.get(APPLIED)?)))?;
        let origin = origin.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let applied = applied.and_then(|bytes| Position::from_bytes(&bytes));
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

/// Reads the first and the last entry, which a damaged tree often cannot give.
fn checked(db: &sled::Db) -> Result<(), ViewError> {
    guarded(|| db.first().and(db.last()).map(drop))
}

/// sled panics over some damage instead of saying so.
fn guarded<T>(run: impl FnOnce() -> sled::Result<T>) -> Result<T, ViewError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ViewError::Database(error)),
        Err(panic) => Err(ViewError::Panicked(crate::store::engine::panic_text(panic.as_ref()))),
    }
}

/// A thing that is not there need not be moved.
fn present(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
