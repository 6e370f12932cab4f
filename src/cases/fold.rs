//! One record into the views: cases, receipts, lists and the outbox.
//!
//! A pure function of the record and what the views held before it, so that two rebuilds agree.

pub(super) mod desk;
pub(super) mod row;
mod seal;

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::complaint::case::Case;
use crate::complaint::event::{Act, Debt, Decision, Event, ItemId};
use crate::complaint::message::Ii;
use crate::store::engine::{Fold, FoldError, Handed, ViewWriter};
use crate::store::journal::Position;
use crate::store::keys::Keys;
use crate::store::views::Scan;

use super::key;
use super::pause::Pause;
use super::record::{
    FormError, Item, ItemState, Payload, Receipt, Record, StoreEvent, StoreRecord,
};
use super::sealed::{Head, blinded};
use row::Row;

/// The layout of the views; raised when one changes its form, so that they are made again.
///
/// 3: a version that knows only records of form 1 must meet one of form 2 when it starts, and does so
/// when it makes the views again; and the staff's desk has views of its own. 4: files by name. 5:
/// records of form 3. 6: records of form 4, and the people of a case. 7: one row of a case, and leases
/// marked.
const LAYOUT: u32 = 7;

/// In the layout of views whose people are blinded: they are made again when a store gets keys.
const BLINDED: u32 = 1 << 16;

/// Folds complaint records, sealed or not.
#[derive(Debug, Default)]
pub struct CaseFold {
    keys: Option<Arc<Keys>>,
    at_hand: Option<AtHand>,
}

/// The record that was written last: it is folded next, and need not be read for that.
#[derive(Debug)]
struct AtHand {
    written: Vec<u8>,
    /// Where it was sealed.
    head: Option<Head>,
    record: Record,
}

impl CaseFold {
    /// With the keys that records are sealed by; `None` seals nothing.
    #[must_use]
    pub fn sealing(keys: Option<Arc<Keys>>) -> Self {
        Self { keys, at_hand: None }
    }

    /// The record of `payload`, its head noted, and the key that it is sealed by; `None` where there
    /// is nothing more of it to fold.
    fn record(
        &mut self,
        seq: u64,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<Option<(Record, Option<u64>)>, FoldError> {
        if let Some(at_hand) = self.at_hand.take_if(|it| it.written == payload) {
            let AtHand { head, record, .. } = at_hand;
            return Ok(Some(match head {
                Some(head) => (seal::opened(&head, record, views)?, Some(head.key)),
                None => (record, None),
            }));
        }
        let read = Payload::read(payload).map_err(|error| FoldError::Record(Box::new(error)))?;
        match read {
            Payload::Case(record) => Ok(Some((*record, None))),
            Payload::Sealed(sealed) => {
                let opened = seal::open(self.keys.as_deref(), seq, &sealed, views)?;
                Ok(opened.map(|record| (record, Some(sealed.head.key))))
            }
            Payload::Store(record) => fold_store(&record, views).map(|()| None),
        }
    }
}

impl Fold for CaseFold {
    fn layout(&self) -> u32 {
        if self.keys.is_some() { LAYOUT | BLINDED } else { LAYOUT }
    }

    fn seal(
        &mut self,
        payload: &[u8],
        views: &ViewWriter<'_>,
    ) -> Result<Option<Vec<u8>>, FoldError> {
        if self.keys.is_none() {
            return Ok(None);
        }
        let read = Payload::read(payload).map_err(|error| FoldError::Record(Box::new(error)))?;
        let Payload::Case(record) = read else { return Ok(None) };
        self.write(record, views).map(Some)
    }

    fn write(&mut self, record: Handed, views: &ViewWriter<'_>) -> Result<Vec<u8>, FoldError> {
        let unknown = |_| FoldError::Record("no record of a case".into());
        let record = *record.downcast::<Record>().map_err(unknown)?;
        let at_hand = match self.keys.as_deref() {
            Some(keys) => seal::seal(keys, record, views)?,
            None => AtHand { written: to_json(&record)?, head: None, record },
        };
        let written = at_hand.written.clone();
        self.at_hand = Some(at_hand);
        Ok(written)
    }

    fn blind(&self, text: &str) -> String {
        blinded(self.keys.as_deref(), text).into_owned()
    }

    fn apply(
        &mut self,
        seq: u64,
        position: Position,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError> {
        let Some((record, key)) = self.record(seq, payload, views)? else { return Ok(()) };
        let keys = self.keys.as_deref();
        if let Event::Staff { act: Act::Read { .. }, .. } = &record.event {
            // Not among what happened: a case is read a hundred times as often as it changes.
            return desk::read_by(seq, position, &record.case, views);
        }
        if !matches!(record.event, Event::Opened(_)) {
            views.put(&key::event(&record.case, seq), position.to_bytes())?;
        }
        match &record.event {
            Event::Leased { item, until, instance, .. } => {
                let state = ItemState::Leased { until: *until, instance: instance.clone() };
                move_item(views, *item, state, Moved::Leased)
            }
            Event::Tried { item, outcome, .. } => {
                move_item(views, *item, ItemState::after(outcome, record.at), Moved::Tried)?;
                if record.owed.is_empty() {
                    return Ok(());
                }
                let case = read_case(views, &record.case)?;
                case.map_or(Ok(()), |case| owe(seq, &record, &case, views))
            }
            Event::Decided { item, decision, reason } => {
                let state = decided(views, *item, *decision, (record.at, reason))?;
                move_item(views, *item, state, Moved::Turn)
            }
            Event::Opened(_)
            | Event::Supplemented { .. }
            | Event::Withdrawn { .. }
            | Event::Handled { .. }
            | Event::Reminded { .. } => fold_case((position, key), &record, keys, views),
            Event::Staff { act, .. } => {
                if let Act::Undone { step } = act {
                    desk::take_back(views, *step, record.at)?;
                }
                fold_case((position, key), &record, keys, views)
            }
        }
    }
}

fn fold_store(record: &StoreRecord, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    match &record.store {
        StoreEvent::Restored { numbers_skipped, .. } => {
            let skipped = i64::try_from(*numbers_skipped).unwrap_or(i64::MAX);
            add(views, (key::NUMBERS_SKIPPED, ""), skipped)
        }
        StoreEvent::Paused { system, reason } => {
            let (system, why) = (system.clone(), reason.clone());
            let pause = Pause { system, since: record.at, why };
            write(views, key::pause(&pause.system), &pause)
        }
        StoreEvent::Resumed { system, .. } => Ok(views.delete(&key::pause(system))?),
        StoreEvent::Removed(removed) => seal::remove(record.at, removed, views),
    }
}

/// What moves an outgoing message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    /// An attempt begins.
    Leased,
    /// An attempt ended; without a lease before it when it ended before anything was sent.
    Tried,
    /// Its turn has come, or a person decided.
    Turn,
}

fn fold_case(
    (position, key): (Position, Option<u64>),
    record: &Record,
    keys: Option<&Keys>,
    views: &mut ViewWriter<'_>,
) -> Result<(), FoldError> {
    let seq = position.seq;
    let (row, begins) = match row::read(views, &record.case)? {
        Some(mut row) => {
            unlist(&row.case, views)?;
            row.case.fold(seq, record.at, &record.event);
            desk::shelve(&row.case, views, 1)?;
            views.put(&listed(&row.case), Vec::new())?;
            (row, false)
        }
        None => match begin((position, key), record, keys, views)? {
            Some(row) => (row, true),
            None => return Ok(()),
        },
    };
    row::write(views, &row, begins)?;
    let case = row.case;
    for (name, _) in record.files() {
        views.put(&key::file(name), Vec::new())?;
    }
    if let Some(incoming) = &record.incoming {
        let receipt = Receipt {
            digest: incoming.digest.clone(),
            case: case.id.clone(),
            number: case.number.clone(),
            received: record.at,
        };
        let key = key::message(&incoming.sender, &incoming.message_id);
        views.put_new(&key, to_json(&receipt)?)?;
    }
    owe(seq, record, &case, views)
}

fn read_case(views: &ViewWriter<'_>, id: &Ii) -> Result<Option<Case>, FoldError> {
    Ok(row::read(views, id)?.map(|row| row.case))
}

/// `None` for a case whose first record is damaged: what is left of it stays in the journal, and
/// every other case goes on.
fn begin(
    (began, key): (Position, Option<u64>),
    record: &Record,
    keys: Option<&Keys>,
    views: &mut ViewWriter<'_>,
) -> Result<Option<Row>, FoldError> {
    let (id, generation) = (&record.case, &record.generation);
    let Some(case) = Case::begin(id, began.seq, record.at, generation, &record.event) else {
        tracing::error!(
            seq = began.seq,
            "a record of a case whose first record is missing: left out"
        );
        return Ok(None);
    };
    views.put_new(&key::number(&case.number), to_json(&case.id)?)?;
    let people = desk::index_people(keys, views, &case.id, &record.event)?;
    desk::shelve(&case, views, 1)?;
    views.put_new(&listed(&case), Vec::new())?;
    add(views, ("cases", ""), 1)?;
    Ok(Some(Row { case, key, began, people }))
}

fn unlist(case: &Case, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    desk::shelve(case, views, -1)?;
    Ok(views.delete(&listed(case))?)
}

fn listed(case: &Case) -> Vec<u8> {
    key::unit(&case.receiver, case.closed.is_some(), case.opened, &case.id)
}

fn owe(
    seq: u64,
    record: &Record,
    case: &Case,
    views: &mut ViewWriter<'_>,
) -> Result<(), FoldError> {
    for (n, owed) in (0u16..).zip(&record.owed) {
        let id = ItemId { seq, n };
        let first = !stands_in_line(&owed.what) || leads(views, record, n)?;
        let at = owed.not_before.map_or(record.at, |not_before| not_before.max(record.at));
        let state = if first { ItemState::Due { at, why: None } } else { ItemState::Waiting };
        views.put_new(&key::lane_item(&owed.to, &case.id, id), Vec::new())?;
        let system = key::owed_to(&owed.to);
        if views.get(&system)?.is_none() {
            views.put(&system, owed.to.as_bytes())?;
        }
        let item = Item {
            id,
            case: case.id.clone(),
            number: case.number.clone(),
            to: owed.to.clone(),
            what: owed.what.clone(),
            owed: record.at,
            not_before: owed.not_before,
            since: at,
            attempts: 0,
            state,
        };
        if let Some(key) = index_key(&item) {
            views.put_new(&key, Vec::new())?;
        }
        add(views, counter(&item), 1)?;
        views.put_new(&key::item(id), to_json(&item)?)?;
    }
    Ok(())
}

/// Whether nothing goes before what a record owes as its `n`th: of its case, to the same system.
fn leads(views: &ViewWriter<'_>, record: &Record, n: u16) -> Result<bool, FoldError> {
    let (before, owed) = record.owed.split_at(usize::from(n).min(record.owed.len()));
    let Some(owed) = owed.first() else { return Ok(false) };
    if let Event::Opened(_) = &record.event {
        // Nothing was owed of this case before.
        return Ok(!before.iter().any(|it| it.to == owed.to && stands_in_line(&it.what)));
    }
    Ok(head_of(views, &owed.to, &record.case)?.is_none())
}

/// Gives an item its next state, and lets the next in its lane go when it is done with.
fn move_item(
    views: &mut ViewWriter<'_>,
    id: ItemId,
    state: ItemState,
    moved: Moved,
) -> Result<(), FoldError> {
    let Some(mut item) = read::<Item>(views, &key::item(id))? else {
        tracing::error!(outgoing.id = %id, "the record that owes it is missing: left out");
        return Ok(());
    };
    if item.state.is_final() {
        return Ok(());
    }
    unindex(&item, views)?;
    add(views, counter(&item), -1)?;
    let was_leased = matches!(item.state, ItemState::Leased { .. });
    if moved == Moved::Leased || (moved == Moved::Tried && !was_leased) {
        item.attempts = item.attempts.saturating_add(1);
    }
    if let (Moved::Turn, ItemState::Due { at, .. }) = (moved, &state) {
        item.since = *at;
    }
    item.state = state;
    index(&item, views)?;
    add(views, counter(&item), 1)?;
    write(views, key::item(id), &item)?;
    if item.state.is_final() {
        views.delete(&key::lane_item(&item.to, &item.case, id))?;
        let now = final_time(&item.state);
        if let Some(next) = head_of(views, &item.to, &item.case)? {
            wake(views, next, now)?;
        }
    }
    Ok(())
}

fn wake(views: &mut ViewWriter<'_>, id: ItemId, now: Timestamp) -> Result<(), FoldError> {
    let next = read::<Item>(views, &key::item(id))?;
    if let Some(next) = next.filter(|next| next.state == ItemState::Waiting) {
        let at = next.not_before.map_or(now, |not_before| not_before.max(now));
        return move_item(views, id, ItemState::Due { at, why: None }, Moved::Turn);
    }
    Ok(())
}

const fn final_time(state: &ItemState) -> Timestamp {
    match state {
        ItemState::Delivered { at }
        | ItemState::Unreachable { at, .. }
        | ItemState::Unknown { at, .. }
        | ItemState::Parked { at, .. }
        | ItemState::Held { at, .. }
        | ItemState::Discarded { at, .. }
        | ItemState::Due { at, .. } => *at,
        ItemState::Leased { until, .. } => *until,
        ItemState::Waiting => Timestamp::UNIX_EPOCH,
    }
}

fn decided(
    views: &ViewWriter<'_>,
    id: ItemId,
    decision: Decision,
    (at, reason): (Timestamp, &str),
) -> Result<ItemState, FoldError> {
    let why = reason.to_owned();
    Ok(match decision {
        Decision::Retry | Decision::Release if is_first(views, id)? => {
            ItemState::Due { at, why: Some(why) }
        }
        // Released behind another of its case: it goes when that one is done with.
        Decision::Retry | Decision::Release => ItemState::Waiting,
        Decision::Hold => ItemState::Held { at, why },
        Decision::MarkDelivered => ItemState::Delivered { at },
        Decision::Discard => ItemState::Discarded { at, why },
    })
}

/// Whether what is owed waits for what was owed before it of the same case. Mail does not: an address
/// that is wrong keeps nobody else from being told.
const fn stands_in_line(what: &Debt) -> bool {
    match what {
        Debt::Relay { .. } | Debt::Letter | Debt::Onward => true,
        Debt::Notice { .. } => false,
    }
}

fn is_first(views: &ViewWriter<'_>, id: ItemId) -> Result<bool, FoldError> {
    let Some(item) = read::<Item>(views, &key::item(id))? else { return Ok(true) };
    if !stands_in_line(&item.what) {
        return Ok(true);
    }
    Ok(head_of(views, &item.to, &item.case)?.is_none_or(|head| head == id))
}

/// The time index holds what time brings on; the list of what stands still, what needs a person.
fn index(item: &Item, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    let leased = matches!(item.state, ItemState::Leased { .. });
    let mark = if leased { key::LEASE } else { &[] };
    Ok(index_key(item).map_or(Ok(()), |key| views.put(&key, mark))?)
}

fn unindex(item: &Item, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    Ok(index_key(item).map_or(Ok(()), |key| views.delete(&key))?)
}

fn index_key(item: &Item) -> Option<Vec<u8>> {
    match &item.state {
        ItemState::Due { at, .. } | ItemState::Leased { until: at, .. } => {
            Some(key::due(&item.to, *at, item.id))
        }
        ItemState::Unknown { .. } | ItemState::Parked { .. } | ItemState::Held { .. } => {
            Some(key::stuck(item.id))
        }
        ItemState::Waiting
        | ItemState::Delivered { .. }
        | ItemState::Unreachable { .. }
        | ItemState::Discarded { .. } => None,
    }
}

fn head_of(views: &ViewWriter<'_>, to: &str, case: &Ii) -> Result<Option<ItemId>, FoldError> {
    let rows = views.scan(&Scan::prefix(key::lane(to, case)).limit(1))?;
    Ok(rows.first().and_then(|(key, _)| key::item_parts(key)))
}

fn counter(item: &Item) -> (&str, &'static str) {
    (&item.to, item.state.name())
}

fn add(views: &mut ViewWriter<'_>, (of, state): (&str, &str), step: i64) -> Result<(), FoldError> {
    let key = key::count(of, state);
    let before = views.get(&key)?.as_deref().map_or(0, number);
    Ok(views.put(&key, before.saturating_add(step).to_be_bytes())?)
}

/// A counter's value.
#[must_use]
pub fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_be_bytes)
}

fn read<T: DeserializeOwned>(views: &ViewWriter<'_>, key: &[u8]) -> Result<Option<T>, FoldError> {
    views.get(key)?.map(|bytes| decode(&bytes)).transpose()
}

fn write<T: Serialize>(
    views: &mut ViewWriter<'_>,
    key: Vec<u8>,
    value: &T,
) -> Result<(), FoldError> {
    Ok(views.put(&key, to_json(value)?)?)
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, FoldError> {
    serde_json::to_vec(value).map_err(form)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FoldError> {
    serde_json::from_slice(bytes).map_err(form)
}

fn form(error: impl Into<FormError>) -> FoldError {
    FoldError::Record(Box::new(error.into()))
}
