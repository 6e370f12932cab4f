//! Routes and permissions: overlaps, rows that have run out, and rows that nothing can use.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::super::draft::{Draft, RouteDraft, TargetDraft};
use super::super::finding::{Findings, Place};
use super::super::model::Profile;
use super::super::names::Name;
use super::super::period::Days;
use super::super::rows::{Keyed as _, Permission};
use super::super::values::nearest;
use super::super::{PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING};
use super::Systems;
use crate::id::HsaId;
use crate::rivta::served;

pub(super) fn routes(draft: &Draft, systems: &Systems<'_>, today: Date, found: &mut Findings) {
    for route in &draft.routes {
        if let TargetDraft::System(told) = &route.target
            && let Some(system) = systems.named(&told.value, told.place, "[[route]]", found)
            && !system.has_url
        {
            found.warn(
                told.place,
                format!("system \"{}\" has no url: calls get VP010", told.value),
                format!(
                    "add url = \"https://...\" to it ({})",
                    found.spot(system.place, told.place)
                ),
            );
        }
        over("route", route.days, route.place, today, found);
        let contract = draft.names.text(route.contract);
        if [PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(contract))
        {
            found.warn(
                route.place,
                "the route is never used: the complaint contracts go by unit".to_owned(),
                "remove it; where a unit's cases go is said by its [[unit.handling]]".to_owned(),
            );
        }
    }
    let mut last: BTreeMap<Profile, &RouteDraft> = BTreeMap::new();
    let mut key = None;
    for route in &draft.routes {
        if key.replace(route.key()) != Some(route.key()) {
            last.clear();
        }
        if let Some(other) = last.get(&route.profile)
            && let Some(both) = other.days.and(route.days)
        {
            let names = (draft.names.text(route.contract), draft.names.text(route.address));
            found.error(
                route.place,
                format!(
                    "two routes for {} at {}, both {}: {both}",
                    names.0, names.1, route.profile
                ),
                format!(
                    "the other one is at {}: end it the day before, or remove one",
                    found.spot(other.place, route.place)
                ),
            );
        }
        let reaches_further = |it: &&RouteDraft| it.days.last() > route.days.last();
        if !last.get(&route.profile).is_some_and(reaches_further) {
            last.insert(route.profile, route);
        }
    }
}

pub(super) fn permissions(draft: &Draft, today: Date, found: &mut Findings) {
    let usable = Usable::of(draft);
    let callers: BTreeSet<&HsaId> =
        draft.systems.iter().filter_map(|it| Some(&it.hsa_id.as_ref()?.value)).collect();
    let mut strangers: BTreeMap<Name, Place> = BTreeMap::new();
    let mut last: Option<&Permission> = None;
    for row in &draft.permissions {
        over("permission", row.days, row.place, today, found);
        usable.check(row, found);
        if let Some(other) = last.filter(|it| it.key() == row.key())
            && let Some(both) = other.days.and(row.days)
        {
            found.warn(
                row.place,
                format!("the same permission twice: {both}"),
                format!("the other one is at {}: remove one", found.spot(other.place, row.place)),
            );
        }
        let same = last.filter(|it| it.key() == row.key());
        if same.is_none_or(|it| it.days.last() <= row.days.last()) {
            last = Some(row);
        }
        let at = strangers.entry(row.consumer).or_insert(row.place);
        *at = row.place.min(*at);
    }
    for (name, place) in strangers {
        let text = draft.names.text(name);
        if HsaId::parse(text).is_ok_and(|it| callers.contains(&it)) {
            continue;
        }
        let known = callers.iter().map(|it| it.as_str()).filter(|_| !found.is_full());
        let hint = match nearest(text, known) {
            Some(near) => format!("did you mean {near}? Otherwise add it as a [[system]]"),
            None => "add it as a [[system]] with its name".to_owned(),
        };
        found.warn(place, format!("no [[system]] is the consumer {text}"), hint);
    }
}

fn over(what: &str, days: Days, place: Place, today: Date, found: &mut Findings) {
    if days.is_over(today) {
        let message = format!("the {what} ended on {}", days.last());
        found.warn(place, message, "remove it, or move \"to\"".to_owned());
    }
}

/// What tells whether a permission can ever let a call through.
struct Usable<'a> {
    draft: &'a Draft,
    units: BTreeSet<&'a HsaId>,
    /// What routes are for, in order.
    routed: Vec<(Name, Name)>,
    standard: Option<Name>,
    complaint: Option<Name>,
    handling: Option<Name>,
    /// What to do about a contract that permissions are for and no route is.
    unrouted: BTreeMap<Name, String>,
}

impl<'a> Usable<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            draft,
            units: draft.units.iter().filter_map(|it| Some(&it.hsa_id.as_ref()?.value)).collect(),
            // As the rows are.
            routed: draft.routes.iter().map(RouteDraft::key).collect(),
            standard: draft.names.find("*"),
            complaint: draft.names.find(PROCESS_COMPLAINT),
            handling: draft.names.find(PROCESS_COMPLAINT_HANDLING),
            unrouted: unrouted(draft),
        }
    }

    fn check(&self, row: &Permission, found: &mut Findings) {
        let names = &self.draft.names;
        let (contract, address) = (names.text(row.contract), names.text(row.address));
        let platform = self.draft.platform.as_ref();
        let own = platform.and_then(|it| it.hsa_id.as_ref());
        let is = |id: &HsaId| id.as_str().eq_ignore_ascii_case(address);
        let standard = Some(row.address) == self.standard;
        // What lies above a unit is known only to the organisation tree, which is not here.
        let climbs = self
            .draft
            .climbing
            .as_ref()
            .is_some_and(|it| it.permissions.applies_to(&contract.to_ascii_lowercase()));
        if climbs || own.is_some_and(is) || standard && served::is_served(contract) {
            return;
        }
        let why = if Some(row.contract) == self.complaint {
            let known = HsaId::parse(address).is_ok_and(|it| self.units.contains(&it));
            let open = standard && !self.units.is_empty();
            (!known && !open).then(|| self.no_unit(address, found.is_full()))
        } else if Some(row.contract) == self.handling {
            let portal = platform.and_then(|it| it.portal.as_ref()).map(|it| &it.value);
            let known = portal.is_none_or(is);
            (!known && !standard).then(|| {
                let portal = portal.map_or("?", |it| it.as_str());
                (format!("{address} is not the portal"), format!("the portal is {portal}"))
            })
        } else {
            self.no_route(row, contract, address, standard)
        };
        if let Some((why, hint)) = why {
            found.warn(row.place, format!("no call can use the permission: {why}"), hint);
        }
    }

    fn no_unit(&self, address: &str, quick: bool) -> (String, String) {
        let known = self.units.iter().map(|it| it.as_str()).filter(|_| !quick);
        let hint = match nearest(address, known) {
            Some(near) => format!("did you mean {near}?"),
            None => "add the unit, or remove the permission".to_owned(),
        };
        (format!("there is no unit {address}"), hint)
    }

    fn no_route(
        &self,
        row: &Permission,
        contract: &str,
        address: &str,
        standard: bool,
    ) -> Option<(String, String)> {
        if let Some(hint) = self.unrouted.get(&row.contract) {
            return Some((format!("no route is for {contract}"), hint.clone()));
        }
        let climbed = self
            .draft
            .climbing
            .as_ref()
            .is_some_and(|it| it.routes.applies_to(&contract.to_ascii_lowercase()));
        let has = |name: Name| self.routed.binary_search(&(row.contract, name)).is_ok();
        if standard || climbed || has(row.address) || self.standard.is_some_and(has) {
            return None;
        }
        let hint = "add a route, or remove the permission".to_owned();
        Some((format!("no route of the contract is for {address}"), hint))
    }
}

/// The contracts that permissions are for and no route is, each with the nearest that has one.
fn unrouted(draft: &Draft) -> BTreeMap<Name, String> {
    let routed: BTreeSet<Name> = draft.routes.iter().map(|it| it.contract).collect();
    let permitted: BTreeSet<Name> = draft.permissions.iter().map(|it| it.contract).collect();
    let hint = |name: Name| {
        let own = [PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING];
        let known = routed.iter().map(|it| draft.names.text(*it)).chain(own);
        match nearest(draft.names.text(name), known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "add a route, or remove the permission".to_owned(),
        }
    };
    permitted.difference(&routed).map(|it| (*it, hint(*it))).collect()
}
