//! Routing (TAK): who may call what, and where a call or a case goes. Text in, decisions out.
//!
//! [`Table::parse`] reads a whole folder of TOML texts and either gives a [`Table`] or every fault
//! in it; [`Table::decide`] answers one [`Question`] from the table and the time alone. Nothing here
//! touches disk, network or clock. The rules are the national platform's (SKLTP VP), so that a
//! region's TAK gives the same answer here, except that days are whole Swedish local days.
//!
//! Glossary: route = vägval, permission = anropsbehörighet, logical address = logisk adressat,
//! county = län, patient advisory committee = patientnämnd.

mod build;
mod check;
mod decide;
mod denial;
mod draft;
mod explain;
mod finding;
mod hierarchy;
mod model;
mod names;
mod period;
mod pieces;
mod planned;
mod reach;
mod read;
mod rows;
mod values;

pub mod diff;
pub mod export;
pub mod import;
pub mod plan;
pub mod report;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

pub use decide::{Decision, Destination, Handling, Question, Row, Stage, Step, Verdict, Via};
pub use denial::{Denial, Missing};
pub use explain::Explanation;
pub use finding::{Finding, Place, Severity};
pub use hierarchy::{Hierarchy, HierarchyError, UnitFiles};
pub use model::{
    County, Delivery, HandlingPeriod, Method, Person, Platform, Profile, Rate, Retry, Role, System,
    Unit, WhenUnknown,
};
pub use period::Days;
pub use planned::Planned;

use crate::clock;
use crate::id::HsaId;
pub use rows::Filter;
pub use values::duration;

use names::{Name, Names};
use rows::{Filters, Permission, Route, Rows};

/// Toward the one who handles: a new case, a supplement, a withdrawal.
pub const PROCESS_COMPLAINT: &str =
    "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1";

/// Back from the one who handles, and onward to the 1177 platform.
pub const PROCESS_COMPLAINT_HANDLING: &str =
    "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintHandlingResponder:1";

/// One file of the routing folder, as the caller read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it is to be named in findings: `tak-config/units.toml`.
    pub name: String,
    /// The whole content.
    pub text: String,
}

impl Source {
    /// The subfolder that holds code lists, which are not routing: no source in it is read.
    pub const CODE_LISTS: &str = "code-lists";

    fn is_routing(&self) -> bool {
        !self.name.split(['/', '\\']).any(|it| it == Self::CODE_LISTS)
    }
}

/// What came of reading a folder.
#[derive(Debug)]
pub struct Loaded {
    /// Present exactly when no finding is an error: loaded whole or refused whole.
    pub table: Option<Table>,
    /// Everything found, by file and place.
    pub findings: Vec<Finding>,
}

impl Loaded {
    /// Whether anything found is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|it| it.severity == Severity::Error)
    }
}

/// The name of one exact content of the routing folder, code lists included: SHA-256 over names and
/// bytes in name order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(Arc<str>);

impl Generation {
    /// All 64 hexadecimal characters.
    #[must_use]
    pub fn full(&self) -> &str {
        &self.0
    }

    /// The generation of `sources`, whatever order they come in and whether they load or not.
    #[must_use]
    pub fn of(sources: &[Source]) -> Self {
        Self::of_files(sources.iter().map(|it| (it.name.as_str(), it.text.as_bytes())))
    }

    /// The generation of files by name, whether they are text or not.
    #[must_use]
    pub fn of_files<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        use sha2::{Digest, Sha256};
        let mut sorted: Vec<(&str, &[u8])> = files.collect();
        sorted.sort_unstable();
        let mut hash = Sha256::new();
        for (name, bytes) in sorted {
            // Lengths first, so that no byte can move from a name to a content unseen.
            for part in [name.as_bytes(), bytes] {
                hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(part);
            }
        }
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self(hex.into())
    }
}

impl fmt::Display for Generation {
    /// The first twelve characters, which is what people see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({self})")
    }
}

/// A whole routing configuration, checked. Never changed: a reload makes another one.
#[derive(Debug)]
pub struct Table {
    generation: Generation,
    files: Vec<Arc<str>>,
    platform: Platform,
    systems: BTreeMap<String, Arc<System>>,
    callers: BTreeMap<HsaId, Arc<System>>,
    counties: BTreeMap<String, Arc<County>>,
    units: BTreeMap<HsaId, Arc<Unit>>,
    committees: BTreeSet<HsaId>,
    people: BTreeMap<HsaId, Arc<Person>>,
    names: Names,
    /// Sorted by contract, address, first day.
    routes: Rows<Route>,
    /// Sorted by contract, address, consumer, first day.
    permissions: Rows<Permission>,
    filters: Filters,
    standard: Option<Name>,
    hierarchy: Hierarchy,
}

impl Table {
    /// Reads and checks a whole folder. `now` tells which days are still to come: what has passed
    /// is not checked for gaps, and rows that have run out are pointed out.
    #[must_use]
    pub fn parse(sources: &[Source], now: Timestamp) -> Loaded {
        draft::load(sources, clock::swedish_day(now))
    }

    /// The same table with an organisation tree to climb where `[hierarchy]` says so.
    #[must_use]
    pub fn with_hierarchy(mut self, hierarchy: Hierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// As [`Self::with_hierarchy`], in place.
    pub fn set_hierarchy(&mut self, hierarchy: Hierarchy) {
        self.hierarchy = hierarchy;
    }

    /// The organisation tree; empty where none is loaded.
    #[must_use]
    pub fn hierarchy(&self) -> &Hierarchy {
        &self.hierarchy
    }

    /// The name of this content.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// This gateway and its neighbours.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Every receiver, by HSA-id.
    pub fn units(&self) -> impl Iterator<Item = &Arc<Unit>> {
        self.units.values()
    }

    /// The receiver with this HSA-id.
    #[must_use]
    pub fn unit(&self, hsa_id: &HsaId) -> Option<Arc<Unit>> {
        self.units.get(hsa_id).cloned()
    }

    /// Everybody who works in the built-in store, by HSA-id.
    pub fn people(&self) -> impl Iterator<Item = &Arc<Person>> {
        self.people.values()
    }

    /// The person with this HSA-id.
    #[must_use]
    pub fn person(&self, hsa_id: &HsaId) -> Option<Arc<Person>> {
        self.people.get(hsa_id).cloned()
    }

    /// The person with this HSA-id, and those for whom that person stands in on `day`.
    #[must_use]
    pub fn on_duty(&self, hsa_id: &HsaId, day: Date) -> Option<Arc<Person>> {
        let person = self.people.get(hsa_id)?;
        let away = self.people.values().filter(|it| it.substitute_on(day) == Some(hsa_id));
        let stands_in_for: BTreeSet<HsaId> = away.map(|it| it.hsa_id.clone()).collect();
        if stands_in_for.is_empty() {
            return Some(Arc::clone(person));
        }
        Some(Arc::new(Person { stands_in_for, ..Person::clone(person) }))
    }

    /// Every system, callers and called, by HSA-id.
    pub fn systems(&self) -> impl Iterator<Item = &Arc<System>> {
        self.callers.values()
    }

    /// The called system with this id.
    #[must_use]
    pub fn system(&self, id: &str) -> Option<Arc<System>> {
        self.systems.get(id).cloned()
    }

    /// The system that calls under this HSA-id; absent for a caller known only to permissions.
    #[must_use]
    pub fn caller(&self, hsa_id: &HsaId) -> Option<Arc<System>> {
        self.callers.get(hsa_id).cloned()
    }

    /// The system that is 1177 Inkorg.
    #[must_use]
    pub fn inkorg(&self) -> Option<Arc<System>> {
        self.system(&self.platform.inkorg)
    }

    /// The system that receives every handling event, where one is configured.
    #[must_use]
    pub fn onward(&self) -> Option<Arc<System>> {
        self.platform.onward.as_deref().and_then(|id| self.system(id))
    }

    /// The system that is a live TAK, where one is configured.
    #[must_use]
    pub fn live_tak(&self) -> Option<Arc<System>> {
        self.platform.tak.as_deref().and_then(|id| self.system(id))
    }

    /// Every county, by code.
    pub fn counties(&self) -> impl Iterator<Item = &Arc<County>> {
        self.counties.values()
    }

    /// The county with this code (länskod).
    #[must_use]
    pub fn county(&self, code: &str) -> Option<Arc<County>> {
        self.counties.get(code).cloned()
    }

    /// The counties that take cases on this Swedish local day: those with a care unit and a patient
    /// advisory committee, both with a handling method that day.
    pub fn live_counties(&self, day: Date) -> impl Iterator<Item = &Arc<County>> {
        self.counties.values().filter(move |it| it.is_live(day))
    }

    /// Whether the unit is some county's patientnämnd. Committees and care providers share no data.
    #[must_use]
    pub fn is_patient_advisory_committee(&self, hsa_id: &HsaId) -> bool {
        self.committees.contains(hsa_id)
    }

    /// Every contract that some row is about, the complaint contracts first, as first written.
    #[must_use]
    pub fn contracts(&self) -> Vec<&str> {
        let rows = self.routes.iter().map(|it| it.contract);
        let names: BTreeSet<Name> =
            rows.chain(self.permissions.iter().map(|it| it.contract)).collect();
        let own = [PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING];
        let is_own = |it: &str| own.iter().any(|own| own.eq_ignore_ascii_case(it));
        let others = names.into_iter().map(|it| self.names.text(it)).filter(|it| !is_own(it));
        own.into_iter().chain(others).collect()
    }

    /// Whether some row is about this text: a contract, an address or a caller.
    #[must_use]
    pub fn knows(&self, text: &str) -> bool {
        let own = [PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING, self.platform.portal.as_str()];
        own.iter().any(|own| own.eq_ignore_ascii_case(text))
            || self.names.find(text).is_some()
            || HsaId::parse(text).is_ok_and(|id| self.units.contains_key(&id))
    }

    /// A contract or consumer as the first row writes it, if some row has it.
    #[must_use]
    pub fn as_written(&self, text: &str) -> Option<&str> {
        if let Some(name) = self.names.find(text) {
            return Some(self.names.text(name));
        }
        let mut own = [PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING].into_iter();
        if let Some(own) = own.find(|own| own.eq_ignore_ascii_case(text)) {
            return Some(own);
        }
        let caller = self.callers.get(&HsaId::parse(text).ok()?)?;
        Some(caller.hsa_id.as_str())
    }

    /// The file name of a place in this table.
    #[must_use]
    pub fn file(&self, place: Place) -> &str {
        self.files.get(place.file_index()).map_or("?", AsRef::as_ref)
    }
}
