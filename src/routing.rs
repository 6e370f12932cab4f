//! The routing configuration in force: read from its folder, replaced whole or not at all.

mod tree;

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::complaint::codes::CodeLists;
use crate::limits;
use crate::tak::{Finding, Severity, Source, Table};

pub use tree::{Tree, TreeState};

/// The subfolder of code lists.
const CODE_LISTS: &str = "code-lists";

/// A table, and the code lists beside it. Never changed; a reload makes a new one.
#[derive(Debug)]
pub struct Routing {
    pub table: Table,
    pub codes: Arc<CodeLists>,
}

/// What reading a folder came to.
#[derive(Debug)]
pub struct Reading {
    /// Absent when there is an error among the findings.
    pub routing: Option<Routing>,
    pub findings: Vec<Finding>,
    /// The organisation tree that `[hierarchy]` names, or why there is none. Absent where no files
    /// are named. It is in the table; a fault in it is also an error among the findings, and yet the
    /// rest of the configuration can be used.
    pub tree: Option<Result<Tree, String>>,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    #[error("the routing folder {folder} cannot be read")]
    Folder {
        folder: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("{errors} errors in {folder}; run `klagomal tak check {folder}` to see them all")]
    Refused { folder: PathBuf, errors: usize, findings: Vec<Finding> },
}

/// The routing in force, shared by everything that asks. Cheap to clone.
#[derive(Clone)]
pub struct Current {
    folder: PathBuf,
    routing: Arc<ArcSwap<Routing>>,
    /// What the newest change was refused for; `None` when the newest is in force.
    refused: Arc<Mutex<Option<Refused>>>,
    tree: Arc<Mutex<TreeState>>,
}

/// A change that did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub at: Timestamp,
    pub findings: Vec<String>,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Current {
    /// Reads `folder`; an error here means that there is nothing to run on.
    pub fn open(folder: &Path, now: Timestamp) -> Result<(Self, Vec<Finding>), RoutingError> {
        let reading = read(folder, now)?;
        let Some(routing) = reading.routing else {
            return Err(refused(folder, reading.findings));
        };
        let current = Self {
            folder: folder.to_owned(),
            routing: Arc::new(ArcSwap::from_pointee(routing)),
            refused: Arc::default(),
            tree: Arc::new(Mutex::new(TreeState::default().then(reading.tree, now))),
        };
        Ok((current, reading.findings))
    }

    /// The routing in force. A call keeps what it gets here to its end.
    #[must_use]
    pub fn get(&self) -> Arc<Routing> {
        self.routing.load_full()
    }

    /// What the newest change was refused for, if it was.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The organisation tree in use, and why the newest one is not where it is not.
    #[must_use]
    pub fn tree(&self) -> TreeState {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The folder it is read from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the folder again. `Ok(true)` when another generation is in force now. A bad one never
    /// replaces a good one.
    pub fn reload(&self, now: Timestamp) -> Result<bool, RoutingError> {
        let outcome = read(&self.folder, now).and_then(|reading| match reading.routing {
            Some(routing) => Ok((routing, reading.tree)),
            None => Err(refused(&self.folder, reading.findings)),
        });
        let mut last = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok((mut routing, tree)) => {
                *last = None;
                let before = self.get();
                if let Some(Err(why)) = &tree {
                    tracing::error!("{why}; the organisation tree before it stays in use");
                    routing.table.set_hierarchy(before.table.hierarchy().clone());
                }
                let mut state = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
                *state = std::mem::take(&mut *state).then(tree, now);
                let changed = routing.table.generation() != before.table.generation();
                self.routing.store(Arc::new(routing));
                Ok(changed)
            }
            Err(error) => {
                *last = Some(Refused { at: now, findings: lines(&error) });
                Err(error)
            }
        }
    }
}

fn refused(folder: &Path, findings: Vec<Finding>) -> RoutingError {
    let errors = findings.iter().filter(|it| it.severity == Severity::Error).count();
    RoutingError::Refused { folder: folder.to_owned(), errors, findings }
}

fn lines(error: &RoutingError) -> Vec<String> {
    match error {
        RoutingError::Folder { cause, .. } => vec![format!("{error}: {cause}")],
        RoutingError::Refused { findings, .. } => findings
            .iter()
            .filter(|it| it.severity == Severity::Error)
            .map(|it| format!("{}:{}:{}: {}", it.file, it.line, it.column, it.message))
            .collect(),
    }
}

/// Reads and checks a folder: `*.toml` in it, and the code lists in its subfolder.
pub fn read(folder: &Path, now: Timestamp) -> Result<Reading, RoutingError> {
    let sources = sources(folder)?;
    let lists = folder.join(CODE_LISTS);
    let lists = if lists.is_dir() { sources_of_lists(&lists)? } else { Vec::new() };
    let loaded = Table::parse(&sources, now);
    let mut findings = loaded.findings;
    let codes = match CodeLists::parse(&lists) {
        Ok(codes) => Some(Arc::new(codes)),
        Err(faults) => {
            findings.extend(faults.into_iter().map(|fault| Finding {
                severity: Severity::Error,
                file: format!("{CODE_LISTS}/{}", fault.file),
                line: u32::try_from(fault.line).unwrap_or(u32::MAX),
                column: 1,
                message: fault.text,
                hint: None,
            }));
            None
        }
    };
    let mut routing = loaded.table.zip(codes).map(|(table, codes)| Routing { table, codes });
    let mut tree = None;
    if let Some(whole) = &mut routing {
        let files = whole.table.platform().hierarchy_files.clone();
        if !files.is_empty() {
            let found = tree::read(folder, &files, &mut findings);
            tree = Some(found.map(|(hierarchy, tree)| {
                whole.table.set_hierarchy(hierarchy);
                tree
            }));
        }
    }
    Ok(Reading { routing, findings, tree })
}

/// What tells a changed folder from an unchanged one without reading it: names, sizes and times.
#[must_use]
pub fn fingerprint(folder: &Path) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
    let mut print = Vec::new();
    // Code lists and HSA unit files may be in a subfolder each; names that begin with a dot are
    // nobody's configuration.
    let mut folders = vec![(folder.to_owned(), true)];
    while let Some((folder, is_top)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() && is_top && !hidden {
                folders.push((entry.path(), false));
            }
            print.push((entry.path(), found.len(), found.modified().ok()));
        }
    }
    print.sort();
    print
}

fn sources_of_lists(folder: &Path) -> Result<Vec<(String, String)>, RoutingError> {
    Ok(sources(folder)?.into_iter().map(|source| (source.name, source.text)).collect())
}

/// The folder's own `*.toml` files by name. A link that leads out of the folder is not followed.
pub fn sources(folder: &Path) -> Result<Vec<Source>, RoutingError> {
    let fault = |cause| RoutingError::Folder { folder: folder.to_owned(), cause };
    let root = folder.canonicalize().map_err(fault)?;
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        if !is_toml || !path.is_file() {
            continue;
        }
        let real = path.canonicalize().map_err(fault)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !real.starts_with(&root) {
            let text = format!("{name} leads out of the folder");
            return Err(fault(std::io::Error::other(text)));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(&real).map_err(fault)?;
        file.take(limits::ROUTING_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
        if bytes.len() as u64 > limits::ROUTING_FILE_BYTES_MAX {
            let most = limits::ROUTING_FILE_BYTES_MAX;
            return Err(fault(std::io::Error::other(format!(
                "{name} is larger than {most} bytes"
            ))));
        }
        // Bytes that are no text become a replacement character, which the reader then points at.
        sources.push(Source { name, text: String::from_utf8_lossy(&bytes).into_owned() });
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}
