//! `klagomal tak explain`: one call, its answer, and the rows that gave it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::{short, table, write_json};
use crate::cli::{Failed, Outcome};
use crate::clock::{self, Clock, SystemClock};
use crate::id::{Contract, HsaId};
use crate::tak::{Profile, Question, Table};

#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// What is called: the whole namespace, or its name when only one contract has it, such as
    /// ProcessComplaint.
    #[arg(long, value_name = "CONTRACT")]
    contract: String,
    /// The logical address.
    #[arg(long, value_name = "HSA-ID")]
    to: String,
    /// The one who calls: the HSA-id in its certificate.
    #[arg(long, value_name = "HSA-ID", value_parser = HsaId::parse)]
    from: HsaId,
    /// When: 2026-07-01, 2026-07-01T12:00 (Swedish time) or 2026-07-01T10:00:00Z. Left out: now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// The profile that the call keeps.
    #[arg(long, value_enum, default_value_t = Keeps::Rivtabp21)]
    profile: Keeps,
    /// The routing folder.
    #[arg(long, default_value = "tak-config")]
    dir: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keeps {
    Rivtabp20,
    Rivtabp21,
}

impl Explain {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let table = table(&self.dir)?;
        let contract = contract(&table, &self.contract)?;
        let profile = match self.profile {
            Keeps::Rivtabp20 => Profile::Rivtabp20,
            Keeps::Rivtabp21 => Profile::Rivtabp21,
        };
        let explanation = table.explain(&Question {
            caller: &self.from,
            contract: &contract,
            address: &self.to,
            profile,
            at: self.at.unwrap_or_else(|| SystemClock.now()),
        });
        if self.json {
            write_json(&explanation, out)?;
        } else {
            write!(out, "{explanation}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The contract that a person means.
fn contract(table: &Table, asked: &str) -> Result<Contract, Failed> {
    let known = table.contracts();
    let same = |it: &&&str| it.eq_ignore_ascii_case(asked) || short(it).eq_ignore_ascii_case(asked);
    let fits: Vec<&str> = known.iter().filter(same).copied().collect();
    match fits.as_slice() {
        [one] => Ok(Contract((*one).to_owned())),
        // A whole namespace is taken at its word: that no row is about it is part of the answer.
        [] if asked.contains(':') => Ok(Contract(asked.to_owned())),
        [] => Err(Failed(format!(
            "no row is about a contract \"{asked}\"; there are:\n  {}",
            known.iter().map(|it| short(it)).collect::<Vec<_>>().join("\n  ")
        ))),
        several => Err(Failed(format!(
            "\"{asked}\" is the name of several contracts; give one of them whole:\n  {}",
            several.join("\n  ")
        ))),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let swedish = |at: DateTime| clock::swedish().to_timestamp(at).map_err(|it| it.to_string());
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<Date>()
        && !text.contains(['T', ' '])
    {
        return swedish(day.at(12, 0, 0, 0));
    }
    let at = text.parse::<DateTime>();
    swedish(at.map_err(|_| "write it as 2026-07-01 or 2026-07-01T12:00".to_owned())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(more: &str) -> Table {
        let text = format!(
            "[platform]\nhsa_id = \"SE0000000000-G\"\ninstance = \"t\"\ninkorg = \"i\"\nportal = \
             \"SE0000000000-1177\"\n[[system]]\nhsa_id = \"SE0000000000-1177\"\nname = \"p\"\n\
             [[system]]\nid = \"i\"\nhsa_id = \"SE0000000000-I\"\nname = \"i\"\n\
             url = \"https://localhost/\"\n{more}"
        );
        let source = crate::tak::Source { name: "a.toml".to_owned(), text };
        let loaded = Table::parse(&[source], "2026-05-01T12:00:00Z".parse().unwrap());
        loaded.table.unwrap_or_else(|| panic!("{:#?}", loaded.findings))
    }

    fn route(contract: &str) -> String {
        format!("[[route]]\ncontract = \"{contract}\"\nlogical_address = \"A\"\nsystem = \"i\"\n")
    }

    #[test]
    fn a_contract_is_found_by_its_name_when_only_one_has_it() {
        let (one, two) = ("urn:riv:a:GetCareResponder:1", "urn:riv:a:GetCareResponder:2");
        let table = load(&[route(one), route("urn:riv:b:PingResponder:1")].concat());
        let found = |asked: &str| contract(&table, asked).map(|it| it.as_str().to_owned());
        assert_eq!(found("getcare").unwrap(), one);
        assert_eq!(found("ProcessComplaint").unwrap(), crate::tak::PROCESS_COMPLAINT);
        assert_eq!(found(&one.to_uppercase()).unwrap(), one);
        assert_eq!(found("urn:nobody:1").unwrap(), "urn:nobody:1");
        let Failed(why) = found("GetCar").unwrap_err();
        assert!(why.contains("no row is about") && why.contains("\n  GetCare\n"), "{why}");
        let table = load(&[route(one), route(two)].concat());
        let Failed(why) = contract(&table, "GetCare").unwrap_err();
        assert!(why.contains(one) && why.contains(two), "{why}");
    }

    #[test]
    fn a_time_is_a_day_a_swedish_time_or_an_exact_one() {
        let told = |text: &str| time(text).map(|it| it.to_string());
        assert_eq!(told("2026-07-01").unwrap(), "2026-07-01T10:00:00Z");
        assert_eq!(told("2026-07-01T23:30").unwrap(), "2026-07-01T21:30:00Z");
        assert_eq!(told("2026-07-01T23:30:00Z").unwrap(), "2026-07-01T23:30:00Z");
        assert!(told("1 July").is_err() && told("2026-02-30").is_err());
    }
}
