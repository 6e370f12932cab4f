//! Units and counties: one handling method on every day to come, and what a county needs to be live.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::super::draft::{CountyDraft, Draft, HandlingDraft, UnitDraft};
use super::super::finding::Findings;
use super::super::model::Delivery;
use super::super::period::{Days, gaps, intersection, union};
use super::super::read::Told;
use super::super::values::nearest;
use super::Systems;
use crate::id::HsaId;

pub(super) fn check(draft: &Draft, systems: &Systems<'_>, today: Date, found: &mut Findings) {
    let codes: BTreeSet<&str> =
        draft.counties.iter().filter_map(|it| Some(it.code.as_ref()?.value.as_str())).collect();
    let committees: BTreeSet<&HsaId> =
        draft.counties.iter().filter_map(|it| Some(&it.committee.as_ref()?.value)).collect();
    for unit in &draft.units {
        county_of(unit, &codes, found);
        systems_of(unit, systems, found);
        days_of(unit, today, found);
        let committee = unit.hsa_id.as_ref().is_some_and(|it| committees.contains(&it.value));
        remarks(unit, committee, found);
    }
    rings(&draft.units, today, found);
    for county in &draft.counties {
        committee_of(county, draft, found);
        live(county, draft, today, found);
    }
}

fn county_of(unit: &UnitDraft, codes: &BTreeSet<&str>, found: &mut Findings) {
    let Some(code) = unit.county.as_ref().filter(|it| !codes.contains(it.value.as_str())) else {
        return;
    };
    let hint = match nearest(&code.value, codes.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? Otherwise add a [[county]]"),
        None => format!("add a [[county]] with code = \"{}\"", code.value),
    };
    let message = format!("[[unit]] names county \"{}\", which is not there", code.value);
    found.error(code.place, message, hint);
}

fn systems_of(unit: &UnitDraft, systems: &Systems<'_>, found: &mut Findings) {
    for row in &unit.handling {
        let Some(told) = row.system.as_ref().filter(|_| row.in_system != Some(false)) else {
            continue;
        };
        let by = "[[unit.handling]]";
        let Some(system) = systems.named(&told.value, told.place, by, found) else { continue };
        super::must_be_called(system, told.place, by, found);
        if system.delivery != Delivery::Queued {
            found.error(
                told.place,
                format!("system \"{}\" handles cases and is not queued", told.value),
                format!(
                    "add delivery = \"queued\" to it ({}): a case is committed before it is \
                     answered",
                    found.spot(system.place, told.place)
                ),
            );
        }
    }
}

/// Exactly one handling method on every day from today on.
fn days_of(unit: &UnitDraft, today: Date, found: &mut Findings) {
    let Some(days) = unit.days else { return };
    let name = unit.hsa_id.as_ref().map_or("?", |it| it.value.as_str());
    if days.is_over(today) {
        let hint = "remove it, or take away \"to\"".to_owned();
        found.warn(unit.place, format!("unit {name} ended on {}", days.last()), hint);
        return;
    }
    let coming = Days::new(Some(today), None).and_then(|it| it.and(days));
    let Some(coming) = coming.filter(|_| unit.handling_whole) else { return };
    let mut rows: Vec<(Days, &HandlingDraft)> =
        unit.handling.iter().filter_map(|it| Some((it.days?.and(coming)?, it))).collect();
    rows.sort_by_key(|(days, row)| (*days, row.place));
    let spans: Vec<Days> = rows.iter().map(|(days, _)| *days).collect();
    for gap in gaps(coming, &spans) {
        let hint = if gap.to().is_none() {
            "let the last row have no \"to\"; if the unit closes, give the [[unit]] that \"to\""
        } else if gap.first() == coming.first() {
            "let the first row begin earlier; if the unit opens then, give the [[unit]] that \"from\""
        } else {
            "let one row begin the day after the other ends"
        };
        let message = format!("unit {name} has no handling method {}", spoken(gap));
        found.error(unit.place, message, hint.to_owned());
    }
    let mut last: Option<(Days, &HandlingDraft)> = None;
    for (days, row) in rows {
        if let Some((earlier, other)) = last
            && let Some(both) = earlier.and(days)
        {
            found.error(
                row.place,
                format!("unit {name} has two handling methods {}", spoken(both)),
                format!(
                    "the other one is at {}: end it the day before",
                    found.spot(other.place, row.place)
                ),
            );
        }
        if last.is_none_or(|(earlier, _)| earlier.last() < days.last()) {
            last = Some((days, row));
        }
    }
}

fn spoken(days: Days) -> String {
    match days.to() {
        Some(_) => format!("on the days {} to {}", days.first(), days.last()),
        None => format!("from {} on", days.first()),
    }
}

fn remarks(unit: &UnitDraft, is_committee: bool, found: &mut Findings) {
    let Some(id) = &unit.hsa_id else { return };
    if !unit.has_mailbox {
        found.warn(
            unit.place,
            format!("unit {} has no mailbox: nobody is told of a new case by mail", id.value),
            "add mailbox = \"...\"".to_owned(),
        );
    }
    if !unit.has_care_provider && !is_committee {
        found.warn(
            unit.place,
            format!("unit {} has no care_provider (vårdgivare)", id.value),
            "add care_provider = \"SE...\"; only a patient advisory committee has none".to_owned(),
        );
    }
}

/// Redirects that come back to where they began on some day to come.
fn rings(units: &[UnitDraft], today: Date, found: &mut Findings) {
    let mut redirects: BTreeMap<&HsaId, Vec<(Days, &Told<HsaId>)>> = BTreeMap::new();
    for unit in units {
        let Some(from) = &unit.hsa_id else { continue };
        for row in &unit.handling {
            let coming = row.days.filter(|it| !it.is_over(today));
            if let (Some(days), Some(to)) = (coming, &row.receiver) {
                redirects.entry(&from.value).or_default().push((days, to));
            }
        }
    }
    let mut reported: BTreeSet<&HsaId> = BTreeSet::new();
    for start in redirects.keys() {
        if reported.contains(start) {
            continue;
        }
        if let Some(ring) = ring_from(start, &redirects) {
            let names: Vec<&str> = ring.iter().map(|it| it.value.as_str()).collect();
            if let Some(first) = ring.first() {
                found.error(
                    first.place,
                    format!("redirects go round: {start} to {}", names.join(" to ")),
                    "take away one receiver".to_owned(),
                );
            }
            reported.extend(ring.iter().map(|it| &it.value));
        }
    }
}

type Redirects<'a> = BTreeMap<&'a HsaId, Vec<(Days, &'a Told<HsaId>)>>;

/// The redirects that lead from `start` back to it, all on one same day.
fn ring_from<'a>(start: &HsaId, redirects: &Redirects<'a>) -> Option<Vec<&'a Told<HsaId>>> {
    let mut open: Vec<(Days, Vec<&Told<HsaId>>)> = vec![(Days::ALL, Vec::new())];
    let mut seen: BTreeSet<(&HsaId, Days)> = BTreeSet::new();
    while let Some((days, path)) = open.pop() {
        let at = path.last().map_or(start, |it| &it.value);
        for (theirs, next) in redirects.get(at).into_iter().flatten() {
            let Some(both) = days.and(*theirs) else { continue };
            let mut longer = path.clone();
            longer.push(next);
            if next.value == *start {
                return Some(longer);
            }
            if seen.insert((&next.value, both)) {
                open.push((both, longer));
            }
        }
    }
    None
}

fn committee_of(county: &CountyDraft, draft: &Draft, found: &mut Findings) {
    let (Some(code), Some(told)) = (&county.code, &county.committee) else { return };
    let is_it = |it: &&UnitDraft| it.hsa_id.as_ref().is_some_and(|id| id.value == told.value);
    match draft.units.iter().find(is_it) {
        None => {
            let known =
                draft.units.iter().filter_map(|it| Some(it.hsa_id.as_ref()?.value.as_str()));
            let hint = match nearest(told.value.as_str(), known) {
                Some(near) => format!("did you mean {near}?"),
                None => "add it as a [[unit]] of the county".to_owned(),
            };
            let message = format!(
                "county {} names {} as patient advisory committee, and there is no such unit",
                code.value, told.value
            );
            found.error(told.place, message, hint);
        }
        Some(unit) => {
            if let Some(theirs) = unit.county.as_ref().filter(|it| it.value != code.value) {
                found.error(
                    told.place,
                    format!(
                        "county {} names {} as patient advisory committee, a unit of county {}",
                        code.value, told.value, theirs.value
                    ),
                    "a county has a committee of its own".to_owned(),
                );
            }
        }
    }
}

/// The days on which a county takes cases: its committee does, and at least one care unit.
pub(in crate::tak) fn live_days(county: &CountyDraft, units: &[UnitDraft]) -> Vec<Days> {
    let Some(code) = &county.code else { return Vec::new() };
    let committee = county.committee.as_ref().map(|it| &it.value);
    let (mut board, mut care) = (Vec::new(), Vec::new());
    for unit in units.iter().filter(|it| it.county.as_ref().is_some_and(|c| c.value == code.value))
    {
        let open = unit.handling.iter().filter_map(|it| it.days?.and(unit.days?));
        if unit.hsa_id.as_ref().map(|it| &it.value) == committee {
            board.extend(open);
        } else {
            care.extend(open);
        }
    }
    intersection(&union(board), &union(care))
}

fn live(county: &CountyDraft, draft: &Draft, today: Date, found: &mut Findings) {
    let Some(code) = &county.code else { return };
    let committee = county.committee.as_ref().map(|it| &it.value);
    let of_county = |it: &&UnitDraft| it.county.as_ref().is_some_and(|c| c.value == code.value);
    let units: Vec<&HsaId> = draft
        .units
        .iter()
        .filter(of_county)
        .filter_map(|it| Some(&it.hsa_id.as_ref()?.value))
        .collect();
    if units.is_empty() {
        found.warn(
            county.place,
            format!("county {} has no units", code.value),
            "add its units, or remove the county".to_owned(),
        );
        return;
    }
    let days = live_days(county, &draft.units);
    if days.iter().any(|it| it.contains(today)) {
        return;
    }
    let later = days.iter().map(|it| it.first()).filter(|it| *it > today).min();
    let lacks = if committee.is_none() {
        "it has no patient_advisory_committee"
    } else if units.iter().all(|it| Some(*it) == committee) {
        "it has no care unit"
    } else {
        "its committee and a care unit do not take cases on the same day"
    };
    let until = later.map_or_else(String::new, |it| format!(" until {it}"));
    let (first, more) = (units.first().map_or("", |it| it.as_str()), units.len() - 1);
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    found.warn(
        county.place,
        format!(
            "county {} is not live{until}: {lacks}; cases for {first}{and_more} are refused",
            code.value
        ),
        "a county is live with at least one care unit and one patient advisory committee"
            .to_owned(),
    );
}
