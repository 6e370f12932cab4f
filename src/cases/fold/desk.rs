//! What the staff page looks things up by: shelves, counters, people, readings.

use jiff::Timestamp;

use crate::complaint::case::{Case, Status};
use crate::complaint::event::{Event, ItemId};
use crate::complaint::message::Ii;
use crate::store::engine::{FoldError, ViewWriter};
use crate::store::journal::Position;
use crate::store::keys::Keys;

use super::super::key;
use super::super::record::{Item, ItemState};
use super::super::sealed::blinded;
use super::row::PersonHash;
use super::{Moved, add, move_item, read, read_case};

/// The counters of a unit go under this name.
pub(in crate::cases) fn counters(case_unit: &str) -> String {
    format!("unit {case_unit}")
}

/// How many open cases nobody has.
pub(in crate::cases) const UNASSIGNED: &str = "unassigned";

/// Puts a case where its unit and its handler find it (`step` 1), or takes it away (-1).
pub(super) fn shelve(case: &Case, views: &mut ViewWriter<'_>, step: i64) -> Result<(), FoldError> {
    let closed = case.closed.is_some();
    if let Some(assignee) = &case.assigned {
        let key = key::handler(&case.receiver, &assignee.hsa_id, closed, case.opened, &case.id);
        if step > 0 { views.put(&key, Vec::new())? } else { views.delete(&key)? }
    }
    let of = counters(case.receiver.key());
    if case.assigned.is_none() && !closed {
        add(views, (&of, UNASSIGNED), step)?;
    }
    let status: Status = case.status();
    add(views, (&of, status.name()), step)
}

/// Complainant and patient, by the hash of who they are, which it gives: a removal of the case finds
/// them by it.
pub(super) fn index_people(
    keys: Option<&Keys>,
    views: &mut ViewWriter<'_>,
    case: &Ii,
    event: &Event,
) -> Result<Vec<PersonHash>, FoldError> {
    let mut hashes = Vec::new();
    let Event::Opened(opened) = event else { return Ok(hashes) };
    let patient = opened.complaint.patient.as_ref().and_then(|it| it.person_id.as_ref());
    for id in opened.complaint.complainant.person_id.iter().chain(patient) {
        let identity = blinded(keys, id.extension.as_deref().unwrap_or(&id.root));
        let identity = key::person_hash(&identity);
        views.put_new(&key::person_hashed(&identity, case), Vec::new())?;
        hashes.push(identity);
    }
    Ok(hashes)
}

/// A reading, under its case and under the unit that had the case then.
pub(super) fn read_by(
    seq: u64,
    position: Position,
    case: &Ii,
    views: &mut ViewWriter<'_>,
) -> Result<(), FoldError> {
    views.put(&key::reading(case, seq), position.to_bytes())?;
    if let Some(case) = read_case(views, case)? {
        views.put(&key::unit_reading(&case.receiver, seq), position.to_bytes())?;
    }
    Ok(())
}

/// What a step owed that was taken back is never sent.
pub(super) fn take_back(
    views: &mut ViewWriter<'_>,
    step: u64,
    at: Timestamp,
) -> Result<(), FoldError> {
    for n in 0..=u16::MAX {
        let id = ItemId { seq: step, n };
        if read::<Item>(views, &key::item(id))?.is_none() {
            break;
        }
        let why = "taken back by the handler".to_owned();
        move_item(views, id, ItemState::Discarded { at, why }, Moved::Turn)?;
    }
    Ok(())
}
