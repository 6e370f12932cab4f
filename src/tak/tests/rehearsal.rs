//! What a rehearsal counts and names, and what is planned.

use super::plan::{Calls, Effect, Plan, UNKNOWN, plan};
use super::*;

fn today() -> Date {
    clock::swedish_day(noon())
}

fn calls(caller: &str, contract: &str, address: &str, count: u64) -> Calls {
    Calls {
        contract: contract.to_owned(),
        address: address.to_owned(),
        caller: format!("SE0000000000-{caller}"),
        profile: Profile::Rivtabp21,
        count,
    }
}

fn rehearse(old: &str, new: &str, calls: &[Calls]) -> Plan {
    plan(&table(old), &table(new), calls, today())
}

#[test]
fn every_call_is_counted_under_what_becomes_of_it() {
    let rows = |a: &str| format!("{}{}", route(CARE, "A", a), route(CARE, "B", "https://b.se/"));
    let may = |address: &str| permission("1177", CARE, address);
    let old = format!("{}{}{}", rows("https://a.se/"), may("A"), may("B"));
    let new = format!(
        "{}{}{}",
        route(CARE, "A", "https://a2.se/"),
        route(CARE, "C", "https://c.se/"),
        [may("A"), may("C"), permission("X", CARE, "C")].concat()
    );
    let came = [
        calls("1177", CARE, "A", 10),
        calls("1177", CARE, "B", 20),
        calls("1177", CARE, "C", 30),
        calls("X", CARE, "A", 40),
        calls("1177", PROCESS_COMPLAINT, "SE0000000000-VC1", 50),
        calls("X", CARE, UNKNOWN, 60),
    ];
    let it = rehearse(&old, &new, &came);
    let totals = &it.totals;
    assert_eq!((totals.calls, totals.unknown), (210, 60));
    assert_eq!((totals.elsewhere, totals.unroutable, totals.gain), (10, 20, 30));
    assert_eq!((totals.same, totals.lose_permission, totals.other_refusal), (90, 0, 0));
    let told: Vec<_> = it
        .changed
        .iter()
        .map(|it| format!("{:?} {} {} -> {}", it.effect, it.calls.address, it.before, it.after))
        .collect();
    assert_eq!(
        told,
        [
            "Unroutable B passed on to https://b.se/ (rivtabp21, 29 s) -> refused VP004",
            "Elsewhere A passed on to https://a.se/ (rivtabp21, 29 s) -> passed on to \
             https://a2.se/ (rivtabp21, 29 s)",
            "Gain C refused VP004 -> passed on to https://c.se/ (rivtabp21, 29 s)",
        ]
    );
    assert_eq!(it.changed[1].row.as_deref(), Some("x.toml:1"));
    assert_eq!(it.changed[0].row, None);
}

#[test]
fn a_lost_permission_is_told_with_its_days_and_once_however_often_it_comes_and_goes() {
    let rows = route(CARE, "A", "https://a.se/");
    let may = permission("1177", CARE, "A");
    let gaps = format!("{rows}{may}to = 2026-05-31\n{may}from = 2026-06-03\nto = 2026-06-30\n");
    let it = rehearse(&format!("{rows}{may}"), &gaps, &[calls("1177", CARE, "a", 7)]);
    assert_eq!((it.totals.lose_permission, it.totals.same), (7, 0));
    let days: Vec<_> = it.changed.iter().map(|it| (it.from.to_string(), it.to)).collect();
    let end: Date = "2026-06-02".parse().unwrap();
    assert_eq!(days, [("2026-06-01".to_owned(), Some(end)), ("2026-07-01".to_owned(), None)]);
    assert!(it.changed.iter().all(|it| it.effect == Effect::LosePermission));
    // The other way round is a gain, and the same folder is nothing.
    assert_eq!(
        rehearse(&gaps, &format!("{rows}{may}"), &[calls("1177", CARE, "A", 7)]).totals.gain,
        7
    );
    let none = rehearse(&gaps, &gaps, &[calls("1177", CARE, "A", 7)]);
    assert_eq!((none.totals.same, none.changed.len()), (7, 0));
}

#[test]
fn units_and_counties_that_change_are_named_without_any_call() {
    let care = |rows: &str| {
        format!(
            "[[county]]\ncode = \"98\"\nname = \"Norr\"\npatient_advisory_committee = \
             \"SE0000000000-PAN98\"\n[[unit]]\nhsa_id = \"SE0000000000-PAN98\"\nname = \"N\"\n\
             county = \"98\"\n[[unit.handling]]\nmethod = \"store\"\n[[unit]]\nhsa_id = \
             \"SE0000000000-TV1\"\nname = \"T\"\ncounty = \"98\"\n{rows}"
        )
    };
    let store = "[[unit.handling]]\nmethod = \"store\"\n";
    let ends = "to = 2026-05-31\n[[unit.handling]]\nmethod = \"store\"\n";
    let it = rehearse(&care(store), &care(ends), &[]);
    let units: Vec<_> =
        it.units.iter().map(|it| (it.unit.as_str(), it.from.to_string(), it.stops)).collect();
    assert_eq!(units, [("SE0000000000-TV1", "2026-06-01".to_owned(), true)]);
    let counties: Vec<_> =
        it.counties.iter().map(|it| (&*it.code, it.from.to_string(), it.live)).collect();
    assert_eq!(counties, [("98", "2026-06-01".to_owned(), false)]);
    let back = rehearse(&care(ends), &care(store), &[]);
    assert_eq!((back.units[0].stops, back.counties[0].live), (false, true));
    let moved = care(
        "[[unit.handling]]\nto = 2026-06-30\nmethod = \"store\"\n[[unit.handling]]\n\
                      from = 2026-07-01\nmethod = \"system\"\nsystem = \"region\"\n",
    );
    let it = rehearse(&care(store), &moved, &[]);
    assert_eq!((it.units.len(), it.counties.len()), (1, 0));
    assert_eq!(
        (&*it.units[0].before, &*it.units[0].after),
        ("the built-in store", "system region")
    );

    // What the configuration itself has planned: after today, to the last day asked for.
    let planned = |table: &Table, until: &str| -> Vec<String> {
        table.planned(today(), until.parse().unwrap()).iter().map(ToString::to_string).collect()
    };
    let it = table(&moved);
    assert_eq!(planned(&it, "2026-06-30"), [""; 0]);
    assert_eq!(
        planned(&it, "2026-07-01"),
        ["2026-07-01  SE0000000000-TV1 (T): handled in system region (x.toml:18)"]
    );
    assert_eq!(
        planned(&table(&care(ends)), "2026-07-01"),
        ["2026-06-01  SE0000000000-TV1 (T): takes no new cases any longer (x.toml:11)"]
    );
}
