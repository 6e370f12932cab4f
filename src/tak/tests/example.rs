//! The example folder loads, says what it means to say, and answers as the roster has it.

use super::*;

fn example() -> Vec<Source> {
    vec![
        source("tak-config/permissions.toml", include_str!("../../../tak-config/permissions.toml")),
        source("tak-config/platform.toml", include_str!("../../../tak-config/platform.toml")),
        source("tak-config/routes.toml", include_str!("../../../tak-config/routes.toml")),
        source("tak-config/systems.toml", include_str!("../../../tak-config/systems.toml")),
        source("tak-config/units.toml", include_str!("../../../tak-config/units.toml")),
    ]
}

#[test]
fn the_only_thing_to_say_about_it_is_the_county_without_a_committee() {
    let loaded = Table::parse(&example(), noon());
    let said: Vec<_> =
        loaded.findings.iter().map(|it| (it.severity, it.message.as_str())).collect();
    assert_eq!(
        said,
        [(
            Severity::Warning,
            "county 97 is not live: it has no patient_advisory_committee; cases for \
             SE0000000000-VC97 are refused"
        )]
    );
}

#[test]
fn it_answers_as_the_roster_has_it() {
    let it = Table::parse(&example(), noon()).table.unwrap();
    let case = |unit: &str| {
        let unit = format!("SE0000000000-{unit}");
        said(&decide(&it, "1177", PROCESS_COMPLAINT, &unit)).replace("SE0000000000-", "")
    };
    assert_eq!(case("PAN99"), "PAN99 store");
    assert_eq!(case("VC1"), "VC1 store");
    assert_eq!(case("VC2"), "VC2 region-exempel VC2");
    assert_eq!(case("VC3"), "VC3 region-exempel KLAGOMAL");
    assert_eq!(case("PAN98"), "PAN98 region-exempel PAN98");
    assert_eq!(case("TV1"), "TV1 store");
    assert_eq!(case("VC97"), "VP004");
    let portal = "SE0000000000-1177";
    assert_eq!(said(&decide(&it, "REGION", PROCESS_COMPLAINT_HANDLING, portal)), "handling");
    assert_eq!(said(&decide(&it, "OBEHORIG", PROCESS_COMPLAINT, "SE0000000000-VC1")), "VP007");
    assert_eq!(said(&decide(&it, "OBEHORIG", PROCESS_COMPLAINT_HANDLING, portal)), "VP007");
    assert_eq!(said(&decide(&it, "1177", PING, "anything")), "https://localhost:9443/rivta");
}

#[test]
fn what_it_holds_can_be_asked_for() {
    let it = Table::parse(&example(), noon()).table.unwrap();
    assert_eq!(it.platform().instance, "klagomal-test");
    assert_eq!((it.units().count(), it.systems().count(), it.counties().count()), (7, 3, 3));
    assert!(it.caller(&id("SE0000000000-1177")).unwrap().original_consumer);
    assert!(it.caller(&id("SE0000000000-OBEHORIG")).is_none());
    let region = it.system("region-exempel").unwrap();
    assert_eq!((region.delivery, region.when_unknown), (Delivery::Queued, WhenUnknown::Resend));
    assert_eq!(region.rate.unwrap().interval().as_millis(), 100);
    let inkorg = it.inkorg().unwrap();
    assert_eq!(inkorg.when_unknown, WhenUnknown::Hold);
    let waits: Vec<_> = (1..=6).map(|it| inkorg.retry.wait(it).as_secs()).collect();
    assert_eq!(waits, [4, 20, 300, 1800, 3600, 3600]);
    assert!(it.onward().is_none());
    assert_eq!(it.caller(&id("SE0000000000-1177")).unwrap().when_unknown, WhenUnknown::Hold);
    assert!(it.is_patient_advisory_committee(&id("se0000000000-pan98")));
    assert!(!it.is_patient_advisory_committee(&id("SE0000000000-VC1")));
    assert_eq!(it.unit(&id("SE0000000000-TV1")).unwrap().operational_area.as_deref(), Some("4"));
}

#[test]
fn the_generation_is_of_the_content_and_not_of_the_order() {
    let mut sources = example();
    let one = Generation::of(&sources);
    sources.reverse();
    assert_eq!(Generation::of(&sources), one);
    assert_eq!(Table::parse(&sources, noon()).table.unwrap().generation(), &one);
    assert_eq!((one.full().len(), one.to_string().len()), (64, 12));
    sources[0].text.push('\n');
    assert_ne!(Generation::of(&sources), one);
    // Code lists are not read as routing, and are content all the same: a rollback returns to them.
    let other = Generation::of(&sources);
    sources.push(source("tak-config/code-lists/list.toml", "code = 1"));
    assert_ne!(Generation::of(&sources), other);
    assert!(Table::parse(&sources, noon()).table.is_some());
    // A text cannot move from a name to a content unseen.
    assert_ne!(Generation::of(&[source("ab", "c")]), Generation::of(&[source("a", "bc")]));
}

#[test]
fn an_explanation_names_every_row_that_was_tried() {
    let it = Table::parse(&example(), noon()).table.unwrap();
    let ask = |caller: &str, contract: &str, address: &str| {
        it.explain(&Question {
            caller: &id(caller),
            contract: &Contract(contract.to_owned()),
            address,
            profile: Profile::Rivtabp21,
            at: noon(),
        })
        .to_string()
        .replace(&it.generation().to_string(), "GENERATION")
    };
    expect_test::expect![[r#"
        SE0000000000-1177 (1177 plattform (test)) calls urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1
        at "SE0000000000-VC3" on 2026-05-01 with rivtabp21

        ALLOWED: kept for SE0000000000-VC3 (Testmottagningen Exempelby) in system region-exempel as SE0000000000-KLAGOMAL

        how configuration GENERATION came to it:
          1. unit       "SE0000000000-VC3": Testmottagningen Exempelby: found (tak-config/units.toml:81)
          2. county     99 Testlän: live (tak-config/units.toml:22)
          3. handling   "SE0000000000-VC3": system region-exempel as SE0000000000-KLAGOMAL: won (tak-config/units.toml:88)
          4. permission "SE0000000000-VC3": no row
          5. permission "*" (standard): won (tak-config/permissions.toml:9)
    "#]].assert_eq(&ask(
        "SE0000000000-1177",
        PROCESS_COMPLAINT,
        "SE0000000000-VC3",
    ));
    expect_test::expect![[r#"
        SE0000000000-OBEHORIG calls urn:riv:itintegration:monitoring:PingForConfigurationResponder:1
        at "SE0000000000-VC1" on 2026-05-01 with rivtabp21

        REFUSED, VP007
        to the caller: Anropande system saknar behörighet för den logiska adressen och tjänstekontraktet. Kontrollera anropet; stämmer det behöver behörighet beställas.
        detail: Authorization missing for serviceNamespace: urn:riv:itintegration:monitoring:PingForConfigurationResponder:1, receiverId: SE0000000000-VC1, senderId: SE0000000000-OBEHORIG
        next: if it should be let through, add a [[permission]] with consumer = "SE0000000000-OBEHORIG", contract = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1", logical_address = "SE0000000000-VC1"

        how configuration GENERATION came to it:
          1. route      "SE0000000000-VC1": no row
          2. route      "*" (standard): route to system region-exempel (rivtabp21): won (tak-config/routes.toml:14)
          3. permission "SE0000000000-VC1": no row
          4. permission "*" (standard): no row
    "#]].assert_eq(&ask(
        "SE0000000000-OBEHORIG",
        PING,
        "SE0000000000-VC1",
    ));
    expect_test::expect![[r#"
        SE0000000000-1177 (1177 plattform (test)) calls urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1
        at "SE0000000000-VC97" on 2026-05-01 with rivtabp21

        REFUSED, VP004
        to the caller: Länet Testlän Öst (97) tar ännu inte emot ärenden: patientnämnd saknas.
        detail: No receiverId (logical address) found for serviceNamespace: urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1, receiverId: SE0000000000-VC97. County 97 lacks a patient advisory committee
        next: give county 97 a patient advisory committee (tak-config/units.toml:33)

        how configuration GENERATION came to it:
          1. unit       "SE0000000000-VC97": Testvårdcentralen Öst: found (tak-config/units.toml:116)
          2. county     97 Testlän Öst: not live (tak-config/units.toml:33)
    "#]].assert_eq(&ask(
        "SE0000000000-1177",
        PROCESS_COMPLAINT,
        "SE0000000000-VC97",
    ));
}
