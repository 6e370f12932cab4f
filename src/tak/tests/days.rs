//! Days begin and end at midnight in Sweden, also when the clocks are changed.

use super::*;

fn switching(last: &str, first: &str) -> Table {
    let more = format!(
        "[[unit]]\nhsa_id = \"SE0000000000-A\"\nname = \"x\"\ncounty = \"99\"\n\
         [[unit.handling]]\nto = {last}\nmethod = \"store\"\n\
         [[unit.handling]]\nfrom = {first}\nmethod = \"system\"\nsystem = \"region\"\n{}",
        permission("1177", PROCESS_COMPLAINT, "*")
    );
    let loaded = Table::parse(
        &[source("a.toml", BASE), source("b.toml", &more)],
        at("2026-01-01T00:00:00Z"),
    );
    loaded.table.unwrap_or_else(|| panic!("{:#?}", loaded.findings))
}

#[test]
fn a_handling_method_changes_at_midnight_in_sweden() {
    for (last, first, before, after) in [
        // Summer time, winter time, and the two days on which the clocks change.
        ("2026-06-30", "2026-07-01", "2026-06-30T21:59:59.999Z", "2026-06-30T22:00:00Z"),
        ("2026-11-30", "2026-12-01", "2026-11-30T22:59:59.999Z", "2026-11-30T23:00:00Z"),
        ("2026-03-28", "2026-03-29", "2026-03-28T22:59:59.999Z", "2026-03-28T23:00:00Z"),
        ("2026-03-29", "2026-03-30", "2026-03-29T21:59:59.999Z", "2026-03-29T22:00:00Z"),
        ("2026-10-24", "2026-10-25", "2026-10-24T21:59:59.999Z", "2026-10-24T22:00:00Z"),
        ("2026-10-25", "2026-10-26", "2026-10-25T22:59:59.999Z", "2026-10-25T23:00:00Z"),
    ] {
        let it = switching(last, first);
        let said =
            |when| said(&decide_at(&it, "1177", PROCESS_COMPLAINT, "SE0000000000-A", at(when)));
        assert_eq!(said(before), "SE0000000000-A store", "{before}");
        assert_eq!(said(after), "SE0000000000-A region SE0000000000-A", "{after}");
    }
}

#[test]
fn routes_and_permissions_hold_through_their_last_day() {
    let days = "from = 2026-07-01\nto = \"2026-07-02\"\n";
    let it = table(&format!(
        "{}{days}{}{}{}",
        route(CARE, "A", "https://a.se/"),
        route(CARE, "B", "https://b.se/"),
        permission("1177", CARE, "A"),
        format_args!("{}{days}", permission("1177", CARE, "B")),
    ));
    for (when, route, permission) in [
        ("2026-06-30T21:59:59Z", "VP004", "VP007"),
        ("2026-06-30T22:00:00Z", "https://a.se/", "https://b.se/"),
        ("2026-07-02T21:59:59Z", "https://a.se/", "https://b.se/"),
        ("2026-07-02T22:00:00Z", "VP004", "VP007"),
    ] {
        assert_eq!(said(&decide_at(&it, "1177", CARE, "A", at(when))), route, "{when}");
        assert_eq!(said(&decide_at(&it, "1177", CARE, "B", at(when))), permission, "{when}");
    }
}

#[test]
fn the_trail_tells_rows_to_come_from_rows_that_ended() {
    let it = table(&format!(
        "{}to = 2026-04-30\n{}from = 2026-06-01\n",
        route(CARE, "A", "https://a.se/"),
        route(CARE, "A", "https://a.se/")
    ));
    let verdicts: Vec<_> =
        decide(&it, "1177", CARE, "A").trail.iter().map(|it| it.verdict).collect();
    assert_eq!(verdicts, [Verdict::Over, Verdict::NotYet, Verdict::NoRow]);
}

#[test]
fn a_county_is_live_on_the_days_of_both_its_committee_and_a_care_unit() {
    let unit = |id: &str, days: &str| {
        format!(
            "[[unit]]\nhsa_id = \"SE0000000000-{id}\"\nname = \"x\"\ncounty = \"98\"\n{days}\
             [[unit.handling]]\nmethod = \"store\"\n"
        )
    };
    let it = table(&format!(
        "[[county]]\ncode = \"98\"\nname = \"N\"\npatient_advisory_committee = \
         \"SE0000000000-P\"\n{}{}{}{}",
        unit("P", "from = 2026-07-01\n"),
        unit("A", "to = 2026-08-31\n"),
        unit("B", "from = 2026-09-02\n"),
        permission("1177", PROCESS_COMPLAINT, "*")
    ));
    let county = it.county("98").unwrap();
    for (day, live) in [
        ("2026-06-30", false),
        ("2026-07-01", true),
        ("2026-08-31", true),
        ("2026-09-01", false),
        ("2026-09-02", true),
    ] {
        let day: Date = day.parse().unwrap();
        assert_eq!(county.is_live(day), live, "{day}");
        assert_eq!(it.missing(&county, day).is_empty(), live, "{day}");
        assert_eq!(it.live_counties(day).any(|it| it.code == "98"), live, "{day}");
    }
    let ask = |address, when| said(&decide_at(&it, "1177", PROCESS_COMPLAINT, address, at(when)));
    assert_eq!(ask("SE0000000000-A", "2026-06-30T12:00:00Z"), "VP004");
    assert_eq!(ask("SE0000000000-A", "2026-07-01T12:00:00Z"), "SE0000000000-A store");
    assert_eq!(ask("SE0000000000-A", "2026-09-03T12:00:00Z"), "VP004", "the unit has closed");
    assert_eq!(ask("SE0000000000-P", "2026-09-01T12:00:00Z"), "VP004", "no care unit that day");
}

#[test]
fn spans_join_meet_and_leave_gaps() {
    use super::super::period::{gaps, intersection, union};
    let span = |from: &str, to: &str| {
        let day = |it: &str| (!it.is_empty()).then(|| it.parse().unwrap());
        Days::new(day(from), day(to)).unwrap()
    };
    let days = [span("2026-02-01", "2026-02-02"), span("", "2026-01-31"), span("2026-03-01", "")];
    assert_eq!(union(days.to_vec()), [span("", "2026-02-02"), span("2026-03-01", "")]);
    assert_eq!(gaps(Days::ALL, &days), [span("2026-02-03", "2026-02-28")]);
    assert_eq!(gaps(Days::ALL, &[]), [Days::ALL]);
    assert_eq!(gaps(span("2026-05-01", "2026-05-02"), &days), []);
    assert_eq!(gaps(span("2026-02-10", "2026-02-10"), &days), [span("2026-02-10", "2026-02-10")]);
    assert_eq!(
        intersection(&[span("", "2026-02-02")], &[span("2026-02-02", ""), span("2026-04-01", "")]),
        [span("2026-02-02", "2026-02-02")]
    );
    assert_eq!(
        Days::new(Some("2026-01-02".parse().unwrap()), Some("2026-01-01".parse().unwrap())),
        None
    );
    assert_eq!(span("", "").to_string(), "always");
    assert_eq!(span("2026-01-01", "").to_string(), "from 2026-01-01");
}
