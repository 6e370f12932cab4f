//! People: units that are there and are worked here, each once, and never on both sides.

use std::collections::{BTreeMap, BTreeSet};

use super::super::draft::person::PersonDraft;
use super::super::draft::{Draft, UnitDraft};
use super::super::finding::{Findings, Place};
use super::super::model::Role;
use super::super::values::nearest;
use crate::id::HsaId;

pub(super) fn check(draft: &Draft, found: &mut Findings) {
    let units: BTreeMap<&HsaId, &UnitDraft> =
        draft.units.iter().filter_map(|it| Some((&it.hsa_id.as_ref()?.value, it))).collect();
    let committees: BTreeSet<&HsaId> =
        draft.counties.iter().filter_map(|it| Some(&it.committee.as_ref()?.value)).collect();
    let people: BTreeMap<&HsaId, &PersonDraft> =
        draft.people.iter().filter_map(|it| Some((&it.hsa_id.as_ref()?.value, it))).collect();
    for person in &draft.people {
        posts(person, &units, found);
        sides(person, &committees, found);
        absences(person, &people, found);
    }
}

/// A substitute is somebody else, and handles cases at every unit where the one who is away does.
fn absences(person: &PersonDraft, people: &BTreeMap<&HsaId, &PersonDraft>, found: &mut Findings) {
    let handles = |it: &PersonDraft| -> BTreeSet<HsaId> {
        let posts = it.posts.iter().filter(|it| it.roles.contains(&Role::CaseHandler));
        posts.filter_map(|it| Some(it.unit.as_ref()?.value.clone())).collect()
    };
    for told in person.absences.iter().filter_map(|it| it.substitute.as_ref()) {
        let own = person.hsa_id.as_ref().is_some_and(|it| it.value == told.value);
        let Some(substitute) = people.get(&told.value).filter(|_| !own) else {
            let known = people.keys().map(|it| it.as_str()).filter(|_| !found.is_full());
            let hint = match nearest(told.value.as_str(), known).filter(|_| !own) {
                Some(near) => format!("did you mean {near}?"),
                None => "name another [[person]]".to_owned(),
            };
            let message =
                format!("{} cannot be the substitute: there is nobody else so", told.value);
            found.error(told.place, message, hint);
            continue;
        };
        for unit in handles(person).difference(&handles(substitute)) {
            found.warn(
                told.place,
                format!("the substitute handles no cases at unit {unit}"),
                format!("give {} the role ärendehanterare there, too", told.value),
            );
        }
    }
}

fn posts(person: &PersonDraft, units: &BTreeMap<&HsaId, &UnitDraft>, found: &mut Findings) {
    let mut first: BTreeMap<&HsaId, Place> = BTreeMap::new();
    for post in &person.posts {
        let Some(told) = &post.unit else { continue };
        let Some(unit) = units.get(&told.value) else {
            let known = units.keys().map(|it| it.as_str()).filter(|_| !found.is_full());
            let hint = match nearest(told.value.as_str(), known) {
                Some(near) => format!("did you mean {near}?"),
                None => "add it as a [[unit]]".to_owned(),
            };
            let message =
                format!("[[person.role]] names {}, and there is no such unit", told.value);
            found.error(told.place, message, hint);
            continue;
        };
        if let Some(place) = first.insert(&told.value, post.place) {
            let message = format!("the person has two [[person.role]] for unit {}", told.value);
            let hint = format!("put the roles together at {}", found.spot(place, told.place));
            found.error(told.place, message, hint);
        }
        // A unit that moved to an own system keeps what it has in the store.
        if unit.handling_whole && unit.handling.iter().all(|it| it.in_system == Some(true)) {
            found.warn(
                told.place,
                format!("the cases of unit {} are never in the built-in store", told.value),
                "its people work in its own system: remove the role".to_owned(),
            );
        }
    }
}

/// The committee acts independently of care (lag 2017:372, 4 §) and neither sees the other's cases.
/// An HSA-id is given by the organisation that somebody works for, so one who works for both has two.
fn sides(person: &PersonDraft, committees: &BTreeSet<&HsaId>, found: &mut Findings) {
    let units = || person.posts.iter().filter_map(|it| it.unit.as_ref());
    let care = units().find(|it| !committees.contains(&it.value));
    let committee = units().find(|it| committees.contains(&it.value));
    if let (Some(care), Some(committee)) = (care, committee) {
        let (earlier, later) =
            if care.place < committee.place { (care, committee) } else { (committee, care) };
        found.error(
            later.place,
            format!(
                "the person has roles both at a patient advisory committee ({}) and in care ({})",
                committee.value, care.value
            ),
            format!(
                "they share no data: keep one side ({} or this); who works for both has a card and \
                 an HSA-id for each",
                found.spot(earlier.place, later.place)
            ),
        );
    }
}
