//! Appending: records are staged in memory, then written and synced in one go.

use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::{self, Hash, Head, SegmentHead};
use super::read::Reader;
use super::{JournalError, Position};
use crate::limits;

/// The appending end of a journal. There is one per journal.
#[derive(Debug)]
pub struct Journal {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) reader: Arc<Reader>,
    pub(super) head: SegmentHead,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) state: State,
    /// Where the last synced record ends.
    pub(super) length: u64,
    pub(super) durable_seq: u64,
    pub(super) durable_hash: Hash,
    /// Staged frames, and what the last of them is.
    pub(super) staged: Vec<u8>,
    pub(super) seq: u64,
    pub(super) hash: Hash,
    pub(super) staged_last: Option<Position>,
    pub(super) last: Option<Position>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// The segment has its size; the next batch begins another.
    Full,
    /// A write or a sync failed: what stands after `length` is not to be trusted.
    Broken,
}

/// How much was staged at some moment.
#[derive(Debug, Clone, Copy)]
pub struct Savepoint {
    bytes: usize,
    seq: u64,
    hash: Hash,
    last: Option<Position>,
}

impl Journal {
    /// What reads this journal; may be shared with any thread.
    #[must_use]
    pub fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    /// What this journal is called, in every segment of it.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.head.journal
    }

    /// The number of the last record that is on disk.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }

    /// The number of the last record staged.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Bytes staged.
    #[must_use]
    pub fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Begins a new segment where one is needed. Nothing may be staged. After a failed write this
    /// is what asks the disk whether it is back.
    pub fn prepare(&mut self) -> Result<(), JournalError> {
        match self.state {
            State::Ready => Ok(()),
            State::Full => self.begin_segment(self.durable_seq + 1),
            State::Broken => {
                // It may hold or not: the head of the next segment says where this one ends.
                if self.file.truncate(self.length).and_then(|()| self.file.sync()).is_err() {
                    tracing::warn!(
                        segment = %frame::segment_name(self.head.first_seq),
                        end = self.length,
                        "the end of a journal segment could not be cut; the next one names it"
                    );
                }
                self.begin_segment(self.durable_seq + 1)
            }
        }
    }

    /// Stages one record. It is on disk when a later [`Journal::commit`] has succeeded.
    pub fn stage(&mut self, payload: &[u8]) -> Result<Position, JournalError> {
        if self.state != State::Ready {
            return Err(JournalError::Broken);
        }
        if payload.len() > limits::RECORD_BYTES_MAX {
            return Err(JournalError::TooLarge { found: payload.len() });
        }
        let bytes = frame::HEAD_BYTES + payload.len() + frame::CRC_BYTES;
        if self.staged.len() + bytes > 2 * limits::BATCH_BYTES_MAX {
            return Err(JournalError::Full);
        }
        let at = self.length + u64::try_from(self.staged.len()).unwrap_or(u64::MAX);
        let offset = u32::try_from(at).map_err(|_| JournalError::Full)?;
        let head = Head {
            length: payload.len(),
            seq: self.seq + 1,
            durable_seq: self.durable_seq,
            before: self.hash,
        };
        self.hash = frame::write(&mut self.staged, self.head.seed(), &head, payload);
        self.seq = head.seq;
        let position = Position { segment: self.head.first_seq, offset, seq: head.seq };
        self.staged_last = Some(position);
        Ok(position)
    }

    /// How much is staged now.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint {
            bytes: self.staged.len(),
            seq: self.seq,
            hash: self.hash,
            last: self.staged_last,
        }
    }

    /// Forgets what was staged after `point`.
    pub fn roll_back(&mut self, point: Savepoint) {
        self.staged.truncate(point.bytes);
        self.seq = point.seq;
        self.hash = point.hash;
        self.staged_last = point.last;
    }

    /// The payload of a record that is staged; `None` where none is staged at `position`.
    #[must_use]
    pub fn staged(&self, position: Position) -> Option<&[u8]> {
        let from = u64::from(position.offset).checked_sub(self.length)?;
        let rest = self.staged.get(usize::try_from(from).ok()?..)?;
        let head = Head::read(rest)?;
        (position.segment == self.head.first_seq && head.seq == position.seq)
            .then(|| rest.get(..head.frame_bytes()).map(frame::payload))
            .flatten()
    }

    /// Writes and syncs all that is staged: one write, one sync. After an error none of it counts,
    /// and [`Journal::prepare`] must succeed before anything more is staged.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let written = self
            .file
            .write_at(&self.staged, self.length)
            .map_err(JournalError::disk("writing records"))
            .and_then(|()| self.file.sync().map_err(JournalError::disk("syncing records")));
        if let Err(error) = written {
            self.forget();
            self.state = State::Broken;
            return Err(error);
        }
        self.length += u64::try_from(self.staged.len()).unwrap_or(0);
        self.durable_seq = self.seq;
        self.durable_hash = self.hash;
        self.last = self.staged_last;
        self.staged.clear();
        self.staged.shrink_to(limits::BATCH_BYTES_MAX);
        self.reader.set_end(self.head.first_seq, self.length);
        if self.length >= self.reader.segment_bytes {
            self.state = State::Full;
        }
        Ok(())
    }

    /// Where the last record stands that was staged and committed; `None` before the first.
    #[must_use]
    pub fn last_position(&self) -> Option<Position> {
        self.last
    }

    /// Forgets all that is staged.
    pub fn forget(&mut self) {
        self.staged.clear();
        self.seq = self.durable_seq;
        self.hash = self.durable_hash;
        self.staged_last = self.last;
    }

    /// Makes the segment that `first_seq` will stand in, and goes on there.
    pub(super) fn begin_segment(&mut self, first_seq: u64) -> Result<(), JournalError> {
        let replaces = first_seq == self.head.first_seq;
        let (previous, previous_end) = if replaces {
            // Nothing in it was ever acknowledged.
            (self.head.previous, self.head.previous_end)
        } else {
            (self.head.first_seq, self.length)
        };
        let head = SegmentHead {
            version: frame::VERSION,
            journal: self.head.journal,
            first_seq,
            before: self.durable_hash,
            previous,
            previous_end,
        };
        // Its file is replaced, and may be missing for a while: nobody is to look for records there.
        self.reader.leave_out(first_seq);
        let file = create_segment(self.disk.as_ref(), &head)?;
        self.reader.set_end(first_seq, frame::FIRST_OFFSET);
        self.head = head;
        self.file = file;
        self.length = frame::FIRST_OFFSET;
        self.durable_seq = first_seq.saturating_sub(1);
        self.seq = self.durable_seq;
        self.hash = self.durable_hash;
        self.state = State::Ready;
        Ok(())
    }
}

/// Makes the file of a segment, its head on disk before anybody writes a record into it. A file of
/// that name holds nothing acknowledged, or the name would not be the next one: it is replaced.
pub(super) fn create_segment(
    disk: &dyn Disk,
    head: &SegmentHead,
) -> Result<Arc<dyn DiskFile>, JournalError> {
    let name = frame::segment_name(head.first_seq);
    match disk.remove(&name) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(JournalError::disk("replacing an unused segment")(error)),
    }
    let file = disk.create(&name).map_err(JournalError::disk("making a segment"))?;
    file.write_at(&head.to_bytes(), 0).map_err(JournalError::disk("writing a segment's head"))?;
    file.sync().map_err(JournalError::disk("syncing a segment's head"))?;
    disk.sync_dir().map_err(JournalError::disk("syncing the folder"))?;
    Ok(file)
}
