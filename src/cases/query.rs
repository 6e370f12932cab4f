//! Reading cases: state and lists from the views, content from the journal.

use serde::de::DeserializeOwned;

use crate::complaint::case::Case;
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::store::engine::{SubmitError, Transaction};
use crate::store::journal::Position;

use super::record::{Item, Record};
use super::{Cases, fold, key};

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The views did not answer.
    #[error("the views cannot be read: {0}")]
    Views(String),
    /// A record of the journal is damaged or missing.
    #[error("record {seq} cannot be read: {why}")]
    Record { seq: u64, why: String },
    /// A stored value has another form than this program knows.
    #[error("a stored value has another form than expected")]
    Form(#[source] serde_json::Error),
}

impl Cases {
    /// A case by 1177's id.
    pub fn case(&self, id: &Ii) -> Result<Option<Case>, QueryError> {
        self.view(&key::case(id))
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
                cases.extend(self.view::<Case>(&case_key)?);
            }
        }
        Ok(cases)
    }

    /// All records of a case in order, with their journal numbers. A record that is damaged is an
    /// error of its own place; the rest is given.
    pub fn records(&self, id: &Ii) -> Result<Vec<(u64, Result<Record, QueryError>)>, QueryError> {
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
        let missing = || QueryError::Record { seq, why: "it is not one of the case's".to_owned() };
        let position = self.engine.views().get(&key::event(id, seq)).map_err(views)?;
        let position = position.as_deref().and_then(Position::from_bytes).ok_or_else(missing)?;
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
        Ok(self.counter("cases")?.unsigned_abs())
    }

    pub(super) fn counter(&self, name: &str) -> Result<i64, QueryError> {
        let bytes = self.engine.views().get(&key::count(name)).map_err(views)?;
        Ok(bytes.as_deref().map_or(0, fold::number))
    }

    pub(super) fn view<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, QueryError> {
        let bytes = self.engine.views().get(key).map_err(views)?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(QueryError::Form)).transpose()
    }

    pub(super) fn rows(
        &self,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, QueryError> {
        self.engine.views().scan_prefix(prefix, None, limit, false).map_err(views)
    }

    fn read_record(&self, position: Position) -> Result<Record, QueryError> {
        let bytes = self
            .engine
            .read(position)
            .map_err(|error| QueryError::Record { seq: position.seq, why: error.to_string() })?;
        serde_json::from_slice(&bytes).map_err(QueryError::Form)
    }
}

fn views(error: impl std::fmt::Display) -> QueryError {
    QueryError::Views(error.to_string())
}

/// A case as the writer sees it, with what this batch has done.
pub(super) fn case_in(transaction: &Transaction<'_>, id: &Ii) -> Result<Option<Case>, SubmitError> {
    read_in(transaction, &key::case(id))
}

pub(super) fn read_in<T: DeserializeOwned>(
    transaction: &Transaction<'_>,
    key: &[u8],
) -> Result<Option<T>, SubmitError> {
    let bytes = transaction.get(key)?;
    bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(SubmitError::form)).transpose()
}

pub(super) fn count_in(transaction: &Transaction<'_>, name: &str) -> Result<i64, SubmitError> {
    Ok(transaction.get(&key::count(name))?.as_deref().map_or(0, fold::number))
}

pub(super) fn append_in(
    transaction: &mut Transaction<'_>,
    record: &Record,
) -> Result<Position, SubmitError> {
    let payload = serde_json::to_vec(record).map_err(SubmitError::form)?;
    transaction.append(&payload)
}
