//! Every rule of a decision, inside and outside, and the platform's own examples.

use std::collections::BTreeMap;

use super::*;

const A: &str = "https://a.se/";
const B: &str = "https://b.se/";
const STAR: &str = "https://star.se/";

fn forwarding(rows: &[String]) -> Table {
    table(&rows.concat())
}

fn open() -> String {
    permission("1177", CARE, "*")
}

#[test]
fn an_exact_address_goes_before_the_standard_one() {
    let it = forwarding(&[route(CARE, "A", A), route(CARE, "*", STAR), open()]);
    assert_eq!(said(&decide(&it, "1177", CARE, "A")), A);
    assert_eq!(said(&decide(&it, "1177", CARE, "B")), STAR);
    assert_eq!(said(&decide(&it, "1177", PING, "A")), "VP004");
}

#[test]
fn ids_and_contracts_are_the_same_in_upper_and_lower_case() {
    let it = forwarding(&[route(CARE, "Ab", A), permission("reGion", CARE, "aB")]);
    assert_eq!(said(&decide(&it, "Region", &CARE.to_uppercase(), "AB")), A);
    let own = table(&permission("1177", &PROCESS_COMPLAINT.to_uppercase(), "*"));
    let lower = PROCESS_COMPLAINT.to_lowercase();
    assert_eq!(said(&decide(&own, "1177", &lower, "se0000000000-vc1")), "SE0000000000-VC1 store");
}

#[test]
fn no_address_is_told_apart_from_no_route() {
    let it = forwarding(&[route(CARE, "*", A), open()]);
    for address in ["", " ", "\n\t"] {
        let denial = decide(&it, "1177", CARE, address).outcome.unwrap_err();
        assert_eq!(denial, Denial::NoAddress);
        assert_eq!(denial.detail(), "No receiverId (logical address) found in message header. ");
    }
}

#[test]
fn white_space_counts_for_others_and_is_named() {
    let it = forwarding(&[route(CARE, "A", A), open()]);
    for address in [" A", "A ", "A\n"] {
        let denial = decide(&it, "1177", CARE, address).outcome.unwrap_err();
        assert_eq!(
            denial.detail(),
            format!(
                "No receiverId (logical address) found for serviceNamespace: {CARE}, receiverId: \
                 {address}. Whitespace detected in incoming request!"
            )
        );
    }
    assert_eq!(
        decide(&it, "1177", CARE, "B").outcome.unwrap_err().detail(),
        format!(
            "No receiverId (logical address) found for serviceNamespace: {CARE}, receiverId: B"
        )
    );
}

#[test]
fn white_space_around_an_address_of_the_complaint_contracts_is_nothing() {
    let it = table(&format!(
        "{}{}",
        permission("1177", PROCESS_COMPLAINT, "SE0000000000-VC1"),
        permission("REGION", PROCESS_COMPLAINT_HANDLING, "SE0000000000-1177"),
    ));
    let spaced = decide(&it, "1177", PROCESS_COMPLAINT, "\n SE0000000000-VC1 ");
    assert_eq!(said(&spaced), "SE0000000000-VC1 store");
    let back = decide(&it, "REGION", PROCESS_COMPLAINT_HANDLING, " se0000000000-1177\t");
    assert_eq!(said(&back), "handling");
    assert_eq!(said(&decide(&it, "1177", PROCESS_COMPLAINT, "SE0000000000- VC1")), "VP004");
}

#[test]
fn a_complaint_goes_to_a_unit_and_to_nothing_else() {
    let it = table(&format!(
        "{}{}",
        permission("1177", PROCESS_COMPLAINT, "*"),
        // A route for the contract is remarked on and never used.
        route(PROCESS_COMPLAINT, "*", STAR)
    ));
    let said = |address: &str| said(&decide(&it, "1177", PROCESS_COMPLAINT, address));
    assert_eq!(said("SE0000000000-VC1"), "SE0000000000-VC1 store");
    assert_eq!(said("SE0000000000-PAN99"), "SE0000000000-PAN99 store");
    for address in ["SE0000000000-VC2", "*", "SE0000000000-VC1#SE0000000000-PAN99", "å"] {
        assert_eq!(said(address), "VP004", "{address}");
    }
}

#[test]
fn an_event_of_the_handling_goes_to_the_portal_only() {
    let it = table(&permission("REGION", PROCESS_COMPLAINT_HANDLING, "*"));
    let said = |address: &str| said(&decide(&it, "REGION", PROCESS_COMPLAINT_HANDLING, address));
    assert_eq!(said("SE0000000000-1177"), "handling");
    assert_eq!(said("SE0000000000-VC1"), "VP004");
    assert_eq!(said("*"), "VP004");
}

#[test]
fn a_system_handles_under_the_units_own_address_or_the_redirect() {
    let unit = |id: &str, more: &str| {
        format!(
            "[[unit]]\nhsa_id = \"SE0000000000-{id}\"\nname = \"x\"\ncounty = \"99\"\n\
             [[unit.handling]]\nmethod = \"system\"\nsystem = \"region\"\n{more}"
        )
    };
    let it = table(&format!(
        "{}{}{}",
        unit("A", ""),
        unit("B", "receiver = \"SE0000000000-K\"\n"),
        permission("1177", PROCESS_COMPLAINT, "*")
    ));
    let said = |address: &str| said(&decide(&it, "1177", PROCESS_COMPLAINT, address));
    assert_eq!(said("SE0000000000-A"), "SE0000000000-A region SE0000000000-A");
    assert_eq!(said("SE0000000000-B"), "SE0000000000-B region SE0000000000-K");
}

#[test]
fn a_county_that_is_not_live_refuses_and_says_what_is_missing() {
    let it = table(&format!(
        "[[county]]\ncode = \"97\"\nname = \"Testlän Öst\"\n[[unit]]\n\
         hsa_id = \"SE0000000000-VC97\"\nname = \"x\"\ncounty = \"97\"\n\
         [[unit.handling]]\nmethod = \"store\"\n{}",
        permission("1177", PROCESS_COMPLAINT, "*")
    ));
    let denial = decide(&it, "1177", PROCESS_COMPLAINT, "SE0000000000-VC97").outcome.unwrap_err();
    assert_eq!(denial.code(), "VP004");
    assert_eq!(
        denial.text(),
        "Länet Testlän Öst (97) tar ännu inte emot ärenden: patientnämnd saknas."
    );
    assert_eq!(
        denial.detail(),
        format!(
            "No receiverId (logical address) found for serviceNamespace: {PROCESS_COMPLAINT}, \
             receiverId: SE0000000000-VC97. County 97 lacks a patient advisory committee"
        )
    );
    let live: Vec<_> =
        it.live_counties(clock::swedish_day(noon())).map(|county| county.code.as_str()).collect();
    assert_eq!(live, ["99"]);
    assert_eq!(it.missing(&it.county("99").unwrap(), clock::swedish_day(noon())), []);
}

#[test]
fn a_committee_alone_makes_no_county_live() {
    let it = table(&format!(
        "[[county]]\ncode = \"97\"\nname = \"Öst\"\n\
         patient_advisory_committee = \"SE0000000000-P\"\n[[unit]]\nhsa_id = \"SE0000000000-P\"\n\
         name = \"x\"\ncounty = \"97\"\n[[unit.handling]]\nmethod = \"store\"\n{}",
        permission("1177", PROCESS_COMPLAINT, "*")
    ));
    let outcome = decide(&it, "1177", PROCESS_COMPLAINT, "SE0000000000-P").outcome;
    let Err(Denial::CountyNotLive { missing, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(missing, [Missing::CareUnit]);
}

#[test]
fn permission_is_asked_after_the_route_and_is_the_callers_own() {
    let it = forwarding(&[route(CARE, "A", A), permission("REGION", CARE, "A")]);
    assert_eq!(said(&decide(&it, "REGION", CARE, "A")), A);
    let denial = decide(&it, "1177", CARE, "A").outcome.unwrap_err();
    assert_eq!(
        (denial.code(), denial.detail()),
        (
            "VP007",
            format!(
                "Authorization missing for serviceNamespace: {CARE}, receiverId: A, senderId: \
                 SE0000000000-1177"
            )
        )
    );
    // Without a route nobody is told about permissions.
    assert_eq!(said(&decide(&it, "1177", CARE, "B")), "VP004");
    // The complaint contracts are no exception.
    let own = table(&permission("REGION", PROCESS_COMPLAINT, "SE0000000000-VC1"));
    assert_eq!(said(&decide(&own, "1177", PROCESS_COMPLAINT, "SE0000000000-VC1")), "VP007");
    assert_eq!(said(&decide(&own, "REGION", PROCESS_COMPLAINT, "SE0000000000-PAN99")), "VP007");
    assert_eq!(
        said(&decide(&own, "REGION", PROCESS_COMPLAINT_HANDLING, "SE0000000000-1177")),
        "VP007"
    );
}

#[test]
fn routes_and_permissions_each_fall_back_to_the_standard_address() {
    let it = forwarding(&[route(CARE, "*", STAR), permission("1177", CARE, "A")]);
    assert_eq!(said(&decide(&it, "1177", CARE, "A")), STAR);
    assert_eq!(said(&decide(&it, "1177", CARE, "B")), "VP007");
}

#[test]
fn of_two_profiles_the_calls_own_is_chosen() {
    let twenty = route(CARE, "A", B) + "profile = \"rivtabp20\"\n";
    let it = forwarding(&[route(CARE, "A", A), twenty.clone(), open()]);
    let ask = |it: &Table, profile| {
        let question = Question {
            caller: &id("SE0000000000-1177"),
            contract: &Contract(CARE.to_owned()),
            address: "A",
            profile,
            at: noon(),
        };
        let decision = it.decide(&question);
        let won: Vec<_> = decision
            .trail
            .iter()
            .filter(|it| it.stage == Stage::Route)
            .map(|it| it.verdict)
            .collect();
        (decision.outcome, won)
    };
    for (profile, url) in [(Profile::Rivtabp21, A), (Profile::Rivtabp20, B)] {
        let (outcome, verdicts) = ask(&it, profile);
        let Ok(Destination::Forward { url: called, profile: theirs, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!((called.as_ref(), theirs), (url, profile));
        assert!(verdicts.contains(&Verdict::Won) && verdicts.contains(&Verdict::OtherProfile));
    }
    // One alone is taken whatever its profile: the call is rewritten.
    let alone = forwarding(&[twenty, open()]);
    let (outcome, _) = ask(&alone, Profile::Rivtabp21);
    assert!(
        matches!(outcome, Ok(Destination::Forward { profile: Profile::Rivtabp20, .. })),
        "{outcome:?}"
    );
}

/// The checks let no such table through; imported or future code might.
#[test]
fn routes_that_nothing_tells_apart_are_an_error_of_ours() {
    let mut it = forwarding(&[route(CARE, "A", A), open()]);
    it.routes = Rows::new(vec![it.routes[0].clone(), it.routes[0].clone()]);
    let decision = decide(&it, "1177", CARE, "A");
    assert!(decision.trail.iter().all(|it| it.verdict == Verdict::OneOfSeveral));
    let denial = decision.outcome.unwrap_err();
    assert_eq!(
        (denial.code(), denial.detail()),
        (
            "VP006",
            format!(
                "More than one receiverId (logical address) with matching Riv-version found for \
                 serviceNamespace: {CARE}, receiverId: A"
            )
        )
    );
}

#[test]
fn a_route_to_nowhere_is_told() {
    let mute = "[[system]]\nid = \"mute\"\nhsa_id = \"SE0000000000-M\"\nname = \"M\"\n\
                [[route]]\ncontract = \"urn:a:BResponder:1\"\nlogical_address = \"A\"\n\
                system = \"mute\"\n";
    let it = forwarding(&[route(CARE, "A", ""), mute.to_owned(), open()]);
    for contract in [CARE, "urn:a:BResponder:1"] {
        let denial = decide(&it, "1177", contract, "A").outcome.unwrap_err();
        assert_eq!(
            (denial.code(), denial.detail()),
            (
                "VP010",
                format!(
                    "Physical Address field is empty in Service Producer for serviceNamespace: \
                     {contract}, receiverId: A"
                )
            )
        );
    }
}

#[test]
fn a_route_to_a_system_brings_its_address_and_timeout() {
    let to = "[[route]]\ncontract = \"urn:a:BResponder:1\"\nlogical_address = \"A\"\n\
              system = \"region\"\n";
    let it = forwarding(&[
        to.to_owned(),
        route(CARE, "A", A),
        open(),
        permission("1177", "urn:a:BResponder:1", "*"),
    ]);
    let outcome = decide(&it, "1177", "urn:a:BResponder:1", "A").outcome;
    let Ok(Destination::Forward { system: Some(system), url, timeout, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(system.id.as_deref(), Some("region"));
    assert_eq!((url.as_ref(), timeout.as_secs()), ("https://localhost:9443/rivta", 5));
    let outcome = decide(&it, "1177", CARE, "A").outcome;
    let Ok(Destination::Forward { system: None, timeout, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(timeout, crate::limits::PRODUCER_TIME_DEFAULT);
}

#[test]
fn joined_addresses_are_tried_last_first_and_without_the_standard_one() {
    let it = forwarding(&[
        route(CARE, "A", A),
        route(CARE, "B", B),
        route(CARE, "*", STAR),
        permission("1177", CARE, "A"),
        permission("1177", CARE, "B"),
    ]);
    let said = |address: &str| said(&decide(&it, "1177", CARE, address));
    assert_eq!(said("A#B"), B);
    assert_eq!(said("B#A"), A);
    assert_eq!(said("A#X"), A);
    assert_eq!(said("A#A"), A);
    assert_eq!(said("#A##"), A);
    assert_eq!(said("X#Y"), "VP004");
    assert_eq!(said("#"), "VP004");
    // Three different ones find a route and no permission.
    assert_eq!(said("A#B#C"), "VP007");
    assert_eq!(said("A#B#A"), B);
}

#[test]
fn a_permission_for_any_part_of_a_joined_address_is_enough_and_the_standard_one_is_not() {
    let rows = [route(CARE, "B", B), permission("1177", CARE, "A")];
    assert_eq!(said(&decide(&forwarding(&rows), "1177", CARE, "A#B")), B);
    let rows = [route(CARE, "B", B), permission("1177", CARE, "*")];
    assert_eq!(said(&decide(&forwarding(&rows), "1177", CARE, "A#B")), "VP007");
}

#[test]
fn joined_addresses_are_open_to_whom_the_platform_says() {
    let rows = [route(CARE, "B", B), permission("1177", CARE, "B")].concat();
    let with = |line: &str| {
        let base = BASE.replace("instance =", &format!("{line}\ninstance ="));
        let loaded = Table::parse(&[source("a.toml", &base), source("b.toml", &rows)], noon());
        let table = loaded.table.unwrap_or_else(|| panic!("{:#?}", loaded.findings));
        said(&decide(&table, "1177", CARE, "A#B"))
    };
    assert_eq!(with(&format!("delimiter_contracts = [\"{}\"]", CARE.to_uppercase())), B);
    assert_eq!(with(&format!("delimiter_contracts = [\"{PING}\"]")), "VP007");
    assert_eq!(with("delimiter_consumers = [\"se0000000000-1177\"]"), B);
    assert_eq!(with("delimiter_consumers = [\"SE0000000000-REGION\"]"), "VP007");
}

fn tree() -> Hierarchy {
    let under = [
        ("SE-LEAF", "SE-MID"),
        ("SE-MID", "SE-TOP"),
        ("SE-RING1", "SE-RING2"),
        ("SE-RING2", "SE-RING1"),
    ];
    Hierarchy::new(under.iter().map(|(child, parent)| (id(child), id(parent))).collect())
}

const CLIMB: &str = "[hierarchy]\n";

#[test]
fn routes_climb_before_the_standard_address_and_permissions_after() {
    let it = forwarding(&[
        CLIMB.to_owned(),
        route(CARE, "SE-TOP", A),
        route(CARE, "*", STAR),
        permission("1177", CARE, "SE-TOP"),
    ])
    .with_hierarchy(tree());
    let leaf = decide(&it, "1177", CARE, "se-leaf");
    assert_eq!(said(&leaf), A);
    let tried: Vec<_> = leaf
        .trail
        .iter()
        .map(|it| (it.stage, it.via, it.address.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(
        tried,
        [
            (Stage::Route, Via::Asked, "-"),
            (Stage::Route, Via::Parent, "SE-MID"),
            (Stage::Route, Via::Parent, "SE-TOP"),
            (Stage::Permission, Via::Asked, "-"),
            (Stage::Permission, Via::Standard, "-"),
            (Stage::Permission, Via::Parent, "SE-MID"),
            (Stage::Permission, Via::Parent, "SE-TOP"),
        ]
    );
    // Unknown to the tree: under the root, which has no rows here, so the standard one.
    assert_eq!(said(&decide(&it, "1177", CARE, "SE-OTHER")), "VP007");
}

#[test]
fn the_nearest_level_wins_and_the_root_is_the_last() {
    let rows = [
        CLIMB.to_owned(),
        route(CARE, "SE-MID", A),
        route(CARE, "SE-TOP", B),
        route(CARE, "SE", STAR),
        open(),
    ];
    let it = forwarding(&rows).with_hierarchy(tree());
    let said = |address: &str| said(&decide(&it, "1177", CARE, address));
    assert_eq!(said("SE-LEAF"), A);
    assert_eq!(said("SE-TOP"), B);
    assert_eq!(said("SE-UNKNOWN"), STAR);
    assert_eq!(said("SE-RING1"), STAR, "a ring in the data ends at the root");
    assert_eq!(said("SE"), STAR);
}

#[test]
fn climbing_is_switched_by_contract_and_off_without_a_tree_or_the_table() {
    let rows = |head: &str| {
        forwarding(&[
            head.to_owned(),
            route(CARE, "SE-TOP", A),
            permission("1177", CARE, "SE-LEAF"),
            permission("1177", CARE, "SE-TOP"),
        ])
    };
    let with =
        |head: &str| said(&decide(&rows(head).with_hierarchy(tree()), "1177", CARE, "SE-LEAF"));
    assert_eq!(with("[hierarchy]\n"), A);
    assert_eq!(with(""), "VP004");
    assert_eq!(said(&decide(&rows("[hierarchy]\n"), "1177", CARE, "SE-LEAF")), "VP004");
    assert_eq!(with("[hierarchy]\nroutes = false\n"), "VP004");
    assert_eq!(with("[hierarchy]\nroutes_except = [\"urn:riv:EXAMPLE:\"]\n"), "VP004");
    assert_eq!(with("[hierarchy]\nroutes_except = [\"urn:riv:other:\"]\n"), A);
    assert_eq!(with("[hierarchy]\nroutes = false\nroutes_except = [\"urn:riv:example:\"]\n"), A);
    // Permissions have a switch of their own.
    let mid =
        |head: &str| said(&decide(&rows(head).with_hierarchy(tree()), "1177", CARE, "SE-MID"));
    assert_eq!(mid("[hierarchy]\n"), A);
    assert_eq!(mid("[hierarchy]\npermissions = false\n"), "VP007");
}

#[test]
fn an_ancestor_list_stops_at_the_root_and_is_bounded() {
    let tree = tree();
    assert_eq!(tree.ancestors("SE-LEAF").collect::<Vec<_>>(), ["SE-MID", "SE-TOP", "SE"]);
    assert_eq!(tree.ancestors("nobody").collect::<Vec<_>>(), ["SE"]);
    assert_eq!(tree.ancestors("se").count(), 0);
    assert_eq!(tree.ancestors("SE-RING1").count(), crate::limits::TAK_CLIMB_STEPS_MAX + 1);
    assert_eq!(Hierarchy::default().ancestors("SE-LEAF").count(), 0);
    assert!(Hierarchy::new(BTreeMap::new()).is_empty());
}

#[test]
fn an_endless_address_is_refused_and_not_repeated_in_full() {
    let it = forwarding(&[route(CARE, "*", A), open()]);
    let longest = "x".repeat(crate::limits::LOGICAL_ADDRESS_CHARS_MAX);
    assert_eq!(said(&decide(&it, "1177", CARE, &longest)), A);
    let denial = decide(&it, "1177", CARE, &format!("{longest}yz")).outcome.unwrap_err();
    assert_eq!(denial.code(), "VP004");
    assert!(denial.detail().ends_with(&longest));
}

#[test]
fn every_refusal_has_a_code_a_detail_and_words_for_the_caller() {
    let texts: BTreeSet<String> = [
        Denial::NoAddress,
        Denial::NoTable,
        Denial::NoRoute { contract: "c".into(), address: "a".into(), white_space: false },
        Denial::MoreThanOne { contract: "c".into(), address: "a".into() },
        Denial::NotPermitted { contract: "c".into(), address: "a".into(), caller: id("b") },
        Denial::NoUrl { contract: "c".into(), address: "a".into() },
    ]
    .iter()
    .map(|it| format!("{} {}", it.code(), it.text()))
    .collect();
    assert_eq!(texts.len(), 6);
    assert!(texts.iter().all(|it| it.starts_with("VP0") && it.ends_with('.')), "{texts:#?}");
}

#[test]
fn a_decision_names_its_configuration() {
    let it = table("");
    assert_eq!(decide(&it, "1177", CARE, "A").generation, *it.generation());
}
