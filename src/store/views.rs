//! Views: what the records add up to, in ordered keys. Disposable: made again from the journal.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits;
use crate::store::journal::Position;

mod memory;
mod sled_table;

pub use memory::MemoryTable;
pub use sled_table::SledTable;

/// One key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What is to become of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// Its value; `None` takes it away.
    pub value: Option<Vec<u8>>,
    /// It is known not to be there: the table need not look.
    pub is_new: bool,
}

/// From one key to another.
pub(super) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Keys that begin with this byte are the store's own.
pub(super) const OWN: u8 = 0;

/// What a scan is to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    pub(super) prefix: Vec<u8>,
    pub(super) from: Bound<Vec<u8>>,
    pub(super) limit: usize,
    pub(super) reverse: bool,
}

impl Scan {
    /// All keys that begin with `prefix`, in order, at most [`limits::VIEW_SCAN_MAX`].
    #[must_use]
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let (from, limit) = (Bound::Unbounded, limits::VIEW_SCAN_MAX);
        Self { prefix: prefix.into(), from, limit, reverse: false }
    }

    /// Begins at `key` itself; reversed, `key` is the greatest given.
    #[must_use]
    pub fn from(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.from = Bound::Included(key.into());
        self
    }

    /// Begins after `key`, in the direction of the scan: the way to the next page.
    #[must_use]
    pub fn after(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.from = Bound::Excluded(key.into());
        self
    }

    /// At most this many entries, and never more than [`limits::VIEW_SCAN_MAX`].
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(limits::VIEW_SCAN_MAX);
        self
    }

    /// The greatest key first.
    #[must_use]
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// The keys that the scan covers; `None` where there can be none.
    pub(super) fn bounds(&self) -> Option<KeyRange> {
        let low = Bound::Included(self.prefix.clone());
        let high = successor(&self.prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let from = self.from.clone();
        let (low, high) = match (&from, self.reverse) {
            (Bound::Unbounded, _) => (low, high),
            (Bound::Included(key) | Bound::Excluded(key), false) => {
                (if *key < self.prefix { low } else { from }, high)
            }
            (Bound::Included(key) | Bound::Excluded(key), true) => {
                let beyond = match &high {
                    Bound::Excluded(end) | Bound::Included(end) => key >= end,
                    Bound::Unbounded => false,
                };
                (low, if beyond { high } else { from })
            }
        };
        (!is_empty(&low, &high)).then_some((low, high))
    }
}

/// Whether no key can lie between; such a range makes `BTreeMap::range` panic.
fn is_empty(low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

/// The smallest key greater than every key with this prefix.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if let Some(greater) = last.checked_add(1) {
            next.push(greater);
            return Some(next);
        }
    }
    None
}

/// Why a view cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The views lag behind what has been acknowledged, and must not answer.
    #[error("the views are behind the journal for the moment")]
    Behind,
    /// The database said no.
    #[error("the view database failed")]
    Database(#[source] sled::Error),
    /// The database is not open.
    #[error("the view database is closed")]
    Closed,
    /// A key outside of its bounds.
    #[error(
        "a view key of {found} bytes, taken are 1 to {} that do not begin with 0",
        limits::VIEW_KEY_BYTES_MAX
    )]
    Key {
        /// Bytes of the key.
        found: usize,
    },
    /// A value outside of its bounds.
    #[error(
        "a view value of {found} bytes, at most {} are taken; keep its position instead",
        limits::VIEW_VALUE_BYTES_MAX
    )]
    Value {
        /// Bytes of the value.
        found: usize,
    },
    /// The database has lost entries.
    #[error("the view database does not hold what was written to it")]
    Incomplete,
    /// The database panicked.
    #[error("the view database gave up: {0}")]
    Panicked(String),
    /// The folder could not be moved or made.
    #[error("{doing}")]
    Folder {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        #[source]
        source: std::io::Error,
    },
}

impl ViewError {
    /// Whether the database itself failed, and not what was asked of it.
    pub(super) fn is_database(&self) -> bool {
        match self {
            Self::Database(_)
            | Self::Closed
            | Self::Incomplete
            | Self::Panicked(_)
            | Self::Folder { .. } => true,
            Self::Behind | Self::Key { .. } | Self::Value { .. } => false,
        }
    }
}

/// What a table was made from; another origin means that it is made again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The journal.
    pub journal: [u8; 16],
    /// [`crate::store::engine::Fold::layout`] of the fold that made it.
    pub layout: u32,
    /// The machine's boot: after another one nothing unsynced can be trusted.
    pub boot: String,
}

/// An ordered table of keys and values that changes in atomic steps.
pub trait Table: Send + Sync + fmt::Debug {
    /// The value of `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;
    /// The entries that `scan` covers, in its order.
    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, ViewError>;
    /// Makes all changes at once, together with the position that they bring the table to.
    fn apply(&self, changes: &[Change], applied: Position) -> Result<(), ViewError>;
    /// Empties the table and notes what it is made from.
    fn renew(&self, origin: &Origin) -> Result<(), ViewError>;
    /// What the table was made from and where it stands; `None` where nothing is known.
    fn standing(&self) -> Result<Option<(Origin, Option<Position>)>, ViewError>;
    /// Brings everything to disk, as far as this table has one.
    fn flush(&self) -> Result<(), ViewError>;
    /// Lets go of its files; every later call fails.
    fn close(&self);
}

/// What is applied of the views, for any thread to read.
#[derive(Debug, Clone)]
pub struct Views {
    pub(super) table: Arc<dyn Table>,
    pub(super) marks: Arc<Marks>,
}

/// What readers and the writer tell each other.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The table lags behind what has been acknowledged.
    pub(super) behind: AtomicBool,
    /// The database has failed under somebody: it is made again before the next job.
    pub(super) doubted: AtomicBool,
}

impl Views {
    /// The value of `key`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.current()?;
        self.noticed(self.table.get(key))
    }

    /// The entries that `scan` covers, in its order.
    pub fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, ViewError> {
        self.current()?;
        self.noticed(self.table.scan(scan))
    }

    fn current(&self) -> Result<(), ViewError> {
        if self.marks.behind.load(Ordering::Acquire) { Err(ViewError::Behind) } else { Ok(()) }
    }

    fn noticed<T>(&self, result: Result<T, ViewError>) -> Result<T, ViewError> {
        if result.as_ref().is_err_and(ViewError::is_database) {
            self.marks.doubted.store(true, Ordering::Release);
        }
        result
    }
}

/// Changes not yet in the table, laid over it, with a way back.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    changes: BTreeMap<Vec<u8>, Changed>,
    /// What each changed key was before, oldest first.
    undo: Vec<Undo>,
}

/// A [`Change`] without its key.
#[derive(Debug)]
struct Changed {
    value: Option<Vec<u8>>,
    is_new: bool,
}

/// A key, and its change before this one, where there was one.
type Undo = (Vec<u8>, Option<Changed>);

impl Overlay {
    pub(super) fn get(&self, table: &dyn Table, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.value.clone()),
            None => table.get(key),
        }
    }

    pub(super) fn scan(&self, table: &dyn Table, scan: &Scan) -> Result<Vec<Entry>, ViewError> {
        let Some(bounds) = scan.bounds() else { return Ok(Vec::new()) };
        let over: Vec<_> = self.changes.range(bounds).collect();
        if over.is_empty() {
            return table.scan(scan);
        }
        // Each change can hide one entry of the table at most.
        let mut wider = scan.clone();
        wider.limit = scan.limit.saturating_add(over.len());
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = table.scan(&wider)?.into_iter().collect();
        for (key, changed) in over {
            match &changed.value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(if scan.reverse {
            merged.into_iter().rev().take(scan.limit).collect()
        } else {
            merged.into_iter().take(scan.limit).collect()
        })
    }

    /// What becomes of `key`; `is_new` where the table is known not to have it.
    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: Option<Vec<u8>>,
        is_new: bool,
    ) -> Result<(), ViewError> {
        let own = key.first().is_none_or(|first| *first == OWN);
        if own || key.len() > limits::VIEW_KEY_BYTES_MAX {
            return Err(ViewError::Key { found: key.len() });
        }
        if let Some(value) = &value
            && value.len() > limits::VIEW_VALUE_BYTES_MAX
        {
            return Err(ViewError::Value { found: value.len() });
        }
        // What the table has does not change with what lies over it.
        let is_new = self.changes.get(key).map_or(is_new, |before| before.is_new);
        let before = self.changes.insert(key.to_vec(), Changed { value, is_new });
        self.undo.push((key.to_vec(), before));
        Ok(())
    }

    pub(super) fn savepoint(&self) -> usize {
        self.undo.len()
    }

    pub(super) fn roll_back(&mut self, point: usize) {
        while self.undo.len() > point {
            match self.undo.pop() {
                Some((key, Some(before))) => self.changes.insert(key, before),
                Some((key, None)) => self.changes.remove(&key),
                None => return,
            };
        }
    }

    /// There is no way back behind this moment.
    pub(super) fn settle(&mut self) {
        self.undo.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Brings everything into `table`, together with `applied`. After an error it is here still.
    pub(super) fn apply(&mut self, table: &dyn Table, applied: Position) -> Result<(), ViewError> {
        let changes = std::mem::take(&mut self.changes).into_iter();
        let changes: Vec<Change> =
            changes.map(|(key, Changed { value, is_new })| Change { key, value, is_new }).collect();
        if let Err(error) = table.apply(&changes, applied) {
            let changes = changes.into_iter();
            self.changes = changes
                .map(|Change { key, value, is_new }| (key, Changed { value, is_new }))
                .collect();
            return Err(error);
        }
        self.undo.clear();
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.changes.clear();
        self.undo.clear();
    }
}
