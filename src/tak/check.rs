//! What rows say to each other: references, gaps, overlaps, rings, and what nobody can use.

mod people;
mod rows;
mod units;

use std::collections::BTreeMap;

use jiff::civil::Date;

pub(super) use units::live_days;

use super::draft::{Draft, SystemDraft};
use super::finding::{Findings, Place};
use super::model::{Delivery, WhenUnknown};
use super::read::Told;
use super::rows::Keyed as _;
use super::values::nearest;
use crate::complaint::notice::MAIL;
use crate::id::HsaId;

/// Checks everything that one row alone cannot tell. Sorts routes and permissions as they are kept.
pub(super) fn all(draft: &mut Draft, today: Date, found: &mut Findings) {
    draft.routes.sort_by_key(|it| (it.key(), it.days, it.place));
    draft.permissions.sort_by_key(|it| (it.key(), it.days, it.place));
    let systems = Systems::of(&draft.systems);
    duplicates(draft, found);
    platform(draft, &systems, found);
    inbox(draft, found);
    units::check(draft, &systems, today, found);
    rows::routes(draft, &systems, today, found);
    rows::permissions(draft, today, found);
    people::check(draft, found);
}

/// Systems by the id that other rows name them by.
struct Systems<'a>(BTreeMap<&'a str, &'a SystemDraft>);

impl<'a> Systems<'a> {
    fn of(systems: &'a [SystemDraft]) -> Self {
        Self(systems.iter().filter_map(|it| Some((it.id.as_ref()?.value.as_str(), it))).collect())
    }

    /// The system that a row names, or the finding that there is none.
    fn named(
        &self,
        id: &str,
        at: Place,
        by: &str,
        found: &mut Findings,
    ) -> Option<&'a SystemDraft> {
        let system = self.0.get(id).copied();
        if system.is_none() {
            let known = self.0.keys().copied().filter(|_| !found.is_full());
            let hint = match nearest(id, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add a [[system]] with id = \"{id}\""),
            };
            found.error(at, format!("{by} names system \"{id}\", which is not there"), hint);
        }
        system
    }
}

/// Finds that a called system has nowhere to be called.
fn must_be_called(system: &SystemDraft, at: Place, by: &str, found: &mut Findings) {
    if !system.has_url {
        let id = system.id.as_ref().map_or("?", |it| it.value.as_str());
        found.error(
            at,
            format!("{by} calls system \"{id}\", which has no \"url\""),
            format!("add url = \"https://...\" to it ({})", found.spot(system.place, at)),
        );
    }
}

fn duplicates(draft: &Draft, found: &mut Findings) {
    let systems = &draft.systems;
    for id in systems.iter().filter_map(|it| it.id.as_ref()).filter(|it| it.value == MAIL) {
        found.error(
            id.place,
            format!("no system may have the id \"{MAIL}\": mail to staff is owed to it"),
            "give it another id".to_owned(),
        );
    }
    twice(systems.iter().filter_map(|it| it.id.as_ref()), "system id", found);
    twice(systems.iter().filter_map(|it| it.hsa_id.as_ref()), "HSA-id of a system", found);
    twice(draft.counties.iter().filter_map(|it| it.code.as_ref()), "county code", found);
    twice(draft.units.iter().filter_map(|it| it.hsa_id.as_ref()), "HSA-id of a unit", found);
    twice(draft.people.iter().filter_map(|it| it.hsa_id.as_ref()), "HSA-id of a person", found);
}

fn twice<'a, T: Ord + std::fmt::Display + 'a>(
    told: impl Iterator<Item = &'a Told<T>>,
    what: &str,
    found: &mut Findings,
) {
    let mut first: BTreeMap<&T, Place> = BTreeMap::new();
    for it in told {
        match first.get(&it.value) {
            Some(place) => found.error(
                it.place,
                format!("{what} {} is there twice", it.value),
                format!("the other one is at {}", found.spot(*place, it.place)),
            ),
            None => {
                first.insert(&it.value, it.place);
            }
        }
    }
}

fn platform(draft: &Draft, systems: &Systems<'_>, found: &mut Findings) {
    let Some(platform) = &draft.platform else {
        found.error(
            Place::new(0, 1, 1),
            "there is no [platform]".to_owned(),
            "add it with hsa_id, instance, inkorg and portal, in a file of its own".to_owned(),
        );
        return;
    };
    let called =
        [("inkorg", &platform.inkorg), ("onward", &platform.onward), ("tak", &platform.tak)];
    for (key, told) in called {
        let Some(told) = told else { continue };
        if let Some(system) = systems.named(&told.value, told.place, key, found) {
            must_be_called(system, told.place, key, found);
            if key == "tak" && system.url.as_ref().is_some_and(|it| !it.starts_with("https:")) {
                found.error(
                    told.place,
                    format!("tak names system \"{}\", which is not called over TLS", told.value),
                    "who may call what is not taken from a plain http address: use https"
                        .to_owned(),
                );
            }
        }
    }
    if let Some(portal) = &platform.portal {
        let known: Vec<&HsaId> =
            draft.systems.iter().filter_map(|it| it.hsa_id.as_ref()).map(|it| &it.value).collect();
        if !known.contains(&&portal.value) {
            let hint = match nearest(portal.value.as_str(), known.iter().map(|it| it.as_str())) {
                Some(near) => format!("did you mean {near}?"),
                None => "add the 1177 platform as a [[system]]".to_owned(),
            };
            let message = format!("portal names {}, which no [[system]] has", portal.value);
            found.error(portal.place, message, hint);
        }
    }
}

/// The keys that mean something for 1177 Inkorg only.
fn inbox(draft: &Draft, found: &mut Findings) {
    let inkorg = draft.platform.as_ref().and_then(|it| it.inkorg.as_ref());
    let onward = draft.platform.as_ref().and_then(|it| it.onward.as_ref());
    for system in &draft.systems {
        let id = system.id.as_ref().map(|it| it.value.as_str());
        let is_inkorg = id.is_some() && id == inkorg.map(|it| it.value.as_str());
        let notify = system.notify.as_ref().filter(|it| it.value);
        if let (true, Some(notify), None) = (is_inkorg, notify, &system.source_system) {
            found.error(
                notify.place,
                "notify needs source_system: 1177 Inkorg refuses a notice without one".to_owned(),
                "add source_system = \"...\", the name agreed with 1177, or set notify = false"
                    .to_owned(),
            );
        }
        let only_inkorg = [
            ("notify", system.notify.as_ref().map(|it| it.place)),
            ("source_system", system.source_system.as_ref().map(|it| it.place)),
        ];
        for (key, place) in only_inkorg {
            if let Some(place) = place.filter(|_| !is_inkorg) {
                let hint = "remove it: only 1177 Inkorg has it".to_owned();
                found.warn(place, format!("{key} has no effect here"), hint);
            }
        }
        if let Some(told) = &system.when_unknown {
            let is_onward = id.is_some() && id == onward.map(|it| it.value.as_str());
            let kept = is_onward || system.delivery == Delivery::Queued;
            unknown(is_inkorg, kept, told, found);
        }
    }
}

fn unknown(is_inkorg: bool, kept: bool, told: &Told<WhenUnknown>, found: &mut Findings) {
    if is_inkorg && told.value == WhenUnknown::Resend {
        found.warn(
            told.place,
            "1177 Inkorg cannot tell a repeated message: a citizen may get it twice".to_owned(),
            "when_unknown = \"hold\" shows it to a person instead".to_owned(),
        );
    } else if !is_inkorg && !kept {
        found.warn(
            told.place,
            "when_unknown has no effect with delivery = \"direct\"".to_owned(),
            "remove it, or write delivery = \"queued\"".to_owned(),
        );
    }
}
