//! Export, then import: every answer stays the same.

use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::id::Contract;
use crate::tak::export::Export;
use crate::tak::{Destination, Handling, PROCESS_COMPLAINT, Profile, Question};

const CONTRACTS: [&str; 4] =
    ["urn:riv:a:AResponder:1", "urn:riv:a:BResponder:2", CARE, PROCESS_COMPLAINT];
const ADDRESSES: [&str; 5] = ["*", "SE0000000000-VC1", "SE0000000000-X1", "x2", "SE0000000000-X3"];
const CALLERS: [&str; 3] = ["SE0000000000-1177", "SE0000000000-REGION", "SE0000000000-NY"];
/// Days on which something may begin or end: among them both changes of clock and both new years.
const DAYS: [&str; 8] = [
    "2025-12-31",
    "2026-01-01",
    "2026-03-28",
    "2026-03-29",
    "2026-03-30",
    "2026-10-25",
    "2026-10-26",
    "2027-01-01",
];

type Span = (Option<usize>, Option<usize>);

fn span() -> impl Strategy<Value = Span> {
    (proptest::option::of(0..DAYS.len()), proptest::option::of(0..DAYS.len())).prop_map(|(a, b)| {
        match (a, b) {
            (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
            other => other,
        }
    })
}

fn days((from, to): Span) -> String {
    let line = |key: &str, at: Option<usize>| {
        at.map_or(String::new(), |at| format!("{key} = {}\n", DAYS[at]))
    };
    line("from", from) + &line("to", to)
}

prop_compose! {
    fn some_route()(
        contract in 0..3usize,
        address in 0..ADDRESSES.len(),
        old in any::<bool>(),
        target in 0..4usize,
        span in span(),
    ) -> String {
        let target = match target {
            0 => "system = \"region\"".to_owned(),
            1 => "address = \"\"".to_owned(),
            at => format!("address = \"https://e.se/{at}?a&b\""),
        };
        let profile = if old { "profile = \"rivtabp20\"\n" } else { "" };
        format!(
            "[[route]]\ncontract = \"{}\"\nlogical_address = \"{}\"\n{target}\n{profile}{}",
            CONTRACTS[contract], ADDRESSES[address], days(span)
        )
    }
}

prop_compose! {
    fn some_permission()(
        contract in 0..4usize,
        address in 0..ADDRESSES.len(),
        caller in 0..CALLERS.len(),
        filters in 0..3usize,
        span in span(),
    ) -> String {
        let filter = [
            "",
            "filter = [{ domain = \"d:1\" }]\n",
            "filter = [{ domain = \"d:1\", categorizations = [\"x & y\", \"<z>\"] }, \
             { domain = \"d:2\" }]\n",
        ][filters];
        format!(
            "[[permission]]\nconsumer = \"{}\"\ncontract = \"{}\"\nlogical_address = \"{}\"\n{}{filter}",
            CALLERS[caller], CONTRACTS[contract], ADDRESSES[address], days(span)
        )
    }
}

/// Without the rows that would be refused for overlapping: each is tried, and kept if it loads.
fn loadable(rows: Vec<String>) -> String {
    let mut kept = String::new();
    for row in rows {
        let with = format!("{kept}{row}");
        if load(&[source("rows.toml", &with)]).is_some() {
            kept = with;
        }
    }
    kept
}

fn load(more: &[Source]) -> Option<Table> {
    let mut all = more.to_vec();
    all.push(source("base.toml", crate::tak::tests::BASE));
    Table::parse(&all, now()).table
}

/// Everything of an answer that a caller or a receiver could notice.
fn answer(table: &Table, question: &Question<'_>) -> String {
    match table.decide(question).outcome {
        Err(denial) => denial.detail(),
        Ok(Destination::Handling) => "handling".to_owned(),
        Ok(Destination::Answer) => "answer".to_owned(),
        Ok(Destination::Keep { unit, handling: Handling::Store }) => format!("{}", unit.hsa_id),
        Ok(Destination::Keep { unit, handling: Handling::System { system, receiver } }) => {
            format!("{} {} {receiver}", unit.hsa_id, system.name)
        }
        Ok(Destination::Forward { system, url, profile, timeout }) => {
            let system = system.and_then(|it| it.id.clone());
            format!("{system:?} {url} {profile} {timeout:?}")
        }
    }
}

/// The first and last moment of every day around those on which something begins or ends.
fn moments() -> Vec<Timestamp> {
    let days: BTreeSet<jiff::civil::Date> = DAYS
        .iter()
        .map(|it| it.parse::<jiff::civil::Date>().unwrap())
        .flat_map(|it| [it.yesterday().unwrap(), it, it.tomorrow().unwrap()])
        .collect();
    let zone = clock::swedish();
    let start = |it: jiff::civil::Date| it.to_zoned(zone.clone()).unwrap().timestamp();
    days.into_iter()
        .flat_map(|it| {
            let end = start(it.tomorrow().unwrap()).as_millisecond() - 1;
            [start(it), Timestamp::from_millisecond(end).unwrap()]
        })
        .collect()
}

/// Compares the tables on every question; returns how many.
fn compare(old: &Table, new: &Table) -> usize {
    let mut count = 0;
    for at in moments() {
        for contract in CONTRACTS {
            let contract = Contract(contract.to_owned());
            for address in ADDRESSES.iter().chain(&["se0000000000-x1", "unknown", "x2#*"]) {
                for caller in CALLERS {
                    let caller = &HsaId::parse(caller).unwrap();
                    for profile in [Profile::Rivtabp20, Profile::Rivtabp21] {
                        let question =
                            Question { caller, contract: &contract, address, profile, at };
                        assert_eq!(answer(old, &question), answer(new, &question), "{question:?}");
                        count += 1;
                    }
                }
            }
        }
    }
    count
}

fn filters(table: &Table) -> Vec<String> {
    let of = table.permissions.iter().map(|it| table.filters.of(it));
    let mut told: Vec<String> =
        of.filter(|it| !it.is_empty()).map(|it| format!("{it:?}")).collect();
    told.sort();
    told.dedup();
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_stays_the_same(
        routes in proptest::collection::vec(some_route(), 1..25),
        permissions in proptest::collection::vec(some_permission(), 1..40),
    ) {
        let rows = loadable(routes) + &permissions.concat();
        let old = load(&[source("rows.toml", &rows)]).unwrap();
        let base = [source("base.toml", crate::tak::tests::BASE)];
        let export = Export::new(&old, Some("https://gateway.example.se/"));
        let answers =
            [export.routes(), export.permissions(), export.contracts(), export.components()];
        for files in [answers.to_vec(), vec![export.cache()]] {
            let files: Vec<Source> = files.iter().map(|it| source("in", it)).collect();
            let all = import(&files, &base, now()).unwrap();
            prop_assert_eq!(&all.report.left, &[]);
            prop_assert_eq!(&all.report.windows, &[""; 0]);
            let new = load(&all.files).unwrap();
            let count = compare(&old, &new);
            prop_assert!(count >= 2_000, "{}", count);
            prop_assert_eq!(filters(&old), filters(&new));
        }
    }
}

#[test]
fn units_are_exported_to_the_gateways_own_address_for_the_days_they_take_cases() {
    let more = "[[unit]]\nhsa_id = \"SE0000000000-VC9\"\nname = \"V\"\ncounty = \"99\"\n\
                care_provider = \"SE0000000000-VG1\"\nmailbox = \"v@example.se\"\n\
                from = 2026-02-01\nto = 2026-12-31\n\
                [[unit.handling]]\nto = 2026-06-30\nmethod = \"store\"\n\
                [[unit.handling]]\nfrom = 2026-07-01\nmethod = \"system\"\nsystem = \"region\"\n";
    let table = load(&[source("more.toml", more)]).unwrap();
    let text = Export::new(&table, Some("https://gw.se/")).routes();
    let row = text.lines().find(|it| it.contains("SE0000000000-VC9")).unwrap();
    for part in [
        "<fromTidpunkt>2026-02-01T00:00:00.000+01:00</fromTidpunkt>",
        "<tomTidpunkt>2026-12-31T23:59:59.999+01:00</tomTidpunkt>",
        "<adress>https://gw.se/</adress>",
    ] {
        assert!(row.contains(part), "{row}");
    }
    assert_eq!(text.matches("SE0000000000-VC9").count(), 1);
    let none = Export::new(&table, None);
    assert!(!none.routes().contains("VC9"));
    assert_eq!(none.left_out(), 4);
}

#[test]
fn a_gateway_that_lacks_the_unit_or_the_system_is_told_or_calls_the_url() {
    let rows = format!(
        "[[route]]\ncontract = \"{CARE}\"\nlogical_address = \"*\"\nsystem = \"region\"\n\
         [[permission]]\nconsumer = \"SE0000000000-1177\"\ncontract = \"{CARE}\"\n\
         logical_address = \"*\"\n"
    );
    let table = load(&[source("rows.toml", &rows)]).unwrap();
    let text = Export::new(&table, Some("https://gw.se/")).cache();
    let all = import(&[source("in", &text)], &[], now()).unwrap();
    assert!(body(&all, ROUTES).contains("address = \"https://localhost:9443/rivta\""));
    assert_eq!(all.report.left.len(), 3);
    assert!(all.report.left.iter().all(|it| it.why.contains("go by unit")));
}
