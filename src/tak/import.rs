//! TAK data from elsewhere as this folder's own rows: what another TAK gives out, read with mistrust
//! and written as TOML.
//!
//! Read are SokVagvalsInfo v2 answers, a platform's local cache file, publications (JSON, three
//! dialects) and order files (JSON-beställning). Times become Swedish local days, both included: a
//! row holds from the day its `fromTidpunkt` falls on to the day its `tomTidpunkt` falls on.

mod answers;
mod carry;
mod checked;
mod moment;
mod order;
mod publication;
mod raw;
mod settle;
mod text;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

pub(super) use moment::{from_text, to_text};

use super::Source;
use super::draft::{Draft, TargetDraft};
use super::finding::{Findings, Lines};
use crate::id::HsaId;
use crate::limits;
use crate::xml::XmlError;
use carry::Groups;
use checked::{Goal, PermissionRow, RouteRow, Rows, Texts};
use raw::{At, NamesTold, Raw, RawPermission, RawRoute, Spot};

/// The files that an import writes. Every other file of the folder is the operator's own.
pub const FILES: [&str; 3] = [SYSTEMS, ROUTES, PERMISSIONS];

/// How many routes and permissions are in a file that an import wrote.
#[must_use]
pub fn rows_in(file: &Source) -> usize {
    let is_row = |it: &&str| ["[[route]]", "[[permission]]"].contains(it);
    file.text.lines().map(str::trim_end).filter(is_row).count()
}

const SYSTEMS: &str = "imported-systems.toml";
/// Where routes go.
pub const ROUTES: &str = "imported-routes.toml";
/// Where permissions go.
pub const PERMISSIONS: &str = "imported-permissions.toml";

/// The namespace of what this program's own export adds to the rows of a TAK.
pub(super) const MARKS: &str = "urn:klagomal:tak:1";

/// Why nothing is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not XML that is read here.
    #[error("{file} cannot be read as XML")]
    Xml {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        #[source]
        cause: XmlError,
    },
    /// Not JSON, or not of a form that is read here.
    #[error("{file} cannot be read as JSON")]
    Json {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        #[source]
        cause: serde_json::Error,
    },
    /// Neither of the formats.
    #[error(
        "{file} is none of the formats that are read (it begins as {found}): a SokVagvalsInfo v2 \
         answer, a persistentCache, a publication or an order in JSON"
    )]
    Unknown {
        /// Which file.
        file: String,
        /// How it begins.
        found: String,
    },
    /// The TAK answered with a fault.
    #[error("{file} holds a fault instead of an answer: {text}")]
    Fault {
        /// Which file.
        file: String,
        /// The TAK's own words.
        text: String,
    },
    /// An answer without rows is a failure at the TAK, as on the national platform.
    #[error("{file} has no {what} at all; an empty TAK is not taken for the truth")]
    Empty {
        /// Which file.
        file: String,
        /// The rows that it should have.
        what: &'static str,
    },
    /// An order that cannot be carried out.
    #[error("the order {file} cannot be carried out: {what}")]
    Order {
        /// Which file.
        file: String,
        /// Why.
        what: String,
    },
    /// More rows than the bound.
    #[error("the files hold more than {} rows", limits::TAK_IMPORT_ROWS_MAX)]
    Rows,
    /// What an earlier import wrote has been changed and cannot be read.
    #[error("{file}:{line}: {what}; mend or remove it: an order adds to what it holds")]
    Existing {
        /// Which file.
        file: String,
        /// Line, from 1.
        line: u32,
        /// What is wrong.
        what: String,
    },
}

/// What an import comes to.
#[derive(Debug)]
pub struct Imported {
    /// The files to write, by name in the folder. A kind of row that no source tells is not there.
    pub files: Vec<Source>,
    /// For the operator.
    pub report: Report,
}

/// What was carried over, and what was not.
#[derive(Debug, Default)]
pub struct Report {
    /// Rows in `imported-routes.toml`.
    pub routes: usize,
    /// Rows in `imported-permissions.toml`.
    pub permissions: usize,
    /// Rows in `imported-systems.toml`.
    pub systems: usize,
    /// Every row that was not carried over.
    pub left: Vec<Left>,
    /// Where the platform would have two routes at once, and this gateway has not.
    pub windows: Vec<String>,
    /// What else was done.
    pub notes: Vec<String>,
}

/// A row that was not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// File and line, or file, table and id.
    pub place: String,
    /// The row.
    pub row: String,
    /// Why.
    pub why: String,
}

/// The rows of `files`, for a folder that now holds `folder`. Which windows are still to come is told
/// from `now`.
pub fn import(
    files: &[Source],
    folder: &[Source],
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let mut raw = Raw::default();
    for (at, file) in files.iter().enumerate() {
        read(at, file, &mut raw)?;
    }
    let mut work = Work::new(files, folder, !raw.orders.is_empty())?;
    let raw_rows = (std::mem::take(&mut raw.routes), std::mem::take(&mut raw.permissions));
    if raw.all_routes {
        work.rows.routes = work.routes(&raw_rows.0);
        let (windows, past) = settle::windows(&work.rows.routes, now);
        work.report.windows = windows;
        if past > 0 {
            let text = format!("{past} more changes of route had two routes on the platform once");
            work.report.notes.push(text);
        }
    }
    if raw.all_permissions {
        work.rows.permissions = work.permissions(&raw_rows.1);
    }
    raw.orders.sort_by_key(|it| it.day);
    work.carry_out(&raw.orders);
    work.settle(&raw_rows.0);
    let ignored = raw.ignored.iter().map(|it| format!("{it} is not read"));
    work.report.notes.extend(ignored);
    Ok(work.finish(&raw))
}

/// The two keys by which JSON files are told apart, and what they hold.
#[derive(Debug, Deserialize)]
struct Json {
    data: Option<publication::Publication>,
    inkludera: Option<order::Part>,
    exkludera: Option<order::Part>,
    #[serde(rename = "genomforandeTidpunkt")]
    day: Option<String>,
    message: Option<String>,
}

fn read(at: usize, file: &Source, raw: &mut Raw) -> Result<(), ImportError> {
    let name = file.name.as_str();
    let text = file.text.strip_prefix('\u{FEFF}').unwrap_or(&file.text);
    let beginning = text.trim_start();
    if beginning.starts_with('<') {
        return answers::read(at, name, text, raw);
    }
    if !beginning.starts_with('{') {
        let found: String = beginning.chars().take(20).collect();
        return Err(ImportError::Unknown { file: name.to_owned(), found: format!("{found:?}") });
    }
    let json: Json = serde_json::from_str(text)
        .map_err(|cause| ImportError::Json { file: name.to_owned(), cause })?;
    match json {
        Json { data: Some(data), .. } => data.read(at, name, raw),
        Json { data: None, inkludera: None, exkludera: None, message: Some(text), .. } => {
            Err(ImportError::Fault { file: name.to_owned(), text })
        }
        Json { data: None, inkludera: None, exkludera: None, message: None, .. } => {
            let found = "JSON without data, inkludera and exkludera".to_owned();
            Err(ImportError::Unknown { file: name.to_owned(), found })
        }
        Json { data: None, inkludera, exkludera, day, message: _ } => {
            let (add, remove) = (inkludera.unwrap_or_default(), exkludera.unwrap_or_default());
            order::read(at, name, day.as_deref(), &add, &remove, raw)
        }
    }
}

/// An import under way.
struct Work<'s> {
    files: Vec<(&'s str, Lines<'s>)>,
    /// What the operator's own files hold.
    own: Own,
    /// Names that an earlier import wrote.
    names: NamesTold,
    /// There is a file of systems to keep right.
    had_systems: bool,
    rows: Rows,
    texts: Texts,
    report: Report,
}

/// What the operator's own files hold.
#[derive(Debug, Default)]
struct Own {
    /// URL by id.
    systems: BTreeMap<String, Arc<str>>,
    callers: BTreeSet<HsaId>,
    units: BTreeSet<HsaId>,
    portal: Option<HsaId>,
    rows: Groups,
}

impl<'s> Work<'s> {
    fn new(files: &'s [Source], folder: &[Source], adds: bool) -> Result<Self, ImportError> {
        let lines = (0u16..).zip(files);
        let lines = lines.map(|(at, it)| (it.name.as_str(), Lines::of(at, &it.text)));
        let mut work = Self {
            files: lines.collect(),
            own: Own::default(),
            names: NamesTold::default(),
            had_systems: folder.iter().any(|it| it.name == SYSTEMS),
            rows: Rows::default(),
            texts: Texts::default(),
            report: Report::default(),
        };
        let mut draft = Draft::default();
        for source in folder.iter().filter(|it| !FILES.contains(&it.name.as_str())) {
            // What is wrong there, `tak check` tells.
            draft.read(0, &source.text, &mut Findings::default());
        }
        work.own = own(&draft, &mut work.texts);
        for source in folder.iter().filter(|it| FILES.contains(&it.name.as_str())) {
            // What is written anew need not have been readable.
            work.read_earlier(source).or_else(|error| if adds { Err(error) } else { Ok(()) })?;
        }
        Ok(work)
    }

    /// Takes up what an earlier import wrote.
    fn read_earlier(&mut self, source: &Source) -> Result<(), ImportError> {
        let mut draft = Draft::default();
        let mut found = Findings::in_files(vec![source.name.as_str().into()]);
        draft.read(0, &source.text, &mut found);
        if found.has_errors() {
            let first =
                found.finish().into_iter().find(|it| matches!(it.severity, super::Severity::Error));
            let (line, what) = first.map(|it| (it.line, it.message)).unwrap_or_default();
            return Err(ImportError::Existing { file: source.name.clone(), line, what });
        }
        let rows = rows_of(&draft, &self.own.systems, &mut self.texts);
        self.rows.routes.extend(rows.routes);
        self.rows.permissions.extend(rows.permissions);
        for system in &draft.systems {
            if let (Some(id), Some(name)) = (&system.hsa_id, &system.name) {
                NamesTold::tell(&mut self.names.components, id.value.as_str(), name);
            }
        }
        text::names(&source.text, &mut self.names);
        Ok(())
    }

    fn routes(&mut self, raw: &[RawRoute]) -> Vec<RouteRow> {
        let mut rows = Vec::with_capacity(raw.len());
        let mut units = 0;
        for (index, it) in raw.iter().enumerate() {
            if self.is_unit(it) {
                units += 1;
                continue;
            }
            match checked::route(it, index, &self.own.systems, &mut self.texts) {
                Ok(row) => rows.push(row),
                Err(why) => self.leave_route(it, why),
            }
        }
        if units > 0 {
            let text = format!("{units} routes of the complaint contracts stand here as units");
            self.report.notes.push(text);
        }
        rows
    }

    /// Whether a route says of a complaint contract what a unit or the platform says here.
    fn is_unit(&self, raw: &RawRoute) -> bool {
        let contract = raw.contract.as_deref().unwrap_or_default().trim();
        if !checked::is_complaint(contract) {
            return false;
        }
        let id = raw.address.as_deref().and_then(|it| HsaId::parse(it).ok());
        id.is_some_and(|it| self.own.units.contains(&it) || self.own.portal.as_ref() == Some(&it))
    }

    fn permissions(&mut self, raw: &[RawPermission]) -> Vec<PermissionRow> {
        let mut rows = Vec::with_capacity(raw.len());
        for it in raw {
            match checked::permission(it, &mut self.texts) {
                Ok(row) => rows.push(row),
                Err(why) => self.leave_permission(it, why),
            }
        }
        rows
    }

    fn leave_route(&mut self, raw: &RawRoute, why: String) {
        let row = format!(
            "route {} at {} to {}",
            shown(raw.contract.as_deref()),
            shown(raw.address.as_deref()),
            shown(raw.url.as_deref())
        );
        let place = self.place(&raw.at);
        self.report.left.push(Left { place, row, why });
    }

    fn leave_permission(&mut self, raw: &RawPermission, why: String) {
        let row = format!(
            "permission of {} for {} at {}",
            shown(raw.consumer.as_deref()),
            shown(raw.contract.as_deref()),
            shown(raw.address.as_deref())
        );
        let place = self.place(&raw.at);
        self.report.left.push(Left { place, row, why });
    }

    fn place(&self, at: &At) -> String {
        let Some((name, lines)) = self.files.get(at.file) else { return "?".to_owned() };
        match &at.spot {
            Spot::Byte(byte) => format!("{name}:{}", lines.place(*byte).line()),
            Spot::Row(table, id) => format!("{name}: {table} {id}"),
        }
    }

    fn settle(&mut self, raw: &[RawRoute]) {
        let settled = settle::routes(std::mem::take(&mut self.rows.routes));
        for (row, why) in settled.left {
            match row.raw.and_then(|it| raw.get(it)) {
                Some(raw) => self.leave_route(raw, why),
                None => self.report.left.push(Left {
                    place: ROUTES.to_owned(),
                    row: format!("route {} at {} to {}", row.contract, row.address, row.goal.url()),
                    why,
                }),
            }
        }
        self.rows.routes = settled.routes;
        let joined = settled.joined + settle::permissions(&mut self.rows.permissions);
        self.report.notes.extend(settled.notes);
        if joined > 0 {
            let text = format!("{joined} rows said the same as another for days that overlap");
            self.report.notes.push(text);
        }
    }

    /// Writes the rows.
    fn finish(mut self, raw: &Raw) -> Imported {
        let mut names = std::mem::take(&mut self.names);
        names.contracts.extend(raw.names.contracts.clone());
        names.addresses.extend(raw.names.addresses.clone());
        names.components.extend(raw.names.components.clone());
        let callers = self.callers(&names);
        let ordered = !raw.orders.is_empty();
        let mut files = Vec::new();
        let mut file = |name: &str, text| files.push(Source { name: name.to_owned(), text });
        if !callers.is_empty() || self.had_systems {
            file(SYSTEMS, text::systems(&callers));
        }
        if raw.all_routes || ordered {
            file(ROUTES, text::routes(&self.rows.routes, &names));
        }
        if raw.all_permissions || ordered {
            file(PERMISSIONS, text::permissions(&self.rows.permissions, &names));
        }
        self.report.systems = callers.len();
        self.report.routes = self.rows.routes.len();
        self.report.permissions = self.rows.permissions.len();
        Imported { files, report: self.report }
    }

    /// The callers that no file of the operator's names, with their names where some are told.
    fn callers(&mut self, names: &NamesTold) -> BTreeMap<HsaId, String> {
        let mut callers = BTreeMap::new();
        let mut odd = BTreeSet::new();
        for row in &self.rows.permissions {
            let Ok(id) = HsaId::parse(&row.consumer) else { continue };
            if self.own.callers.contains(&id) {
                continue;
            }
            if id.is_well_formed() {
                let name = names.components.get(&id.as_str().to_ascii_lowercase());
                let name = name.cloned().unwrap_or_else(|| id.as_str().to_owned());
                callers.entry(id).or_insert(name);
            } else {
                odd.insert(id);
            }
        }
        if let Some(first) = odd.first() {
            let text = format!(
                "{} consumers have ids that are not well-formed HSA-ids, as {first}; they have \
                 permissions and no [[system]]",
                odd.len()
            );
            self.report.notes.push(text);
        }
        callers
    }
}

fn own(draft: &Draft, texts: &mut Texts) -> Own {
    let ids = draft.systems.iter().filter_map(|it| {
        Some((it.id.as_ref()?.value.clone(), it.url.clone().unwrap_or_else(|| "".into())))
    });
    let systems: BTreeMap<String, Arc<str>> = ids.collect();
    Own {
        callers: draft
            .systems
            .iter()
            .filter_map(|it| Some(it.hsa_id.as_ref()?.value.clone()))
            .collect(),
        units: draft
            .units
            .iter()
            .filter_map(|it| Some(it.hsa_id.as_ref()?.value.clone()))
            .collect(),
        portal: draft.platform.as_ref().and_then(|it| Some(it.portal.as_ref()?.value.clone())),
        rows: Groups::of(rows_of(draft, &systems, texts)),
        systems,
    }
}

fn rows_of(draft: &Draft, systems: &BTreeMap<String, Arc<str>>, texts: &mut Texts) -> Rows {
    let mut rows = Rows::default();
    for it in &draft.routes {
        let goal = match &it.target {
            TargetDraft::Url(url) => Goal::Url(Arc::clone(url)),
            TargetDraft::System(id) => {
                let url = systems.get(id.value.as_ref()).map_or_else(|| "".into(), Arc::clone);
                Goal::System(texts.keep(&id.value), url)
            }
        };
        rows.routes.push(RouteRow {
            contract: texts.keep(draft.names.text(it.contract)),
            address: texts.keep(draft.names.text(it.address)),
            profile: it.profile,
            goal,
            days: it.days,
            from: None,
            to: None,
            raw: None,
        });
    }
    for it in &draft.permissions {
        rows.permissions.push(PermissionRow {
            contract: texts.keep(draft.names.text(it.contract)),
            address: texts.keep(draft.names.text(it.address)),
            consumer: texts.keep(draft.names.text(it.consumer)),
            days: it.days,
            filters: draft.filters.of(it).to_vec(),
        });
    }
    rows
}

/// A part of a row, as it may stand in a report.
fn shown(text: Option<&str>) -> String {
    let text = text.unwrap_or("(nothing)");
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(limits::LINE_CHARS_MAX).collect()
}
