//! The journal: append-only segments of chained, checksummed records, the truth of the store.
//!
//! One [`Journal`] appends; any number of [`Reader`]s read beside it. What is damaged is named and
//! stepped over, never cut; only a tail that was never acknowledged is.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::limits;

mod append;
pub mod check;
pub mod copy;
pub mod disk;
mod frame;
pub mod memory;
mod open;
mod read;
mod walk;

#[cfg(test)]
mod tests;

pub use append::{Journal, Savepoint};
pub use read::{Reader, Record, Records, Verdict};

/// Where a record stands. Sorts as the records were appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The first seq of the segment.
    pub segment: u64,
    /// Bytes from the beginning of the segment.
    pub offset: u32,
    /// The number of the record; the first is 1.
    pub seq: u64,
}

impl Position {
    /// Bytes of a position in its stored form.
    pub const BYTES: usize = 20;

    /// The stored form: big-endian, so that it sorts as the positions do.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let parts = self.segment.to_be_bytes().into_iter();
        let parts = parts.chain(self.offset.to_be_bytes()).chain(self.seq.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Reads the stored form. `None` where it has another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (segment, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        Some(Self {
            segment: u64::from_be_bytes(*segment),
            offset: u32::from_be_bytes(*offset),
            seq: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

/// What is wrong with a part of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// Bytes that are no whole record.
    Unreadable,
    /// One copy of a segment's head, or both; its records can be read all the same.
    Head,
    /// A record that is whole but does not name the record before it: somebody has replaced one.
    Chain,
    /// Records that were on disk once and are not there now.
    Missing,
    /// The last bytes are no whole record: a write that was cut off, which the next start cuts, or
    /// damage to the last record. Only a check that changes nothing leaves it open.
    Unfinished,
}

/// One damaged part of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub kind: DamageKind,
    /// The first seq of the segment.
    pub segment: u64,
    /// Where in the segment, in bytes.
    pub from: u64,
    /// Where the damage ends.
    pub to: u64,
    /// The records that it covers, where it covers any.
    pub seqs: Option<RangeInclusive<u64>>,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            DamageKind::Unreadable => "unreadable bytes",
            DamageKind::Head => "a damaged segment head",
            DamageKind::Chain => "a break in the chain of hashes",
            DamageKind::Missing => "records that are gone",
            DamageKind::Unfinished => "an unfinished or damaged end",
        };
        let name = frame::segment_name(self.segment);
        write!(f, "{what} in {name} at bytes {} to {}", self.from, self.to)?;
        match &self.seqs {
            Some(seqs) => write!(f, ", records {} to {}", seqs.start(), seqs.end()),
            None => Ok(()),
        }
    }
}

/// What was found when a journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalReport {
    /// Segments there are.
    pub segments: usize,
    /// The number of the last record; 0 where there is none.
    pub last_seq: u64,
    /// Bytes of a tail that was never acknowledged and has been cut.
    pub cut_bytes: u64,
    /// Damaged parts, at most [`limits::DAMAGE_LISTED_MAX`].
    pub damage: Vec<Damage>,
    /// Damaged parts beyond those listed.
    pub damage_more: u64,
}

impl JournalReport {
    fn add(&mut self, damage: Damage) {
        if self.damage.len() < limits::DAMAGE_LISTED_MAX {
            self.damage.push(damage);
        } else {
            self.damage_more += 1;
        }
    }
}

/// What somebody else knows to be on disk: the views hold nothing before it has been synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The journal that it was said of.
    pub journal: [u8; 16],
    /// The number of a record that has been synced.
    pub seq: u64,
}

/// Why the journal cannot be opened or appended to.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk said no.
    #[error("{doing} in the journal")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// Written by a later version of this program.
    #[error(
        "segment {} has format {found}, this program reads up to {}; run the newer version",
        frame::segment_name(*segment),
        frame::VERSION
    )]
    Newer {
        /// The first seq of the segment.
        segment: u64,
        /// The format that it says it has.
        found: u32,
    },
    /// A segment of another journal lies among these.
    #[error(
        "segment {} belongs to another journal; move it out of the folder",
        frame::segment_name(*segment)
    )]
    Foreign {
        /// The first seq of the segment.
        segment: u64,
    },
    /// The views have seen records and there is no journal.
    #[error(
        "no segment is there, but the views have seen {seq} records; put the journal back, or \
         remove the views to begin anew"
    )]
    Gone {
        /// The last record that the views have seen.
        seq: u64,
    },
    /// The views were made from another journal.
    #[error(
        "the views were made from another journal than the one in the folder; put the right journal \
         back, or remove the views"
    )]
    Elsewhere,
    /// There is nothing to check.
    #[error("no journal segment (*.klj) is there; name the folder of a store or of a backup")]
    None,
    /// Both copies of the only head are gone, so no record can be told from noise.
    #[error(
        "the head of {}, the only segment, is unreadable; restore the file from a copy",
        frame::segment_name(*segment)
    )]
    Headless {
        /// The first seq of the segment.
        segment: u64,
    },
    /// More than one record may hold.
    #[error("a record of {found} bytes, at most {} are taken", limits::RECORD_BYTES_MAX)]
    TooLarge {
        /// Bytes that were to be appended.
        found: usize,
    },
    /// More than one write may hold.
    #[error("more than {} bytes in one batch", limits::BATCH_BYTES_MAX)]
    Full,
    /// An earlier write failed and the journal has not come back yet.
    #[error("the journal is waiting for its disk")]
    Broken,
}

impl JournalError {
    fn disk(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, source }
    }
}

/// Why a record cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No whole record stands there.
    #[error("no whole record: {0}")]
    Damaged(Damage),
    /// The disk said no.
    #[error("reading {} of the journal", frame::segment_name(*segment))]
    Disk {
        /// The first seq of the segment.
        segment: u64,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
}

/// The file name of the segment that begins with record `first_seq`.
#[must_use]
pub fn segment_name(first_seq: u64) -> String {
    frame::segment_name(first_seq)
}

fn file_end(file: &Arc<dyn disk::DiskFile>) -> Result<u64, JournalError> {
    file.length().map_err(JournalError::disk("reading the length of a segment"))
}
