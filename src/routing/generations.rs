//! Configurations that were in force, kept byte for byte to return to.
//!
//! `<store>/generations/<hash>/files/...` and beside them `generation.json`: when and from where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::folder::{Content, sync_dir, write_whole};
use crate::limits;
use crate::tak::Source;

const RECORD: &str = "generation.json";
const FILES: &str = "files";
/// Begins the name of a folder that is being written.
const UNFINISHED: &str = ".new-";

/// The kept configurations of one gateway.
#[derive(Debug, Clone)]
pub struct Generations {
    dir: PathBuf,
}

/// Why a configuration is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It came into force.
    Taken,
    /// A rollback put another in its place in the folder.
    SetAside,
}

/// One kept configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// All 64 characters.
    pub generation: String,
    /// The folder that it was read from last.
    pub folder: PathBuf,
    /// When it came into force, the last times, in order; empty for one that never did.
    pub taken: Vec<Timestamp>,
    /// When a rollback last put another in its place in the folder.
    pub set_aside: Option<Timestamp>,
}

impl Kept {
    /// When something last happened to it.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.taken.last().copied().max(self.set_aside)
    }

    /// As people see it.
    #[must_use]
    pub fn short(&self) -> &str {
        self.generation.get(..12).unwrap_or(&self.generation)
    }
}

/// Why something was not kept or found.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// A folder or file of the kept ones.
    #[error("the kept configurations in {dir}: {doing}", dir = dir.display())]
    Disk {
        /// The folder that holds them.
        dir: PathBuf,
        /// What was being done.
        doing: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// None begins so.
    #[error(
        "no kept configuration's name begins with \"{0}\"; `klagomal tak status` lists them all"
    )]
    NoSuch(String),
    /// Several begin so.
    #[error("\"{prefix}\" begins the name of several: {}; give more of it", names.join(", "))]
    Several {
        /// As asked.
        prefix: String,
        /// Those it fits.
        names: Vec<String>,
    },
    /// What is kept is not what its name says.
    #[error("configuration {0} is damaged on disk: its bytes do not give its name")]
    Damaged(String),
}

impl Generations {
    /// The kept ones under a store's folder; what a crash left half written there is removed.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(store: &Path) -> Result<Self, GenerationError> {
        let this = Self { dir: store.join("generations") };
        let opening = |cause| this.fault("opening", cause);
        fs::create_dir_all(&this.dir).map_err(opening)?;
        for entry in fs::read_dir(&this.dir).map_err(opening)? {
            let entry = entry.map_err(opening)?;
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                fs::remove_dir_all(entry.path()).map_err(opening)?;
            }
        }
        Ok(this)
    }

    /// Keeps `content` and notes why; on disk when this returns.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn keep(
        &self,
        content: &Content,
        folder: &Path,
        at: Timestamp,
        because: Because,
    ) -> Result<(), GenerationError> {
        let generation = content.generation().full().to_owned();
        let place = self.dir.join(&generation);
        let mut kept = self.kept(&generation).unwrap_or_else(|| Kept {
            generation: generation.clone(),
            folder: PathBuf::new(),
            taken: Vec::new(),
            set_aside: None,
        });
        folder.clone_into(&mut kept.folder);
        match because {
            Because::Taken => kept.taken.push(at),
            Because::SetAside => kept.set_aside = Some(at),
        }
        let old = kept.taken.len().saturating_sub(limits::GENERATION_TIMES_MAX);
        kept.taken.drain(..old);
        let record = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        let keeping = |cause| self.fault("keeping one", cause);
        if self.content(&generation).is_ok() {
            return write_whole(&place.join(RECORD), &record).map_err(keeping);
        }
        let unfinished = self.dir.join(format!("{UNFINISHED}{generation}"));
        write_new(&unfinished, content, &record).map_err(keeping)?;
        if place.exists() {
            // It is damaged: what is whole takes its place.
            fs::remove_dir_all(&place).map_err(keeping)?;
        }
        fs::rename(&unfinished, &place).map_err(keeping)?;
        sync_dir(&self.dir).map_err(keeping)
    }

    /// Every kept one, the last taken or set aside first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, GenerationError> {
        let listing = |cause| self.fault("listing", cause);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(listing)? {
            let name = entry.map_err(listing)?.file_name();
            found.extend(name.to_str().and_then(|name| self.kept(name)));
        }
        found.sort_by(|a, b| (b.last(), &b.generation).cmp(&(a.last(), &a.generation)));
        Ok(found)
    }

    /// The one whose name begins with `prefix`.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn find(&self, prefix: &str) -> Result<Kept, GenerationError> {
        let wanted = prefix.trim().to_ascii_lowercase();
        let mut fits = self.list()?;
        fits.retain(|it| !wanted.is_empty() && it.generation.starts_with(&wanted));
        match fits.len() {
            0 => Err(GenerationError::NoSuch(prefix.to_owned())),
            1 => fits.pop().ok_or_else(|| GenerationError::NoSuch(prefix.to_owned())),
            _ => Err(GenerationError::Several {
                prefix: prefix.to_owned(),
                names: fits.iter().map(|it| it.short().to_owned()).collect(),
            }),
        }
    }

    /// The bytes of the one with this whole name.
    ///
    /// # Errors
    /// When they cannot be read, or are not what the name says.
    pub fn content(&self, generation: &str) -> Result<Content, GenerationError> {
        let root = self.dir.join(generation).join(FILES);
        let mut files = BTreeMap::new();
        for (place, prefix) in
            [(root.clone(), String::new()), (root.join(Source::CODE_LISTS), "code-lists/".into())]
        {
            let reading = |cause| self.fault("reading one", cause);
            if !prefix.is_empty() && !place.exists() {
                continue;
            }
            for entry in fs::read_dir(&place).map_err(reading)? {
                let path = entry.map_err(reading)?.path();
                if path.is_file() {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let bytes = fs::read(&path).map_err(reading)?;
                    files.insert(format!("{prefix}{name}"), bytes);
                }
            }
        }
        let content = Content::new(files);
        if content.generation().full() == generation {
            Ok(content)
        } else {
            Err(GenerationError::Damaged(generation.to_owned()))
        }
    }

    /// Removes the oldest above [`limits::GENERATIONS_MAX`], never `running` and, up to
    /// [`limits::GENERATIONS_NAMED_MAX`], never one that `named` begins the name of. `named` is
    /// asked only when there are too many. Gives how many were removed.
    ///
    /// # Errors
    /// When the folder cannot be read or one not be removed.
    pub fn prune(
        &self,
        running: &str,
        named: impl FnOnce() -> Option<BTreeSet<String>>,
    ) -> Result<usize, GenerationError> {
        let all = self.list()?;
        if all.len() <= limits::GENERATIONS_MAX {
            return Ok(0);
        }
        // Where it is not known what cases name, everything stays.
        let Some(named) = named() else { return Ok(0) };
        let is_named = |it: &Kept| named.iter().any(|name| it.generation.starts_with(name));
        let mut removed = 0;
        for (at, it) in all.iter().enumerate().skip(limits::GENERATIONS_MAX) {
            let spared = is_named(it) && at < limits::GENERATIONS_NAMED_MAX;
            if it.generation != running && !spared {
                let place = self.dir.join(&it.generation);
                fs::remove_dir_all(place).map_err(|cause| self.fault("removing an old", cause))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn kept(&self, generation: &str) -> Option<Kept> {
        let bytes = fs::read(self.dir.join(generation).join(RECORD)).ok()?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (kept.generation == generation).then_some(kept)
    }

    fn fault(&self, doing: &str, cause: io::Error) -> GenerationError {
        GenerationError::Disk { dir: self.dir.clone(), doing: doing.to_owned(), cause }
    }
}

fn write_new(place: &Path, content: &Content, record: &[u8]) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    let files = place.join(FILES);
    let lists = files.join(Source::CODE_LISTS);
    fs::create_dir_all(&lists)?;
    for (name, bytes) in content.files() {
        write_whole(&files.join(name), bytes)?;
    }
    write_whole(&place.join(RECORD), record)?;
    [lists.as_path(), files.as_path(), place].into_iter().try_for_each(sync_dir)
}
