//! A routing folder as it was written: every file read into rows, whatever is wrong with them.

pub(super) mod person;
mod system;
mod unit;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use toml::de::DeTable;

use super::finding::{Findings, Lines, Place};
use super::model::{Climb, Delivery, Profile, Rate, Retry, Term, WhenUnknown};
use super::names::{Name, Names};
use super::period::Days;
use super::pieces::{Piece, pieces, plain};
use super::read::{Fields, Told};
use super::rows::{Filter, Filters, Permission};
use super::{Generation, Loaded, Source, build, check};
use crate::id::HsaId;
use crate::limits;

/// Every row of a folder.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) platform: Option<PlatformDraft>,
    pub(super) climbing: Option<Climbing>,
    pub(super) systems: Vec<SystemDraft>,
    pub(super) counties: Vec<CountyDraft>,
    pub(super) units: Vec<UnitDraft>,
    pub(super) routes: Vec<RouteDraft>,
    pub(super) permissions: Vec<Permission>,
    pub(super) filters: Filters,
    pub(super) people: Vec<person::PersonDraft>,
    pub(super) names: Names,
    /// The systems and URLs that routes lead to, each text once.
    targets: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct PlatformDraft {
    pub(super) place: Place,
    pub(super) hsa_id: Option<HsaId>,
    pub(super) instance: Option<String>,
    pub(super) inkorg: Option<Told<String>>,
    pub(super) portal: Option<Told<HsaId>>,
    pub(super) onward: Option<Told<String>>,
    pub(super) tak: Option<Told<String>>,
    pub(super) tak_every: Option<Duration>,
    pub(super) delimiter_contracts: Vec<String>,
    pub(super) delimiter_consumers: Vec<HsaId>,
}

#[derive(Debug)]
pub(super) struct Climbing {
    pub(super) files: Vec<String>,
    pub(super) routes: Climb,
    pub(super) permissions: Climb,
}

#[derive(Debug)]
pub(super) struct SystemDraft {
    pub(super) place: Place,
    pub(super) id: Option<Told<String>>,
    pub(super) hsa_id: Option<Told<HsaId>>,
    pub(super) name: Option<String>,
    pub(super) has_url: bool,
    pub(super) url: Option<Arc<str>>,
    pub(super) timeout: Option<Duration>,
    pub(super) delivery: Delivery,
    pub(super) rate: Option<Rate>,
    pub(super) rate_in: Option<Rate>,
    pub(super) original_consumer: bool,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) trust: Option<PathBuf>,
    pub(super) when_unknown: Option<Told<WhenUnknown>>,
    pub(super) retry: Retry,
    pub(super) notify: Option<Told<bool>>,
    pub(super) source_system: Option<Told<String>>,
}

#[derive(Debug)]
pub(super) struct CountyDraft {
    pub(super) place: Place,
    pub(super) code: Option<Told<String>>,
    pub(super) name: Option<String>,
    pub(super) committee: Option<Told<HsaId>>,
}

#[derive(Debug)]
pub(super) struct UnitDraft {
    pub(super) place: Place,
    pub(super) hsa_id: Option<Told<HsaId>>,
    pub(super) name: Option<String>,
    pub(super) county: Option<Told<String>>,
    pub(super) has_care_provider: bool,
    pub(super) care_provider: Option<HsaId>,
    pub(super) operational_area: Option<String>,
    pub(super) has_mailbox: bool,
    pub(super) mailbox: Option<String>,
    pub(super) telephone: Option<String>,
    pub(super) address: Option<String>,
    pub(super) first_contact: Option<Term>,
    pub(super) reply_within: Option<Term>,
    /// Absent when they were written and could not be read.
    pub(super) days: Option<Days>,
    pub(super) handling: Vec<HandlingDraft>,
    /// Whether every handling row could be read, so that gaps are the operator's.
    pub(super) handling_whole: bool,
}

#[derive(Debug)]
pub(super) struct HandlingDraft {
    pub(super) place: Place,
    pub(super) days: Option<Days>,
    /// `true` for an own system.
    pub(super) in_system: Option<bool>,
    pub(super) system: Option<Told<String>>,
    pub(super) receiver: Option<Told<HsaId>>,
}

#[derive(Debug)]
pub(super) struct RouteDraft {
    pub(super) place: Place,
    pub(super) contract: Name,
    pub(super) address: Name,
    pub(super) days: Days,
    pub(super) profile: Profile,
    pub(super) target: TargetDraft,
}

#[derive(Debug)]
pub(super) enum TargetDraft {
    System(Told<Arc<str>>),
    Url(Arc<str>),
}

impl RouteDraft {
    pub(super) fn key(&self) -> (Name, Name) {
        (self.contract, self.address)
    }
}

/// Reads and checks a whole folder.
pub(super) fn load(sources: &[Source], today: Date) -> Loaded {
    let mut sorted: Vec<&Source> = sources.iter().filter(|it| it.is_routing()).collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let files: Vec<Arc<str>> = sorted.iter().map(|it| it.name.as_str().into()).collect();
    let mut found = Findings::in_files(files.clone());
    let mut draft = Draft::default();
    let mut readable = bounds(&sorted, &mut found);
    if readable {
        for (file, source) in (0u16..).zip(&sorted) {
            readable &= draft.read(file, &source.text, &mut found);
        }
    }
    // Where a file could not be read, what others refer to may only be hidden in it.
    if readable {
        check::all(&mut draft, today, &mut found);
    }
    let table =
        if found.has_errors() { None } else { build::table(draft, files, Generation::of(sources)) };
    Loaded { table, findings: found.finish() }
}

fn bounds(sources: &[&Source], found: &mut Findings) -> bool {
    let bytes = sources.iter().fold(0usize, |sum, it| sum.saturating_add(it.text.len()));
    if bytes <= limits::TAK_BYTES_MAX && sources.len() <= limits::TAK_FILES_MAX {
        return true;
    }
    found.error(
        Place::new(0, 1, 1),
        format!("the folder holds {bytes} bytes in {} files", sources.len()),
        format!(
            "at most {} bytes in {} files are read: is it the right folder?",
            limits::TAK_BYTES_MAX,
            limits::TAK_FILES_MAX
        ),
    );
    false
}

const TOP: [&str; 8] =
    ["platform", "hierarchy", "system", "county", "unit", "route", "permission", "person"];

impl Draft {
    /// Reads one file; false where it is not TOML.
    pub(super) fn read(&mut self, file: u16, text: &str, found: &mut Findings) -> bool {
        let lines = Lines::of(file, text);
        let (mark, routes, permissions) = (found.mark(), self.routes.len(), self.permissions.len());
        if pieces(text).is_some_and(|all| self.read_pieces(&all, &lines, found).is_some()) {
            return true;
        }
        found.back_to(&mark);
        self.routes.truncate(routes);
        self.permissions.truncate(permissions);
        self.read_whole(text, &lines, found)
    }

    /// Reads a file at once, going on after what is not TOML; false where something is not.
    pub(super) fn read_whole(
        &mut self,
        text: &str,
        lines: &Lines<'_>,
        found: &mut Findings,
    ) -> bool {
        let (table, faults) = DeTable::parse_recoverable(text);
        let before = found.len();
        let top = Fields::top(table.get_ref(), lines, !faults.is_empty());
        self.read_top(&top, found);
        not_toml(&faults, lines, before, found);
        faults.is_empty()
    }

    /// Reads a file row by row; `None`, and some rows may have been read, where only the whole file
    /// tells what it says: it is not TOML, or its tables are not in the order that files mostly have.
    fn read_pieces(
        &mut self,
        all: &[Piece<'_>],
        lines: &Lines<'_>,
        found: &mut Findings,
    ) -> Option<()> {
        // The head is read last: only rows can be forgotten again.
        let (head, rows) = all.split_first()?;
        let top = DeTable::parse(head.text).ok()?;
        let has_rows =
            top.get_ref().contains_key("route") || top.get_ref().contains_key("permission");
        (!has_rows).then_some(())?;
        for piece in rows {
            let key = piece.key?;
            if let Some(row) = plain(piece) {
                self.read_row(key, lines, &row, piece.start, found);
                continue;
            }
            let table = DeTable::parse(piece.text).ok()?;
            let table = table.get_ref();
            (table.len() == 1 && table.contains_key(key)).then_some(())?;
            self.read_top(&Fields::piece(table, lines, piece.start), found);
        }
        self.read_top(&Fields::top(top.get_ref(), lines, false), found);
        Some(())
    }

    fn read_row(
        &mut self,
        key: &str,
        lines: &Lines<'_>,
        row: &DeTable<'_>,
        start: usize,
        found: &mut Findings,
    ) {
        if key == "route" {
            let row = self.route(&Fields::row(row, lines, "[[route]]", start), found);
            self.routes.extend(row);
        } else {
            let row = self.permission(&Fields::row(row, lines, "[[permission]]", start), found);
            self.permissions.extend(row);
        }
    }

    fn read_top(&mut self, top: &Fields<'_>, found: &mut Findings) {
        top.only(&TOP, found);
        if let Some(fields) = top.table("platform", "[platform]", found) {
            self.read_platform(&fields, found);
        }
        if let Some(fields) = top.table("hierarchy", "[hierarchy]", found) {
            self.read_climbing(&fields, found);
        }
        for fields in top.tables("system", "[[system]]", found) {
            self.systems.push(system::system(&fields, found));
        }
        for fields in top.tables("county", "[[county]]", found) {
            self.counties.push(unit::county(&fields, found));
        }
        for fields in top.tables("unit", "[[unit]]", found) {
            self.units.push(unit::unit(&fields, found));
        }
        for fields in top.tables("route", "[[route]]", found) {
            let row = self.route(&fields, found);
            self.routes.extend(row);
        }
        for fields in top.tables("permission", "[[permission]]", found) {
            let row = self.permission(&fields, found);
            self.permissions.extend(row);
        }
        self.people.extend(person::all(top, found));
    }

    fn read_platform(&mut self, fields: &Fields<'_>, f: &mut Findings) {
        fields.only(
            &[
                "hsa_id",
                "instance",
                "inkorg",
                "portal",
                "onward",
                "tak",
                "tak_every",
                "delimiter_contracts",
                "delimiter_consumers",
            ],
            f,
        );
        if self.platform.is_some() {
            let hint = "keep one of them: it is the gateway itself".to_owned();
            f.error(fields.place, "[platform] is there twice".to_owned(), hint);
        }
        let consumers = fields.texts("delimiter_consumers", f).unwrap_or_default();
        self.platform = Some(PlatformDraft {
            place: fields.place,
            hsa_id: fields.required_hsa_id("hsa_id", f).map(|it| it.value),
            instance: owned(fields.required_text("instance", f)).map(|it| it.value),
            inkorg: owned(fields.required_text("inkorg", f)),
            portal: fields.required_hsa_id("portal", f),
            onward: owned(fields.text("onward", f)),
            tak: owned(fields.text("tak", f)),
            tak_every: system::every(fields, f),
            delimiter_contracts: lower(fields.texts("delimiter_contracts", f)),
            delimiter_consumers: consumers
                .iter()
                .filter_map(|it| caller_id("delimiter_consumers", fields.what, it, f))
                .filter_map(|it| HsaId::parse(it).ok())
                .collect(),
        });
    }

    fn read_climbing(&mut self, fields: &Fields<'_>, f: &mut Findings) {
        let known = ["files", "routes", "routes_except", "permissions", "permissions_except"];
        fields.only(&known, f);
        if self.climbing.is_some() {
            let hint = "keep one of them".to_owned();
            f.error(fields.place, "[hierarchy] is there twice".to_owned(), hint);
        }
        let files = fields.texts("files", f).unwrap_or_default();
        let files: Vec<String> = files.iter().filter_map(|it| unit_file(it, f)).collect();
        if !fields.has("files") {
            f.warn(
                fields.place,
                "[hierarchy] names no files, so nothing is climbed".to_owned(),
                "add files = [\"hsaunits.xml\"], or remove the table".to_owned(),
            );
        }
        if files.len() > limits::HSA_FILES_MAX {
            f.error(
                fields.key_place("files"),
                format!("\"files\" of [hierarchy] names {} files", files.len()),
                format!("at most {} make one tree", limits::HSA_FILES_MAX),
            );
        }
        let mut climb = |switch: &str, except: &str| Climb {
            enabled: fields.flag(switch, f).is_none_or(|it| it.value),
            except: lower(fields.texts(except, f)),
        };
        self.climbing = Some(Climbing {
            files,
            routes: climb("routes", "routes_except"),
            permissions: climb("permissions", "permissions_except"),
        });
    }

    fn route(&mut self, fields: &Fields<'_>, f: &mut Findings) -> Option<RouteDraft> {
        fields.only(
            &["contract", "logical_address", "system", "address", "profile", "from", "to"],
            f,
        );
        let contract = contract(fields, f);
        let address = logical_address(fields, f);
        let profiles = [("rivtabp21", Profile::Rivtabp21), ("rivtabp20", Profile::Rivtabp20)];
        let profile = match fields.has("profile") {
            true => fields.word("profile", &profiles, f).map(|it| it.value),
            false => Some(Profile::Rivtabp21),
        };
        let days = fields.days(f);
        let target = self.target(fields, f);
        Some(RouteDraft {
            place: fields.place,
            contract: self.names.give(contract?),
            address: self.names.give(address?),
            days: days?,
            profile: profile?,
            target: target?,
        })
    }

    fn permission(&mut self, fields: &Fields<'_>, f: &mut Findings) -> Option<Permission> {
        fields.only(&["consumer", "contract", "logical_address", "from", "to", "filter"], f);
        fields.require("consumer", f);
        let consumer =
            fields.text("consumer", f).and_then(|it| caller_id("consumer", fields.what, &it, f));
        let (contract, address) = (contract(fields, f), logical_address(fields, f));
        let days = fields.days(f);
        let told = fields.tables("filter", "filter", f);
        let filters = told.iter().filter_map(|it| filter(it, f)).collect();
        Some(Permission {
            consumer: self.names.give(consumer?),
            contract: self.names.give(contract?),
            address: self.names.give(address?),
            days: days?,
            place: fields.place,
            filters: self.filters.give(filters),
        })
    }

    fn target(&mut self, fields: &Fields<'_>, f: &mut Findings) -> Option<TargetDraft> {
        match (fields.has("system"), fields.has("address")) {
            (true, true) => {
                f.error(
                    fields.key_place("address"),
                    "[[route]] has both \"system\" and \"address\"".to_owned(),
                    "keep one: a system's own URL is used, or the address given here".to_owned(),
                );
                None
            }
            (false, false) => {
                fields.require("system", f);
                None
            }
            (true, false) => {
                let it = fields.text("system", f)?;
                Some(TargetDraft::System(it.map(|it| self.kept(it))))
            }
            (false, true) => {
                let it = fields.any_text("address", f)?;
                if it.value.trim().is_empty() {
                    f.warn(
                        it.place,
                        "the route has no address: calls get VP010".to_owned(),
                        "give the URL, or name a system that has one".to_owned(),
                    );
                    return Some(TargetDraft::Url("".into()));
                }
                let url = system::checked_url("address", fields.what, &it, f)?;
                Some(TargetDraft::Url(self.kept(&url)))
            }
        }
    }

    /// The one copy of a text that many routes have.
    fn kept(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.targets.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.targets.insert(Arc::clone(&new));
        new
    }
}

/// The name of an HSA unit file: in the folder or in a subfolder of it, where a change is noticed.
fn unit_file(it: &Told<&str>, f: &mut Findings) -> Option<String> {
    let mut parts = it.value.split('/');
    let is_name = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '\0'])
    };
    if parts.clone().count() <= 2 && parts.all(is_name) {
        return Some(it.value.to_owned());
    }
    f.error(
        it.place,
        format!("\"files\" of [hierarchy] cannot name \"{}\"", it.value),
        "name a file in this folder or in a subfolder of it: \"hsa/hsaunits.xml\"".to_owned(),
    );
    None
}

/// One of `filter = [{ domain = "...", categorizations = ["..."] }]`.
fn filter(fields: &Fields<'_>, f: &mut Findings) -> Option<Filter> {
    fields.only(&["domain", "categorizations"], f);
    let domain = fields.required_text("domain", f)?;
    if !is_domain(domain.value) {
        f.error(
            domain.place,
            format!("\"domain\" of filter is not a service domain: \"{}\"", domain.value),
            "write it without white space, as riv:clinicalprocess:healthcond:description"
                .to_owned(),
        );
        return None;
    }
    let mut categorizations = Vec::new();
    for it in fields.texts("categorizations", f).unwrap_or_default() {
        if !is_category(it.value) {
            f.error(
                it.place,
                format!("a categorization of filter is not one: \"{}\"", it.value),
                "write 1 to 255 characters with no white space around them".to_owned(),
            );
            return None;
        }
        categorizations.push(it.value.to_owned());
    }
    Some(Filter { domain: domain.value.to_owned(), categorizations })
}

/// TAK's own rule for a service domain.
pub(super) fn is_domain(text: &str) -> bool {
    is_category(text) && !text.contains(char::is_whitespace)
}

/// TAK's own rule for a category.
pub(super) fn is_category(text: &str) -> bool {
    let length = text.chars().count();
    (1..=255).contains(&length) && text.trim() == text && !text.contains(char::is_control)
}

/// Tells the syntax errors of a file, in place of what they led to on their lines.
fn not_toml(faults: &[toml::de::Error], lines: &Lines<'_>, before: usize, f: &mut Findings) {
    let places: Vec<Place> =
        faults.iter().map(|it| lines.place(it.span().map_or(0, |it| it.start))).collect();
    f.forget(before, &places.iter().map(|it| it.line()).collect());
    for (fault, place) in faults.iter().zip(places) {
        let message = fault.message().replace('\n', " ");
        let hint = if message.contains("duplicate key") {
            "the same key is there twice: remove one"
        } else if message.contains("date") {
            "write a day that exists, as 2026-01-31"
        } else if message.contains("must be quoted") {
            "write a value, in quotes where it is a text"
        } else {
            "this line or the one before it is not finished or not closed"
        };
        f.error(place, format!("not TOML: {message}"), hint.to_owned());
    }
}

/// A service contract's namespace, by TAK's own rule for its characters.
fn contract<'t>(fields: &Fields<'t>, f: &mut Findings) -> Option<&'t str> {
    let it = fields.required_text("contract", f)?;
    if !is_contract(it.value) {
        f.error(
            it.place,
            format!("\"contract\" of {} is not a namespace: \"{}\"", fields.what, it.value),
            "letters, digits and _ . : - only, at most 255, as \
             urn:riv:<domain>:<Interaction>Responder:<version>"
                .to_owned(),
        );
        return None;
    }
    let version = it.value.rsplit_once("Responder:").map(|(_, version)| version);
    if !version.is_some_and(|v| !v.is_empty() && v.bytes().all(|c| c.is_ascii_digit())) {
        f.warn(
            it.place,
            format!("\"{}\" does not end as a service contract does", it.value),
            "as urn:riv:<domain>:<Interaction>Responder:<major version>".to_owned(),
        );
    }
    Some(it.value)
}

/// TAK's own rule for the characters of a contract's namespace.
pub(super) fn is_contract(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    (1..=255).contains(&text.len()) && text.chars().all(plain)
}

/// `*`, or TAK's own rule for the characters of a logical address.
pub(super) fn is_logical_address(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    text == "*" || ((1..=255).contains(&text.len()) && text.chars().all(plain))
}

/// `*`, or a logical address by TAK's own rule for its characters.
fn logical_address<'t>(fields: &Fields<'t>, f: &mut Findings) -> Option<&'t str> {
    let it = fields.required_text("logical_address", f)?;
    if is_logical_address(it.value) {
        return Some(it.value);
    }
    f.error(
        it.place,
        format!("\"logical_address\" of {} is not an address: \"{}\"", fields.what, it.value),
        "write \"*\", or letters, digits, \"-\" and \"_\", at most 255".to_owned(),
    );
    None
}

/// A caller's HSA-id. What a TAK holds was made elsewhere, so its form is not checked in full.
fn caller_id<'t>(key: &str, what: &str, it: &Told<&'t str>, f: &mut Findings) -> Option<&'t str> {
    match HsaId::visible(it.value) {
        Ok(id) => Some(id),
        Err(why) => {
            f.error(
                it.place,
                format!("\"{key}\" of {what} is not an HSA-id: \"{}\" ({why})", it.value),
                "the id in the caller's certificate".to_owned(),
            );
            None
        }
    }
}

fn owned(it: Option<Told<&str>>) -> Option<Told<String>> {
    it.map(|it| it.map(|text| text.trim().to_owned()))
}

fn lower(texts: Option<Vec<Told<&str>>>) -> Vec<String> {
    texts.unwrap_or_default().iter().map(|it| it.value.trim().to_ascii_lowercase()).collect()
}
