//! What is owed to others: leased, tried, and decided about; every change is a journal record.

use jiff::Timestamp;

use crate::complaint::event::{Debt, Decision, Event, ItemId, Outcome};
use crate::store::engine::{SubmitError, Transaction};
use crate::store::views::Scan;

use super::query::{self, JobError, QueryError};
use super::record::{Item, ItemState, RECORD_VERSION, Record};
use super::{Cases, key};

/// Rows read at once when a whole list is walked.
const PAGE: usize = 1_000;

/// Counters of one system's outgoing messages, by state.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub waiting: i64,
    pub due: i64,
    pub leased: i64,
    pub delivered: i64,
    pub unreachable: i64,
    pub unknown: i64,
    pub parked: i64,
    pub held: i64,
    pub discarded: i64,
}

/// Why an outgoing message could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("there is no outgoing message {0}")]
    NoSuch(ItemId),
    /// Somebody else was first, or its state does not allow it.
    #[error("outgoing message {id} is {state}")]
    NotNow { id: ItemId, state: &'static str },
    #[error("the store could not commit it")]
    Store(#[source] SubmitError<JobError>),
}

/// Why letters could not be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// What is owed cannot be read.
    #[error("reading what is owed")]
    Read(#[from] QueryError),
    /// One cannot be held.
    #[error("holding one")]
    Move(#[from] OutboxError),
}

/// A letter that may yet be sent, or of which nobody knows whether it was.
fn is_loose_letter(item: &Item) -> bool {
    let held = matches!(item.state, ItemState::Held { .. });
    item.what == Debt::Letter && !held && !item.state.is_final()
}

impl Cases {
    /// At most `limit` messages that are due to `system` at `now`, the longest due first.
    pub fn due(&self, system: &str, now: Timestamp, limit: usize) -> Result<Vec<Item>, QueryError> {
        let mut items = Vec::new();
        for (row, _) in self.rows(&key::due_prefix(system), limit)? {
            let Some((at, id)) = key::due_parts(&row) else { continue };
            if at > now {
                break;
            }
            items.extend(self.item(id)?);
        }
        Ok(items)
    }

    /// When the next message to `system` is due.
    pub fn next_due(&self, system: &str) -> Result<Option<Timestamp>, QueryError> {
        let rows = self.rows(&key::due_prefix(system), 1)?;
        Ok(rows.first().and_then(|(row, _)| key::due_parts(row)).map(|(at, _)| at))
    }

    /// One outgoing message.
    pub fn item(&self, id: ItemId) -> Result<Option<Item>, QueryError> {
        self.view(&key::item(id))
    }

    /// Messages leased by a run of the process that is no more: nobody will ever tell their outcome.
    pub fn orphans(&self, system: &str) -> Result<Vec<Item>, QueryError> {
        let mut orphans = Vec::new();
        let prefix = key::due_prefix(system);
        let mut scan = Scan::prefix(prefix).limit(PAGE);
        loop {
            let rows = self.engine.scan(&scan)?;
            for (row, _) in &rows {
                let Some(item) = key::item_parts(row).map(|id| self.item(id)).transpose()? else {
                    continue;
                };
                orphans.extend(item.filter(|item| self.is_orphan(item)));
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => scan = scan.after(last.clone()),
                _ => return Ok(orphans),
            }
        }
    }

    fn is_orphan(&self, item: &Item) -> bool {
        matches!(&item.state, ItemState::Leased { instance, .. } if *instance != self.instance)
    }

    /// What stands still and needs a person, oldest first, at most `limit`.
    pub fn stuck(&self, limit: usize) -> Result<Vec<Item>, QueryError> {
        let mut items = Vec::new();
        for (row, _) in self.rows(b"s", limit)? {
            if let Some(id) = key::item_parts(&row) {
                items.extend(self.item(id)?);
            }
        }
        Ok(items)
    }

    /// How many messages to `system` stand where.
    pub fn counts(&self, system: &str) -> Result<Counts, QueryError> {
        let of = |state: &str| self.counter(&format!("{system}/{state}"));
        Ok(Counts {
            waiting: of("waiting")?,
            due: of("due")?,
            leased: of("leased")?,
            delivered: of("delivered")?,
            unreachable: of("unreachable")?,
            unknown: of("unknown")?,
            parked: of("parked")?,
            held: of("held")?,
            discarded: of("discarded")?,
        })
    }

    /// Leases a due message until `until`; on disk before anything is sent.
    pub async fn lease(&self, id: ItemId, until: Timestamp) -> Result<Item, OutboxError> {
        let instance = self.instance.clone();
        let at = self.now();
        self.move_item(id, move |item| match item.state {
            ItemState::Due { .. } => {
                Some((at, Event::Leased { item: id, attempt: item.attempts + 1, until, instance }))
            }
            ItemState::Waiting
            | ItemState::Leased { .. }
            | ItemState::Delivered { .. }
            | ItemState::Unreachable { .. }
            | ItemState::Unknown { .. }
            | ItemState::Parked { .. }
            | ItemState::Held { .. }
            | ItemState::Discarded { .. } => None,
        })
        .await
    }

    /// Records what came of an attempt.
    pub async fn tried(&self, id: ItemId, outcome: Outcome) -> Result<Item, OutboxError> {
        let at = self.now();
        self.move_item(id, move |item| {
            let attempt = item.attempts;
            (!item.state.is_final()).then_some((at, Event::Tried { item: id, attempt, outcome }))
        })
        .await
    }

    /// Records an operator's decision. A message that is being sent is left alone.
    pub async fn decide(
        &self,
        id: ItemId,
        decision: Decision,
        reason: String,
    ) -> Result<Item, OutboxError> {
        let at = self.now();
        self.move_item(id, move |item| {
            let open = !item.state.is_final()
                && !matches!(item.state, ItemState::Leased { .. } | ItemState::Waiting);
            open.then_some((at, Event::Decided { item: id, decision, reason }))
        })
        .await
    }

    /// Holds every letter to the inbox that is not done with and not held already, those that wait
    /// behind another included. Only while nothing is being delivered. Gives how many.
    ///
    /// # Errors
    /// When the views or the journal cannot be used.
    pub async fn hold_letters(&self, reason: &str) -> Result<u64, HoldError> {
        let mut held = 0;
        let mut scan = Scan::prefix(key::lanes()).limit(PAGE);
        loop {
            let rows = self.engine.scan(&scan).map_err(QueryError::Views)?;
            for id in rows.iter().filter_map(|(row, _)| key::item_parts(row)) {
                let Some(item) = self.item(id)?.filter(is_loose_letter) else { continue };
                let reason = match &item.state {
                    ItemState::Unknown { why, .. } | ItemState::Parked { why, .. } => {
                        format!("{reason}; before it was {}: {why}", item.state.name())
                    }
                    ItemState::Leased { .. } => {
                        format!("{reason}; it was being sent, and nobody knows whether it arrived")
                    }
                    ItemState::Waiting
                    | ItemState::Due { .. }
                    | ItemState::Delivered { .. }
                    | ItemState::Unreachable { .. }
                    | ItemState::Held { .. }
                    | ItemState::Discarded { .. } => reason.to_owned(),
                };
                let event = Event::Decided { item: id, decision: Decision::Hold, reason };
                let at = self.now();
                self.move_item(id, move |item| is_loose_letter(item).then_some((at, event)))
                    .await?;
                held += 1;
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => scan = scan.after(last.clone()),
                _ => return Ok(held),
            }
        }
    }

    async fn move_item<F>(&self, id: ItemId, next: F) -> Result<Item, OutboxError>
    where
        F: FnOnce(&Item) -> Option<(Timestamp, Event)> + Send + 'static,
    {
        let job = move |transaction: &mut Transaction<'_>| {
            let Some(item) = query::read_in::<Item>(transaction, &key::item(id))? else {
                return Ok(Err(OutboxError::NoSuch(id)));
            };
            let state = item.state.name();
            let Some((at, event)) = next(&item) else {
                return Ok(Err(OutboxError::NotNow { id, state }));
            };
            let record = Record {
                v: RECORD_VERSION,
                at,
                case: item.case.clone(),
                generation: String::new(),
                incoming: None,
                event,
                remarks: Vec::new(),
                owed: Vec::new(),
                original: None,
            };
            query::append_in(transaction, &record)?;
            let item = query::read_in::<Item>(transaction, &key::item(id))?;
            Ok::<_, JobError>(item.ok_or(OutboxError::NoSuch(id)))
        };
        self.engine.submit(job).await.map_err(OutboxError::Store)?
    }
}
