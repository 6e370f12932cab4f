//! What a new configuration changes in effect, not in text: who gets another answer, on which days.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::decide::{Destination, Handling, Question};
use super::denial::Denial;
use super::model::Profile;
use super::period::Days;
use super::rows::Keyed as _;
use super::{PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING, Table};
use crate::id::{Contract, HsaId};

/// A call that gets another answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What is called.
    pub contract: String,
    /// Where; `*` stands for every address without rows of its own.
    pub address: String,
    /// By whom.
    pub consumer: String,
    /// On which days, of those from the day asked about on.
    #[serde(serialize_with = "as_text")]
    pub days: Days,
    /// The old answer.
    pub before: String,
    /// The new one.
    pub after: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contract, address, consumer, days, before, after } = self;
        write!(f, "{consumer} calls {contract} at {address}, {days}: {before} -> {after}")
    }
}

fn as_text<S: serde::Serializer>(days: &Days, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(days)
}

/// Every call that gets another answer from `new` than from `old` on any day from `today` on, in
/// order of contract, address and consumer. Calls are those that some permission of either is about;
/// nobody else is let through by either.
#[must_use]
pub fn effect(old: &Table, new: &Table, today: Date) -> Vec<Change> {
    let mut changes = Vec::new();
    for ((contract, address, consumer), told) in calls(old, new) {
        let Ok(caller) = HsaId::parse(&consumer) else { continue };
        let key = Contract(contract);
        let days: BTreeSet<Date> = [old, new]
            .iter()
            .flat_map(|it| it.turns(key.as_str(), &address, &consumer))
            .filter(|it| *it > today)
            .chain([today])
            .collect();
        let mut last: Option<Change> = None;
        for (from, to) in days.iter().zip(days.iter().skip(1).map(Some).chain([None])) {
            let to = to.and_then(|it| it.yesterday().ok());
            let Some(span) = Days::new(Some(*from), to) else { continue };
            let ask = |table: &Table| answer(table, &caller, &key, &address, *from);
            let (before, after) = (ask(old), ask(new));
            match last.as_mut() {
                // The same difference goes on.
                Some(it) if it.before == before && it.after == after => {
                    it.days = Days::new(it.days.from(), to).unwrap_or(it.days);
                }
                Some(_) | None => {
                    changes.extend(last.take());
                    last = (before != after).then(|| Change {
                        contract: told.contract.clone(),
                        address: told.address.clone(),
                        consumer: told.consumer.clone(),
                        days: span,
                        before,
                        after,
                    });
                }
            }
        }
        changes.extend(last);
    }
    changes
}

/// A call as the configuration writes it.
struct Told {
    contract: String,
    address: String,
    consumer: String,
}

type Key = (String, String, String);

/// The calls that are worth asking about, by lower-case key.
fn calls(old: &Table, new: &Table) -> BTreeMap<Key, Told> {
    let mut addresses: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for table in [old, new] {
        for (contract, address) in table.addresses() {
            let of_contract = addresses.entry(contract.to_ascii_lowercase()).or_default();
            of_contract.entry(address.to_ascii_lowercase()).or_insert_with(|| address.to_owned());
        }
    }
    let mut found = BTreeMap::new();
    for table in [old, new] {
        for it in &table.permissions {
            let contract = table.names.text(it.contract);
            let consumer = table.names.text(it.consumer);
            let mut add = |address: &str| {
                let key = (contract, address, consumer);
                let lower = |it: &str| it.to_ascii_lowercase();
                found.entry((lower(key.0), lower(key.1), lower(key.2))).or_insert_with(|| Told {
                    contract: contract.to_owned(),
                    address: address.to_owned(),
                    consumer: consumer.to_owned(),
                });
            };
            let address = table.names.text(it.address);
            add(address);
            let climbs = [old, new].iter().any(|it| !it.hierarchy.is_empty());
            if address == "*" || climbs {
                let all = addresses.get(&contract.to_ascii_lowercase());
                all.into_iter().flat_map(BTreeMap::values).for_each(|it| add(it));
            }
        }
    }
    found
}

impl Table {
    /// Every contract with every address that a row of its own is about.
    fn addresses(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.routes.iter().map(|it| it.key());
        let permitted = self.permissions.iter().map(|it| (it.contract, it.address));
        let units = self.units.keys().map(|it| (PROCESS_COMPLAINT, it.as_str()));
        let portal = (PROCESS_COMPLAINT_HANDLING, self.platform.portal.as_str());
        rows.chain(permitted)
            .map(|(contract, address)| (self.names.text(contract), self.names.text(address)))
            .chain(units)
            .chain([portal])
    }

    /// The days on which the answer to a call may become another.
    pub(super) fn turns(&self, contract: &str, address: &str, consumer: &str) -> BTreeSet<Date> {
        let mut spans: Vec<Days> = Vec::new();
        let levels = [address, "*"].into_iter().chain(self.hierarchy.ancestors(address));
        let contract = self.names.find(contract);
        let consumer = self.names.find(consumer);
        for level in levels.filter_map(|it| self.names.find(it)) {
            let Some(contract) = contract else { break };
            let routes = self.routes.with_key(&(contract, level));
            spans.extend(routes.iter().map(|it| it.days));
            if let Some(consumer) = consumer {
                let key = (contract, level, consumer);
                let permissions = self.permissions.with_key(&key);
                spans.extend(permissions.iter().map(|it| it.days));
            }
        }
        if let Some(unit) = HsaId::parse(address).ok().and_then(|it| self.units.get(&it)) {
            spans.push(unit.days);
            spans.extend(unit.handling.iter().map(|it| it.days));
            spans.extend(self.counties.get(&unit.county).into_iter().flat_map(|it| &it.live));
        }
        spans.iter().flat_map(|it| it.from().into_iter().chain(it.next())).collect()
    }
}

/// The answer on a day, with all of it that a caller or a receiver could notice.
fn answer(table: &Table, caller: &HsaId, contract: &Contract, address: &str, day: Date) -> String {
    let ask = |profile| {
        let at = Timestamp::UNIX_EPOCH;
        let question = Question { caller, contract, address, profile, at };
        told(&table.decide_on(&question, day).outcome)
    };
    let (newer, older) = (ask(Profile::Rivtabp21), ask(Profile::Rivtabp20));
    if newer == older { newer } else { format!("{newer}; from rivtabp20: {older}") }
}

/// An answer with all of it that a caller or a receiver could notice.
pub(super) fn told(outcome: &Result<Destination, Denial>) -> String {
    match outcome {
        Err(denial) => format!("refused {}", denial.code()),
        Ok(Destination::Answer) => "answered by this gateway".to_owned(),
        Ok(Destination::Handling) => "kept as an event of the handling".to_owned(),
        Ok(Destination::Keep { handling: Handling::Store, .. }) => {
            "kept, the built-in store".to_owned()
        }
        Ok(Destination::Keep { handling: Handling::System { system, receiver }, .. }) => {
            let id = system.id.as_deref().unwrap_or(&system.name);
            let url = system.url.as_deref().unwrap_or("no url");
            format!("kept, system {id} ({url}) as {receiver}")
        }
        Ok(Destination::Forward { url, profile, timeout, .. }) => {
            format!("passed on to {url} ({profile}, {} s)", timeout.as_secs_f64())
        }
    }
}
