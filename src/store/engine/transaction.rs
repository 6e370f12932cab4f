//! What a job and a fold may do: read the views with their own changes in them, and change them.

use std::any::Any;

use jiff::Timestamp;

use super::{Fold, FoldError, Handed, StoreError};
use crate::store::journal::{Journal, Position};
use crate::store::views::{Entry, Overlay, Scan, Table, ViewError};

/// The views as a fold sees and changes them.
#[derive(Debug)]
pub struct ViewWriter<'a> {
    pub(super) overlay: &'a mut Overlay,
    pub(super) table: &'a dyn Table,
}

impl ViewWriter<'_> {
    /// The value of `key`, own changes included.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.overlay.get(self.table, key)
    }

    /// The entries that `scan` covers, own changes included.
    pub fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, ViewError> {
        self.overlay.scan(self.table, scan)
    }

    /// Sets `key`. Keys are 1 to [`crate::limits::VIEW_KEY_BYTES_MAX`] bytes and do not begin with
    /// 0; values are at most [`crate::limits::VIEW_VALUE_BYTES_MAX`] bytes.
    pub fn put(&mut self, key: &[u8], value: impl Into<Vec<u8>>) -> Result<(), ViewError> {
        self.overlay.set(key, Some(value.into()), false)
    }

    /// As [`ViewWriter::put`] of a key that no record before this one has put: the views are spared
    /// looking for it. Where that is not so they are made again at the next start.
    pub fn put_new(&mut self, key: &[u8], value: impl Into<Vec<u8>>) -> Result<(), ViewError> {
        self.overlay.set(key, Some(value.into()), true)
    }

    /// Takes `key` away, if it is there.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), ViewError> {
        self.overlay.set(key, None, false)
    }
}

/// A [`Fold`] without its constant, so that it can stand behind a pointer.
pub(super) trait Apply: Send {
    fn apply(
        &mut self,
        position: Position,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError>;
    fn seal(
        &mut self,
        payload: &[u8],
        views: &ViewWriter<'_>,
    ) -> Result<Option<Vec<u8>>, FoldError>;
    fn write(&mut self, record: Handed, views: &ViewWriter<'_>) -> Result<Vec<u8>, FoldError>;
    fn blind(&self, text: &str) -> String;
}

impl<F: Fold> Apply for F {
    fn apply(
        &mut self,
        position: Position,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError> {
        Fold::apply(self, position.seq, position, payload, views)
    }

    fn seal(
        &mut self,
        payload: &[u8],
        views: &ViewWriter<'_>,
    ) -> Result<Option<Vec<u8>>, FoldError> {
        Fold::seal(self, payload, views)
    }

    fn write(&mut self, record: Handed, views: &ViewWriter<'_>) -> Result<Vec<u8>, FoldError> {
        Fold::write(self, record, views)
    }

    fn blind(&self, text: &str) -> String {
        Fold::blind(self, text)
    }
}

/// One job's hold on the store: everything before it is visible, nothing of it is until it ends.
pub struct Transaction<'a> {
    pub(super) journal: &'a mut Journal,
    pub(super) overlay: &'a mut Overlay,
    pub(super) table: &'a dyn Table,
    pub(super) fold: &'a mut dyn Apply,
    pub(super) now: Timestamp,
    /// The first thing that failed: a job that went on all the same is not kept.
    pub(super) failed: Option<String>,
    /// Whether that was the view database, which then cannot be trusted.
    pub(super) views_failed: bool,
}

impl std::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Transaction<'_> {
    /// The time at which the job is run.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The value of `key` in the views, with every record before this moment folded in.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.overlay.get(self.table, key);
        found.map_err(|error| self.failed(error.into()))
    }

    /// The entries of the views that `scan` covers.
    pub fn scan(&mut self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        let found = self.overlay.scan(self.table, scan);
        found.map_err(|error| self.failed(error.into()))
    }

    /// The payload of a record, those of this batch included. A damaged record is the job's to
    /// judge: the store goes on.
    pub fn read(&self, position: Position) -> Result<Vec<u8>, StoreError> {
        match self.journal.staged(position) {
            Some(payload) => Ok(payload.to_vec()),
            None => Ok(self.journal.reader().read(position)?),
        }
    }

    /// Appends a record of at most [`crate::limits::RECORD_BYTES_MAX`] bytes and folds it into the
    /// views that the rest of the job sees. At most [`crate::limits::BATCH_BYTES_MAX`] in one job.
    pub fn append(&mut self, payload: &[u8]) -> Result<Position, StoreError> {
        let views = ViewWriter { overlay: self.overlay, table: self.table };
        match self.fold.seal(payload, &views) {
            Ok(Some(sealed)) => self.stage(&sealed),
            Ok(None) => self.stage(payload),
            Err(source) => Err(self.not_written(source)),
        }
    }

    /// As [`Transaction::append`] of a record that the fold knows, which is spared reading it again.
    pub fn append_record(&mut self, record: impl Any + Send) -> Result<Position, StoreError> {
        let views = ViewWriter { overlay: self.overlay, table: self.table };
        match self.fold.write(Box::new(record), &views) {
            Ok(payload) => self.stage(&payload),
            Err(source) => Err(self.not_written(source)),
        }
    }

    fn not_written(&mut self, source: FoldError) -> StoreError {
        let seq = self.journal.seq().saturating_add(1);
        self.failed(StoreError::Fold { seq, source })
    }

    fn stage(&mut self, payload: &[u8]) -> Result<Position, StoreError> {
        let position = match self.journal.stage(payload) {
            Ok(position) => position,
            Err(error) => return Err(self.failed(error.into())),
        };
        let mut views = ViewWriter { overlay: self.overlay, table: self.table };
        match self.fold.apply(position, payload, &mut views) {
            Ok(()) => Ok(position),
            Err(source) => Err(self.failed(StoreError::Fold { seq: position.seq, source })),
        }
    }

    /// What stands for `text` where what is kept must not tell it; itself, where it may.
    #[must_use]
    pub fn blind(&self, text: &str) -> String {
        self.fold.blind(text)
    }

    fn failed(&mut self, error: StoreError) -> StoreError {
        let view = match &error {
            StoreError::Views(error) | StoreError::Fold { source: FoldError::Views(error), .. } => {
                Some(error)
            }
            StoreError::Fold { source: FoldError::Record(_), .. }
            | StoreError::InUse { .. }
            | StoreError::Folder { .. }
            | StoreError::Journal(_)
            | StoreError::Read(_)
            | StoreError::Keys(_)
            | StoreError::Thread(_) => None,
        };
        self.views_failed |= view.is_some_and(ViewError::is_database);
        self.failed.get_or_insert_with(|| super::chain(&error));
        error
    }
}
