//! The routing configuration in force: read from its folder, replaced whole or not at all.

mod certificates;
pub mod decisions;
mod folder;
pub mod generations;
pub mod live;
pub mod picture;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::complaint::codes::CodeLists;
use crate::tak::{Decision, Finding, Question, Severity, Source, Table, report};
pub use certificates::certificates;
use decisions::Counter;
use folder::NotRead;
pub use folder::{Content, fingerprint, write_all};
use generations::{Because, GenerationError, Generations};
pub use tree::{Tree, TreeState};

/// A table, and the code lists beside it. Never changed; a reload makes a new one.
#[derive(Debug)]
pub struct Routing {
    /// Who may call what, and where a case goes.
    pub table: Table,
    /// What cases are classified by.
    pub codes: Arc<CodeLists>,
}

/// What reading a folder came to.
#[derive(Debug)]
pub struct Reading {
    /// Absent when there is an error among the findings.
    pub routing: Option<Routing>,
    /// Everything found, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// The bytes that were read; absent when some could not be.
    pub content: Option<Content>,
    /// The organisation tree that `[hierarchy]` names, or why there is none. Absent where no files
    /// are named. It is in the table; a fault in it is also an error among the findings, and yet the
    /// rest of the configuration can be used.
    pub tree: Option<Result<Tree, String>>,
}

/// Why a folder is not in force.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// The folder itself.
    #[error("the routing folder {folder} cannot be read")]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// What is in it.
    #[error("{}; run `klagomal tak check {folder}` to see all that was found", first(findings))]
    Refused {
        /// Which.
        folder: PathBuf,
        /// All that was found; at least one is an error.
        findings: Vec<Finding>,
    },
    /// It could not be kept to return to.
    #[error("it is not taken, as it could not be returned to later")]
    NotKept(#[source] GenerationError),
}

/// Why nothing was rolled back. The folder is as it was, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RollBackError {
    /// Which one, or its bytes.
    #[error("there is nothing to return to")]
    Kept(#[from] GenerationError),
    /// It is good no longer.
    #[error(
        "configuration {generation} has errors today, so that returning to it would change \
         nothing: {}",
        first(findings)
    )]
    Faulty {
        /// Which.
        generation: String,
        /// What is wrong with it.
        findings: Vec<Finding>,
    },
    /// What is there now could not be saved first.
    #[error(
        "the folder's present content cannot be kept, and would be lost: {0}; move the folder \
         away, and do it again"
    )]
    Present(String),
    /// Writing.
    #[error("the files of {folder} could not all be written; do it again when that is mended")]
    Write {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
}

/// The routing in force, shared by everything that asks. Cheap to clone.
#[derive(Clone)]
pub struct Current {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    routing: ArcSwap<Routing>,
    since: Mutex<Timestamp>,
    /// What the newest change was refused for; `None` when the newest is in force.
    refused: Mutex<Option<Refused>>,
    changes: Mutex<Changes>,
    tree: Mutex<TreeState>,
    /// Held while the folder is read or written, so that nobody takes a half-written one.
    changing: Mutex<()>,
    generations: OnceLock<Generations>,
    counter: Counter,
    live: live::Live,
    /// What was in force before. Freeing a national table takes milliseconds, and whoever lets go of
    /// it last frees it: that is never a call.
    retired: Mutex<Vec<Arc<Routing>>>,
}

/// A change that did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When it was first found.
    pub at: Timestamp,
    /// Why, each with its place.
    pub findings: Vec<String>,
}

/// What became of the changes of the folder since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Came into force.
    pub taken: u64,
    /// Did not; the same one read again is not another.
    pub refused: u64,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}

impl Current {
    /// Reads `folder`; an error here means that there is nothing to run on.
    ///
    /// # Errors
    /// When the folder cannot be read or has errors.
    pub fn open(
        folder: &Path,
        now: Timestamp,
    ) -> Result<(Self, Vec<Finding>, Content), RoutingError> {
        let Good { routing, findings, content, tree } = good(folder, now)?;
        let shared = Shared {
            folder: folder.to_owned(),
            routing: ArcSwap::from_pointee(routing),
            since: Mutex::new(now),
            refused: Mutex::default(),
            changes: Mutex::default(),
            tree: Mutex::new(TreeState::default().then(tree, now)),
            changing: Mutex::default(),
            generations: OnceLock::new(),
            counter: Counter::default(),
            live: live::Live::default(),
            retired: Mutex::default(),
        };
        Ok((Self { shared: Arc::new(shared) }, findings, content))
    }

    /// From here on every configuration that comes into force is kept in `generations`, this one,
    /// which is `content`, first.
    ///
    /// # Errors
    /// When it could not be kept.
    pub fn keep_in(
        &self,
        generations: Generations,
        content: &Content,
        now: Timestamp,
    ) -> Result<(), GenerationError> {
        let running = content.generation();
        // After a restart with the same configuration it is in force since it came.
        let newest = generations.list()?.into_iter().max_by_key(|it| it.taken.last().copied());
        let again = newest.filter(|it| it.generation == running.full());
        match again.and_then(|it| it.taken.last().copied()) {
            Some(since) => *lock(&self.shared.since) = since,
            None => generations.keep(content, &self.shared.folder, now, Because::Taken)?,
        }
        self.shared.generations.get_or_init(|| generations);
        Ok(())
    }

    /// The routing in force. A call keeps what it gets here to its end.
    #[must_use]
    pub fn get(&self) -> Arc<Routing> {
        self.shared.routing.load_full()
    }

    /// Since when it is in force.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        *lock(&self.shared.since)
    }

    /// What the newest change was refused for, if it was.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        lock(&self.shared.refused).clone()
    }

    /// How many changes came into force, and how many did not.
    #[must_use]
    pub fn changes(&self) -> Changes {
        *lock(&self.shared.changes)
    }

    /// The organisation tree in use, and why the newest one is not where it is not.
    #[must_use]
    pub fn tree(&self) -> TreeState {
        lock(&self.shared.tree).clone()
    }

    /// The folder it is read from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// The kept configurations; absent where none are kept.
    #[must_use]
    pub fn generations(&self) -> Option<&Generations> {
        self.shared.generations.get()
    }

    /// What was decided since the last time it went to disk.
    #[must_use]
    pub fn counter(&self) -> &Counter {
        &self.shared.counter
    }

    /// Counts a decision that `routing` made.
    pub fn count(&self, question: &Question<'_>, decision: &Decision, routing: &Routing) {
        self.shared.counter.count(question, decision, &routing.table);
    }

    /// Reads the folder again. `Ok(true)` when another generation is in force now. A bad one never
    /// replaces a good one.
    ///
    /// # Errors
    /// When the newest content is not taken; what was in force still is.
    pub fn reload(&self, now: Timestamp) -> Result<bool, RoutingError> {
        let _changing = lock(&self.shared.changing);
        self.take(now)
    }

    /// Frees the tables before the one in force that no call holds any longer: on this thread.
    pub fn free_retired(&self) {
        lock(&self.shared.retired).retain(|it| Arc::strong_count(it) > 1);
    }

    fn take(&self, now: Timestamp) -> Result<bool, RoutingError> {
        let outcome = good(&self.shared.folder, now).and_then(|good| {
            let Good { routing, content, tree, .. } = good;
            let new = routing.table.generation() != self.get().table.generation();
            if let Some(generations) = self.generations().filter(|_| new) {
                generations
                    .keep(&content, &self.shared.folder, now, Because::Taken)
                    .map_err(RoutingError::NotKept)?;
            }
            Ok((routing, tree, new))
        });
        let mut last = lock(&self.shared.refused);
        match outcome {
            Ok((mut routing, tree, new)) => {
                *last = None;
                if let Some(Err(why)) = &tree {
                    tracing::error!("{why}; the organisation tree before it stays in use");
                    routing.table.set_hierarchy(self.get().table.hierarchy().clone());
                }
                let mut state = lock(&self.shared.tree);
                *state = std::mem::take(&mut *state).then(tree, now);
                // Also without another generation: the organisation tree is no part of it.
                let before = self.shared.routing.swap(Arc::new(routing));
                lock(&self.shared.retired).push(before);
                self.free_retired();
                if new {
                    *lock(&self.shared.since) = now;
                    let mut changes = lock(&self.shared.changes);
                    changes.taken = changes.taken.saturating_add(1);
                }
                Ok(new)
            }
            Err(error) => {
                let findings = lines(&error);
                // Told again and again, it is still the same change.
                let before = last.take().filter(|it| it.findings == findings);
                if before.is_none() {
                    let mut changes = lock(&self.shared.changes);
                    changes.refused = changes.refused.saturating_add(1);
                }
                *last = Some(Refused { at: before.map_or(now, |it| it.at), findings });
                Err(error)
            }
        }
    }

    /// Makes the folder exactly the kept configuration whose name begins with `prefix`, and takes it
    /// into force. What was in the folder is kept first. Gives the whole name.
    ///
    /// # Errors
    /// When there is no such one, it has errors, or the folder cannot be written.
    pub fn roll_back(
        &self,
        prefix: &str,
        now: Timestamp,
    ) -> Result<(String, Result<bool, RoutingError>), RollBackError> {
        let _changing = lock(&self.shared.changing);
        let generations = self
            .generations()
            .ok_or_else(|| RollBackError::Kept(GenerationError::NoSuch(prefix.to_owned())))?;
        let name = roll_back(&self.shared.folder, generations, prefix, now)?;
        Ok((name, self.take(now)))
    }

    /// Removes the oldest kept configurations above their number; `named` says which ones open cases
    /// name, as the first twelve characters.
    ///
    /// # Errors
    /// When one could not be removed.
    pub fn prune(
        &self,
        named: impl FnOnce() -> Option<BTreeSet<String>>,
    ) -> Result<usize, GenerationError> {
        let Some(generations) = self.generations() else { return Ok(0) };
        generations.prune(self.get().table.generation().full(), named)
    }
}

/// The same as [`Current::roll_back`] where no gateway runs: files only.
///
/// # Errors
/// When there is no such one, it has errors, or the folder cannot be written.
pub fn roll_back(
    folder: &Path,
    generations: &Generations,
    prefix: &str,
    now: Timestamp,
) -> Result<String, RollBackError> {
    let kept = generations.find(prefix)?;
    let content = generations.content(&kept.generation)?;
    let reading = check(content.clone(), now);
    if reading.routing.is_none() {
        let generation = kept.short().to_owned();
        return Err(RollBackError::Faulty { generation, findings: reading.findings });
    }
    match Content::read(folder) {
        Ok(present) if present == content => return Ok(kept.generation),
        Ok(present) => generations.keep(&present, folder, now, Because::SetAside)?,
        Err(NotRead::Folder(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(NotRead::Folder(error)) => return Err(RollBackError::Present(error.to_string())),
        Err(NotRead::Files(findings)) => return Err(RollBackError::Present(first(&findings))),
    }
    folder::put_back(folder, &content)
        .map_err(|cause| RollBackError::Write { folder: folder.to_owned(), cause })?;
    Ok(kept.generation)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that can be in force.
struct Good {
    routing: Routing,
    findings: Vec<Finding>,
    content: Content,
    tree: Option<Result<Tree, String>>,
}

fn good(folder: &Path, now: Timestamp) -> Result<Good, RoutingError> {
    let Reading { routing, findings, content, tree } = read(folder, now)?;
    match routing.zip(content) {
        Some((routing, content)) => Ok(Good { routing, findings, content, tree }),
        None => Err(RoutingError::Refused { folder: folder.to_owned(), findings }),
    }
}

/// The first error, and how many there are.
fn first(findings: &[Finding]) -> String {
    let mut errors = findings.iter().filter(|it| it.severity == Severity::Error);
    let Some(first) = errors.next() else { return report::summary(findings) };
    match errors.count() {
        0 => line(first),
        more => format!("{} (and {more} more)", line(first)),
    }
}

fn line(it: &Finding) -> String {
    format!("{}:{}:{}: {}", it.file, it.line, it.column, it.message)
}

fn lines(error: &RoutingError) -> Vec<String> {
    match error {
        RoutingError::Folder { cause, .. } => vec![format!("{error}: {cause}")],
        RoutingError::NotKept(cause) => {
            vec![format!("{error}: {}", crate::telemetry::Chain(cause))]
        }
        RoutingError::Refused { findings, .. } => {
            findings.iter().filter(|it| it.severity == Severity::Error).map(line).collect()
        }
    }
}

/// Reads and checks a folder: `*.toml` in it, and the code lists in its subfolder.
///
/// # Errors
/// When the folder itself cannot be read; what is wrong in it is among the findings.
pub fn read(folder: &Path, now: Timestamp) -> Result<Reading, RoutingError> {
    match Content::read(folder) {
        Ok(content) => Ok(with_tree(check(content, now), folder)),
        Err(NotRead::Files(findings)) => {
            Ok(Reading { routing: None, findings, content: None, tree: None })
        }
        Err(NotRead::Folder(cause)) => {
            Err(RoutingError::Folder { folder: folder.to_owned(), cause })
        }
    }
}

/// The texts of a folder, whatever they say: for what adds to them.
///
/// # Errors
/// When the folder or a file in it cannot be read.
pub fn sources(folder: &Path) -> Result<Vec<Source>, RoutingError> {
    let refused = |findings| RoutingError::Refused { folder: folder.to_owned(), findings };
    match Content::read(folder) {
        Ok(content) => content.sources().map_err(refused),
        Err(NotRead::Files(findings)) => Err(refused(findings)),
        Err(NotRead::Folder(cause)) => {
            Err(RoutingError::Folder { folder: folder.to_owned(), cause })
        }
    }
}

/// Reads the organisation tree that the configuration names.
fn with_tree(mut reading: Reading, folder: &Path) -> Reading {
    let Some(whole) = &mut reading.routing else { return reading };
    let files = whole.table.platform().hierarchy_files.clone();
    if !files.is_empty() {
        let found = tree::read(folder, &files, &mut reading.findings);
        reading.tree = Some(found.map(|(hierarchy, tree)| {
            whole.table.set_hierarchy(hierarchy);
            tree
        }));
    }
    reading
}

/// Checks what was read, but for the organisation tree, which is no part of the content.
#[must_use]
pub fn check(content: Content, now: Timestamp) -> Reading {
    let sources = match content.texts() {
        Ok(sources) => sources,
        Err((content, findings)) => {
            return Reading { routing: None, findings, content: Some(content), tree: None };
        }
    };
    let prefix = format!("{}/", Source::CODE_LISTS);
    let lists = sources.iter().filter_map(|it| {
        let name = it.name.strip_prefix(&prefix)?;
        Some((name.to_owned(), it.text.clone()))
    });
    let codes = CodeLists::parse(&lists.collect::<Vec<_>>());
    let loaded = Table::parse(&sources, now);
    let mut findings = loaded.findings;
    let codes = match codes {
        Ok(codes) => Some(Arc::new(codes)),
        Err(faults) => {
            findings.extend(faults.into_iter().map(|fault| Finding {
                severity: Severity::Error,
                file: format!("{prefix}{}", fault.file),
                line: u32::try_from(fault.line).unwrap_or(u32::MAX),
                column: 1,
                message: fault.text,
                hint: None,
            }));
            None
        }
    };
    let routing = loaded.table.zip(codes).map(|(table, codes)| Routing { table, codes });
    Reading { routing, findings, content: Some(Content::from(sources)), tree: None }
}
