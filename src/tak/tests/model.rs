//! The same answers as a slow model that is right at a glance, over random tables and questions.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// More finds more. With at least [`CALLS`] calls to each, 100 000 calls and more.
const TABLES: u32 = 4000;

const CALLS: std::ops::Range<usize> = 25..40;

/// Of what asks one table about every day and every call.
const CASES: u32 = 250;

const ADDRESSES: [&str; 6] = ["SE-A", "SE-B", "SE-C", "SE", "*", "SE-D"];
const CONTRACTS: [&str; 2] = [CARE, PING];
const CALLERS: [&str; 2] = ["SE0000000000-1177", "SE0000000000-REGION"];
const PARENTS: [(&str, &str); 2] = [("SE-A", "SE-B"), ("SE-B", "SE-C")];

#[derive(Debug, Clone)]
struct Row {
    caller: usize,
    contract: usize,
    address: usize,
    /// Days of May 2026, both included.
    from: i8,
    to: i8,
    old: bool,
}

impl Row {
    fn holds(&self, contract: &str, address: &str, day: i8) -> bool {
        CONTRACTS[self.contract] == contract
            && ADDRESSES[self.address].eq_ignore_ascii_case(address)
            && (self.from..=self.to).contains(&day)
    }
}

#[derive(Debug, Clone)]
struct Model {
    routes: Vec<Row>,
    permissions: Vec<Row>,
    climb_routes: bool,
    climb_permissions: bool,
}

/// What is asked for, then what lies above it.
fn above(address: &str) -> Vec<String> {
    if address.eq_ignore_ascii_case("SE") {
        return Vec::new();
    }
    let parent = PARENTS.iter().find(|(child, _)| child.eq_ignore_ascii_case(address));
    match parent {
        Some((_, parent)) => {
            let mut all = vec![(*parent).to_owned()];
            all.extend(above(parent));
            all
        }
        None => vec!["SE".to_owned()],
    }
}

impl Model {
    fn answer(&self, caller: &str, contract: &str, address: &str, old: bool, day: i8) -> String {
        if address.trim().is_empty() {
            return "VP003".to_owned();
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in address.split('#').filter(|it| !it.is_empty()) {
            if !parts.contains(&part) {
                parts.insert(0, part);
            }
        }
        let joined = address.contains('#');
        let climbed = |on: bool| if on { above(address) } else { Vec::new() };
        let own = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let levels = if joined {
            own(&parts)
        } else {
            [own(&[address]), climbed(self.climb_routes), own(&["*"])].concat()
        };
        let hits = levels.iter().map(|level| {
            let on = |it: &&Row| it.holds(contract, level, day);
            self.routes.iter().filter(on).collect::<Vec<_>>()
        });
        let Some(hit) = hits.into_iter().find(|it| !it.is_empty()) else {
            return "VP004".to_owned();
        };
        let same: Vec<_> = hit.iter().copied().filter(|it| it.old == old).collect();
        let url = match (&hit[..], &same[..]) {
            ([one], _) | (_, [one]) => url(one),
            _ => return "VP006".to_owned(),
        };
        let levels = if joined {
            if parts.len() > 2 { Vec::new() } else { own(&parts) }
        } else {
            [own(&[address]), own(&["*"]), climbed(self.climb_permissions)].concat()
        };
        let permitted = levels.iter().any(|level| {
            self.permissions
                .iter()
                .any(|it| CALLERS[it.caller] == caller && it.holds(contract, level, day))
        });
        if permitted { url } else { "VP007".to_owned() }
    }

    fn text(&self) -> String {
        let days = |it: &Row| format!("from = 2026-05-{:02}\nto = 2026-05-{:02}\n", it.from, it.to);
        let mut text = format!(
            "[hierarchy]\nroutes = {}\npermissions = {}\n",
            self.climb_routes, self.climb_permissions
        );
        for it in &self.routes {
            let profile = if it.old { "rivtabp20" } else { "rivtabp21" };
            text += &route(CONTRACTS[it.contract], ADDRESSES[it.address], &url(it));
            text += &format!("profile = \"{profile}\"\n{}", days(it));
        }
        for it in &self.permissions {
            text += &format!(
                "[[permission]]\nconsumer = \"{}\"\ncontract = \"{}\"\nlogical_address = \"{}\"\n{}",
                CALLERS[it.caller],
                CONTRACTS[it.contract],
                ADDRESSES[it.address],
                days(it)
            );
        }
        text
    }
}

fn url(it: &Row) -> String {
    format!(
        "https://e.se/{}/{}/{}/{}/{}",
        it.contract,
        it.address.min(9),
        it.from,
        it.to,
        if it.old { 20 } else { 21 }
    )
}

fn row() -> impl Strategy<Value = Row> {
    let days = (1i8..=4, 0i8..=6);
    (0..2usize, 0..2usize, 0..ADDRESSES.len(), days, any::<bool>()).prop_map(
        |(caller, contract, address, (from, length), old)| Row {
            caller,
            contract,
            address,
            from,
            to: from + length,
            old,
        },
    )
}

/// Routes of which no two of one profile hold on the same day, as the checks demand.
fn without_overlaps(rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    for row in rows {
        let clash = |it: &Row| {
            (it.contract, it.address, it.old) == (row.contract, row.address, row.old)
                && it.from <= row.to
                && row.from <= it.to
        };
        if !kept.iter().any(clash) {
            kept.push(row);
        }
    }
    kept
}

fn address() -> impl Strategy<Value = String> {
    let part =
        prop::sample::select(vec!["SE-A", "se-a", "SE-B", "SE-C", "SE", "*", "SE-D", "SE-X"]);
    prop_oneof![
        6 => part.clone().prop_map(str::to_owned),
        2 => prop::collection::vec(part, 1..4).prop_map(|it| it.join("#")),
        1 => prop::sample::select(vec!["", " ", "#", " SE-A", "SE-A\n"]).prop_map(str::to_owned),
    ]
}

/// What `tak explain` tells is what the live path decided, step by step, with a row for each that had
/// one.
fn explained_as_decided(
    table: &Table,
    question: &Question<'_>,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let told = table.explain(question);
    prop_assert_eq!(said(&told.decision), said(decision));
    prop_assert_eq!(&told.decision.trail, &decision.trail);
    prop_assert_eq!(&told.decision.generation, &decision.generation);
    prop_assert_eq!(told.steps.len(), decision.trail.len());
    for (text, step) in told.steps.iter().zip(&decision.trail) {
        let row = step.row.map(|it| format!("({})", table.row(it.place)));
        prop_assert!(row.is_none_or(|row| text.ends_with(&row)), "{text}");
        prop_assert_eq!(text.contains("won"), step.verdict == Verdict::Won, "{}", text);
    }
    let answer = match &decision.outcome {
        Ok(_) => "ALLOWED".to_owned(),
        Err(denial) => format!("REFUSED, {}", denial.code()),
    };
    prop_assert!(told.answer[0].starts_with(&answer), "{:?}", told.answer);
    let url = said(decision);
    prop_assert!(decision.outcome.is_err() || told.answer[0].contains(&url), "{:?}", told.answer);
    Ok(())
}

fn models() -> impl Strategy<Value = Model> {
    let rows = || prop::collection::vec(row(), 4..24);
    (rows(), rows(), any::<(bool, bool)>()).prop_map(|(routes, permissions, climbs)| Model {
        routes: without_overlaps(routes),
        permissions,
        climb_routes: climbs.0,
        climb_permissions: climbs.1,
    })
}

type Asked = (usize, usize, String, bool, i8);

/// Asks a table, and gives what the model says too.
fn asked_both(table: &Table, model: &Model, asked: &Asked) -> Result<String, TestCaseError> {
    let (caller, contract, address, old, day) = asked;
    let (caller, contract) = (CALLERS[*caller], CONTRACTS[*contract]);
    let question = Question {
        caller: &id(caller),
        contract: &Contract(contract.to_owned()),
        address,
        profile: if *old { Profile::Rivtabp20 } else { Profile::Rivtabp21 },
        at: at(&format!("2026-05-{day:02}T12:00:00Z")),
    };
    let decision = table.decide(&question);
    let expected = model.answer(caller, contract, address, *old, *day);
    prop_assert_eq!(said(&decision), &*expected, "{:?} {:#?}", address, decision.trail);
    // A trail that ends well names a row that won for the route and one for the permission.
    let won = |stage| {
        let is_it = |it: &Step| it.stage == stage && it.verdict == Verdict::Won && it.row.is_some();
        decision.trail.iter().any(is_it)
    };
    prop_assert!(decision.outcome.is_err() || (won(Stage::Route) && won(Stage::Permission)));
    explained_as_decided(table, &question, &decision)?;
    // What decided, for the count of what was met.
    let by = decision.trail.iter().rfind(|it| it.verdict == Verdict::Won).map(|it| it.via);
    Ok(if decision.outcome.is_ok() { format!("{by:?}") } else { expected })
}

#[test]
fn a_table_answers_as_the_model_does() {
    let question = (0..2usize, 0..2usize, address(), any::<bool>(), 1i8..=8);
    let cases = (models(), prop::collection::vec(question, CALLS));
    let met = std::cell::RefCell::new(BTreeMap::<String, u32>::new());
    let config =
        ProptestConfig { cases: TABLES, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&cases, |(model, calls)| {
        let parents = PARENTS.iter().map(|(child, parent)| (id(child), id(parent))).collect();
        let loaded = load(&model.text());
        prop_assert!(loaded.table.is_some(), "{:#?}", loaded.findings);
        let table = loaded.table.unwrap().with_hierarchy(Hierarchy::new(parents));
        for asked in &calls {
            let what = asked_both(&table, &model, asked)?;
            *met.borrow_mut().entry(what).or_default() += 1;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let met = met.into_inner();
    assert!(met.values().sum::<u32>() >= 100_000, "{met:?}");
    // By every road, and to every end that such tables have.
    let ways = ["Some(Asked)", "Some(Token)", "Some(Parent)", "Some(Standard)"];
    for what in ways.into_iter().chain(["VP003", "VP004", "VP007"]) {
        assert!(met.get(what).is_some_and(|it| *it > 500), "{what}: {met:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_unit_is_accepted_exactly_when_every_day_to_come_has_one_method(
        rows in prop::collection::vec((prop::option::weighted(0.7, 1i8..=9), prop::option::weighted(0.6, 0i8..=5)), 1..5),
        today in 1i8..=6,
    ) {
        // From day, and to day; an absent one is open.
        let spans: Vec<(Option<i8>, Option<i8>)> =
            rows.into_iter().map(|(from, length)| (from, length.map(|it| from.unwrap_or(1) + it))).collect();
        let mut text = "[[unit]]\nhsa_id = \"SE0000000000-A\"\nname = \"x\"\ncounty = \"99\"\n".to_owned();
        for (at, (from, to)) in spans.iter().enumerate() {
            let line = |key: &str, day: &Option<i8>| {
                day.map_or_else(String::new, |it| format!("{key} = 2026-05-{it:02}\n"))
            };
            // One redirect for each row, so that the answer tells which row it was.
            text += &format!(
                "[[unit.handling]]\n{}{}method = \"system\"\nsystem = \"region\"\nreceiver = \"SE0000000000-R{at}\"\n",
                line("from", from), line("to", to)
            );
        }
        text += &permission("1177", PROCESS_COMPLAINT, "*");
        let now = at(&format!("2026-05-{today:02}T12:00:00Z"));
        let loaded = Table::parse(&[source("base.toml", BASE), source("x.toml", &text)], now);
        let on = |day: i8| -> Vec<usize> {
            (0..spans.len())
                .filter(|it| spans[*it].0.is_none_or(|from| from <= day) && spans[*it].1.is_none_or(|to| day <= to))
                .collect()
        };
        // No row begins or ends after day 14, so one later day stands for all of them.
        let right = (today..=20).all(|day| on(day).len() == 1);
        prop_assert_eq!(loaded.table.is_some(), right, "{} {:#?}", text, loaded.findings);
        if let Some(table) = loaded.table {
            for day in today..=20 {
                let when = at(&format!("2026-05-{day:02}T12:00:00Z"));
                let answer = decide_at(&table, "1177", PROCESS_COMPLAINT, "SE0000000000-A", when);
                prop_assert_eq!(said(&answer), format!("SE0000000000-A region SE0000000000-R{}", on(day)[0]));
            }
        }
    }

    #[test]
    fn a_difference_is_told_exactly_when_somebody_gets_another_answer(
        rows in prop::array::uniform2((prop::collection::vec(row(), 0..6), prop::collection::vec(row(), 0..6), any::<(bool, bool)>())),
    ) {
        let models = rows.map(|(routes, permissions, climbs)| Model {
            routes: without_overlaps(routes),
            permissions,
            climb_routes: climbs.0,
            climb_permissions: climbs.1,
        });
        let tree: BTreeMap<_, _> =
            PARENTS.iter().map(|(child, parent)| (id(child), id(parent))).collect();
        let tables = models.clone().map(|it| table(&it.text()).with_hierarchy(Hierarchy::new(tree.clone())));
        let today: Date = "2026-05-01".parse().unwrap();
        let changes = diff::effect(&tables[0], &tables[1], today);
        for caller in CALLERS {
            for contract in CONTRACTS {
                for address in ADDRESSES {
                    for day in 1i8..=9 {
                        let ask = |it: &Model| {
                            [false, true].map(|old| it.answer(caller, contract, address, old, day))
                        };
                        let (before, after) = (ask(&models[0]), ask(&models[1]));
                        let date: Date = format!("2026-05-{day:02}").parse().unwrap();
                        let told = changes.iter().any(|it| {
                            it.contract == contract && it.address == address
                                && it.consumer == caller && it.days.contains(date)
                        });
                        let refused = |it: &[String; 2]| it.iter().all(|it| it.starts_with("VP"));
                        if before == after {
                            prop_assert!(!told, "{caller} {address} {day} {before:?} {changes:#?}");
                        } else if !(refused(&before) && refused(&after)) {
                            let has_rows = models.iter().any(|it| {
                                it.routes.iter().chain(&it.permissions).any(|it| {
                                    CONTRACTS[it.contract] == contract && ADDRESSES[it.address] == address
                                })
                            });
                            // An address without rows of its own is told as `*`, or as the one above it.
                            prop_assert!(told || !has_rows, "{caller} {contract} {address} {day} {before:?} {after:?} {changes:#?}");
                        }
                    }
                }
            }
        }
    }
}
