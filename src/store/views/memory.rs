//! Views in memory, for tests and simulation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::{Change, Entry, Origin, Scan, Table, ViewError};
use crate::store::journal::Position;

/// A table in memory.
#[derive(Debug, Default)]
pub struct MemoryTable {
    content: RwLock<Content>,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Content {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    origin: Option<Origin>,
    applied: Option<Position>,
}

impl MemoryTable {
    /// Whether every call from now on fails, as on a broken database.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn usable(&self) -> Result<(), ViewError> {
        if self.failing.load(Ordering::SeqCst) { Err(ViewError::Closed) } else { Ok(()) }
    }
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.usable()?;
        Ok(self.content.read().unwrap_or_else(PoisonError::into_inner).entries.get(key).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, ViewError> {
        self.usable()?;
        let Some(bounds) = scan.bounds() else { return Ok(Vec::new()) };
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let found = content.entries.range(bounds).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if scan.reverse {
            found.rev().take(scan.limit).collect()
        } else {
            found.take(scan.limit).collect()
        })
    }

    fn apply(&self, changes: &[Change], applied: Position) -> Result<(), ViewError> {
        self.usable()?;
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        for Change { key, value, is_new } in changes {
            debug_assert!(!is_new || !content.entries.contains_key(key), "it is not new: {key:?}");
            match value {
                Some(value) => content.entries.insert(key.clone(), value.clone()),
                None => content.entries.remove(key),
            };
        }
        content.applied = Some(applied);
        Ok(())
    }

    fn renew(&self, origin: &Origin) -> Result<(), ViewError> {
        self.usable()?;
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        *content = Content { origin: Some(origin.clone()), ..Content::default() };
        Ok(())
    }

    fn standing(&self) -> Result<Option<(Origin, Option<Position>)>, ViewError> {
        self.usable()?;
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        Ok(content.origin.clone().map(|origin| (origin, content.applied)))
    }

    fn flush(&self) -> Result<(), ViewError> {
        self.usable()
    }

    /// Keeps its content, so that it can be opened again.
    fn close(&self) {}
}
