//! Reading cases: state and lists from the views, content from the journal.

use serde::de::DeserializeOwned;

use crate::complaint::case::Case;
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::limits;
use crate::store::blobs::BlobError;
use crate::store::engine::{StoreError, Transaction};
use crate::store::journal::{Position, ReadError};
use crate::store::views::{Entry, Scan, ViewError};

use super::fold::row::Row;
use super::record::{FormError, Item, Payload, Record, RecordError, StoreRecord};
use super::{Cases, fold, key};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The views did not answer.
    #[error("the views cannot be read")]
    Views(#[from] ViewError),
    /// A record of the journal is damaged or missing.
    #[error("record {seq} cannot be read")]
    Record {
        seq: u64,
        #[source]
        source: ReadError,
    },
    /// A record is asked for that is not one of the case's.
    #[error("record {0} is not one of the case's")]
    NotOfCase(u64),
    /// A record is none that this program can read.
    #[error("record {seq} cannot be understood")]
    Unknown {
        seq: u64,
        #[source]
        source: RecordError,
    },
    /// A stored value has another form than this program knows.
    #[error("a stored value has another form than expected")]
    Form(#[source] FormError),
}

/// A record of a case and its journal number.
pub type Numbered = (u64, Result<Record, QueryError>);

impl Cases {
    /// A case by 1177's id.
    pub fn case(&self, id: &Ii) -> Result<Option<Case>, QueryError> {
        self.case_at(&key::case(id))
    }

    /// A case by its [`key::case`].
    pub(super) fn case_at(&self, key: &[u8]) -> Result<Option<Case>, QueryError> {
        Ok(self.row_at(key)?.map(|row| row.case))
    }

    fn row_at(&self, key: &[u8]) -> Result<Option<Row>, QueryError> {
        Row::get(key, |key| self.engine.get(key))?.map_err(QueryError::Form)
    }

    /// Where the records of a case stand, the first one first.
    pub(super) fn positions(&self, id: &Ii) -> Result<Vec<Position>, QueryError> {
        let rows = self.rows(&key::events(id), usize::MAX)?;
        let later = rows.iter().filter_map(|(_, position)| Position::from_bytes(position));
        let first = self.row_at(&key::case(id))?.map(|row| row.began);
        Ok(first.into_iter().chain(later).collect())
    }

    /// Removes the files that no record names and that are older than [`limits::ORPHAN_AGE_MIN`]: of
    /// messages that were refused, of forms that were never sent. Gives how many. With damage in the
    /// journal nothing is removed, since what it named cannot be told.
    ///
    /// # Errors
    /// When the folder of the files cannot be read or changed.
    pub fn sweep_files(&self) -> Result<u64, BlobError> {
        if self.engine.health().damage > 0 {
            return Ok(0);
        }
        // What cannot be told is taken for named.
        let is_orphan = |file: &str| matches!(self.engine.get(&key::file(file)), Ok(None));
        self.blobs.sweep(|file| !is_orphan(file), limits::ORPHAN_AGE_MIN, self.clock.now())
    }

    /// Whether a message of this sender has been accepted under this id.
    pub fn has_received(&self, sender: &HsaId, id: &Ii) -> Result<bool, QueryError> {
        Ok(self.engine.get(&key::message(sender, id))?.is_some())
    }

    /// A case by the number a person quotes, in any form they give it.
    pub fn by_number(&self, number: &str) -> Result<Option<Case>, QueryError> {
        let Some(number) = RegistrationNumber::parse(number) else { return Ok(None) };
        match self.view::<Ii>(&key::number(&number))? {
            Some(id) => self.case(&id),
            None => Ok(None),
        }
    }

    /// At most `limit` cases, oldest first; of one unit when one is named, its open ones first.
    pub fn list(&self, unit: Option<&HsaId>, limit: usize) -> Result<Vec<Case>, QueryError> {
        let mut cases = Vec::new();
        let Some(unit) = unit else {
            self.each(&mut |case| {
                let wanted = cases.len() < limit;
                cases.extend(wanted.then_some(case));
                wanted
            })?;
            return Ok(cases);
        };
        for prefix in [key::unit_prefix(unit, false), key::unit_prefix(unit, true)] {
            for (row, _) in self.rows(&prefix, limit.saturating_sub(cases.len()))? {
                // Behind the prefix: eight bytes of time, then the key of the case.
                cases.extend(self.case_at(&key::case_behind(&row, prefix.len() + 8))?);
            }
        }
        Ok(cases)
    }

    /// Hands every case to `visit`, oldest first, a page of the list at a time, as long as it wants
    /// more.
    fn each(&self, visit: &mut dyn FnMut(Case) -> bool) -> Result<(), QueryError> {
        let mut scan = Scan::prefix(key::numbers());
        loop {
            let page = self.engine.scan(&scan)?;
            for (_, id) in &page {
                // A case that was removed has its number still.
                if let Some(case) = self.case(&of_json(id)?)?
                    && !visit(case)
                {
                    return Ok(());
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { return Ok(()) };
            scan = scan.after(last);
        }
    }

    /// A case as it stood after its record `seq`; `None` where that is before its first.
    pub fn case_as_of(&self, id: &Ii, seq: u64) -> Result<Option<Case>, QueryError> {
        let mut case: Option<Case> = None;
        let positions = self.positions(id)?;
        for position in positions.into_iter().take_while(|it| it.seq <= seq) {
            let record = self.read_record(position)?;
            match &mut case {
                Some(case) => case.fold(position.seq, record.at, &record.event),
                None => {
                    let (at, generation) = (record.at, &record.generation);
                    case = Case::begin(id, position.seq, at, generation, &record.event);
                }
            }
        }
        Ok(case)
    }

    /// Hands every open case to `visit`, oldest first.
    pub fn each_open(&self, visit: &mut dyn FnMut(Case)) -> Result<(), QueryError> {
        self.each(&mut |case| {
            if case.closed.is_none() {
                visit(case);
            }
            true
        })
    }

    /// All records of a case in order, with their journal numbers. A record that is damaged is an
    /// error of its own place; the rest is given.
    pub fn records(&self, id: &Ii) -> Result<Vec<Numbered>, QueryError> {
        let mut records = Vec::new();
        for position in self.positions(id)? {
            records.push((position.seq, self.read_record(position)));
        }
        Ok(records)
    }

    /// One record of a case by its journal number.
    pub fn record(&self, id: &Ii, seq: u64) -> Result<Record, QueryError> {
        let position = self.engine.get(&key::event(id, seq))?;
        let position = match position.as_deref().and_then(Position::from_bytes) {
            Some(later) => Some(later),
            None => self.row_at(&key::case(id))?.map(|row| row.began).filter(|it| it.seq == seq),
        };
        let position = position.ok_or(QueryError::NotOfCase(seq))?;
        self.read_record(position)
    }

    /// The outgoing messages of a case, in the order they were owed.
    pub fn items_of(&self, id: &Ii) -> Result<Vec<Item>, QueryError> {
        let mut items = Vec::new();
        for (seq, record) in self.records(id)? {
            for (n, _) in (0u16..).zip(record.map(|record| record.owed).unwrap_or_default()) {
                let item = crate::complaint::event::ItemId { seq, n };
                items.extend(self.view::<Item>(&key::item(item))?);
            }
        }
        Ok(items)
    }

    /// How many cases there are.
    pub fn count(&self) -> Result<u64, QueryError> {
        Ok(self.counter("cases", "")?.unsigned_abs())
    }

    pub(super) fn counter(&self, of: &str, state: &str) -> Result<i64, QueryError> {
        let bytes = self.engine.get(&key::count(of, state))?;
        Ok(bytes.as_deref().map_or(0, fold::number))
    }

    pub(super) fn view<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, QueryError> {
        let bytes = self.engine.get(key)?;
        bytes.map(|bytes| of_json(&bytes)).transpose()
    }

    pub(super) fn rows(&self, prefix: &[u8], limit: usize) -> Result<Vec<Entry>, QueryError> {
        let mut rows = Vec::new();
        let mut scan = Scan::prefix(prefix);
        loop {
            let wanted = (limit - rows.len()).min(limits::VIEW_SCAN_MAX);
            let page = self.engine.scan(&scan.clone().limit(wanted))?;
            let last = page.last().map(|(key, _)| key.clone());
            let ended = page.len() < wanted;
            rows.extend(page);
            match last {
                Some(last) if !ended && rows.len() < limit => scan = scan.after(last),
                Some(_) | None => return Ok(rows),
            }
        }
    }

    pub(super) fn read_record(&self, position: Position) -> Result<Record, QueryError> {
        let bytes = self
            .engine
            .read(position)
            .map_err(|source| QueryError::Record { seq: position.seq, source })?;
        let read = Payload::read(&bytes);
        let read = read.map_err(|source| QueryError::Unknown { seq: position.seq, source })?;
        let case = read.case(self.keys.as_deref());
        let case = case.map_err(|source| QueryError::Unknown { seq: position.seq, source })?;
        case.ok_or(QueryError::NotOfCase(position.seq))
    }
}

pub(super) fn of_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, QueryError> {
    serde_json::from_slice(bytes).map_err(|error| QueryError::Form(error.into()))
}

/// Why a job could not read or append.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("the store")]
    Store(#[from] StoreError),
    #[error("a stored value has another form than expected")]
    Form(#[from] FormError),
}

/// A case as the writer sees it, with what this batch has done.
pub(super) fn case_in(
    transaction: &mut Transaction<'_>,
    id: &Ii,
) -> Result<Option<Case>, JobError> {
    Ok(row_in(transaction, id)?.map(|row| row.case))
}

/// The same with what only the store knows of it.
pub(super) fn row_in(transaction: &mut Transaction<'_>, id: &Ii) -> Result<Option<Row>, JobError> {
    Ok(Row::get(&key::case(id), |key| transaction.get(key))??)
}

pub(super) fn read_in<T: DeserializeOwned>(
    transaction: &mut Transaction<'_>,
    key: &[u8],
) -> Result<Option<T>, JobError> {
    let bytes = transaction.get(key)?;
    Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(FormError::from)?)
}

/// How many registration numbers are behind us: given, or left out for ever.
pub(super) fn numbers_in(transaction: &mut Transaction<'_>) -> Result<u64, JobError> {
    let mut behind: u64 = 0;
    for of in ["cases", key::NUMBERS_SKIPPED] {
        let bytes = transaction.get(&key::count(of, ""))?;
        let count = bytes.as_deref().map_or(0, fold::number).unsigned_abs();
        behind = behind.saturating_add(count);
    }
    Ok(behind)
}

pub(super) fn append_in(
    transaction: &mut Transaction<'_>,
    record: Record,
) -> Result<Position, JobError> {
    Ok(transaction.append_record(record)?)
}

pub(super) fn append_store_in(
    transaction: &mut Transaction<'_>,
    record: &StoreRecord,
) -> Result<Position, JobError> {
    let bytes = serde_json::to_vec(record).map_err(FormError::from)?;
    Ok(transaction.append(&bytes)?)
}
