//! This table's rows as other TAKs have them: SokVagvalsInfo v2 answers, and a platform's cache file.
//!
//! Days become times with an offset, which every reader takes alike: the first millisecond of the
//! first day to the last of the last one. A row without beginning or end gets 1900-01-01 or
//! 2999-12-31, which the import reads as none.
//!
//! The complaint contracts go by unit here and by route elsewhere. Each unit becomes a route to this
//! gateway's own address, for the days on which a case to it would be accepted: whoever handles it,
//! it is this gateway that callers call. A route to a system also tells the system, in a namespace
//! of its own where the schema allows others, so that an import here finds it again.

use std::collections::BTreeMap;

use super::import::{MARKS, from_text, to_text};
use super::model::Profile;
use super::period::{Days, intersection, union};
use super::rows::{Route, Target};
use super::{PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING, Table};
use crate::xml::write::push_text;

/// The namespace of SokVagvalsInfo v2.
const VAGVALSINFO: &str = "urn:skl:tp:vagvalsinfo:v2";

/// A route as other TAKs have it.
struct Flat<'t> {
    contract: &'t str,
    address: &'t str,
    profile: Profile,
    url: &'t str,
    system: Option<&'t str>,
    days: Days,
}

/// What is exported, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Export<'t> {
    table: &'t Table,
    own_url: Option<&'t str>,
}

impl<'t> Export<'t> {
    /// The rows of `table`. `own_url` is where callers reach this gateway; without it, units and the
    /// 1177 platform's address are not exported.
    #[must_use]
    pub fn new(table: &'t Table, own_url: Option<&'t str>) -> Self {
        Self { table, own_url }
    }

    /// `hamtaAllaVirtualiseringarResponse`.
    #[must_use]
    pub fn routes(&self) -> String {
        envelope("hamtaAllaVirtualiseringarResponse", |out| {
            self.push_routes("", ("<virtualiseringsInfo>", "</virtualiseringsInfo>\n"), out);
        })
    }

    /// `hamtaAllaAnropsBehorigheterResponse`.
    #[must_use]
    pub fn permissions(&self) -> String {
        envelope("hamtaAllaAnropsBehorigheterResponse", |out| {
            self.push_permissions("", out);
        })
    }

    /// `hamtaAllaTjanstekontraktResponse`: every contract that a row is about.
    #[must_use]
    pub fn contracts(&self) -> String {
        let mut contracts: BTreeMap<String, &str> = BTreeMap::new();
        let routed: Vec<Flat<'_>> = self.flat();
        let routed = routed.iter().map(|it| it.contract);
        let permitted = self.table.permissions.iter().map(|it| self.table.names.text(it.contract));
        for it in routed.chain(permitted) {
            contracts.entry(it.to_ascii_lowercase()).or_insert(it);
        }
        envelope("hamtaAllaTjanstekontraktResponse", |out| {
            for contract in contracts.values() {
                let version = contract.rsplit_once(':').map_or("", |(_, version)| version);
                let version = if version.parse::<u32>().is_ok() { version } else { "1" };
                out.push_str("<tjanstekontraktInfo>");
                field("", "namnrymd", contract, out);
                field("", "majorVersion", version, out);
                field("", "minorVersion", "0", out);
                field("", "beskrivning", contract, out);
                out.push_str("</tjanstekontraktInfo>\n");
            }
        })
    }

    /// `hamtaAllaTjanstekomponenterResponse`: every system, with its name.
    #[must_use]
    pub fn components(&self) -> String {
        envelope("hamtaAllaTjanstekomponenterResponse", |out| {
            for system in self.table.systems() {
                out.push_str("<tjanstekomponentInfo>");
                field("", "hsaId", system.hsa_id.as_str(), out);
                field("", "beskrivning", &system.name, out);
                out.push_str("</tjanstekomponentInfo>\n");
            }
        })
    }

    /// A platform's local cache file: routes and permissions in one.
    #[must_use]
    pub fn cache(&self) -> String {
        let mut out =
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<persistentCache xmlns:ns2=\"".to_owned();
        out.push_str(VAGVALSINFO);
        out.push_str("\">\n");
        self.push_routes("ns2:", ("<virtualiseringsInfo>", "</virtualiseringsInfo>\n"), &mut out);
        self.push_permissions("ns2:", &mut out);
        out.push_str("</persistentCache>\n");
        out
    }

    /// How many units and addresses are left out for want of this gateway's own address.
    #[must_use]
    pub fn left_out(&self) -> usize {
        if self.own_url.is_some() { 0 } else { self.own_addresses().len() }
    }

    fn push_routes(&self, prefix: &str, (open, close): (&str, &str), out: &mut String) {
        for (id, it) in (1usize..).zip(self.flat()) {
            out.push_str(open);
            field(prefix, "virtualiseringsInfoId", &id.to_string(), out);
            field(prefix, "receiverId", it.address, out);
            let profile = it.profile.as_str().to_ascii_uppercase();
            field(prefix, "rivProfil", &profile, out);
            field(prefix, "tjansteKontrakt", it.contract, out);
            days(prefix, it.days, out);
            field(prefix, "adress", it.url, out);
            if let Some(system) = it.system {
                out.push_str("<k:system xmlns:k=\"");
                out.push_str(MARKS);
                out.push_str("\">");
                push_text(out, system);
                out.push_str("</k:system>");
            }
            out.push_str(close);
        }
    }

    fn push_permissions(&self, prefix: &str, out: &mut String) {
        let names = &self.table.names;
        for (id, it) in (1usize..).zip(&self.table.permissions) {
            out.push_str("<anropsBehorighetsInfo>");
            field(prefix, "anropsBehorighetsInfoId", &id.to_string(), out);
            field(prefix, "receiverId", names.text(it.address), out);
            field(prefix, "senderId", names.text(it.consumer), out);
            field(prefix, "tjansteKontrakt", names.text(it.contract), out);
            days(prefix, it.days, out);
            for filter in self.table.filters.of(it) {
                tag(prefix, "<", "filterInfo", out);
                field(prefix, "serviceDomain", &filter.domain, out);
                for category in &filter.categorizations {
                    field(prefix, "categorization", category, out);
                }
                tag(prefix, "</", "filterInfo", out);
            }
            out.push_str("</anropsBehorighetsInfo>\n");
        }
    }

    /// Every route: those of the complaint contracts, then the table's own in their order.
    fn flat(&self) -> Vec<Flat<'t>> {
        let mut flat = Vec::new();
        if let Some(url) = self.own_url {
            for (contract, address, days) in self.own_addresses() {
                let profile = Profile::Rivtabp21;
                flat.push(Flat { contract, address, profile, url, system: None, days });
            }
        }
        flat.extend(self.table.routes.iter().map(|it| self.flat_route(it)));
        flat
    }

    fn flat_route(&self, it: &'t Route) -> Flat<'t> {
        let (url, system) = match &it.target {
            Target::Url(url) => (Some(url), None),
            Target::System(system) => (system.url.as_ref(), system.id.as_deref()),
        };
        Flat {
            contract: self.table.names.text(it.contract),
            address: self.table.names.text(it.address),
            profile: it.profile,
            url: url.map_or("", |it| it),
            system,
            days: it.days,
        }
    }

    /// What this gateway takes itself: the contract, the address and the days.
    fn own_addresses(&self) -> Vec<(&'t str, &'t str, Days)> {
        let mut found = Vec::new();
        for unit in self.table.units.values() {
            let handled = unit.handling.iter().filter_map(|it| it.days.and(unit.days));
            let handled = union(handled.collect());
            let live = self.table.counties.get(&unit.county).map(|it| it.live.as_slice());
            for days in intersection(&handled, live.unwrap_or_default()) {
                found.push((PROCESS_COMPLAINT, unit.hsa_id.as_str(), days));
            }
        }
        let portal = self.table.platform.portal.as_str();
        found.push((PROCESS_COMPLAINT_HANDLING, portal, Days::ALL));
        found
    }
}

fn envelope(name: &str, rows: impl FnOnce(&mut String)) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope \
                   xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body>\n<"
        .to_owned();
    out.push_str(name);
    out.push_str(" xmlns=\"");
    out.push_str(VAGVALSINFO);
    out.push_str("\">\n");
    rows(&mut out);
    out.push_str("</");
    out.push_str(name);
    out.push_str(">\n</soap:Body></soap:Envelope>\n");
    out
}

fn days(prefix: &str, days: Days, out: &mut String) {
    field(prefix, "fromTidpunkt", &from_text(days.from()), out);
    field(prefix, "tomTidpunkt", &to_text(days.to()), out);
}

fn field(prefix: &str, name: &str, text: &str, out: &mut String) {
    tag(prefix, "<", name, out);
    push_text(out, text);
    tag(prefix, "</", name, out);
}

fn tag(prefix: &str, open: &str, name: &str, out: &mut String) {
    for part in [open, prefix, name, ">"] {
        out.push_str(part);
    }
}
