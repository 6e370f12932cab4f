//! The staff page's way to the cases: shelves to page through, work that checks what it was begun
//! on, and the access log.

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock;
use crate::complaint::case::{Case, Status};
use crate::complaint::command::{self, Decided, Handling, Refusal};
use crate::complaint::deadline::Terms;
use crate::complaint::desk;
use crate::complaint::event::{Act, Event, Incoming, ItemId, Via, Why};
use crate::complaint::message::{Actor, Complaint, FromHandler, Ii, Registration};
use crate::complaint::notice;
use crate::id::HsaId;
use crate::limits;
use crate::store::engine::Transaction;
use crate::store::journal::Position;
use crate::store::views::Scan;

use super::fold::desk as shelves;
use super::query::QueryError;
use super::record::{Item, ItemState, Record};
use super::sealed::blinded;
use super::{
    Accepted, Cases, Envelope, Failure, Grounds, Head, NotAccepted, append, digest, incoming, key,
    next_number, query, reception, repeated,
};

/// Something that a person does with a case.
#[derive(Debug, Clone)]
pub struct Work {
    pub case: Ii,
    pub by: Actor,
    /// How many events the case had when the person saw it ([`Case::events`]): with another number
    /// now, somebody else was first and nothing is done. `None` where that does not matter.
    pub seen: Option<u32>,
    /// The form that it was written in: the same one sent again does nothing more.
    pub form: Option<Uuid>,
    pub what: What,
}

/// What is done.
#[derive(Debug, Clone)]
pub enum What {
    /// A step of the handling. What it tells others is held for [`limits::UNDO_TIME`].
    Step(Box<FromHandler>),
    /// Something among the staff.
    Act(Act),
}

/// A row of cases to page through.
#[derive(Debug, Clone)]
pub struct Shelf {
    pub unit: HsaId,
    /// Only what this person has.
    pub handler: Option<HsaId>,
    /// The closed ones instead of the open ones.
    pub closed: bool,
}

/// One page of a shelf, oldest first.
#[derive(Debug, Clone)]
pub struct Page {
    pub cases: Vec<Case>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// How many cases a unit has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitCounts {
    pub by_status: Vec<(Status, u64)>,
    /// Open cases that nobody has.
    pub unassigned: u64,
}

/// One line of the access log.
#[derive(Debug, Clone)]
pub struct Reading {
    pub seq: u64,
    pub at: Timestamp,
    pub case: Ii,
    pub by: Actor,
    pub why: Why,
}

impl Cases {
    /// Does something with a case of the built-in store.
    ///
    /// # Errors
    /// [`NotAccepted::Refused`] when the case does not allow it; nothing has changed then.
    pub async fn work(&self, work: Work, grounds: Grounds) -> Result<Accepted, NotAccepted> {
        let own = self.own.clone();
        let notify = self.notify;
        self.commit(move |transaction| {
            let Work { case: id, by, seen, form, what } = work;
            let about = (&id, &by.hsa_id, &what);
            let came = form.map(|form| came_by_form(&own, form, about, transaction.now()));
            if let Some((incoming, _)) = &came
                && let Some(repeated) = repeated(transaction, incoming)?
            {
                return Ok(repeated);
            }
            let existing = query::case_in(transaction, &id)?;
            let changed = |case: &Case| seen.is_some_and(|seen| seen != case.events);
            if existing.as_ref().is_some_and(changed) {
                return Err(Failure::Refused(Refusal::Changed));
            }
            let decided = match what {
                What::Step(content) => {
                    let handling = Handling { by: &by, via: Via::Store, system: &own };
                    let (codes, parties) = (&grounds.codes, &grounds.parties);
                    let now = transaction.now();
                    command::handle(&content, existing.as_ref(), handling, None, codes, parties)
                        .map(|decided| held(decided, now))
                }
                What::Act(act) => {
                    if let Act::Undone { step } = act {
                        untouched(transaction, existing.as_ref(), step)?;
                    }
                    desk::act(existing.as_ref(), &by, act, &own)
                }
            };
            let decided = decided.map_err(Failure::Refused)?;
            let head = Head { case: id, existing, generation: grounds.generation, notify };
            append(transaction, head, came, decided)
        })
        .await
    }

    /// A case that began outside 1177, registered by a person for a unit of the built-in store.
    /// `form` is the form that it was written in: the same one sent again is the same case.
    ///
    /// # Errors
    /// [`NotAccepted::Refused`] when the registration does not fit the unit, [`NotAccepted::Reused`]
    /// when the form has made a case of another content.
    pub async fn register_here(
        &self,
        registration: Registration,
        by: Actor,
        form: Uuid,
        grounds: Grounds,
    ) -> Result<Accepted, NotAccepted> {
        let own = self.own.clone();
        let notify = self.notify;
        self.commit(move |transaction| {
            let envelope = by_form(&own, form);
            let message_id = Ii { root: own.to_string(), extension: Some(form.to_string()) };
            let digest = digest_of_form(&registration, &by);
            let incoming = incoming(&envelope, &message_id, transaction.now(), digest);
            if let Some(repeated) = repeated(transaction, &incoming)? {
                return Ok(repeated);
            }
            let number = next_number(transaction)?;
            let id = command::own_case_id(&own, &number);
            let decided = command::register_here(
                (&registration.origin, &registration.complaint),
                &by,
                &own,
                reception(&grounds)?,
                number,
                &grounds.parties,
            )
            .map_err(Failure::Refused)?;
            let generation = grounds.generation;
            let head = Head { case: id, existing: None, generation, notify };
            append(transaction, head, Some((incoming, envelope)), decided)
        })
        .await
    }

    /// Has staff told of a deadline of a case; nothing when they were, or it is over. On disk when it
    /// returns.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn remind(
        &self,
        case: &Ii,
        terms: Terms,
        generation: String,
    ) -> Result<(), NotAccepted> {
        let id = case.clone();
        let notify = self.notify;
        let done = self.commit(move |transaction| {
            let existing = query::case_in(transaction, &id)?;
            let case = existing.as_ref();
            let untold = case.map(|it| notice::untold(it, &terms, transaction.now()));
            let first = untold.into_iter().flatten().next();
            // Whatever comes first; a second one is told at the next look.
            let reminder = first.ok_or(Failure::Refused(Refusal::NotFound))?;
            let head = Head { case: id, existing, generation, notify };
            let event = Event::Reminded { reminder };
            append(transaction, head, None, Decided { event, owed: Vec::new() })
        });
        match done.await {
            Ok(_) | Err(NotAccepted::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The open cases of a unit with a deadline that staff are to be told of, from `after` on; where
    /// to go on, `None` at the end.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn to_remind(
        &self,
        unit: &HsaId,
        terms: &Terms,
        after: Option<&[u8]>,
    ) -> Result<Page, QueryError> {
        let shelf = Shelf { unit: unit.clone(), handler: None, closed: false };
        let now = self.clock.now();
        self.page(&shelf, after, &|case| !notice::untold(case, terms, now).is_empty())
    }

    /// Writes to the access log that `by` is about to be shown a case; on disk when it returns.
    ///
    /// # Errors
    /// When it could not be written: then nothing may be shown.
    pub async fn note_reading(
        &self,
        case: &Ii,
        by: Actor,
        why: Why,
        generation: String,
    ) -> Result<(), NotAccepted> {
        let id = case.clone();
        let notify = self.notify;
        self.commit(move |transaction| {
            let existing = query::case_in(transaction, &id)?;
            let event = Event::Staff { by, act: Act::Read { why } };
            let head = Head { case: id, existing, generation, notify };
            append(transaction, head, None, Decided { event, owed: Vec::new() })
        })
        .await
        .map(|_| ())
    }

    /// A page of at most [`limits::STAFF_ROWS_MAX`] cases that `keep` wants, from `after` on. At most
    /// [`limits::STAFF_ROWS_LOOKED_MAX`] are looked at, so a page can be short and not the last.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn page(
        &self,
        shelf: &Shelf,
        after: Option<&[u8]>,
        keep: &dyn Fn(&Case) -> bool,
    ) -> Result<Page, QueryError> {
        let prefix = match &shelf.handler {
            Some(handler) => key::handler_prefix(&shelf.unit, handler, shelf.closed),
            None => key::unit_prefix(&shelf.unit, shelf.closed),
        };
        let mut scan = Scan::prefix(prefix.clone()).limit(limits::STAFF_ROWS_LOOKED_MAX);
        if let Some(after) = after {
            scan = scan.after([prefix.as_slice(), after].concat());
        }
        let rows = self.engine.scan(&scan)?;
        let whole = rows.len() < limits::STAFF_ROWS_LOOKED_MAX;
        let mut cases = Vec::new();
        let mut last = None;
        let (seen, all) = (prefix.len(), rows.len());
        for (at, (row, _)) in rows.into_iter().enumerate() {
            let rest = row.get(seen..).unwrap_or_default().to_vec();
            // Behind the prefix: eight bytes of time, then the key of the case.
            let case = self.case_at(&key::case_behind(&rest, 8))?;
            last = Some(rest);
            cases.extend(case.filter(|case| keep(case)));
            if cases.len() == limits::STAFF_ROWS_MAX {
                let ended = whole && at + 1 == all;
                return Ok(Page { cases, next: last.filter(|_| !ended) });
            }
        }
        Ok(Page { cases, next: last.filter(|_| !whole) })
    }

    /// The cases of a person, complainant or patient, by identity as it stands in the messages.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn of_person(&self, identity: &str) -> Result<Vec<Case>, QueryError> {
        let identity = key::person_hash(&blinded(self.keys.as_deref(), identity));
        let prefix = key::person_prefix(&identity);
        let mut cases = Vec::new();
        for (row, _) in self.rows(&prefix, limits::STAFF_PERSON_CASES_MAX)? {
            cases.extend(self.case_at(&key::case_behind(&row, prefix.len()))?);
        }
        Ok(cases)
    }

    /// How many cases a unit has, by status.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub fn unit_counts(&self, unit: &HsaId) -> Result<UnitCounts, QueryError> {
        let of = shelves::counters(unit.key());
        let count = |state: &str| Ok::<_, QueryError>(self.counter(&of, state)?.unsigned_abs());
        let mut by_status = Vec::new();
        for status in Status::ALL {
            by_status.push((status, count(status.name())?));
        }
        Ok(UnitCounts { by_status, unassigned: count(shelves::UNASSIGNED)? })
    }

    /// Who has read a case, the first reading first.
    ///
    /// # Errors
    /// When the views or the journal cannot be read.
    pub fn readings_of(&self, case: &Ii) -> Result<Vec<Reading>, QueryError> {
        let rows = self.rows(&key::readings(case), limits::STAFF_READINGS_MAX)?;
        rows.iter().filter_map(|(_, position)| self.reading(position).transpose()).collect()
    }

    /// Readings of a unit's cases, the newest first, from before `before` on.
    ///
    /// # Errors
    /// When the views or the journal cannot be read.
    pub fn readings_at(
        &self,
        unit: &HsaId,
        before: Option<u64>,
    ) -> Result<Vec<Reading>, QueryError> {
        let mut scan = Scan::prefix(key::unit_readings(unit)).limit(limits::STAFF_ROWS_MAX);
        if let Some(before) = before {
            scan = scan.after(key::unit_reading(unit, before));
        }
        let rows = self.engine.scan(&scan)?;
        rows.iter().filter_map(|(_, position)| self.reading(position).transpose()).collect()
    }

    fn reading(&self, position: &[u8]) -> Result<Option<Reading>, QueryError> {
        let Some(position) = Position::from_bytes(position) else { return Ok(None) };
        let Record { at, case, event, .. } = self.read_record(position)?;
        let Event::Staff { by, act: Act::Read { why } } = event else { return Ok(None) };
        Ok(Some(Reading { seq: position.seq, at, case, by, why }))
    }
}

/// What a form of ours did, as a message that is known again.
fn came_by_form(
    own: &HsaId,
    form: Uuid,
    (case, by, what): (&Ii, &HsaId, &What),
    now: Timestamp,
) -> (Incoming, Envelope) {
    let envelope = by_form(own, form);
    let id = Ii { root: own.to_string(), extension: Some(form.to_string()) };
    let digest = digest(&(case, by, format!("{what:?}")));
    (incoming(&envelope, &id, now, digest), envelope)
}

/// A form of ours as a message: sent by this gateway itself.
fn by_form(own: &HsaId, form: Uuid) -> Envelope {
    Envelope {
        sender: own.clone(),
        original_consumer: None,
        on_behalf_of: None,
        correlation_id: form.to_string(),
        trace: String::new(),
        original: None,
        remarks: Vec::new(),
    }
}

/// Without the time of day: the form knows the day alone, and is sent again some seconds later.
fn digest_of_form(registration: &Registration, by: &Actor) -> String {
    let day = clock::swedish_day(registration.complaint.submitted);
    let submitted = Timestamp::UNIX_EPOCH;
    let complaint = Complaint { submitted, ..registration.complaint.clone() };
    digest(&(&by.hsa_id, day, &Registration { origin: registration.origin, complaint }))
}

fn held(mut decided: Decided, now: Timestamp) -> Decided {
    for owed in &mut decided.owed {
        owed.not_before = Some(clock::after(now, limits::UNDO_TIME));
    }
    decided
}

/// A step can be taken back until the first message about it is on its way; without any, for as
/// long as it would have been held.
fn untouched(
    transaction: &mut Transaction<'_>,
    case: Option<&Case>,
    step: u64,
) -> Result<(), Failure> {
    let too_late =
        || Failure::Refused(Refusal::State("Det är redan på väg till anmälaren.".into()));
    let mut owed = 0;
    for n in 0..=u16::MAX {
        let Some(item) = query::read_in::<Item>(transaction, &key::item(ItemId { seq: step, n }))?
        else {
            break;
        };
        let still = matches!(item.state, ItemState::Due { .. } | ItemState::Waiting);
        if !still || item.attempts > 0 {
            return Err(too_late());
        }
        owed += 1;
    }
    let last = case.and_then(|case| case.last_step.as_ref()).filter(|last| last.seq == step);
    let within =
        last.is_some_and(|last| transaction.now() < clock::after(last.at, limits::UNDO_TIME));
    if owed == 0 && !within {
        return Err(Failure::Refused(Refusal::State("Det går inte längre att ångra.".into())));
    }
    Ok(())
}
