//! The table asked the other way: it promises what would be let through, and nothing else.

use super::*;

const TYPE: &str = "urn:riv:d:T2Responder:1";

/// Routes and permissions for one contract, by address.
fn table(routes: &[&str], permissions: &[(&str, &str)]) -> Table {
    let mut rows = String::new();
    for address in routes {
        rows.push_str(&format!(
            "[[route]]\ncontract = \"{TYPE}\"\nlogical_address = \"{address}\"\n\
             address = \"https://localhost:1/\"\n"
        ));
    }
    for (consumer, address) in permissions {
        rows.push_str(&format!(
            "[[permission]]\nconsumer = \"{consumer}\"\ncontract = \"{TYPE}\"\n\
             logical_address = \"{address}\"\n"
        ));
    }
    let platform = include_str!("../../../tak-config/platform.toml");
    let systems = include_str!("../../../tak-config/systems.toml");
    let units = include_str!("../../../tak-config/units.toml");
    let complaint = format!(
        "[[permission]]\nconsumer = \"SE1\"\ncontract = \"{PROCESS_COMPLAINT}\"\n\
         logical_address = \"*\"\n"
    );
    let sources = [platform, systems, units, &rows, &complaint];
    let named = sources.iter().enumerate();
    let sources: Vec<_> = named.map(|(at, text)| source(&format!("{at}.toml"), text)).collect();
    let loaded = Table::parse(&sources, noon());
    loaded.table.unwrap_or_else(|| panic!("{:?}", loaded.findings))
}

fn addresses(it: &Table, consumer: &str, contract: &str) -> Vec<String> {
    it.addresses_for(&id(consumer), contract, noon())
}

#[test]
fn an_address_is_listed_when_a_row_names_it_and_the_call_would_go_through() {
    let it = table(&["SE-A", "SE-B"], &[("SE1", "SE-A"), ("SE2", "*"), ("SE3", "SE-C")]);
    assert_eq!(addresses(&it, "SE1", TYPE), ["SE-A"]);
    assert_eq!(addresses(&it, "se2", &TYPE.to_uppercase()), ["SE-A", "SE-B"]);
    // Permitted, and nothing is there.
    assert_eq!(addresses(&it, "SE3", TYPE), [""; 0]);
    assert_eq!(addresses(&it, "SE4", TYPE), [""; 0]);
    assert_eq!(addresses(&it, "SE1", "urn:no-such"), [""; 0]);
}

#[test]
fn a_row_for_all_addresses_opens_them_and_is_none() {
    let it = table(&["*"], &[("SE1", "SE-A"), ("SE2", "*")]);
    assert_eq!(addresses(&it, "SE1", TYPE), ["SE-A"]);
    // Whatever others have rows for, the one with permission for all may call too; `*` is not told.
    assert_eq!(addresses(&it, "SE2", TYPE), ["SE-A"]);
    let at = |address: &str, who: Option<&HsaId>| it.contracts_at(address, who, noon());
    assert_eq!(at("anything", Some(&id("SE2"))), [TYPE]);
    assert_eq!(at("anything", Some(&id("SE1"))), [""; 0]);
    assert_eq!(at("SE-A", Some(&id("SE1"))), [TYPE]);
    assert_eq!(at("anything", None), [TYPE]);
}

#[test]
fn complaints_reach_the_units_of_live_counties() {
    let it = table(&[], &[]);
    let found = addresses(&it, "SE1", PROCESS_COMPLAINT).join(" ").replace("SE0000000000-", "");
    assert_eq!(found, "PAN98 PAN99 TV1 VC1 VC2 VC3");
    assert_eq!(addresses(&it, "SE2", PROCESS_COMPLAINT), [""; 0]);
    let at = |address: &str| it.contracts_at(address, None, noon());
    assert_eq!(at("se0000000000-vc1"), [PROCESS_COMPLAINT]);
    assert_eq!(at("SE0000000000-VC97"), [""; 0]);
    assert_eq!(at("SE0000000000-1177"), [PROCESS_COMPLAINT_HANDLING]);
    assert_eq!(at("SE0000000000-GATEWAY").len(), 3);
}

#[test]
fn the_gateway_answers_at_its_own_address_before_any_route_and_only_with_permission() {
    use crate::rivta::served::PING;
    let own = "SE0000000000-GATEWAY";
    let row = |consumer: &str, address: &str| {
        format!(
            "[[permission]]\nconsumer = \"{consumer}\"\ncontract = \"{PING}\"\n\
             logical_address = \"{address}\"\n"
        )
    };
    let route = format!(
        "[[route]]\ncontract = \"{PING}\"\nlogical_address = \"*\"\naddress = \"https://localhost:1/\"\n"
    );
    let platform = include_str!("../../../tak-config/platform.toml");
    let systems = include_str!("../../../tak-config/systems.toml");
    let rows = row("SE0000000000-S1", own) + &row("SE0000000000-S2", "*") + &route;
    let sources = [source("a.toml", platform), source("b.toml", systems), source("c.toml", &rows)];
    let it = Table::parse(&sources, noon()).table.unwrap();
    let ask = |caller: &str, address: &str| said(&decide(&it, caller, PING, address));
    for address in [own, "se0000000000-gateway", " SE0000000000-GATEWAY "] {
        assert_eq!(ask("S1", address), "answer", "{address}");
        assert_eq!(ask("S2", address), "answer", "{address}");
        assert_eq!(ask("S3", address), "VP007", "{address}");
    }
    assert_eq!(ask("S1", "SE9"), "VP007");
    assert_eq!(ask("S2", "SE9"), "https://localhost:1/");
    assert_eq!(addresses(&it, "SE0000000000-S2", PING), [own]);
    assert_eq!(addresses(&it, "SE0000000000-S3", PING), [""; 0]);
    // A contract that a row writes in another case is told once.
    let upper = rows.replace(PING, &PING.to_uppercase().replace("URN:RIV", "urn:riv"));
    let sources = [source("a.toml", platform), source("b.toml", systems), source("c.toml", &upper)];
    let it = Table::parse(&sources, noon()).table.unwrap();
    assert_eq!(it.contracts_at("SE9", None, noon()).len(), 1);
    assert_eq!(it.contracts_at(own, None, noon()).len(), 3);
}
