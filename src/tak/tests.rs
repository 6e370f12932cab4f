//! Facts about routing, one file for each kind, and the small folder that they start from.

mod days;
mod decisions;
mod differences;
mod example;
mod faults;
mod live;
mod model;
mod people;
mod pieces;
mod reach;
mod rehearsal;
mod remarks;
mod size;

use jiff::Timestamp;

use super::*;
use crate::id::Contract;

const PING: &str = "urn:riv:itintegration:monitoring:PingForConfigurationResponder:1";
const CARE: &str = "urn:riv:example:case:SubmitCaseResponder:1";

/// A folder about which nothing is to be said.
pub(super) const BASE: &str = r#"
[platform]
hsa_id = "SE0000000000-GATEWAY"
instance = "klagomal-test"
inkorg = "inkorg"
portal = "SE0000000000-1177"

[[system]]
hsa_id = "SE0000000000-1177"
name = "1177"
[[system]]
id = "inkorg"
hsa_id = "SE0000000000-INKORG"
name = "Inkorg"
url = "https://localhost:9444/inkorg"
[[system]]
id = "region"
hsa_id = "SE0000000000-REGION"
name = "Region"
url = "https://localhost:9443/rivta"
delivery = "queued"
timeout = "5s"

[[county]]
code = "99"
name = "Testlän"
patient_advisory_committee = "SE0000000000-PAN99"
[[unit]]
hsa_id = "SE0000000000-PAN99"
name = "Nämnden"
county = "99"
mailbox = "pan99@example.se"
[[unit.handling]]
method = "store"
[[unit]]
hsa_id = "SE0000000000-VC1"
name = "Vårdcentralen"
county = "99"
care_provider = "SE0000000000-VG1"
mailbox = "vc1@example.se"
[[unit.handling]]
method = "store"
"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-05-01T12:00:00Z")
}

fn id(text: &str) -> HsaId {
    HsaId::parse(text).unwrap()
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

/// What comes of [`BASE`] and one more file.
fn load(more: &str) -> Loaded {
    Table::parse(&[source("base.toml", BASE), source("x.toml", more)], noon())
}

/// The table of [`BASE`] and one more file that has no errors.
fn table(more: &str) -> Table {
    let loaded = load(more);
    loaded.table.unwrap_or_else(|| panic!("{:#?}", loaded.findings))
}

fn route(contract: &str, address: &str, url: &str) -> String {
    format!(
        "[[route]]\ncontract = \"{contract}\"\nlogical_address = \"{address}\"\naddress = \"{url}\"\n"
    )
}

fn permission(consumer: &str, contract: &str, address: &str) -> String {
    format!(
        "[[permission]]\nconsumer = \"SE0000000000-{consumer}\"\ncontract = \"{contract}\"\n\
         logical_address = \"{address}\"\n"
    )
}

fn decide(table: &Table, caller: &str, contract: &str, address: &str) -> Decision {
    decide_at(table, caller, contract, address, noon())
}

fn decide_at(
    table: &Table,
    caller: &str,
    contract: &str,
    address: &str,
    at: Timestamp,
) -> Decision {
    table.decide(&Question {
        caller: &id(&format!("SE0000000000-{caller}")),
        contract: &Contract(contract.to_owned()),
        address,
        profile: Profile::Rivtabp21,
        at,
    })
}

/// Where a call goes, or the code of its refusal, in a few characters.
fn said(decision: &Decision) -> String {
    match &decision.outcome {
        Ok(Destination::Keep { unit, handling: Handling::Store }) => {
            format!("{} store", unit.hsa_id)
        }
        Ok(Destination::Keep { unit, handling: Handling::System { system, receiver } }) => {
            format!("{} {} {receiver}", unit.hsa_id, system.id.as_deref().unwrap())
        }
        Ok(Destination::Handling) => "handling".to_owned(),
        Ok(Destination::Answer) => "answer".to_owned(),
        Ok(Destination::Forward { url, .. }) => url.to_string(),
        Err(denial) => denial.code().to_owned(),
    }
}
