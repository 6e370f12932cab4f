//! The stored form: one journal record per event, with everything that follows from it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::complaint::event::{Debt, Event, Incoming, ItemId, Outcome, Owed, Step};
use crate::complaint::message::{Attachment, Ii, Remark};
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::soap::Original;
use crate::store::keys::seal::sealed_length;
use crate::store::keys::{KeyError, Keys, SealedFile};

use super::sealed::{Head, Sealed};

/// The version that this program writes. It reads this one and every older one.
///
/// 2: there are records of the store itself, beside those of cases, and of what staff do with a case.
/// 3: mail can be owed to staff, and they are told of deadlines.
/// 4: records of cases can be sealed, and cases removed.
pub const RECORD_VERSION: u16 = 4;

/// What stands in one journal record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Something that happened to a case.
    Case(Box<Record>),
    /// The same, and only its head can be read without a key.
    Sealed(Box<Sealed>),
    /// Something that happened to the store as a whole.
    Store(StoreRecord),
}

/// One journal record of the store itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecord {
    /// [`RECORD_VERSION`] when it was written.
    pub v: u16,
    /// When, by this gateway's clock.
    pub at: Timestamp,
    pub store: StoreEvent,
}

/// What happens to a store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoreEvent {
    /// It was made of a backup, and gives none of the next `numbers_skipped` registration numbers:
    /// the store that was backed up may have given them.
    Restored { backup: Timestamp, numbers_skipped: u64 },
    /// An operator paused `system`: nothing is sent to it until it is resumed.
    Paused { system: String, reason: String },
    /// An operator resumed `system`.
    Resumed { system: String, reason: String },
    /// A case was removed (gallring): its key is shredded, and nothing of it can be read any more.
    Removed(Box<Removed>),
}

/// What remains of a case that was removed: no word of it, and nobody's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub case: Ii,
    pub number: RegistrationNumber,
    /// The unit that had it last.
    pub unit: HsaId,
    /// All units that had it.
    pub units: Vec<HsaId>,
    pub opened: Timestamp,
    pub closed: Timestamp,
    /// The keys that were shredded.
    pub keys: Vec<u64>,
    /// The files that were removed, by their names on disk.
    pub files: Vec<String>,
    /// The decision that it rests on, as its reference is written.
    pub decision: String,
    /// Who had it done.
    pub by: String,
}

/// One journal record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`] when it was written.
    pub v: u16,
    /// When it was accepted, by this gateway's clock.
    pub at: Timestamp,
    pub case: Ii,
    /// Hash of the routing configuration that was in force.
    pub generation: String,
    /// The message that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<Incoming>,
    pub event: Event,
    /// What was not as it should be in optional fields, outside a complaint, which has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
    /// What is owed to others because of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<Owed>,
    /// The message as it was received, for a relay that keeps every byte of its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Original>,
    /// Where the files lie that are sealed, by the hash of their content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed_files: Vec<SealedFile>,
}

/// Why the bytes of a record are none that this program can read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version of this program.
    #[error(
        "the record has form {found}, this program reads up to {RECORD_VERSION}; run the newer version"
    )]
    Newer {
        /// The form that it says it has.
        found: u16,
    },
    /// Not the form that it says it has.
    #[error("the record has another form than expected")]
    Form(#[source] FormError),
    /// It breaks off.
    #[error("the sealed record breaks off")]
    Short,
    /// It is sealed, and there are no keys.
    #[error("the record is sealed, and no master key is set")]
    NoKeys,
    /// A file that it names has waited too long, and its key is forgotten.
    #[error("a file of the message is known no more; it must be sent again")]
    FileForgotten,
    /// Its key has been shredded.
    #[error("the case has been removed")]
    Removed,
    /// Its key cannot be used, or it is not as it was sealed.
    #[error("the sealed record")]
    Key(#[source] KeyError),
}

/// Only what says which form the rest has.
#[derive(Deserialize)]
struct Version {
    v: u16,
}

impl Payload {
    /// Reads what a journal record holds.
    ///
    /// # Errors
    /// When a later version wrote it, or it is no record.
    pub fn read(payload: &[u8]) -> Result<Self, RecordError> {
        if let Some(sealed) = Sealed::read(payload) {
            return sealed.map(|sealed| Self::Sealed(Box::new(sealed)));
        }
        let case = match serde_json::from_slice::<Record>(payload) {
            Ok(record) if record.v <= RECORD_VERSION => return Ok(Self::Case(Box::new(record))),
            // A later form may well look like this one: its number decides.
            Ok(record) => return Err(RecordError::Newer { found: record.v }),
            Err(error) => error,
        };
        let version = serde_json::from_slice::<Version>(payload).ok().map(|it| it.v);
        if let Some(found) = version.filter(|v| *v > RECORD_VERSION) {
            return Err(RecordError::Newer { found });
        }
        serde_json::from_slice(payload).map(Self::Store).map_err(|_| RecordError::Form(case.into()))
    }

    /// What may be known without a key of a record of a case; `None` for one of the store itself.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        match self {
            Self::Case(record) => Some(Head::of(record, 0)),
            Self::Sealed(sealed) => Some(sealed.head.clone()),
            Self::Store(_) => None,
        }
    }

    /// What happened to a case; `None` for a record of the store itself.
    ///
    /// # Errors
    /// When it is sealed and cannot be opened.
    pub fn case(self, keys: Option<&Keys>) -> Result<Option<Record>, RecordError> {
        match self {
            Self::Case(record) => Ok(Some(*record)),
            Self::Sealed(sealed) => sealed.open(keys)?.ok_or(RecordError::Removed).map(Some),
            Self::Store(_) => Ok(None),
        }
    }
}

impl Record {
    /// The files that the record came with.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        match &self.event {
            Event::Opened(opened) => &opened.complaint.attachments,
            Event::Supplemented { supplement, .. } => &supplement.attachments,
            Event::Handled { step, .. } => match step.as_ref() {
                Step::PartialReply(it) => &it.attachments,
                Step::Reply(it, _) => &it.attachments,
                Step::Acknowledgement(_)
                | Step::Question(_)
                | Step::Transfer(_)
                | Step::PlaceCorrection(_)
                | Step::Closure(..) => &[],
            },
            Event::Withdrawn { .. }
            | Event::Leased { .. }
            | Event::Tried { .. }
            | Event::Decided { .. }
            | Event::Staff { .. }
            | Event::Reminded { .. } => &[],
        }
    }

    /// The contents that the record names: SHA-256 in lower-case hexadecimal, and bytes.
    #[must_use]
    pub fn contents(&self) -> Vec<(&str, u64)> {
        let attached = self.attachments();
        let marks = self.original.iter().flat_map(|original| &original.marks);
        let mut files: Vec<(&str, u64)> =
            attached.iter().map(|it| (it.sha256.as_str(), it.bytes)).collect();
        files.extend(marks.map(|it| (it.sha256.as_str(), it.bytes)));
        files.sort_unstable();
        files.dedup();
        files
    }

    /// The files that the record names: their names on disk, and bytes there.
    #[must_use]
    pub fn files(&self) -> Vec<(&str, u64)> {
        let on_disk = |(sha256, bytes)| match self.sealed_file(sha256) {
            Some(sealed) => (sealed.name.as_str(), sealed_length(bytes)),
            None => (sha256, bytes),
        };
        self.contents().into_iter().map(on_disk).collect()
    }

    /// Where a file lies that is sealed; `None` for one that is not.
    #[must_use]
    pub fn sealed_file(&self, sha256: &str) -> Option<&SealedFile> {
        self.sealed_files.iter().find(|it| it.sha256 == sha256)
    }
}

/// What a repeated message is answered from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub digest: String,
    pub case: Ii,
    pub number: RegistrationNumber,
    pub received: Timestamp,
}

/// A stored value does not read as what it should be. Holds where, never what: a value may be
/// somebody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} in line {line}, column {column}")]
pub struct FormError {
    what: &'static str,
    line: usize,
    column: usize,
}

impl FormError {
    /// What stands before the value itself is not all there.
    pub(super) const BROKEN_OFF: Self = Self { what: "the value breaks off", line: 0, column: 0 };
}

impl From<serde_json::Error> for FormError {
    fn from(error: serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Io => "the value cannot be written",
            serde_json::error::Category::Syntax => "no JSON",
            serde_json::error::Category::Data => "another form than this program knows",
            serde_json::error::Category::Eof => "the value breaks off",
        };
        Self { what, line: error.line(), column: error.column() }
    }
}

/// An outgoing message as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: ItemId,
    pub case: Ii,
    pub number: RegistrationNumber,
    pub to: String,
    pub what: Debt,
    pub owed: Timestamp,
    /// Not sent before: until then it can be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Since when it is tried: when its turn came, or an operator last said to send it.
    pub since: Timestamp,
    /// Attempts begun, those included that ended before anything was sent.
    pub attempts: u32,
    pub state: ItemState,
}

/// Where an outgoing message stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ItemState {
    /// An earlier message of the same case to the same system goes first.
    Waiting,
    /// To be sent at `at`; `why` tells of the last attempt.
    Due {
        at: Timestamp,
        why: Option<String>,
    },
    /// Being sent. After `until`, or when another process finds it, the outcome is unknown.
    Leased {
        until: Timestamp,
        instance: String,
    },
    Delivered {
        at: Timestamp,
    },
    /// The person cannot be reached in the inbox.
    Unreachable {
        at: Timestamp,
        why: String,
    },
    /// Sent, and nobody knows whether it arrived.
    Unknown {
        at: Timestamp,
        why: String,
    },
    /// Needs a person.
    Parked {
        at: Timestamp,
        why: String,
    },
    /// An operator holds it.
    Held {
        at: Timestamp,
        why: String,
    },
    /// An operator decided that it is not sent.
    Discarded {
        at: Timestamp,
        why: String,
    },
}

impl ItemState {
    /// The name used in counters and lists.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due { .. } => "due",
            Self::Leased { .. } => "leased",
            Self::Delivered { .. } => "delivered",
            Self::Unreachable { .. } => "unreachable",
            Self::Unknown { .. } => "unknown",
            Self::Parked { .. } => "parked",
            Self::Held { .. } => "held",
            Self::Discarded { .. } => "discarded",
        }
    }

    /// Whether nothing more will happen to it, so that the next in its lane may go.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Delivered { .. } | Self::Unreachable { .. } | Self::Discarded { .. } => true,
            Self::Waiting
            | Self::Due { .. }
            | Self::Leased { .. }
            | Self::Unknown { .. }
            | Self::Parked { .. }
            | Self::Held { .. } => false,
        }
    }

    /// The state that an attempt's outcome leads to.
    #[must_use]
    pub fn after(outcome: &Outcome, at: Timestamp) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered { at },
            Outcome::Unreachable { why } => Self::Unreachable { at, why: why.clone() },
            Outcome::Again { at, why } => Self::Due { at: *at, why: Some(why.clone()) },
            Outcome::Unknown { why } => Self::Unknown { at, why: why.clone() },
            Outcome::Parked { why } => Self::Parked { at, why: why.clone() },
        }
    }
}
