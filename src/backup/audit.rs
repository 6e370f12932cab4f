//! Checks a store, or a copy of one, where it lies: every byte of journal and attachments.
//!
//! Nothing is changed and nothing of the content is told: damage is named by its place, the numbers
//! of the records, and the registration numbers of the cases as far as they can be known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::manifest::Head;
use super::{BackupError, tree};
use crate::cases::record::{Payload, RecordError, StoreEvent};
use crate::cases::sealed::Head as RecordHead;
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::limits;
use crate::store::journal::check::{Sight, check};
use crate::store::journal::disk::FolderDisk;
use crate::store::journal::{Damage, DamageKind, Position, segment_name};
use crate::store::keys;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was checked.
    pub folder: PathBuf,
    /// What the journal is called.
    pub journal: String,
    /// Whole records.
    pub records: u64,
    /// Segments of the journal.
    pub segments: usize,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Distinct files that records name and that are whole.
    pub files: u64,
    /// Bytes of them.
    pub file_bytes: u64,
    /// Whole files that no record names: of messages that were never accepted, or cut off just now.
    pub unnamed: u64,
    /// The last whole record.
    pub head: Head,
    /// The store was in use: its end may have been in the middle of a write.
    pub in_use: bool,
    /// What is not as it was written, at most [`limits::DAMAGE_LISTED_MAX`].
    pub damage: Vec<Finding>,
    /// Damaged parts beyond those.
    pub damage_more: u64,
}

/// One part that is not as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong, and what to do where that is known.
    pub what: String,
    /// The file in `journal/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
    /// Where in it, in bytes.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// The first record concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// The last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// The attachment concerned, by its SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The cases concerned, as far as they can be known.
    pub numbers: Vec<String>,
}

impl Report {
    /// Damaged parts.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        u64::try_from(self.damage.len()).unwrap_or(u64::MAX).saturating_add(self.damage_more)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        if let Some(file) = &self.file {
            write!(f, "; file {file}")?;
        }
        if let Some(segment) = &self.segment {
            write!(f, "; {segment} bytes {} to {}", self.from, self.to)?;
        }
        match (self.first_seq, self.last_seq) {
            (Some(first), Some(last)) if first == last => write!(f, "; record {first}")?,
            (Some(first), Some(last)) => write!(f, "; records {first} to {last}")?,
            _ => {}
        }
        match self.numbers.as_slice() {
            [] if self.first_seq.is_some() => f.write_str("; the case cannot be told"),
            [] => Ok(()),
            numbers => write!(f, "; case {}", numbers.join(", ")),
        }
    }
}

/// Who has the store in `dir`, by its process number; `None` where nobody has. Nothing stays locked.
///
/// # Errors
/// When the lock file cannot be read.
pub fn user_of(dir: &Path) -> Result<Option<String>, BackupError> {
    let path = dir.join("lock");
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::disk("opening", path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            Read::by_ref(&mut file)
                .take(20)
                .read_to_string(&mut pid)
                .map_err(BackupError::disk("reading", path))?;
            Ok(Some(pid.trim().to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(BackupError::disk("asking who has", path)(error)),
    }
}

/// Checks the store or backup in `dir`. `expect` is a head noted earlier, which must still be in the
/// chain; `in_use` says that somebody appends meanwhile.
///
/// # Errors
/// When it cannot be read at all, or a later version of the program wrote it.
pub fn verify(dir: &Path, expect: Option<&Head>, in_use: bool) -> Result<Report, BackupError> {
    let journal = dir.join("journal");
    let disk = FolderDisk::look(&journal).map_err(BackupError::disk("opening", &journal))?;
    let mut audit = Audit::new(dir, expect, in_use);
    let chain = check(&disk, &mut |sight| audit.see(sight));
    if let Some(error) = audit.error.take() {
        return Err(error);
    }
    let chain = chain.map_err(|source| BackupError::Journal { dir: dir.to_owned(), source })?;
    audit.expected(chain.last_seq);
    audit.still_missing();
    audit.keys(dir)?;
    audit.unnamed()?;
    audit.name_cases(&disk)?;
    Ok(audit.report(Report {
        folder: dir.to_owned(),
        journal: tree::hex(&chain.journal),
        records: chain.records,
        segments: chain.segments,
        journal_bytes: chain.bytes,
        files: 0,
        file_bytes: 0,
        unnamed: 0,
        head: Head { seq: chain.last_seq, hash: tree::hex(&chain.last_hash) },
        in_use,
        damage: Vec::new(),
        damage_more: 0,
    }))
}

const MISSING: &str = "an attachment is missing";

/// A file that a record names.
#[derive(Debug, Clone, Copy)]
struct Looked {
    /// Its length, where it is whole.
    bytes: Option<u64>,
    finding: Option<usize>,
}

/// A finding, and the cases that it is about.
struct Found {
    finding: Finding,
    seqs: Option<RangeInclusive<u64>>,
    cases: BTreeSet<Ii>,
}

struct Audit<'a> {
    attachments: PathBuf,
    expect: Option<&'a Head>,
    /// The record of the expected number has been met.
    met: bool,
    in_use: bool,
    looked: BTreeMap<String, Looked>,
    /// Files that are not there: where they were first named, and by which cases. A record that tells
    /// of their removal may come later.
    missing: BTreeMap<String, (Position, BTreeSet<Ii>)>,
    found: Vec<Found>,
    more: u64,
    files: u64,
    file_bytes: u64,
    unnamed: u64,
    error: Option<BackupError>,
}

impl<'a> Audit<'a> {
    fn new(dir: &Path, expect: Option<&'a Head>, in_use: bool) -> Self {
        Self {
            attachments: dir.join("attachments"),
            expect,
            met: false,
            in_use,
            looked: BTreeMap::new(),
            missing: BTreeMap::new(),
            found: Vec::new(),
            more: 0,
            files: 0,
            file_bytes: 0,
            unnamed: 0,
            error: None,
        }
    }

    fn see(&mut self, sight: Sight<'_>) -> ControlFlow<()> {
        match sight {
            Sight::Damage { damage, bytes } => self.damage(&damage, bytes),
            Sight::Record { position, hash, payload } => {
                self.compare(position.seq, &hash);
                match Payload::read(payload) {
                    Ok(Payload::Store(record)) => self.removed(&record.store),
                    Ok(record) => {
                        let Some(head) = record.head() else { return ControlFlow::Continue(()) };
                        self.concern(position.seq, &head);
                        if let Err(error) = self.files_of(position, &head) {
                            self.error = Some(error);
                            return ControlFlow::Break(());
                        }
                    }
                    Err(source @ RecordError::Newer { .. }) => {
                        self.error = Some(BackupError::Record {
                            seq: position.seq,
                            segment: segment_name(position.segment),
                            source,
                        });
                        return ControlFlow::Break(());
                    }
                    Err(_) => {
                        let what = "a record of another form than this program writes";
                        let finding = place(what, position);
                        self.add(finding, BTreeSet::new());
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// What was removed with its case is not missing.
    fn removed(&mut self, event: &StoreEvent) {
        if let StoreEvent::Removed(removed) = event {
            for file in &removed.files {
                self.missing.remove(file);
            }
        }
    }

    fn still_missing(&mut self) {
        for (file, (position, cases)) in std::mem::take(&mut self.missing) {
            let finding = Finding { file: Some(file), ..place(MISSING, position) };
            self.add(finding, cases);
        }
    }

    /// Looks at the keys, where there are any.
    fn keys(&mut self, dir: &Path) -> Result<(), BackupError> {
        let Some(checked) = keys::check(&dir.join("keys")).map_err(BackupError::Keys)? else {
            return Ok(());
        };
        for what in checked.damage {
            self.add(Finding { what, ..Finding::default() }, BTreeSet::new());
        }
        Ok(())
    }

    fn damage(&mut self, damage: &Damage, bytes: &[u8]) {
        if damage.kind == DamageKind::Unfinished && self.in_use {
            return;
        }
        let what = match damage.kind {
            DamageKind::Unreadable => "bytes that are no record",
            DamageKind::Head => "a segment head of which a copy is damaged; the records are whole",
            DamageKind::Chain => {
                "a record or segment that does not name the one before it: something was replaced"
            }
            DamageKind::Missing => "records that are gone",
            DamageKind::Unfinished => {
                "the end is no whole record: a write cut off by a crash, which the next start \
                 removes, or the last record is damaged; compare with a head noted earlier"
            }
        };
        let finding = Finding {
            what: what.to_owned(),
            segment: Some(segment_name(damage.segment)),
            from: damage.from,
            to: damage.to,
            first_seq: damage.seqs.as_ref().map(|seqs| *seqs.start()),
            last_seq: damage.seqs.as_ref().map(|seqs| *seqs.end()),
            file: None,
            numbers: numbers_in(bytes),
        };
        self.add(finding, cases_in(bytes));
    }

    fn add(&mut self, finding: Finding, cases: BTreeSet<Ii>) -> Option<usize> {
        if self.found.len() >= limits::DAMAGE_LISTED_MAX {
            self.more += 1;
            return None;
        }
        let seqs = finding.first_seq.zip(finding.last_seq).map(|(first, last)| first..=last);
        self.found.push(Found { finding, seqs, cases });
        Some(self.found.len() - 1)
    }

    /// Compares with the head that was noted.
    fn compare(&mut self, seq: u64, hash: &[u8; 32]) {
        let Some(expect) = self.expect.filter(|expect| expect.seq == seq) else { return };
        self.met = true;
        let found = tree::hex(hash);
        if found != expect.hash {
            let what = format!("the noted head {expect} is not in the chain: it is {found} now");
            let (first_seq, last_seq) = (Some(seq), Some(seq));
            self.add(Finding { what, first_seq, last_seq, ..Finding::default() }, BTreeSet::new());
        }
    }

    fn expected(&mut self, last: u64) {
        let Some(expect) = self.expect.filter(|_| !self.met) else { return };
        let empty = expect.seq == 0 && expect.hash.bytes().all(|b| b == b'0');
        if !empty {
            let what = format!(
                "the noted head {expect} is not in the chain, which ends at record {last}: what \
                 came after has been cut off"
            );
            self.add(Finding { what, ..Finding::default() }, BTreeSet::new());
        }
    }

    /// A record that tells which case a damaged one was about.
    fn concern(&mut self, seq: u64, record: &RecordHead) {
        if self.found.is_empty() {
            return;
        }
        let named: Vec<u64> = record.about.iter().copied().chain([seq]).collect();
        for found in &mut self.found {
            let about = found.seqs.as_ref().is_some_and(|it| named.iter().any(|n| it.contains(n)));
            if about && found.cases.len() < limits::AUDIT_NUMBERS_MAX {
                found.cases.insert(record.case.clone());
            }
        }
    }

    fn files_of(&mut self, position: Position, record: &RecordHead) -> Result<(), BackupError> {
        for (sha256, bytes) in record.files.iter().map(|(name, bytes)| (name.as_str(), *bytes)) {
            let mut looked = match self.looked.get(sha256) {
                Some(looked) => *looked,
                None => self.look(sha256, position)?,
            };
            if looked.bytes.is_some_and(|found| found != bytes) {
                let what = format!("a record says that an attachment has {bytes} bytes");
                let finding = Finding { file: Some(sha256.to_owned()), ..place(&what, position) };
                looked.finding = self.add(finding, BTreeSet::new());
            }
            if let Some(found) = looked.finding.and_then(|at| self.found.get_mut(at))
                && found.cases.len() < limits::AUDIT_NUMBERS_MAX
            {
                found.cases.insert(record.case.clone());
            }
            if let Some((_, cases)) = self.missing.get_mut(sha256)
                && cases.len() < limits::AUDIT_NUMBERS_MAX
            {
                cases.insert(record.case.clone());
            }
        }
        Ok(())
    }

    fn look(&mut self, sha256: &str, position: Position) -> Result<Looked, BackupError> {
        let (bytes, wrong) = match attachment(&self.attachments, sha256) {
            None => (None, Some("a record names a file by what is no SHA-256")),
            Some(path) => match tree::print(&path) {
                Ok(print) if print.sha256 == sha256 => (Some(print.bytes), None),
                Ok(_) => (None, Some("an attachment is damaged")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.missing.len() < limits::AUDIT_FILES_REMEMBERED {
                        self.missing.insert(sha256.to_owned(), (position, BTreeSet::new()));
                        (None, None)
                    } else {
                        (None, Some(MISSING))
                    }
                }
                Err(error) => return Err(BackupError::disk("reading", path)(error)),
            },
        };
        let finding = wrong.and_then(|what| {
            let finding = Finding { file: Some(sha256.to_owned()), ..place(what, position) };
            self.add(finding, BTreeSet::new())
        });
        if let Some(bytes) = bytes {
            self.files += 1;
            self.file_bytes += bytes;
        }
        let looked = Looked { bytes, finding };
        if self.looked.len() < limits::AUDIT_FILES_REMEMBERED {
            self.looked.insert(sha256.to_owned(), looked);
        }
        Ok(looked)
    }

    /// Looks at the files that no record names.
    fn unnamed(&mut self) -> Result<(), BackupError> {
        if self.looked.len() >= limits::AUDIT_FILES_REMEMBERED {
            return Ok(());
        }
        for path in files_below(&self.attachments)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if self.looked.contains_key(&name)
                || attachment(&self.attachments, &name).as_ref() != Some(&path)
            {
                continue;
            }
            match tree::print(&path) {
                Ok(print) if print.sha256 == name => self.unnamed += 1,
                Ok(_) => {
                    let what = "a file that no record names is damaged".to_owned();
                    let finding = Finding { what, file: Some(name), ..Finding::default() };
                    self.add(finding, BTreeSet::new());
                }
                // Swept since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(BackupError::disk("reading", path)(error)),
            }
        }
        Ok(())
    }

    /// Looks the registration numbers up, where cases are concerned.
    fn name_cases(&mut self, disk: &FolderDisk) -> Result<(), BackupError> {
        let mut wanted: BTreeMap<Ii, Option<RegistrationNumber>> =
            self.found.iter().flat_map(|it| &it.cases).map(|case| (case.clone(), None)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let seen = check(disk, &mut |sight| {
            if let Sight::Record { payload, .. } = sight
                && let Some(head) = Payload::read(payload).ok().and_then(|it| it.head())
                && head.opens
                && let Some(number) = wanted.get_mut(&head.case)
            {
                *number = head.number;
            }
            ControlFlow::Continue(())
        });
        seen.map_err(|source| BackupError::Journal { dir: self.attachments.clone(), source })?;
        for found in &mut self.found {
            let numbers = found.cases.iter().filter_map(|case| wanted.get(case)?.as_ref());
            let numbers = numbers.map(|number| number.as_str().to_owned());
            let all: BTreeSet<String> = numbers.chain(found.finding.numbers.drain(..)).collect();
            found.finding.numbers = all.into_iter().take(limits::AUDIT_NUMBERS_MAX).collect();
        }
        Ok(())
    }

    fn report(self, report: Report) -> Report {
        Report {
            files: self.files,
            file_bytes: self.file_bytes,
            unnamed: self.unnamed,
            damage: self.found.into_iter().map(|found| found.finding).collect(),
            damage_more: self.more,
            ..report
        }
    }
}

fn place(what: &str, position: Position) -> Finding {
    Finding {
        what: what.to_owned(),
        segment: Some(segment_name(position.segment)),
        from: u64::from(position.offset),
        to: u64::from(position.offset),
        first_seq: Some(position.seq),
        last_seq: Some(position.seq),
        ..Finding::default()
    }
}

/// Where an attachment lies: only a hash becomes part of a path.
pub(super) fn attachment(dir: &Path, sha256: &str) -> Option<PathBuf> {
    let is_name =
        sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let start = sha256.get(..2).filter(|_| is_name)?;
    Some(dir.join(start).join(sha256))
}

/// The files in the folders of `dir`; none where there is no `dir`.
pub(super) fn files_below(
    dir: &Path,
) -> Result<impl Iterator<Item = PathBuf> + use<>, BackupError> {
    let folders = match fs::read_dir(dir) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(BackupError::disk("listing", dir)(error)),
    };
    let files = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok());
    Ok(files.flat_map(|entries| entries.flatten().map(|entry| entry.path())))
}

/// The cases that damaged bytes still name.
fn cases_in(bytes: &[u8]) -> BTreeSet<Ii> {
    behind(bytes, b"\"case\":")
        .filter_map(|rest| serde_json::Deserializer::from_slice(rest).into_iter().next()?.ok())
        .take(limits::AUDIT_NUMBERS_MAX)
        .collect()
}

/// The registration numbers that damaged bytes still hold; the check symbol tells them from noise.
fn numbers_in(bytes: &[u8]) -> Vec<String> {
    let numbers: BTreeSet<String> = behind(bytes, b"\"number\":\"")
        .filter_map(|rest| std::str::from_utf8(rest.get(..9)?).ok())
        .filter_map(RegistrationNumber::parse)
        .map(|number| number.as_str().to_owned())
        .take(limits::AUDIT_NUMBERS_MAX)
        .collect();
    numbers.into_iter().collect()
}

/// What stands behind each occurrence of `mark`.
fn behind<'b>(bytes: &'b [u8], mark: &'static [u8]) -> impl Iterator<Item = &'b [u8]> {
    let places = bytes.windows(mark.len()).enumerate().filter(move |(_, it)| *it == mark);
    places.filter_map(move |(at, _)| bytes.get(at + mark.len()..))
}
