//! Checks a backup against its manifest, and makes it a store again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::audit::{self, Finding, Report, attachment, files_below};
use super::manifest::{Head, Manifest, Part};
use super::tree::{self, Growing};
use crate::cases::Cases;
use crate::cases::outbox::HoldError;
use crate::cases::query::JobError;
use crate::store::engine::SubmitError;

/// The file that tells the first start of a restored store that it is one.
const MARKER: &str = "restored.json";

/// Of which backup a store was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    /// When the backup was made.
    backup: Timestamp,
    /// The last record in it.
    head: Head,
    /// Letters are to be held.
    #[serde(default = "holds")]
    hold_inbox: bool,
}

/// A marker of an earlier version was written only where letters were to be held.
const fn holds() -> bool {
    true
}

/// Checks the backup `dir`: its manifest, each file in it, and all that `audit verify` checks.
///
/// # Errors
/// When it cannot be read at all, or a later version of the program wrote it.
pub fn verify(dir: &Path) -> Result<(Manifest, Report), BackupError> {
    let manifest = Manifest::read(dir)?;
    let mut report = audit::verify(dir, Some(&manifest.head), false)?;
    let mut wrong = Vec::new();
    parts(&dir.join("journal"), &manifest.segments, &mut wrong)?;
    parts(&dir.join("tak-config"), &manifest.routing.files, &mut wrong)?;
    parts(&dir.join("keys"), &manifest.keys, &mut wrong)?;
    let mut differs = |what: &str, found: u64, wanted: u64| {
        if found != wanted {
            let what = format!("{found} {what}, the manifest says {wanted}");
            wrong.push(Finding { what, ..Finding::default() });
        }
    };
    differs("records", report.records, manifest.records);
    differs("files", report.files, manifest.attachments);
    differs("bytes of files", report.file_bytes, manifest.attachment_bytes);
    let segments = u64::try_from(manifest.segments.len()).unwrap_or(u64::MAX);
    differs("segments", u64::try_from(report.segments).unwrap_or(u64::MAX), segments);
    report.damage.extend(wrong);
    Ok((manifest, report))
}

fn parts(dir: &Path, parts: &[Part], wrong: &mut Vec<Finding>) -> Result<(), BackupError> {
    for part in parts {
        let what = match place(dir, &part.name).map(|path| (tree::print(&path), path)) {
            Some((Ok(print), _)) if print.sha256 == part.sha256 && print.bytes == part.bytes => {
                continue;
            }
            Some((Ok(_), path)) => format!("{} is not as the manifest says", path.display()),
            Some((Err(error), path)) if error.kind() == ErrorKind::NotFound => {
                format!("{} is missing", path.display())
            }
            Some((Err(error), path)) => return Err(BackupError::disk("reading", path)(error)),
            None => "the manifest names a file outside the backup".to_owned(),
        };
        wrong.push(Finding { what, ..Finding::default() });
    }
    Ok(())
}

/// A file below `dir`; `None` for a name that leads elsewhere.
fn place(dir: &Path, name: &str) -> Option<PathBuf> {
    use std::path::Component;
    let name = Path::new(name);
    name.components().all(|it| matches!(it, Component::Normal(_))).then(|| dir.join(name))
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The store.
    pub store: PathBuf,
    /// When the backup was made.
    pub backup: Timestamp,
    /// Records in it.
    pub records: u64,
    /// Attachments in it.
    pub files: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// The last record.
    pub head: String,
    /// Letters to the inbox are held by the first start.
    pub inbox_held: bool,
}

/// Makes the backup `from` the store `to`, an absolute path that is empty or absent. Both are
/// checked whole. Unless `release_inbox`, the first start holds every letter that is not done with.
///
/// # Errors
/// When the backup is damaged, the folder is not free, or a disk fails; then nothing is left.
pub fn restore(from: &Path, to: &Path, release_inbox: bool) -> Result<Restored, BackupError> {
    let (manifest, report) = verify(from)?;
    sound(from, &report)?;
    let growing = Growing::begin(to)?;
    let dir = growing.path().to_owned();
    let folders = [("journal", &manifest.segments), ("keys", &manifest.keys)];
    for (folder, parts) in folders.into_iter().filter(|(_, parts)| !parts.is_empty()) {
        tree::folder(&dir.join(folder))?;
        for part in parts {
            let Some(source) = place(&from.join(folder), &part.name) else { continue };
            tree::copy(&source, &dir.join(folder).join(&part.name), &|| false)?;
        }
    }
    let attachments = dir.join("attachments");
    tree::folder(&attachments)?;
    for path in files_below(&from.join("attachments"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(target) = attachment(&attachments, &name) else { continue };
        if let Some(folder) = target.parent() {
            tree::folder(folder)?;
        }
        tree::copy(&path, &target, &|| false)?;
    }
    let hold_inbox = !release_inbox;
    let marker = Marker { backup: manifest.at, head: manifest.head.clone(), hold_inbox };
    let bytes = serde_json::to_vec(&marker)
        .map_err(|error| BackupError::folder(&dir, error.to_string()))?;
    tree::write(&dir.join(MARKER), &bytes)?;
    let copied = audit::verify(&dir, Some(&manifest.head), false)?;
    sound(&dir, &copied)?;
    growing.finish()?;
    Ok(Restored {
        store: to.to_owned(),
        backup: manifest.at,
        records: copied.records,
        files: copied.files,
        bytes: copied.journal_bytes + copied.file_bytes,
        head: copied.head.to_string(),
        inbox_held: !release_inbox,
    })
}

fn sound(dir: &Path, report: &Report) -> Result<(), BackupError> {
    match report.damaged() {
        0 => Ok(()),
        found => {
            let command = format!("klagomal backup verify {}", dir.display());
            Err(BackupError::Damaged { dir: dir.to_owned(), found, command })
        }
    }
}

/// Why a restored store cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// The marker cannot be read or removed.
    #[error("the restored store's marker")]
    Marker(#[source] BackupError),
    /// That it is restored could not be noted.
    #[error("leaving out the registration numbers given after the backup")]
    Numbers(#[source] SubmitError<JobError>),
    /// A letter could not be held.
    #[error("holding the letters of the restored store")]
    Hold(#[source] HoldError),
}

/// What the first start of a restored store did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstStart {
    /// Letters to the inbox that are held.
    pub held: u64,
    /// Registration numbers that no case gets.
    pub numbers_skipped: u64,
}

/// The first start of a restored store, before anything is received or delivered; `None` where the
/// store is not newly restored. Registration numbers that may have been given after the backup are
/// left out, and every letter to the inbox that is not done with is held: what was sent after the
/// backup is not known here, and 1177 Inkorg cannot tell a repeat.
///
/// # Errors
/// When the marker or the journal cannot be used; the next start begins again.
pub async fn first_start(cases: &Cases, dir: &Path) -> Result<Option<FirstStart>, FirstStartError> {
    let path = dir.join(MARKER);
    let marker = |error| FirstStartError::Marker(error);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(marker(BackupError::disk("reading", path)(error))),
    };
    let read: Marker = serde_json::from_slice(&bytes).map_err(|error| {
        let why = format!("it is damaged ({error}); restore again, into another folder");
        marker(BackupError::folder(&path, why))
    })?;
    let skipped = cases.note_restored(read.backup).await;
    let numbers_skipped = skipped.map_err(FirstStartError::Numbers)?;
    let reason = format!("restored from a backup of {:.0}", read.backup);
    let held = match read.hold_inbox {
        true => cases.hold_letters(&reason).await.map_err(FirstStartError::Hold)?,
        false => 0,
    };
    fs::remove_file(&path)
        .and_then(|()| fs::File::open(dir)?.sync_all())
        .map_err(|error| marker(BackupError::disk("removing", path)(error)))?;
    Ok(Some(FirstStart { held, numbers_skipped }))
}
