//! Every route by every role; the page on a real store is tried in `tests/it/staff.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::access::{About, Action, Denied, Needs, authorise};
use super::*;
use crate::id::HsaId;
use crate::tak::{Person, Place, Role};

/// Who may, of: ärendemottagare, ärendehanterare who has the case, ärendehanterare who has it not,
/// granskare, kvalitetsansvarig, lokal administratör. `+` yes, `-` no.
const TABLE: &[(&str, &str)] = &[
    ("/enhet/{unit}", "+++-++"),
    ("/enhet/{unit}/nytt", "+++-+-"),
    ("/enhet/{unit}/logg", "---+--"),
    ("/enhet/{unit}/utdrag", "---+--"),
    ("/arende/{number}", "++--+-"),
    ("/arende/{number}/fil/{record}/{n}", "++--+-"),
    ("/arende/{number}/pdf", "++--+-"),
    ("/arende/{number}/export", "++--+-"),
    ("/arende/{number}/logg", "---+--"),
    ("/arende/{number}/ta", "------"),
    ("/arende/{number}/fordela", "++--++"),
    ("/arende/{number}/anteckna", "++--+-"),
    ("/arende/{number}/angra", "+++-+-"),
    ("/arende/{number}/bekrafta", "++----"),
    ("/arende/{number}/delsvar", "++----"),
    ("/arende/{number}/fraga", "-+----"),
    ("/arende/{number}/svar", "-+----"),
    ("/arende/{number}/plats", "-+--+-"),
    ("/arende/{number}/avsluta", "-+----"),
];

/// Routes that ask for no role: what they show is chosen by the others.
const OPEN: &[(&str, Needs)] = &[
    ("/stil.css", Needs::Connection),
    ("/in", Needs::Person),
    ("/in/tjanst", Needs::Connection),
    ("/in/svar", Needs::Connection),
    ("/ut", Needs::Session),
    ("/", Needs::Session),
    ("/sok", Needs::Session),
];

const SIX: [(Role, bool); 6] = [
    (Role::CaseReceiver, false),
    (Role::CaseHandler, true),
    (Role::CaseHandler, false),
    (Role::LogReviewer, false),
    (Role::QualityLead, false),
    (Role::LocalAdministrator, false),
];

fn id(suffix: &str) -> HsaId {
    HsaId::parse(&format!("SE0000000000-{suffix}")).unwrap()
}

fn person(roles: &[Role]) -> Person {
    Person {
        hsa_id: id("ANNA"),
        name: "Anna Påhittad".to_owned(),
        title: None,
        email: None,
        posts: BTreeMap::from([(id("PAN99"), BTreeSet::from_iter(roles.iter().copied()))]),
        absences: Vec::new(),
        stands_in_for: BTreeSet::new(),
        place: Place::default(),
    }
}

fn asked(needs: Needs, role: Role, has: bool, closed: bool) -> Result<(), Denied> {
    let (unit, anna, bo) = (id("PAN99"), id("ANNA"), id("BO"));
    let assigned = Some(if has { &anna } else { &bo });
    let case = About { unit: &unit, committee: true, assigned, closed };
    let (action, about) = match needs {
        Needs::Unit(action) => (action, About::unit(&unit)),
        Needs::Case { action, .. } => (action, case),
        Needs::Connection | Needs::Person | Needs::Session => panic!("asks for no role"),
    };
    authorise(&person(&[role]), action, about).map(|_| ())
}

#[test]
fn every_route_is_in_the_table_and_allows_whom_the_table_says() {
    let mut seen = BTreeSet::new();
    for Route { path, needs, .. } in routes() {
        assert!(seen.insert(path), "{path} is there twice");
        if let Some((_, expected)) = OPEN.iter().find(|(known, _)| *known == path) {
            assert_eq!(needs, *expected, "{path}");
            continue;
        }
        let row = TABLE.iter().find(|(known, _)| *known == path);
        let (_, row) = row.unwrap_or_else(|| panic!("{path} has no row in the table"));
        let found: String = SIX
            .iter()
            .map(|(role, has)| if asked(needs, *role, *has, false).is_ok() { '+' } else { '-' })
            .collect();
        assert_eq!(found, *row, "{path}");
    }
    assert_eq!(seen.len(), TABLE.len() + OPEN.len(), "a row without a route");
}

#[test]
fn nobody_may_anything_at_a_unit_where_they_have_no_role() {
    let all = person(&Role::ALL);
    let elsewhere = id("VC1");
    for Route { path, needs, .. } in routes() {
        let (Needs::Unit(action) | Needs::Case { action, .. }) = needs else { continue };
        let about = About { assigned: Some(&all.hsa_id), ..About::unit(&elsewhere) };
        assert_eq!(authorise(&all, action, about), Err(Denied::NoRole), "{path}");
    }
}

#[test]
fn what_is_shown_of_a_case_is_written_to_the_access_log() {
    let kept_apart = ["ta", "fordela", "anteckna", "angra"];
    for Route { path, needs, .. } in routes() {
        let Needs::Case { shows, .. } = needs else { continue };
        let last = path.rsplit('/').next().unwrap();
        assert_eq!(shows, !kept_apart.contains(&last), "{path}");
    }
}

#[test]
fn a_case_is_taken_by_one_who_both_receives_and_handles() {
    let unit = id("PAN99");
    let about = About::unit(&unit);
    let may = |roles: &[Role]| authorise(&person(roles), Action::Take, about).is_ok();
    assert!(may(&[Role::CaseReceiver, Role::CaseHandler]));
    assert!(!may(&[Role::CaseReceiver]) && !may(&[Role::CaseHandler]));
    assert!(!may(&[Role::QualityLead, Role::LocalAdministrator, Role::CaseHandler]));
}

#[test]
fn a_closed_case_is_read_and_noted_on_and_not_changed() {
    for Route { path, needs, .. } in routes() {
        let Needs::Case { action, .. } = needs else { continue };
        let outcome = asked(needs, Role::CaseHandler, true, true);
        let outcomes = [Action::Read, Action::Note, Action::Undo];
        if action == Action::ReviewLog {
            assert!(matches!(outcome, Err(Denied::Lacks(_))), "{path}");
        } else if outcomes.contains(&action) {
            assert_eq!(outcome, Ok(()), "{path}");
        } else {
            assert_eq!(outcome, Err(Denied::Closed), "{path}");
        }
    }
}

#[test]
fn the_place_is_corrected_by_a_committee_alone() {
    let unit = id("PAN99");
    let anna = person(&Role::ALL);
    let about = About { assigned: Some(&anna.hsa_id), ..About::unit(&unit) };
    assert_eq!(authorise(&anna, Action::CorrectPlace, about), Err(Denied::NotCommittee));
    let committee = About { committee: true, ..about };
    assert!(authorise(&anna, Action::CorrectPlace, committee).is_ok());
}

#[test]
fn a_substitute_does_what_the_one_who_is_away_does_and_the_log_says_so() {
    let unit = id("PAN99");
    let bo = id("BO");
    let about = About { assigned: Some(&bo), ..About::unit(&unit) };
    let mut anna = person(&[Role::CaseHandler]);
    assert_eq!(authorise(&anna, Action::Reply, about), Err(Denied::NotAssigned));
    anna.stands_in_for.insert(bo.clone());
    let why = authorise(&anna, Action::Reply, about);
    assert_eq!(why, Ok(crate::complaint::event::Why::StandsIn));
    // Without a role of one's own there, standing in gives nothing.
    let mut stranger = person(&[Role::LogReviewer]);
    stranger.stands_in_for.insert(bo.clone());
    assert!(authorise(&stranger, Action::Read, about).is_err());
}
