//! What a new configuration changes in effect.

use super::*;

fn changes(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (table(old), table(new));
    let today = clock::swedish_day(noon());
    diff::effect(&old, &new, today)
        .iter()
        .map(|it| it.to_string().replace(CARE, "CARE").replace(PROCESS_COMPLAINT, "COMPLAINT"))
        .collect()
}

#[test]
fn another_text_with_the_same_effect_is_no_change() {
    let (a, b) = (route(CARE, "A", "https://a.se/"), permission("1177", CARE, "A"));
    let split = format!("{b}to = 2026-06-30\n{b}from = 2026-07-01\n");
    assert_eq!(changes(&format!("{a}{b}"), &format!("# moved\n{split}{a}")), [""; 0]);
    // A permission for all, or for the only address there is, lets the same calls through there.
    let all = permission("1177", CARE, "*");
    assert_eq!(
        changes(&format!("{a}{b}"), &format!("{a}{all}")),
        [""; 0],
        "other addresses have no route in either"
    );
}

#[test]
fn a_new_address_is_a_change_from_its_first_day_on() {
    let may = permission("1177", CARE, "A");
    let old = format!("{}{may}", route(CARE, "A", "https://a.se/"));
    let new = format!(
        "{}to = 2026-06-30\n{}from = 2026-07-01\n{may}",
        route(CARE, "A", "https://a.se/"),
        route(CARE, "a", "https://b.se/")
    );
    assert_eq!(
        changes(&old, &new),
        ["SE0000000000-1177 calls CARE at A, from 2026-07-01: passed on to https://a.se/ \
          (rivtabp21, 29 s) -> passed on to https://b.se/ (rivtabp21, 29 s)"]
    );
}

#[test]
fn a_lost_permission_and_a_gap_are_told_with_their_days() {
    let rows = route(CARE, "*", "https://a.se/");
    let may = permission("1177", CARE, "*");
    assert_eq!(
        changes(&format!("{rows}{may}"), &rows),
        ["SE0000000000-1177 calls CARE at *, from 2026-05-01: passed on to https://a.se/ \
          (rivtabp21, 29 s) -> refused VP007"]
    );
    assert_eq!(
        changes(
            &format!("{rows}{may}"),
            &format!("{rows}{may}to = 2026-05-31\n{may}from = 2026-06-03\n")
        ),
        ["SE0000000000-1177 calls CARE at *, 2026-06-01 to 2026-06-02: passed on to \
          https://a.se/ (rivtabp21, 29 s) -> refused VP007"]
    );
}

#[test]
fn a_change_of_handling_is_told_by_unit() {
    let unit = |rows: &str| {
        format!(
            "[[unit]]\nhsa_id = \"SE0000000000-A\"\nname = \"x\"\ncounty = \"99\"\n{rows}{}",
            permission("1177", PROCESS_COMPLAINT, "*")
        )
    };
    let store = unit("[[unit.handling]]\nmethod = \"store\"\n");
    let system = unit(
        "[[unit.handling]]\nto = 2026-12-31\nmethod = \"store\"\n[[unit.handling]]\n\
         from = 2027-01-01\nmethod = \"system\"\nsystem = \"region\"\n",
    );
    assert_eq!(
        changes(&store, &system),
        ["SE0000000000-1177 calls COMPLAINT at SE0000000000-A, from 2027-01-01: kept, the \
          built-in store -> kept, system region (https://localhost:9443/rivta) as SE0000000000-A"]
    );
    assert_eq!(changes(&store, &store), [""; 0]);
}
