//! Copies of the store: made while it runs, checked to the last byte, and made a store again.
//!
//! A backup is a folder: `journal/` and `attachments/` as in a store, `tak-config/`, and a manifest
//! that says what must be there.

pub mod audit;
pub mod make;
pub mod manifest;
pub mod restore;
mod tree;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use crate::cases::record::RecordError;
use crate::store::journal::JournalError;
use crate::store::keys::KeyError;

/// Why a copy cannot be made, checked or taken back into use.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk said no.
    #[error("{doing} {}", path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The folder cannot be used for this.
    #[error("{}: {why}", dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// The journal cannot be checked at all.
    #[error("the journal in {}", dir.display())]
    Journal {
        /// The folder of the store or the backup.
        dir: PathBuf,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// A later version wrote a record.
    #[error("record {seq} in {segment}")]
    Record {
        /// The number of the record.
        seq: u64,
        /// Its file.
        segment: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The manifest cannot be used.
    #[error("the manifest in {}: {why}", dir.display())]
    Manifest {
        /// The backup.
        dir: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// Too little space is left where the copy goes.
    #[error(
        "{free} bytes are free at {}, {needed} are needed; make room or name another disk",
        dir.display()
    )]
    NoSpace {
        /// Where.
        dir: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must be.
        needed: u64,
    },
    /// The keys of the store cannot be copied or looked at.
    #[error("the keys of the store")]
    Keys(#[source] KeyError),
    /// The gateway is being stopped.
    #[error("it was cut off, as the gateway stops; nothing is left of it")]
    Stopped,
    /// What was to be copied is damaged.
    #[error("{}: {found} damaged parts, so it is not used; `{command}` names them", dir.display())]
    Damaged {
        /// Where.
        dir: PathBuf,
        /// How many.
        found: u64,
        /// What tells them.
        command: String,
    },
}

impl BackupError {
    fn disk(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, path: path.into(), source }
    }

    fn folder(dir: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Self::Folder { dir: dir.into(), why: why.into() }
    }
}
