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
        self.case_at(key::case(id))
    }

    pub(super) fn case_at(&self, key: Vec<u8>) -> Result<Option<Case>, QueryError> {
        fold::joined(self.engine.scan(&Scan::prefix(key))?).map_err(QueryError::Form)
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
        match self.view::<Ii>(&key::number(number.as_str()))? {
            Some(id) => self.case(&id),
            None => Ok(None),
        }
    }

    /// At most `limit` cases, oldest first; of one unit when one is named, its open ones first.
    pub fn list(&self, unit: Option<&HsaId>, limit: usize) -> Result<Vec<Case>, QueryError> {
        let mut cases = Vec::new();
        let prefixes = match unit {
            Some(unit) => vec![key::unit_prefix(unit, false), key::unit_prefix(unit, true)],
            None => vec![vec![b'a']],
        };
        for prefix in prefixes {
            // Behind the prefix: eight bytes of time, then the key of the case.
            let id_at = prefix.len() + 8;
            for (row, _) in self.rows(&prefix, limit.saturating_sub(cases.len()))? {
                let mut case_key = vec![b'c'];
                case_key.extend_from_slice(row.get(id_at..).unwrap_or_default());
                cases.extend(self.case_at(case_key)?);
            }
        }
        Ok(cases)
    }

    /// A case as it stood after its record `seq`; `None` where that is before its first.
    pub fn case_as_of(&self, id: &Ii, seq: u64) -> Result<Option<Case>, QueryError> {
        let mut case: Option<Case> = None;
        for (_, position) in self.rows(&key::events(id), usize::MAX)? {
            let Some(position) = Position::from_bytes(&position).filter(|it| it.seq <= seq) else {
                break;
            };
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

    /// Hands every open case to `visit`, oldest first, a page of the list at a time.
    pub fn each_open(&self, visit: &mut dyn FnMut(Case)) -> Result<(), QueryError> {
        let mut scan = Scan::prefix(vec![b'a']);
        loop {
            let page = self.engine.scan(&scan)?;
            for (row, _) in &page {
                let mut case_key = vec![b'c'];
                // Behind the prefix: eight bytes of time, then the key of the case.
                case_key.extend_from_slice(row.get(9..).unwrap_or_default());
                if let Some(case) = self.case_at(case_key)?.filter(|case| case.closed.is_none()) {
                    visit(case);
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { return Ok(()) };
            scan = Scan::prefix(vec![b'a']).after(last);
        }
    }

    /// All records of a case in order, with their journal numbers. A record that is damaged is an
    /// error of its own place; the rest is given.
    pub fn records(&self, id: &Ii) -> Result<Vec<Numbered>, QueryError> {
        let mut records = Vec::new();
        for (_, position) in self.rows(&key::events(id), usize::MAX)? {
            if let Some(position) = Position::from_bytes(&position) {
                records.push((position.seq, self.read_record(position)));
            }
        }
        Ok(records)
    }

    /// One record of a case by its journal number.
    pub fn record(&self, id: &Ii, seq: u64) -> Result<Record, QueryError> {
        let position = self.engine.get(&key::event(id, seq))?;
        let position = position.as_deref().and_then(Position::from_bytes);
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
    Ok(fold::joined(transaction.scan(&Scan::prefix(key::case(id)))?)?)
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
    record: &Record,
) -> Result<Position, JobError> {
    let bytes = serde_json::to_vec(record).map_err(FormError::from)?;
    Ok(transaction.append(&bytes)?)
}

pub(super) fn append_store_in(
    transaction: &mut Transaction<'_>,
    record: &StoreRecord,
) -> Result<Position, JobError> {
    let bytes = serde_json::to_vec(record).map_err(FormError::from)?;
    Ok(transaction.append(&bytes)?)
}
