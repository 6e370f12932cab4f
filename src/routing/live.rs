//! A live TAK as source: what was fetched becomes the folder's imported files, or changes nothing.
//!
//! What a fetch wrote is told from what a person did by the note: the name of the imported files'
//! content as a fetch left it, and whether a person's change has paused fetching. It outlives a
//! restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::folder::{Content, NotRead, write_all, write_whole};
use super::{Current, RoutingError, check, first, lock};
use crate::limits;
use crate::tak::import::{self, ImportError, Imported, Report};
use crate::tak::{Source, System, Table};
use crate::telemetry::Chain;

/// What fetching is paused for after a rollback.
pub const ROLLED_BACK: &str = "the folder was rolled back";

const NOTE: &str = "tak-fetch.json";

/// Why a fetch gave nothing, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// A person's change stands until fetching is resumed.
    Paused,
    /// No system is named, or it is another one now.
    NoSource,
    /// The certificate or key for the call cannot be used.
    Identity,
    /// The service was not reached.
    Unreachable,
    /// The service was reached, and no whole answer came.
    NoAnswer,
    /// An answer that is neither 200 nor a fault.
    Http,
    /// A SOAP fault.
    Fault,
    /// An answer without rows.
    Empty,
    /// Far fewer rows than the last good copy has, which a person has not accepted.
    Fewer,
    /// Not the answer to the question.
    Unreadable,
    /// With it the folder would have errors.
    Unusable,
    /// The folder cannot be read or written.
    Folder,
}

/// A fetch that gave nothing: the folder is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotFetched {
    /// In a word.
    pub kind: FailureKind,
    /// For the operator.
    pub why: String,
}

impl NotFetched {
    /// With the reason for the operator.
    pub fn new(kind: FailureKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into() }
    }

    fn folder(path: &Path, error: &io::Error) -> Self {
        Self::new(FailureKind::Folder, format!("{}: {error}", path.display()))
    }
}

/// The last fetch that gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// In a word.
    pub kind: FailureKind,
    /// For the operator.
    pub why: String,
}

/// Fetching stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// For the operator.
    pub why: String,
}

/// The live TAK as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LivePicture {
    /// Id of the system.
    pub system: String,
    /// Between two fetches, seconds.
    pub every_seconds: u64,
    /// When it last gave a usable answer; also from before the start.
    pub last_good: Option<Timestamp>,
    /// The last fetch that gave nothing, since the start.
    pub last_failure: Option<Failure>,
    /// Whether the last fetch was that one.
    pub failing: bool,
    /// When it is asked next.
    pub next: Option<Timestamp>,
    /// Why it is not asked.
    pub paused: Option<Pause>,
    /// Rows of the last good answer that were not carried over.
    pub left: usize,
    /// Good fetches since the start.
    pub good: u64,
    /// Failed ones, by kind.
    pub failed: BTreeMap<FailureKind, u64>,
}

/// What is kept over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    last_good: Option<Timestamp>,
    /// What the imported files may be when nobody but a fetch has changed them: two names while they
    /// are being written, none before the first fetch.
    ours: Vec<String>,
    paused: Option<Pause>,
}

/// What is known of fetching.
#[derive(Debug, Default)]
pub(super) struct Live {
    store: OnceLock<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    note: Note,
    last_failure: Option<Failure>,
    failing: bool,
    next: Option<Timestamp>,
    left: usize,
    good: u64,
    failed: BTreeMap<FailureKind, u64>,
    /// Kinds that were told since the last good fetch.
    told: BTreeSet<FailureKind>,
}

/// Who wants a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The clock.
    Due,
    /// A person.
    Operator {
        /// The answers may have far fewer rows than the last good copy.
        accept_fewer: bool,
    },
}

/// A fetch under way.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Who is asked.
    pub system: std::sync::Arc<System>,
    /// What the imported files must still be when the answers are here.
    expected: String,
    /// The pause that the one who asked for it ends, if it succeeds.
    over: Option<Pause>,
    accept_fewer: bool,
}

/// A fetch that gave usable answers.
#[derive(Debug)]
pub struct Taken {
    /// What was carried over and what was not.
    pub report: Report,
    /// Names of the files that are others now.
    pub wrote: Vec<String>,
    /// What came of reading the folder again; absent where nothing has changed.
    pub outcome: Option<Result<bool, RoutingError>>,
}

impl Current {
    /// From here on what is known of fetching is kept in the folder `store`.
    pub fn note_fetches_in(&self, store: &Path, now: Timestamp) {
        let live = &self.shared.live;
        let store = live.store.get_or_init(|| store.to_owned());
        let note = read_note(store).unwrap_or_else(|why| Note {
            paused: Some(Pause { since: now, why }),
            ..Note::default()
        });
        if let (Some(pause), Some(_)) = (&note.paused, self.get().table.live_tak()) {
            tracing::warn!("fetching from the live TAK is paused: {}", pause.why);
        }
        lock(&live.state).note = note;
    }

    /// The live TAK; absent where none is configured.
    #[must_use]
    pub fn live(&self) -> Option<LivePicture> {
        let routing = self.get();
        let platform = routing.table.platform();
        let system = platform.tak.clone()?;
        let state = lock(&self.shared.live.state);
        Some(LivePicture {
            system,
            every_seconds: platform.tak_every.as_secs(),
            last_good: state.note.last_good,
            last_failure: state.last_failure.clone(),
            failing: state.failing,
            next: state.next.filter(|_| state.note.paused.is_none()),
            paused: state.note.paused.clone(),
            left: state.left,
            good: state.good,
            failed: state.failed.clone(),
        })
    }

    /// Why nothing is fetched, where it is not.
    #[must_use]
    pub fn paused(&self) -> Option<Pause> {
        lock(&self.shared.live.state).note.paused.clone()
    }

    /// Nothing that is fetched is taken until [`Self::resume`]. Gives what stood before.
    pub fn pause(&self, why: &str, now: Timestamp) -> Option<Pause> {
        let pause = Pause { since: now, why: why.to_owned() };
        self.note(|note| note.paused.replace(pause))
    }

    /// Puts back what [`Self::pause`] gave.
    pub fn pause_again(&self, before: Option<Pause>) {
        self.note(|note| note.paused = before);
    }

    /// Fetching goes on, and what the folder holds now may be replaced. Gives what it was paused for.
    pub fn resume(&self) -> Option<Pause> {
        lock(&self.shared.live.state).note.paused.as_ref()?;
        self.note(|note| {
            note.ours.clear();
            note.paused.take()
        })
    }

    /// Notes when the next fetch is due.
    pub fn fetch_due(&self, at: Option<Timestamp>) {
        lock(&self.shared.live.state).next = at;
    }

    /// Notes a fetch that gave nothing. Gives whether this kind is new since the last good fetch.
    pub fn fetch_failed(&self, why: &NotFetched, now: Timestamp) -> bool {
        let mut state = lock(&self.shared.live.state);
        let count = state.failed.entry(why.kind).or_default();
        *count = count.saturating_add(1);
        state.failing = true;
        state.last_failure = Some(Failure { at: now, kind: why.kind, why: why.why.clone() });
        state.told.insert(why.kind)
    }

    /// Begins a fetch. One that a person asked for may replace what a person has changed before;
    /// any other pauses where it finds such a change. A pause ends when the one
    /// that was asked for succeeds.
    ///
    /// # Errors
    /// When fetching is paused, no live TAK is configured, or the folder cannot be read.
    pub fn begin_fetch(&self, by: By, now: Timestamp) -> Result<Begun, NotFetched> {
        let asked = by != By::Due;
        let system = self.get().table.live_tak().ok_or_else(no_source)?;
        let over = self.paused();
        if !asked && let Some(pause) = &over {
            return Err(paused(pause));
        }
        let present = {
            let _changing = lock(&self.shared.changing);
            imported_part(&self.present()?)
        };
        let ours = lock(&self.shared.live.state).note.ours.clone();
        if !asked && !ours.is_empty() && !ours.contains(&present) {
            return Err(self.pause_for_change(now));
        }
        let accept_fewer = by == By::Operator { accept_fewer: true };
        Ok(Begun { system, expected: present, over, accept_fewer })
    }

    /// Takes the answers of a fetch over into the folder, and the folder into use. Nothing is written
    /// that could not be used.
    ///
    /// # Errors
    /// When nothing was taken over; the folder is as it was, unless the error is of writing it.
    pub fn take_over(
        &self,
        answers: &[Source],
        begun: &Begun,
        now: Timestamp,
    ) -> Result<Taken, NotFetched> {
        let _changing = lock(&self.shared.changing);
        // A rollback pauses before it waits for its turn here.
        if let Some(pause) = self.paused().filter(|it| begun.over.as_ref() != Some(it)) {
            return Err(paused(&pause));
        }
        let present = self.present()?;
        let before = imported_part(&present);
        if begun.expected != before {
            return Err(self.pause_for_change(now));
        }
        let sources = present.clone().sources().map_err(|found| unusable(first(&found)))?;
        let Imported { files, report } = imported(answers, &sources, now)?;
        if !begun.accept_fewer {
            not_fewer(&sources, &files)?;
        }
        let next = with(present, &files)?;
        let after = imported_part(&next);
        let reading = check(next, now);
        let Some(routing) = reading.routing else {
            return Err(unusable(first(&reading.findings)));
        };
        if !is_source(&routing.table, &begun.system) {
            return Err(no_source());
        }
        let changed: Vec<&Source> = files.iter().filter(|it| !sources.contains(it)).collect();
        if !changed.is_empty() {
            self.note(|note| note.ours = vec![before, after.clone()]);
            write_all(&self.shared.folder, &changed)
                .map_err(|(path, error)| NotFetched::folder(&path, &error))?;
        }
        self.note(|note| {
            note.ours = vec![after];
            note.last_good = Some(now);
            note.paused = None;
        });
        self.fetched(report.left.len());
        let wrote: Vec<String> = changed.iter().map(|it| it.name.clone()).collect();
        let outcome = (!wrote.is_empty()).then(|| self.take(now));
        Ok(Taken { report, wrote, outcome })
    }

    fn fetched(&self, left: usize) {
        let mut state = lock(&self.shared.live.state);
        state.good = state.good.saturating_add(1);
        state.failing = false;
        state.left = left;
        state.told.clear();
    }

    fn present(&self) -> Result<Content, NotFetched> {
        Content::read(&self.shared.folder).map_err(|error| match error {
            NotRead::Folder(error) => NotFetched::folder(&self.shared.folder, &error),
            NotRead::Files(found) => NotFetched::new(FailureKind::Folder, first(&found)),
        })
    }

    fn pause_for_change(&self, now: Timestamp) -> NotFetched {
        let why =
            "the imported files are not as the last fetch left them: somebody has changed them";
        self.pause(why, now);
        tracing::warn!("fetching from the live TAK is paused: {why}");
        paused(&Pause { since: now, why: why.to_owned() })
    }

    /// Changes the note, in memory and on disk.
    fn note<T>(&self, change: impl FnOnce(&mut Note) -> T) -> T {
        let live = &self.shared.live;
        let mut state = lock(&live.state);
        let changed = change(&mut state.note);
        if let Some(store) = live.store.get()
            && let Err(error) = write_note(store, &state.note)
        {
            tracing::warn!(%error, "what is known of fetching is not kept over a restart");
        }
        changed
    }
}

/// The same as [`Current::pause`] where no gateway runs.
///
/// # Errors
/// When it cannot be noted.
pub fn pause_in(store: &Path, why: &str, now: Timestamp) -> io::Result<()> {
    let mut note = read_note(store).unwrap_or_default();
    note.paused = Some(Pause { since: now, why: why.to_owned() });
    write_note(store, &note)
}

fn read_note(store: &Path) -> Result<Note, String> {
    use io::Read as _;
    let path = store.join(NOTE);
    let fault = |what: String| {
        let path = path.display();
        format!(
            "{path} cannot be read ({what}), so it is not known whether a person changed anything"
        )
    };
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Note::default()),
        Err(error) => return Err(fault(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(limits::TAK_NOTE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))
}

fn write_note(store: &Path, note: &Note) -> io::Result<()> {
    let bytes = serde_json::to_vec_pretty(note).map_err(io::Error::other)?;
    write_whole(&store.join(NOTE), &bytes)
}

/// The name of what an import writes, as it stands in `content`.
fn imported_part(content: &Content) -> String {
    let files = content.files().iter();
    let files = files.filter(|(name, _)| import::FILES.contains(&name.as_str()));
    let part = files.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    Content::new(part).generation().full().to_owned()
}

/// Reads the two answers as what they must be.
fn imported(answers: &[Source], folder: &[Source], now: Timestamp) -> Result<Imported, NotFetched> {
    let unreadable = |why: String| NotFetched::new(FailureKind::Unreadable, why);
    for it in answers {
        // The importer reads more formats than a service answers in.
        if !it.text.trim_start_matches('\u{FEFF}').trim_start().starts_with('<') {
            return Err(unreadable(format!("{} is not XML", it.name)));
        }
    }
    let imported = import::import(answers, folder, now)
        .map_err(|error| NotFetched::new(kind(&error), Chain(&error).to_string()))?;
    for name in [import::ROUTES, import::PERMISSIONS] {
        if !imported.files.iter().any(|it| it.name == name) {
            return Err(unreadable(format!("the answers hold nothing for {name}")));
        }
    }
    let report = &imported.report;
    if let Some(left) = report.left.first()
        && (report.routes == 0 || report.permissions == 0)
    {
        let (routes, permissions) = (report.routes, report.permissions);
        return Err(unreadable(format!(
            "{routes} routes and {permissions} permissions could be carried over, and {} rows not, \
             as {}: {}",
            report.left.len(),
            left.row,
            left.why
        )));
    }
    Ok(imported)
}

/// Refuses answers with far fewer rows than the folder has from the last good fetch or import.
fn not_fewer(folder: &[Source], fetched: &[Source]) -> Result<(), NotFetched> {
    let rows = |among: &[Source], name: &str| {
        among.iter().find(|it| it.name == name).map_or(0, import::rows_in)
    };
    let counts = [(import::ROUTES, "routes"), (import::PERMISSIONS, "permissions")]
        .map(|(name, what)| (rows(fetched, name), rows(folder, name), what));
    let is_low = |(new, old, _): &(usize, usize, &str)| {
        new.saturating_mul(100) < old.saturating_mul(limits::TAK_FETCH_KEPT_PERCENT_MIN)
    };
    if !counts.iter().any(is_low) {
        return Ok(());
    }
    let told = counts.map(|(new, old, what)| format!("{new} {what} where there were {old}"));
    Err(NotFetched::new(
        FailureKind::Fewer,
        format!(
            "the TAK gives {}, less than {} %; if that is right, take it with: klagomal tak fetch \
             --accept-fewer",
            told.join(" and "),
            limits::TAK_FETCH_KEPT_PERCENT_MIN
        ),
    ))
}

const fn kind(error: &ImportError) -> FailureKind {
    match error {
        ImportError::Fault { .. } => FailureKind::Fault,
        ImportError::Empty { .. } => FailureKind::Empty,
        ImportError::Xml { .. }
        | ImportError::Json { .. }
        | ImportError::Unknown { .. }
        | ImportError::Order { .. }
        | ImportError::Rows
        | ImportError::Existing { .. } => FailureKind::Unreadable,
    }
}

/// The folder with these files in place of those of the same names, if it can be read then.
fn with(present: Content, files: &[Source]) -> Result<Content, NotFetched> {
    let size = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut all = present.files().clone();
    for it in files {
        if size(it.text.as_bytes()) > limits::ROUTING_FILE_BYTES_MAX {
            let most = limits::ROUTING_FILE_BYTES_MAX;
            return Err(unusable(format!("{} would have more than {most} bytes", it.name)));
        }
        all.insert(it.name.clone(), it.text.clone().into_bytes());
    }
    if all.values().map(Vec::len).fold(0, usize::saturating_add) > limits::TAK_BYTES_MAX {
        let most = limits::TAK_BYTES_MAX;
        return Err(unusable(format!("the folder would have more than {most} bytes")));
    }
    Ok(Content::new(all))
}

fn is_source(table: &Table, asked: &System) -> bool {
    table.live_tak().is_some_and(|it| it.id == asked.id && it.url == asked.url)
}

fn unusable(found: String) -> NotFetched {
    let why = format!("with what was fetched the folder could not be used: {found}");
    NotFetched::new(FailureKind::Unusable, why)
}

fn no_source() -> NotFetched {
    let why = "the folder in force names no live TAK, or another one than was asked; write tak = \
               \"...\" in [platform]";
    NotFetched::new(FailureKind::NoSource, why)
}

fn paused(pause: &Pause) -> NotFetched {
    let why = format!("fetching is paused since {}: {}", pause.since, pause.why);
    NotFetched::new(FailureKind::Paused, why)
}
