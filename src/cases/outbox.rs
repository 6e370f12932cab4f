//! What is owed to others: leased, tried, and decided about; every change is a journal record.

use std::sync::PoisonError;

use jiff::Timestamp;

use crate::complaint::event::{Debt, Decision, Event, ItemId, Outcome};
use crate::complaint::notice;
use crate::limits;
use crate::store::engine::{SubmitError, Transaction};
use crate::store::views::Scan;

use super::query::{self, JobError, QueryError};
use super::record::{Item, ItemState, RECORD_VERSION, Record};
use super::select::{Acted, Seen};
use super::{Cases, key, pause};

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

impl Counts {
    /// How many are neither delivered nor given up by somebody.
    #[must_use]
    pub const fn open(&self) -> i64 {
        self.waiting + self.due + self.leased + self.unknown + self.parked + self.held
    }
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
    /// Asked before this run leases any to the system. Only leases are read, a page of what is due at
    /// a time: behind a dead receiver there may be a hundred thousand messages.
    pub fn orphans(&self, system: &str) -> Result<Vec<Item>, QueryError> {
        let mut orphans = Vec::new();
        let mut left = self.counts(system)?.leased;
        let mut scan = Scan::prefix(key::due_prefix(system));
        while left > 0 {
            let page = self.engine.scan(&scan)?;
            for (row, _) in page.iter().filter(|(_, mark)| mark == key::LEASE) {
                left -= 1;
                if let Some(id) = key::item_parts(row) {
                    orphans.extend(self.item(id)?.filter(|item| self.is_orphan(item)));
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { break };
            scan = scan.after(last);
        }
        Ok(orphans)
    }

    /// The systems that something was ever owed to, also those that are configured no more.
    pub fn owed_to(&self) -> Result<Vec<String>, QueryError> {
        let rows = self.rows(b"y", usize::MAX)?;
        Ok(rows.into_iter().filter_map(|(_, to)| String::from_utf8(to).ok()).collect())
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
        let of = |state: &str| self.counter(system, state);
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

    /// Since when the oldest message to `system` is owed that is not done with.
    ///
    /// What is done with stays so and new messages come behind all others, so that the oldest one is
    /// never before the one found last: while many wait, it is looked for from there on.
    pub fn oldest_owed(&self, system: &str) -> Result<Option<Timestamp>, QueryError> {
        let known = || self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        let open = usize::try_from(self.counts(system)?.open()).unwrap_or(0);
        let from = known().get(system).copied().filter(|_| open > limits::VIEW_SCAN_MAX);
        let oldest = match from {
            Some(from) => self.first_owed_from(system, from)?,
            None => self.first_in_lanes(system)?,
        };
        match &oldest {
            Some(item) => known().insert(system.to_owned(), item.id),
            None => known().remove(system),
        };
        Ok(oldest.map(|item| item.owed))
    }

    fn first_owed_from(&self, system: &str, from: ItemId) -> Result<Option<Item>, QueryError> {
        let mut scan = Scan::prefix(key::items()).from(key::item(from)).limit(1);
        loop {
            let page = self.engine.scan(&scan)?;
            for (_, bytes) in &page {
                let item: Item = query::of_json(bytes)?;
                if item.to == system && !item.state.is_final() {
                    return Ok(Some(item));
                }
            }
            let Some((last, _)) = page.into_iter().next_back() else { return Ok(None) };
            // As a rule the first one is it.
            scan = scan.after(last).limit(limits::VIEW_SCAN_MAX);
        }
    }

    fn first_in_lanes(&self, system: &str) -> Result<Option<Item>, QueryError> {
        let mut scan = Scan::prefix(key::lanes_to(system));
        let mut oldest: Option<ItemId> = None;
        loop {
            let page = self.engine.scan(&scan)?;
            let ids = page.iter().filter_map(|(row, _)| key::item_parts(row));
            oldest = ids.chain(oldest).min_by_key(|id| (id.seq, id.n));
            let Some((last, _)) = page.into_iter().next_back() else { break };
            scan = scan.after(last);
        }
        Ok(oldest.map(|id| self.item(id)).transpose()?.flatten())
    }

    /// Leases a due message until `until`; on disk before anything is sent.
    pub async fn lease(&self, id: ItemId, until: Timestamp) -> Result<Item, OutboxError> {
        let instance = self.instance.clone();
        let lease = move |item: &Item| {
            let attempt = item.attempts.saturating_add(1);
            let due = matches!(item.state, ItemState::Due { .. });
            due.then_some(Event::Leased { item: id, attempt, until, instance })
        };
        let job = move |transaction: &mut Transaction<'_>| {
            // Whoever paused the receiver has been told that nothing more begins.
            if let Some(item) = query::read_in::<Item>(transaction, &key::item(id))?
                && pause::is_paused_in(transaction, &item.to)?
            {
                return Ok(Err(OutboxError::NotNow { id, state: "for a paused receiver" }));
            }
            move_in(transaction, id, false, lease)
        };
        let moved = self.engine.submit(job).await.map_err(OutboxError::Store)?;
        self.rung(moved)
    }

    /// Records what came of an attempt on `seen`. What somebody has decided since stands.
    pub async fn tried(&self, seen: &Item, outcome: Outcome) -> Result<Item, OutboxError> {
        let (id, state) = (seen.id, seen.state.clone());
        let outcome = bounded(outcome);
        self.move_item(id, move |item| {
            let attempt = item.attempts;
            let open = !item.state.is_final() && item.state == state;
            open.then_some(Event::Tried { item: id, attempt, outcome })
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
        self.move_item(id, move |item| decided(item, decision, &reason)).await
    }

    /// Records one decision about each message that still is as `seen`; what has moved since is left
    /// alone and told. All in one step: an error means that none is decided. At most
    /// [`limits::OUTBOX_BATCH_MAX`].
    ///
    /// # Errors
    /// When the store cannot commit it.
    pub async fn decide_seen(
        &self,
        seen: Vec<Seen>,
        decision: Decision,
        reason: String,
    ) -> Result<Vec<Acted>, OutboxError> {
        let job = move |transaction: &mut Transaction<'_>| {
            let mut acted = Vec::with_capacity(seen.len());
            for seen in seen.into_iter().take(limits::OUTBOX_BATCH_MAX) {
                let id = seen.id;
                let decide = |item: &Item| {
                    let same = item.state == seen.state && item.attempts == seen.attempts;
                    same.then(|| decided(item, decision, &reason)).flatten()
                };
                acted.push((id, move_in(transaction, id, false, decide)?));
            }
            Ok::<_, JobError>(acted)
        };
        let all = self.engine.submit(job).await.map_err(OutboxError::Store)?;
        all.into_iter()
            .map(|(id, moved)| match self.rung(moved) {
                Ok(item) => Ok(Acted { id, done: true, state: item.state.name().to_owned() }),
                Err(OutboxError::NotNow { state, .. }) => {
                    Ok(Acted { id, done: false, state: state.to_owned() })
                }
                Err(OutboxError::NoSuch(_)) => {
                    Ok(Acted { id, done: false, state: "gone".to_owned() })
                }
                Err(error @ OutboxError::Store(_)) => Err(error),
            })
            .collect()
    }

    /// Holds every letter to the inbox that is not done with and not held already, those that wait
    /// behind another included. Only while nothing is being delivered. Gives how many.
    ///
    /// # Errors
    /// When the views or the journal cannot be used.
    pub async fn hold_letters(&self, reason: &str) -> Result<u64, HoldError> {
        let mut held = 0;
        let mut scan = Scan::prefix(key::lanes());
        loop {
            let rows = self.engine.scan(&scan).map_err(QueryError::Views)?;
            for id in rows.iter().filter_map(|(row, _)| key::item_parts(row)) {
                let Some(item) = self.item(id)?.filter(is_loose_letter) else { continue };
                let reason = held_because(reason, &item.state);
                let event = Event::Decided { item: id, decision: Decision::Hold, reason };
                self.move_item(id, move |item| is_loose_letter(item).then_some(event)).await?;
                held += 1;
            }
            let Some((last, _)) = rows.into_iter().next_back() else { return Ok(held) };
            scan = scan.after(last);
        }
    }

    async fn move_item<F>(&self, id: ItemId, next: F) -> Result<Item, OutboxError>
    where
        F: FnOnce(&Item) -> Option<Event> + Send + 'static,
    {
        let notify = self.notify;
        let job = move |transaction: &mut Transaction<'_>| move_in(transaction, id, notify, next);
        let moved = self.engine.submit(job).await.map_err(OutboxError::Store)?;
        self.rung(moved)
    }

    /// A message that is done with may have let the next one go.
    fn rung(&self, moved: Result<Item, OutboxError>) -> Result<Item, OutboxError> {
        moved.inspect(|item| self.ring(&item.to))
    }
}

/// Moves one message by the event that `next` makes of it.
fn move_in(
    transaction: &mut Transaction<'_>,
    id: ItemId,
    notify: bool,
    next: impl FnOnce(&Item) -> Option<Event>,
) -> Result<Result<Item, OutboxError>, JobError> {
    let Some(item) = query::read_in::<Item>(transaction, &key::item(id))? else {
        return Ok(Err(OutboxError::NoSuch(id)));
    };
    let state = item.state.name();
    let Some(event) = next(&item) else {
        return Ok(Err(OutboxError::NotNow { id, state }));
    };
    let mut owed = Vec::new();
    if let (true, Event::Tried { outcome, .. }) = (notify, &event) {
        let case = query::case_in(transaction, &item.case)?;
        owed.extend(case.and_then(|case| notice::of_attempt(&item.what, outcome, &case)));
    }
    let record = Record {
        v: RECORD_VERSION,
        at: transaction.now(),
        case: item.case.clone(),
        generation: String::new(),
        incoming: None,
        event,
        remarks: Vec::new(),
        owed,
        original: None,
        sealed_files: Vec::new(),
    };
    query::append_in(transaction, record)?;
    let item = query::read_in::<Item>(transaction, &key::item(id))?;
    Ok(item.ok_or(OutboxError::NoSuch(id)))
}

/// The event of an operator's decision, where the message's state allows it.
fn decided(item: &Item, decision: Decision, reason: &str) -> Option<Event> {
    let open = super::select::may(decision, &item.state);
    let reason = match decision {
        Decision::Hold => held_because(reason, &item.state),
        Decision::Retry | Decision::Release | Decision::MarkDelivered | Decision::Discard => {
            reason.to_owned()
        }
    };
    open.then_some(Event::Decided { item: item.id, decision, reason: cut(reason) })
}

/// Whoever releases it later must see whether it may have arrived.
fn held_because(reason: &str, state: &ItemState) -> String {
    match state {
        ItemState::Unknown { why, .. } | ItemState::Parked { why, .. } => {
            format!("{reason}; before it was {}: {why}", state.name())
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
    }
}

/// A reason that fits in a view beside the longest ids, on one line.
pub(super) fn cut(why: String) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = why.chars().take(limits::WHY_CHARS_MAX).map(plain).collect();
    if short.len() < why.len() {
        short.push('…');
    }
    short
}

fn bounded(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Delivered => Outcome::Delivered,
        Outcome::Unreachable { why } => Outcome::Unreachable { why: cut(why) },
        Outcome::Again { at, why } => Outcome::Again { at, why: cut(why) },
        Outcome::Unknown { why } => Outcome::Unknown { why: cut(why) },
        Outcome::Parked { why } => Outcome::Parked { why: cut(why) },
    }
}
