//! Makes a backup of a store that runs: up to one record that is on disk, beside the writer.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::audit::attachment;
use super::manifest::{FORMAT, Head, Manifest, Part, Routing, UNSEALED_FORMAT};
use super::tree::{self, Growing, Hashing};
use crate::cases::record::{Payload, StoreEvent};
use crate::cases::sealed::Head as RecordHead;
use crate::limits;
use crate::routing;
use crate::store::journal::Reader;
use crate::store::journal::check::{Sight, check};
use crate::store::journal::copy::Extent;
use crate::store::journal::disk::FolderDisk;
use crate::store::keys::{self, Keys};

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Where it goes: an absolute path, empty or absent, on this machine.
    pub dir: PathBuf,
    /// A backup of the same store on the same disk: what has not changed is shared with it.
    #[serde(default)]
    pub since: Option<PathBuf>,
}

/// What is copied from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The folder of the store.
    pub store: &'a Path,
    /// Its journal.
    pub reader: &'a Reader,
    /// What it is sealed by.
    pub keys: Option<&'a Keys>,
    /// The folder of the routing configuration.
    pub routing: &'a Path,
    /// Its generation in force.
    pub generation: &'a str,
    /// The time now.
    pub now: Timestamp,
    /// Asked often; `true` ends it, and nothing is left.
    pub stop: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Where it is.
    pub dir: PathBuf,
    /// Records in it.
    pub records: u64,
    /// Attachments in it.
    pub files: u64,
    /// Bytes of journal and attachments.
    pub bytes: u64,
    /// Bytes of them that are shared with the backup before.
    pub shared_bytes: u64,
    /// The last record.
    pub head: String,
    /// Damaged parts that the store has.
    pub damage: u64,
}

/// Makes a backup. Blocks: call it where that may be.
///
/// # Errors
/// When the folder cannot be used, a disk fails, space runs out or it is stopped; then nothing is
/// left of it.
pub fn make(from: &Source<'_>, wanted: &Wanted) -> Result<Made, BackupError> {
    outside(&wanted.dir, from.store)?;
    let before = wanted.since.as_deref().map(Before::read).transpose()?;
    let growing = Growing::begin(&wanted.dir)?;
    let dir = growing.path().to_owned();
    let mut copying = Copying { from, dir: &dir, before, shared: 0 };
    // In this order: what the records name is on disk before them, so it is there to be copied.
    let extents = from.reader.extents();
    let segments = copying.journal(&extents)?;
    let named = copying.attachments()?;
    // After the journal: what seals its records was there before them.
    let keys = copying.keys()?;
    let manifest = Manifest {
        format: if keys.is_empty() { UNSEALED_FORMAT } else { FORMAT },
        at: from.now,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        journal: named.journal,
        head: named.head,
        records: named.records,
        segments,
        attachments: named.files,
        attachment_bytes: named.bytes,
        damage: named.damage,
        routing: copying.routing()?,
        keys,
    };
    manifest.write(&dir)?;
    let bytes: u64 = manifest.segments.iter().map(|part| part.bytes).sum();
    let made = Made {
        dir: wanted.dir.clone(),
        records: manifest.records,
        files: manifest.attachments,
        bytes: bytes + manifest.attachment_bytes,
        shared_bytes: copying.shared,
        head: manifest.head.to_string(),
        damage: manifest.damage,
    };
    growing.finish()?;
    Ok(made)
}

/// Neither may lie inside the other.
fn outside(dir: &Path, store: &Path) -> Result<(), BackupError> {
    let above = dir.parent().unwrap_or(dir);
    let real = above.canonicalize().map_err(BackupError::disk("looking at", above))?;
    let real = dir.file_name().map_or(real.clone(), |name| real.join(name));
    let store = store.canonicalize().map_err(BackupError::disk("looking at", store))?;
    match real.starts_with(&store) || store.starts_with(&real) {
        true => Err(BackupError::folder(dir, "it is inside the store; name one on another disk")),
        false => Ok(()),
    }
}

/// An earlier backup.
struct Before {
    dir: PathBuf,
    manifest: Manifest,
}

impl Before {
    fn read(dir: &Path) -> Result<Self, BackupError> {
        if !dir.is_absolute() {
            return Err(BackupError::folder(dir, "not an absolute path; begin with /"));
        }
        Ok(Self { dir: dir.to_owned(), manifest: Manifest::read(dir)? })
    }
}

struct Copying<'a> {
    from: &'a Source<'a>,
    dir: &'a Path,
    before: Option<Before>,
    shared: u64,
}

/// What the records of a copied journal name.
struct Named {
    journal: String,
    head: Head,
    records: u64,
    files: u64,
    bytes: u64,
    damage: u64,
}

impl Copying<'_> {
    fn journal(&mut self, extents: &[Extent]) -> Result<Vec<Part>, BackupError> {
        let dir = self.dir.join("journal");
        tree::folder(&dir)?;
        let mut parts = Vec::with_capacity(extents.len());
        for extent in extents {
            self.may_go_on()?;
            parts.push(self.segment(extent, &dir)?);
        }
        Ok(parts)
    }

    fn segment(&mut self, extent: &Extent, dir: &Path) -> Result<Part, BackupError> {
        let to = dir.join(&extent.name);
        let reading = BackupError::disk("copying", &to);
        if let Some(old) = self.same_segment(extent)? {
            let mut sink = Hashing::new(std::io::sink());
            self.from.reader.copy(extent, &mut sink).map_err(reading)?;
            let (_, print) = sink.finish();
            let path = old.1.join("journal").join(&old.0.name);
            if print.sha256 == old.0.sha256 && fs::hard_link(path, &to).is_ok() {
                self.shared += extent.bytes;
                return Ok(old.0);
            }
        }
        tree::room(&to, extent.bytes)?;
        let file = tree::create(&to).map_err(BackupError::disk("making", &to))?;
        let mut hashing = Hashing::new(file);
        let copied = self.from.reader.copy(extent, &mut hashing);
        copied.map_err(BackupError::disk("copying", &to))?;
        let (file, print) = hashing.finish();
        file.sync_all().map_err(BackupError::disk("syncing", &to))?;
        Ok(Part { name: extent.name.clone(), bytes: print.bytes, sha256: print.sha256 })
    }

    /// The segment in the backup before, where it had its whole length and lies there still.
    fn same_segment(&self, extent: &Extent) -> Result<Option<(Part, PathBuf)>, BackupError> {
        let Some(before) = &self.before else { return Ok(None) };
        let mut parts = before.manifest.segments.iter();
        let Some(part) = parts.find(|it| it.name == extent.name && it.bytes == extent.bytes) else {
            return Ok(None);
        };
        let path = before.dir.join("journal").join(&part.name);
        let found = tree::print(&path).map_err(BackupError::disk("reading", path))?;
        Ok((found.sha256 == part.sha256).then(|| (part.clone(), before.dir.clone())))
    }

    /// Walks the copied journal and copies what its records name.
    fn attachments(&mut self) -> Result<Named, BackupError> {
        let journal = self.dir.join("journal");
        let disk = FolderDisk::look(&journal).map_err(BackupError::disk("opening", &journal))?;
        tree::folder(&self.dir.join("attachments"))?;
        let (mut files, mut bytes, mut damage) = (0, 0, 0);
        let mut missing = BTreeSet::new();
        let mut error = None;
        let chain = check(&disk, &mut |sight| {
            let copied = match sight {
                Sight::Damage { damage: found, .. } => {
                    tracing::error!(damage = %found, "the store that is backed up is damaged");
                    damage += 1;
                    return ControlFlow::Continue(());
                }
                Sight::Record { position, payload, .. } => match Payload::read(payload) {
                    Ok(Payload::Store(record)) => {
                        if let StoreEvent::Removed(removed) = &record.store {
                            for file in &removed.files {
                                missing.remove(file);
                            }
                        }
                        Ok(Copied::default())
                    }
                    Ok(record) => match record.head() {
                        Some(head) => self.files_of(&head, &mut missing),
                        None => Ok(Copied::default()),
                    },
                    Err(error) => {
                        let seq = position.seq;
                        tracing::error!(seq, "a record cannot be read: {error}");
                        damage += 1;
                        return ControlFlow::Continue(());
                    }
                },
            };
            match copied {
                Ok(copied) => {
                    files += copied.files;
                    bytes += copied.bytes;
                    damage += copied.damage;
                    ControlFlow::Continue(())
                }
                Err(found) => {
                    error = Some(found);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = error {
            return Err(error);
        }
        let chain = chain
            .map_err(|source| BackupError::Journal { dir: self.from.store.to_owned(), source })?;
        for sha256 in &missing {
            tracing::error!(sha256, "an attachment is missing; the backup goes on without it");
            damage += 1;
        }
        Ok(Named {
            journal: tree::hex(&chain.journal),
            head: Head { seq: chain.last_seq, hash: tree::hex(&chain.last_hash) },
            records: chain.records,
            files,
            bytes,
            damage,
        })
    }

    fn files_of(
        &mut self,
        record: &RecordHead,
        missing: &mut BTreeSet<String>,
    ) -> Result<Copied, BackupError> {
        let mut copied = Copied::default();
        for (sha256, _) in &record.files {
            self.may_go_on()?;
            let places = attachment(&self.from.store.join("attachments"), sha256)
                .zip(attachment(&self.dir.join("attachments"), sha256));
            let Some((from, to)) = places else {
                copied.damage += 1;
                continue;
            };
            // Named by an earlier record, too.
            if to.exists() {
                continue;
            }
            match self.file(sha256, &from, &to)? {
                Lies::Whole(bytes) => {
                    copied.files += 1;
                    copied.bytes += bytes;
                }
                Lies::Damaged => copied.damage += 1,
                Lies::Nowhere if missing.len() < limits::AUDIT_FILES_REMEMBERED => {
                    missing.insert(sha256.clone());
                }
                Lies::Nowhere => copied.damage += 1,
            }
        }
        Ok(copied)
    }

    /// One attachment, copied as it lies there.
    fn file(&mut self, sha256: &str, from: &Path, to: &Path) -> Result<Lies, BackupError> {
        if let Some(folder) = to.parent() {
            tree::folder(folder)?;
        }
        let old =
            self.before.as_ref().and_then(|it| attachment(&it.dir.join("attachments"), sha256));
        if let Some(old) = old
            && tree::print(&old).is_ok_and(|print| print.sha256 == sha256)
            && fs::hard_link(&old, to).is_ok()
        {
            let length = fs::metadata(to).map_err(BackupError::disk("looking at", to))?.len();
            self.shared += length;
            return Ok(Lies::Whole(length));
        }
        match tree::copy(from, to, self.from.stop) {
            Ok(print) if print.sha256 == sha256 => Ok(Lies::Whole(print.bytes)),
            Ok(_) => {
                tracing::error!(sha256, "an attachment is damaged; it is backed up as it is");
                Ok(Lies::Damaged)
            }
            Err(BackupError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(Lies::Nowhere)
            }
            Err(error) => Err(error),
        }
    }

    /// The keys, each under the master key, which is not in a backup.
    fn keys(&self) -> Result<Vec<Part>, BackupError> {
        let Some(keys) = self.from.keys else { return Ok(Vec::new()) };
        let dir = self.dir.join("keys");
        tree::folder(&dir)?;
        keys.copy(&dir).map_err(BackupError::Keys)?;
        let part = |name: &str| {
            let print = tree::print(&dir.join(name)).map_err(BackupError::disk("reading", &dir))?;
            Ok(Part { name: name.to_owned(), bytes: print.bytes, sha256: print.sha256 })
        };
        keys::NAMES.into_iter().map(part).collect()
    }

    fn routing(&self) -> Result<Routing, BackupError> {
        let to = self.dir.join("tak-config");
        tree::folder(&to)?;
        let mut files = Vec::new();
        for (path, length, _) in routing::fingerprint(self.from.routing) {
            let Ok(name) = path.strip_prefix(self.from.routing) else { continue };
            let toml = name.extension().is_some_and(|it| it == "toml") && path.is_file();
            if !toml || length > limits::ROUTING_FILE_BYTES_MAX {
                continue;
            }
            let target = to.join(name);
            if let Some(folder) = target.parent() {
                tree::folder(folder)?;
            }
            let print = tree::copy(&path, &target, self.from.stop)?;
            let name = name.to_string_lossy().into_owned();
            files.push(Part { name, bytes: print.bytes, sha256: print.sha256 });
        }
        Ok(Routing { generation: self.from.generation.to_owned(), files })
    }

    fn may_go_on(&self) -> Result<(), BackupError> {
        if (self.from.stop)() { Err(BackupError::Stopped) } else { Ok(()) }
    }
}

/// How an attachment lies in the store.
enum Lies {
    /// So many bytes.
    Whole(u64),
    Damaged,
    /// It is missing, or was removed with its case.
    Nowhere,
}

/// What came of one record's files.
#[derive(Debug, Default)]
struct Copied {
    files: u64,
    bytes: u64,
    damage: u64,
}
