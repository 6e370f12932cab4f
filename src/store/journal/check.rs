//! Checks a journal where it lies: every byte, every link of the chain; nothing is changed.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::frame::{self, Hash, SegmentHead};
use super::walk::{Step, Walk};
use super::{Damage, DamageKind, JournalError, Position};
use crate::limits;

/// What a check meets, in the order in which it lies.
#[derive(Debug)]
pub enum Sight<'a> {
    /// A whole record.
    Record {
        /// Where it stands.
        position: Position,
        /// SHA-256 of its frame, which the next record names.
        hash: [u8; 32],
        /// What was appended.
        payload: &'a [u8],
    },
    /// Something that is not as it was written.
    Damage {
        /// What, where, and which records.
        damage: Damage,
        /// What lies there, at most [`limits::RECORD_BYTES_MAX`] bytes of it.
        bytes: &'a [u8],
    },
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// What the journal is called.
    pub journal: [u8; 16],
    /// Segments read.
    pub segments: usize,
    /// Whole records.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The number of the last whole record; 0 where there is none.
    pub last_seq: u64,
    /// SHA-256 of its frame; zeros where there is none.
    pub last_hash: [u8; 32],
}

/// A segment as it lies in the folder.
struct Lying {
    first_seq: u64,
    file: Arc<dyn DiskFile>,
    length: u64,
    head: Option<SegmentHead>,
    both: bool,
}

/// Bytes that are no record, until it is known which records are missing there.
struct Gap {
    segment: u64,
    from: u64,
    to: u64,
}

/// The check: what has been met so far.
struct Check<'v> {
    chain: Chain,
    /// The last record that has been met, or told to be gone.
    told: u64,
    /// Hash of the last frame; `None` after damage, where nobody can tell.
    last: Option<Hash>,
    gap: Option<(Gap, Vec<u8>)>,
    visit: &'v mut dyn FnMut(Sight<'_>) -> ControlFlow<()>,
}

/// Reads every byte of the journal in `disk` and shows all of it to `visit`, until that breaks off.
///
/// # Errors
/// When the disk fails, there is no journal, or it was written by a later version.
pub fn check(
    disk: &dyn Disk,
    visit: &mut dyn FnMut(Sight<'_>) -> ControlFlow<()>,
) -> Result<Chain, JournalError> {
    let lying = lie(disk)?;
    let journal = identity(&lying)?;
    let chain = Chain {
        journal,
        segments: lying.len(),
        records: 0,
        bytes: 0,
        last_seq: 0,
        last_hash: frame::NO_HASH,
    };
    let mut check = Check { chain, told: 0, last: Some(frame::NO_HASH), gap: None, visit };
    let mut before = None;
    let mut rest = lying.iter();
    while let Some(segment) = rest.next() {
        let next = rest.as_slice().first();
        if check.segment(segment, before, next)?.is_break() {
            return Ok(check.chain);
        }
        before = Some(segment.first_seq);
    }
    // Nothing follows that could tell how many there were; and nothing is left to break off.
    match check.close_gap(None) {
        ControlFlow::Continue(()) | ControlFlow::Break(()) => Ok(check.chain),
    }
}

fn lie(disk: &dyn Disk) -> Result<Vec<Lying>, JournalError> {
    let names = disk.list().map_err(JournalError::disk("listing the folder"))?;
    let mut seqs: Vec<u64> = names
        .iter()
        .filter_map(|name| frame::parse_segment_name(name))
        .filter(|seq| *seq > 0)
        .collect();
    seqs.sort_unstable();
    let mut lying = Vec::with_capacity(seqs.len());
    for first_seq in seqs {
        let file = open(disk, first_seq)?;
        let length = super::file_end(&file)?;
        let mut bytes = [0; frame::SEGMENT_HEAD_BYTES];
        let read =
            file.read_at(&mut bytes, 0).map_err(JournalError::disk("reading a segment's head"))?;
        let head = SegmentHead::read(bytes.get(..read).unwrap_or_default());
        let both = head.is_some_and(|(_, both)| both);
        let head = head.map(|(head, _)| head);
        if let Some(head) = head {
            if head.version > frame::VERSION {
                return Err(JournalError::Newer { segment: first_seq, found: head.version });
            }
            if head.first_seq != first_seq {
                return Err(JournalError::Foreign { segment: first_seq });
            }
        }
        lying.push(Lying { first_seq, file, length, head, both });
    }
    Ok(lying)
}

fn open(disk: &dyn Disk, first_seq: u64) -> Result<Arc<dyn DiskFile>, JournalError> {
    disk.open(&frame::segment_name(first_seq)).map_err(JournalError::disk("opening a segment"))
}

fn identity(lying: &[Lying]) -> Result<[u8; 16], JournalError> {
    let first = lying.first().ok_or(JournalError::None)?;
    let journal = lying.iter().find_map(|it| it.head).map(|head| head.journal);
    let journal = journal.ok_or(JournalError::Headless { segment: first.first_seq })?;
    match lying.iter().find(|it| it.head.is_some_and(|head| head.journal != journal)) {
        Some(other) => Err(JournalError::Foreign { segment: other.first_seq }),
        None => Ok(journal),
    }
}

impl Check<'_> {
    fn segment(
        &mut self,
        it: &Lying,
        before: Option<u64>,
        next: Option<&Lying>,
    ) -> Result<ControlFlow<()>, JournalError> {
        // Where this segment ends, the next one says; what stands behind was never acknowledged.
        let end = next
            .and_then(|next| next.head)
            .filter(|head| head.previous == it.first_seq)
            .map_or(it.length, |head| head.previous_end.min(it.length));
        self.chain.bytes += end;
        if self.enter(it, before).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let named = it.head.map(|head| head.before).filter(|hash| *hash != frame::NO_HASH);
        let seed = frame::seed(&self.chain.journal, it.first_seq);
        let start = frame::FIRST_OFFSET.min(end);
        let before = self.last.or(named);
        let file = Arc::clone(&it.file);
        let mut walk = Walk::new(file, seed, end, start, it.first_seq - 1, before);
        loop {
            let step = walk.step().map_err(JournalError::disk("reading a segment"))?;
            let flow = match step {
                Step::End => break,
                Step::Gap { from, to } => {
                    self.last = None;
                    let bytes = damaged(it, from, to)?;
                    let flow = self.close_gap(None);
                    self.gap = Some((Gap { segment: it.first_seq, from, to }, bytes));
                    flow
                }
                Step::Frame(met) => {
                    let mut flow = self.reach(it.first_seq, met.offset, met.head.seq);
                    if flow.is_continue() && !met.chained {
                        let seqs = Some(met.head.seq..=met.head.seq);
                        let kind = DamageKind::Chain;
                        flow = self.tell(kind, it.first_seq, (met.offset, met.end), seqs);
                    }
                    let (seq, hash) = (met.head.seq, met.hash);
                    self.chain.records += 1;
                    (self.chain.last_seq, self.chain.last_hash) = (seq, hash);
                    self.told = seq;
                    self.last = Some(hash);
                    let offset = u32::try_from(met.offset).unwrap_or(u32::MAX);
                    let position = Position { segment: it.first_seq, offset, seq };
                    let payload =
                        walk.payload(&met).map_err(JournalError::disk("reading a record"))?;
                    if flow.is_continue() {
                        flow = (self.visit)(Sight::Record { position, hash, payload });
                    }
                    flow
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What the head of a segment says, against what came before it.
    fn enter(&mut self, it: &Lying, before: Option<u64>) -> ControlFlow<()> {
        let place = (0, frame::FIRST_OFFSET);
        if !it.both {
            self.tell(DamageKind::Head, it.first_seq, place, None)?;
        }
        if it.first_seq <= self.told {
            let seqs = Some(it.first_seq..=self.told);
            self.last = None;
            return self.tell(DamageKind::Chain, it.first_seq, place, seqs);
        }
        self.reach(it.first_seq, 0, it.first_seq)?;
        let Some(head) = it.head else { return ControlFlow::Continue(()) };
        let follows = head.previous == before.unwrap_or(0);
        let linked = self.last.is_none_or(|last| last == head.before);
        // After records that are gone the report of them says it already.
        if self.last.is_some() && !(follows && linked) {
            self.tell(DamageKind::Chain, it.first_seq, place, None)?;
        }
        ControlFlow::Continue(())
    }

    /// The records up to `seq` must have been met by now, or lie in a gap.
    fn reach(&mut self, segment: u64, offset: u64, seq: u64) -> ControlFlow<()> {
        let expected = self.told + 1;
        if self.gap.is_some() {
            self.close_gap(Some(seq))?;
        } else if expected < seq {
            let seqs = Some(expected..=seq - 1);
            self.last = None;
            self.tell(DamageKind::Missing, segment, (offset, offset), seqs)?;
        }
        // What is gone has been told.
        self.told = self.told.max(seq - 1);
        ControlFlow::Continue(())
    }

    /// Tells a gap, now that the number of the record behind it is known, or will never be.
    fn close_gap(&mut self, next: Option<u64>) -> ControlFlow<()> {
        let Some((gap, bytes)) = self.gap.take() else { return ControlFlow::Continue(()) };
        let first = self.told + 1;
        let (kind, seqs) = match next {
            Some(next) => (DamageKind::Unreadable, (first < next).then(|| first..=next - 1)),
            None => (DamageKind::Unfinished, Some(first..=first)),
        };
        let damage = Damage { kind, segment: gap.segment, from: gap.from, to: gap.to, seqs };
        (self.visit)(Sight::Damage { damage, bytes: &bytes })
    }

    fn tell(
        &mut self,
        kind: DamageKind,
        segment: u64,
        (from, to): (u64, u64),
        seqs: Option<std::ops::RangeInclusive<u64>>,
    ) -> ControlFlow<()> {
        (self.visit)(Sight::Damage { damage: Damage { kind, segment, from, to, seqs }, bytes: &[] })
    }
}

/// What lies in a gap: from it the case can sometimes be told.
fn damaged(it: &Lying, from: u64, to: u64) -> Result<Vec<u8>, JournalError> {
    let length = usize::try_from(to - from).unwrap_or(usize::MAX).min(limits::RECORD_BYTES_MAX);
    let mut bytes = vec![0; length];
    let read =
        it.file.read_at(&mut bytes, from).map_err(JournalError::disk("reading what is damaged"))?;
    bytes.truncate(read);
    Ok(bytes)
}
