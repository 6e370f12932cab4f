//! Reading: one record by its position, all records in order, and the verdict of a whole check.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::disk::{Disk, DiskFile};
use super::frame::{self, Hash, Head, SegmentHead};
use super::walk::{Step, Walk};
use super::{Damage, DamageKind, JournalReport, Position, ReadError};
use crate::limits;

/// What is read in one go for one record: most are smaller.
const GUESS: usize = 4096;

/// Reads a journal from any thread, beside the one that appends.
#[derive(Debug)]
pub struct Reader {
    disk: Arc<dyn Disk>,
    journal: [u8; 16],
    pub(super) segment_bytes: u64,
    /// First seq of each segment, and where what is on disk ends in it.
    ends: RwLock<BTreeMap<u64, u64>>,
    files: Mutex<BTreeMap<u64, Arc<dyn DiskFile>>>,
}

/// One record as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub position: Position,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// What a check of every byte found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whole records.
    pub records: u64,
    /// SHA-256 of the last record's frame: put it on paper, and nobody can replace the journal.
    pub last_hash: [u8; 32],
    /// What is damaged, as in a report at open.
    pub report: JournalReport,
}

impl Reader {
    pub(super) fn new(disk: Arc<dyn Disk>, journal: [u8; 16], segment_bytes: u64) -> Self {
        let (ends, files) = (RwLock::default(), Mutex::default());
        Self { disk, journal, segment_bytes, ends, files }
    }

    pub(super) fn set_end(&self, segment: u64, end: u64) {
        self.ends.write().unwrap_or_else(PoisonError::into_inner).insert(segment, end);
    }

    /// Forgets a segment that is about to be replaced, until it has an end again.
    pub(super) fn leave_out(&self, segment: u64) {
        self.ends.write().unwrap_or_else(PoisonError::into_inner).remove(&segment);
        self.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&segment);
    }

    /// Each segment, and where what is on disk ends in it.
    pub(super) fn ends(&self) -> BTreeMap<u64, u64> {
        self.ends.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.ends.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The payload of the record at `position`; its checksum has been checked.
    pub fn read(&self, position: Position) -> Result<Vec<u8>, ReadError> {
        let disk = |source| ReadError::Disk { segment: position.segment, source };
        let file = match self.file(position.segment) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(absent(position));
            }
            Err(error) => return Err(disk(error)),
        };
        let mut bytes = vec![0; GUESS];
        let offset = u64::from(position.offset);
        let read = file.read_at(&mut bytes, offset).map_err(disk)?;
        let head = bytes.get(..read).and_then(Head::read).filter(|head| head.seq == position.seq);
        let Some(head) = head else { return Err(absent(position)) };
        let length = head.frame_bytes();
        if length > bytes.len() {
            bytes.resize(length, 0);
            let rest = bytes.get_mut(GUESS..).unwrap_or_default();
            file.read_at(rest, offset + GUESS as u64).map_err(disk)?;
        }
        bytes.truncate(length);
        if !frame::is_whole(&bytes, frame::seed(&self.journal, position.segment)) {
            return Err(absent(position));
        }
        bytes.truncate(length - frame::CRC_BYTES);
        bytes.drain(..frame::HEAD_BYTES);
        Ok(bytes)
    }

    /// All records that are on disk now, in order, after `after` or from the first.
    #[must_use]
    pub fn records(self: &Arc<Self>, after: Option<Position>) -> Records {
        let ends = self.ends.read().unwrap_or_else(PoisonError::into_inner);
        let first = after.map_or(0, |position| position.segment);
        let mut left: Vec<(u64, u64)> = ends.range(first..).map(|(s, e)| (*s, *e)).collect();
        left.reverse();
        let seq = after.map_or(0, |position| position.seq);
        Records { reader: Arc::clone(self), left, walk: None, seq, after, reported: seq }
    }

    /// Reads every byte: every checksum, every link of the chain, every number.
    pub fn verify(self: &Arc<Self>) -> Result<Verdict, ReadError> {
        let ends = self.ends.read().unwrap_or_else(PoisonError::into_inner).clone();
        let report = JournalReport { segments: ends.len(), ..JournalReport::default() };
        let mut verdict = Verdict { records: 0, last_hash: frame::NO_HASH, report };
        let mut last = Some(frame::NO_HASH);
        for (segment, end) in ends {
            last = self
                .verify_segment(segment, end, last, &mut verdict)
                .map_err(|source| ReadError::Disk { segment, source })?;
        }
        verdict.last_hash = last.unwrap_or(frame::NO_HASH);
        Ok(verdict)
    }

    fn verify_segment(
        &self,
        segment: u64,
        end: u64,
        mut last: Option<Hash>,
        verdict: &mut Verdict,
    ) -> io::Result<Option<Hash>> {
        let report = &mut verdict.report;
        let file = self.file(segment)?;
        let mut bytes = [0; frame::SEGMENT_HEAD_BYTES];
        file.read_at(&mut bytes, 0)?;
        let damage = |kind, from, to, seqs| Damage { kind, segment, from, to, seqs };
        let head = SegmentHead::read(&bytes);
        if head.is_none_or(|(_, both)| !both) {
            report.add(damage(DamageKind::Head, 0, frame::FIRST_OFFSET, None));
        }
        if segment > report.last_seq + 1 {
            let seqs = Some(report.last_seq + 1..=segment - 1);
            report.add(damage(DamageKind::Missing, 0, 0, seqs));
            report.last_seq = segment - 1;
            last = None;
        }
        let named = head.map(|(head, _)| head.before);
        if last.zip(named).is_some_and(|(last, named)| last != named) {
            report.add(damage(DamageKind::Chain, 0, frame::FIRST_OFFSET, None));
        }
        let mut walk =
            Walk::new(file, self.seed(segment), end, frame::FIRST_OFFSET, segment - 1, last);
        loop {
            match walk.step()? {
                Step::End => break,
                Step::Gap { from, to } => {
                    let seqs = None;
                    report.add(damage(DamageKind::Unreadable, from, to, seqs));
                }
                Step::Frame(met) => {
                    let seq = met.head.seq;
                    if seq > report.last_seq + 1 {
                        let seqs = Some(report.last_seq + 1..=seq - 1);
                        report.add(damage(DamageKind::Missing, met.offset, met.offset, seqs));
                    }
                    if !met.chained {
                        let seqs = Some(seq..=seq);
                        report.add(damage(DamageKind::Chain, met.offset, met.end, seqs));
                    }
                    verdict.records += 1;
                    report.last_seq = seq;
                }
            }
        }
        Ok(walk.hash())
    }

    pub(super) fn seed(&self, segment: u64) -> u32 {
        frame::seed(&self.journal, segment)
    }

    pub(super) fn file(&self, segment: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = self.disk.open(&frame::segment_name(segment))?;
        if files.len() >= limits::JOURNAL_FILES_OPEN_MAX {
            // The oldest is asked for least.
            files.pop_first();
        }
        files.insert(segment, Arc::clone(&file));
        Ok(file)
    }
}

fn absent(position: Position) -> ReadError {
    let from = u64::from(position.offset);
    ReadError::Damaged(Damage {
        kind: DamageKind::Unreadable,
        segment: position.segment,
        from,
        to: from,
        seqs: Some(position.seq..=position.seq),
    })
}

/// The records of a journal in order; what is damaged is told once and stepped over.
#[derive(Debug)]
pub struct Records {
    reader: Arc<Reader>,
    /// Segments still to come, the next one last.
    left: Vec<(u64, u64)>,
    walk: Option<(u64, Walk)>,
    seq: u64,
    after: Option<Position>,
    reported: u64,
}

impl Records {
    fn begin(&mut self) -> Result<bool, ReadError> {
        let Some((segment, end)) = self.left.pop() else { return Ok(false) };
        let file =
            self.reader.file(segment).map_err(|source| ReadError::Disk { segment, source })?;
        let seed = self.reader.seed(segment);
        let walk = match self.after.filter(|after| after.segment == segment) {
            // From the record itself, to step past it; nothing is known of the one before.
            Some(at) => Walk::new(file, seed, end, u64::from(at.offset), at.seq - 1, None),
            None => Walk::new(file, seed, end, frame::FIRST_OFFSET, segment - 1, None),
        };
        self.walk = Some((segment, walk));
        Ok(true)
    }

    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let Some((segment, walk)) = &mut self.walk else {
                if self.begin()? {
                    continue;
                }
                return Ok(None);
            };
            let segment = *segment;
            let disk = |source| ReadError::Disk { segment, source };
            match walk.step().map_err(disk)? {
                Step::End => self.walk = None,
                Step::Gap { from, to } => {
                    let kind = DamageKind::Unreadable;
                    let damage = Damage { kind, segment, from, to, seqs: None };
                    return Err(ReadError::Damaged(damage));
                }
                Step::Frame(met) if met.head.seq <= self.seq => {}
                Step::Frame(met) => {
                    let seq = met.head.seq;
                    if seq > self.seq.max(self.reported) + 1 {
                        // Told before the record that follows, which comes at the next call.
                        let seqs = Some(self.seq + 1..=seq - 1);
                        self.reported = seq - 1;
                        let (from, to) = (met.offset, met.offset);
                        let kind = DamageKind::Missing;
                        let end = walk.end();
                        let file = self.reader.file(segment).map_err(disk)?;
                        let seed = self.reader.seed(segment);
                        let again = Walk::new(file, seed, end, met.offset, seq - 1, None);
                        self.walk = Some((segment, again));
                        return Err(ReadError::Damaged(Damage { kind, segment, from, to, seqs }));
                    }
                    let offset = u32::try_from(met.offset).unwrap_or(u32::MAX);
                    let payload = walk.payload(&met).map_err(disk)?.to_vec();
                    self.seq = seq;
                    let position = Position { segment, offset, seq };
                    return Ok(Some(Record { position, payload }));
                }
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if matches!(next, Err(ReadError::Disk { .. })) {
            // The disk's own fault ends the walk: the caller decides whether to begin again.
            self.left.clear();
            self.walk = None;
        }
        next.transpose()
    }
}
