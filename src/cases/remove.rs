//! Gallring: cases are removed by shredding their keys. The chain of records still verifies.
//!
//! That a case is removed is written first, then its key is shredded and its files go; a start that
//! finds this begun finishes it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::complaint::case::Case;
use crate::complaint::event::ItemId;
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::limits;
use crate::store::blobs::BlobError;
use crate::store::engine::{StoreError, SubmitError, Transaction};
use crate::store::journal::Position;
use crate::store::keys::{KeyError, Keys};
use crate::store::views::Scan;

use super::query::{JobError, QueryError};
use super::record::{Item, Payload, RECORD_VERSION, Record, Removed, StoreEvent, StoreRecord};
use super::{Cases, key, query};

/// Which cases are to be removed.
#[derive(Debug, Clone)]
pub struct Scope {
    /// The unit that has them.
    pub unit: HsaId,
    /// Closed before this.
    pub before: Timestamp,
}

/// What is in a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Cases that can be removed, at most [`limits::REMOVE_CASES_MAX`].
    pub cases: Vec<(Ii, RegistrationNumber)>,
    /// Cases that cannot, and why.
    pub kept: Vec<(RegistrationNumber, Kept)>,
    /// There are more than are listed.
    pub more: bool,
}

/// Why a case cannot be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Something is owed to somebody about it.
    Owed,
    /// Part of it was written before the store had keys, and lies in the clear.
    InTheClear,
    /// Part of it is damaged, so that what belongs to it cannot be told.
    Damaged,
    /// It has changed since it was looked at.
    Changed,
}

impl Kept {
    /// In words, for an operator.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::Owed => "something is owed about it still: see `klagomal outbox list`",
            Self::InTheClear => "it began before the store had keys, and lies in the clear",
            Self::Damaged => "a record of it is damaged: restore it from a backup first",
            Self::Changed => "it has changed meanwhile",
        }
    }
}

/// On what a removal rests.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The decision's reference.
    pub decision: String,
    /// Who has it done.
    pub by: String,
}

/// What may be told of a case that was removed (gallringsprotokoll).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    pub number: RegistrationNumber,
    /// The unit that had it last.
    pub unit: HsaId,
    pub opened: Timestamp,
    pub closed: Timestamp,
    pub removed: Timestamp,
    /// The decision that it rests on.
    pub decision: String,
    /// Who had it done.
    pub by: String,
}

impl Remains {
    pub(super) fn of(at: Timestamp, removed: &Removed) -> Self {
        Self {
            number: removed.number.clone(),
            unit: removed.unit.clone(),
            opened: removed.opened,
            closed: removed.closed,
            removed: at,
            decision: removed.decision.clone(),
            by: removed.by.clone(),
        }
    }
}

/// Why cases cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// Nothing is sealed, so there is no key to shred.
    #[error(
        "the store is not sealed, so its cases cannot be removed; set [store] master_key_file, and \
         cases that come from then on can be"
    )]
    NotSealed,
    /// The cases cannot be read.
    #[error("the cases cannot be read")]
    Query(#[from] QueryError),
    /// It could not be committed.
    #[error("the store could not commit it")]
    Store(#[source] SubmitError<JobError>),
    /// A key could not be shredded.
    #[error("a key could not be shredded: restart the gateway, whose start finishes it")]
    Keys(#[from] KeyError),
    /// A file could not be removed. Its key is gone, and the sweep removes it.
    #[error("a file could not be removed; nobody can open it any more")]
    Blobs(#[from] BlobError),
}

impl Cases {
    /// The cases of a scope, the oldest first. Changes nothing.
    ///
    /// # Errors
    /// When the store is not sealed, or the views cannot be read.
    pub fn to_remove(&self, scope: &Scope) -> Result<Found, RemoveError> {
        if self.keys.is_none() {
            return Err(RemoveError::NotSealed);
        }
        let mut found = Found::default();
        let prefix = key::unit_prefix(&scope.unit, true);
        let mut scan = Scan::prefix(prefix.clone());
        loop {
            let page = self.engine.scan(&scan).map_err(QueryError::Views)?;
            let Some((last, _)) = page.last().cloned() else { return Ok(found) };
            for (row, _) in page {
                // Behind the prefix: eight bytes of time, then the key of the case.
                let case = self.case_at(&key::case_behind(&row, prefix.len() + 8))?;
                let Some(case) = case else { continue };
                if case.closed.as_ref().is_none_or(|closed| closed.at >= scope.before) {
                    continue;
                }
                if found.cases.len() + found.kept.len() >= limits::REMOVE_CASES_MAX {
                    found.more = true;
                    return Ok(found);
                }
                match self.obstacle(&case)? {
                    Some(why) => found.kept.push((case.number, why)),
                    None => found.cases.push((case.id, case.number)),
                }
            }
            scan = Scan::prefix(prefix.clone()).after(last);
        }
    }

    fn obstacle(&self, case: &Case) -> Result<Option<Kept>, QueryError> {
        for position in self.positions(&case.id)? {
            match self.engine.read(position).ok().and_then(|bytes| Payload::read(&bytes).ok()) {
                Some(Payload::Sealed(_)) => {}
                Some(Payload::Case(_)) => return Ok(Some(Kept::InTheClear)),
                Some(Payload::Store(_)) | None => return Ok(Some(Kept::Damaged)),
            }
        }
        let owes = self.items_of(&case.id)?.iter().any(|item| !item.state.is_final());
        Ok(owes.then_some(Kept::Owed))
    }

    /// Removes one case of `scope`; why not, where it cannot be. Nothing of it can be read by anybody
    /// when it returns. Dropped before, it may leave the key to the next start.
    ///
    /// # Errors
    /// When the store is not sealed, could not commit it, or a key or file resists.
    pub async fn remove(
        &self,
        case: &Ii,
        scope: &Scope,
        ground: &Ground,
    ) -> Result<Option<Kept>, RemoveError> {
        if self.keys.is_none() {
            return Err(RemoveError::NotSealed);
        }
        let (id, scope, ground) = (case.clone(), scope.clone(), ground.clone());
        let keys = self.keys.clone();
        let done = self.engine.submit(move |transaction| {
            let Some(row) = query::row_in(transaction, &id)? else {
                return Ok(Err(Kept::Changed));
            };
            let case = row.case;
            let closed = case.closed.as_ref().map(|closed| closed.at);
            let Some(closed) = closed.filter(|at| *at < scope.before) else {
                return Ok(Err(Kept::Changed));
            };
            if case.receiver != scope.unit {
                return Ok(Err(Kept::Changed));
            }
            let belongings = match Belongings::of(transaction, (&case, row.began), keys.as_deref())?
            {
                Ok(belongings) => belongings,
                Err(why) => return Ok(Err(why)),
            };
            let removed = Removed {
                case: case.id,
                number: case.number,
                unit: case.receiver,
                units: belongings.units.into_iter().collect(),
                opened: case.opened,
                closed,
                keys: belongings.keys.into_iter().collect(),
                files: belongings.files.into_iter().collect(),
                decision: ground.decision,
                by: ground.by,
            };
            let store = StoreEvent::Removed(Box::new(removed.clone()));
            let record = StoreRecord { v: RECORD_VERSION, at: transaction.now(), store };
            query::append_store_in(transaction, &record)?;
            Ok::<_, JobError>(Ok(removed))
        });
        let removed = match done.await.map_err(RemoveError::Store)? {
            Ok(removed) => removed,
            Err(kept) => return Ok(Some(kept)),
        };
        let this = self.clone();
        let shredded = self.engine.blocking(move || this.shred(&removed.keys, &removed.files));
        shredded.await.unwrap_or(Err(RemoveError::Keys(KeyError::Cipher)))?;
        Ok(None)
    }

    fn shred(&self, slots: &[u64], files: &[String]) -> Result<(), RemoveError> {
        if let Some(keys) = &self.keys {
            keys.shred(slots)?;
        }
        for file in files {
            self.blobs.remove(file)?;
        }
        Ok(())
    }

    /// The cases that were removed, at most `limit`, in the order in which they came.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn removed(&self, limit: usize) -> Result<Vec<Remains>, QueryError> {
        let rows = self.rows(&key::removals(), limit)?;
        rows.iter().map(|(_, remains)| query::of_json(remains)).collect()
    }

    /// Shreds the keys of every case that is noted as removed: a crash may have come in between. Its
    /// files go with the next sweep, since nothing names them.
    ///
    /// # Errors
    /// When the views cannot be read, or a key resists.
    pub fn finish_removals(&self) -> Result<(), RemoveError> {
        let slot =
            |row: &[u8]| row.split_last_chunk::<8>().map(|(_, slot)| u64::from_be_bytes(*slot));
        let mut scan = Scan::prefix(key::removals());
        loop {
            let page = self.engine.scan(&scan).map_err(QueryError::Views)?;
            let Some((last, _)) = page.last().cloned() else { return Ok(()) };
            let slots: Vec<u64> = page.iter().filter_map(|(row, _)| slot(row)).collect();
            self.shred(&slots, &[])?;
            scan = scan.after(last);
        }
    }
}

/// What belongs to a case, by its records.
#[derive(Default)]
struct Belongings {
    units: BTreeSet<HsaId>,
    keys: BTreeSet<u64>,
    files: BTreeSet<String>,
}

impl Belongings {
    /// Every record of a case, readings too, must be sealed and whole, and nothing owed about it.
    fn of(
        transaction: &mut Transaction<'_>,
        (case, began): (&Case, Position),
        keys: Option<&Keys>,
    ) -> Result<Result<Self, Kept>, JobError> {
        let mut all = Self::default();
        all.units.insert(case.receiver.clone());
        let mut as_it_was = None;
        let mut positions = vec![began];
        for prefix in [key::events(&case.id), key::readings(&case.id)] {
            let mut scan = Scan::prefix(prefix);
            loop {
                for position in positions.drain(..) {
                    let record = match all.take(transaction, position, keys)? {
                        Ok(record) => record,
                        Err(why) => return Ok(Err(why)),
                    };
                    all.follow(&mut as_it_was, position.seq, &record);
                    if owes(transaction, position.seq, &record)? {
                        return Ok(Err(Kept::Owed));
                    }
                }
                let page = transaction.scan(&scan)?;
                positions.extend(page.iter().filter_map(|(_, it)| Position::from_bytes(it)));
                let Some((last, _)) = page.last().cloned() else { break };
                scan = scan.after(last);
            }
        }
        Ok(Ok(all))
    }

    fn take(
        &mut self,
        transaction: &Transaction<'_>,
        position: Position,
        keys: Option<&Keys>,
    ) -> Result<Result<Record, Kept>, JobError> {
        let bytes = match transaction.read(position) {
            Ok(bytes) => bytes,
            Err(StoreError::Read(_)) => return Ok(Err(Kept::Damaged)),
            Err(error) => return Err(error.into()),
        };
        Ok(match Payload::read(&bytes) {
            Ok(Payload::Sealed(sealed)) => {
                self.keys.insert(sealed.head.key);
                self.files.extend(sealed.head.files.iter().map(|(name, _)| name.clone()));
                sealed.open(keys).ok().flatten().ok_or(Kept::Damaged)
            }
            Ok(Payload::Case(_)) => Err(Kept::InTheClear),
            Ok(Payload::Store(_)) | Err(_) => Err(Kept::Damaged),
        })
    }

    /// Whoever had the case after any of its records.
    fn follow(&mut self, case: &mut Option<Case>, seq: u64, record: &Record) {
        match case {
            Some(case) => case.fold(seq, record.at, &record.event),
            None => {
                *case =
                    Case::begin(&record.case, seq, record.at, &record.generation, &record.event);
            }
        }
        self.units.extend(case.iter().map(|case| case.receiver.clone()));
    }
}

fn owes(transaction: &mut Transaction<'_>, seq: u64, record: &Record) -> Result<bool, JobError> {
    for (n, _) in (0u16..).zip(&record.owed) {
        let item = query::read_in::<Item>(transaction, &key::item(ItemId { seq, n }))?;
        if item.is_some_and(|item| !item.state.is_final()) {
            return Ok(true);
        }
    }
    Ok(false)
}
