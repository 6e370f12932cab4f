//! Opening: which segments there are, where the last one ends, what is torn and what is damaged.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::append::{State, create_segment};
use super::disk::{Disk, DiskFile};
use super::frame::{self, Hash, SegmentHead};
use super::walk::{Step, Walk};
use super::{Damage, DamageKind, Journal, JournalError, JournalReport, Known, Reader};

/// A segment as it lies in the folder.
#[derive(Debug)]
struct Found {
    first_seq: u64,
    file: Arc<dyn DiskFile>,
    length: u64,
    head: Option<SegmentHead>,
    /// Both copies of the head are whole.
    both: bool,
}

/// A place in the last segment where no whole record begins, and what stands before it.
#[derive(Debug)]
struct Gap {
    from: u64,
    to: u64,
    seq: u64,
    hash: Option<Hash>,
    next: Option<u64>,
}

/// What a walk over the last segment met.
#[derive(Debug)]
struct Tail {
    gaps: Vec<Gap>,
    breaks: Vec<Damage>,
    /// The highest seq that a record says was on disk when it was written.
    durable: u64,
    /// Where the records begin that no later one speaks for.
    unproven: u64,
    end: u64,
    seq: u64,
    hash: Option<Hash>,
}

impl Journal {
    /// Opens the journal in `disk`, making it where there is none. `known` is what the views have
    /// seen; `segment_bytes` is when a segment is full ([`crate::limits::SEGMENT_BYTES_MAX`]).
    ///
    /// A tail that nobody was promised is cut. Everything else that is wrong is in the report and
    /// stays as it lies; appending goes on behind it.
    pub fn open(
        disk: Arc<dyn Disk>,
        known: Option<Known>,
        segment_bytes: u64,
    ) -> Result<(Self, JournalReport), JournalError> {
        let mut report = JournalReport::default();
        let mut found = find(disk.as_ref())?;
        drop_unborn(disk.as_ref(), &mut found, known)?;
        let Some(journal) = identity(&found, known)? else {
            let journal = Self::begin(disk, segment_bytes)?;
            report.segments = 1;
            return Ok((journal, report));
        };
        let heads = heads(&found, journal, &mut report);
        let reader = Arc::new(Reader::new(Arc::clone(&disk), journal, segment_bytes));
        check_ends(&found, &heads, &reader, &mut report)
            .map_err(JournalError::disk("checking the segments"))?;
        let Some((last, head)) = found.last().and_then(|f| Some((f, *heads.get(&f.first_seq)?)))
        else {
            return Err(JournalError::Broken);
        };
        let known = known.map_or(0, |known| known.seq);
        let tail = survey(last, &head).map_err(JournalError::disk("reading the last segment"))?;
        let journal = Self::go_on(disk, reader, (last, head), tail, known, &mut report)?;
        report.segments = journal.reader.segments();
        report.last_seq = journal.durable_seq;
        Ok((journal, report))
    }

    /// A new journal.
    fn begin(disk: Arc<dyn Disk>, segment_bytes: u64) -> Result<Self, JournalError> {
        let head = SegmentHead {
            version: frame::VERSION,
            journal: uuid::Uuid::new_v4().into_bytes(),
            first_seq: 1,
            before: frame::NO_HASH,
            previous: 0,
            previous_end: 0,
        };
        let file = create_segment(disk.as_ref(), &head)?;
        let reader = Arc::new(Reader::new(Arc::clone(&disk), head.journal, segment_bytes));
        reader.set_end(1, frame::FIRST_OFFSET);
        Ok(Self::at(disk, reader, head, file, (frame::FIRST_OFFSET, 0, frame::NO_HASH)))
    }

    fn at(
        disk: Arc<dyn Disk>,
        reader: Arc<Reader>,
        head: SegmentHead,
        file: Arc<dyn DiskFile>,
        (length, seq, hash): (u64, u64, Hash),
    ) -> Self {
        Self {
            disk,
            reader,
            head,
            file,
            state: State::Ready,
            length,
            durable_seq: seq,
            durable_hash: hash,
            staged: Vec::new(),
            seq,
            hash,
            staged_last: None,
            last: None,
        }
    }

    /// Decides where the last segment ends and makes sure that what stands before is on disk.
    fn go_on(
        disk: Arc<dyn Disk>,
        reader: Arc<Reader>,
        (last, head): (&Found, SegmentHead),
        mut tail: Tail,
        known: u64,
        report: &mut JournalReport,
    ) -> Result<Self, JournalError> {
        let segment = last.first_seq;
        let durable = tail.durable.max(known);
        // Bytes that are no record are a torn write unless the record there was on disk once.
        if let Some(at) = tail.gaps.iter().position(|gap| gap.seq >= durable) {
            let torn = tail.gaps.drain(at..).next();
            if let Some(gap) = torn {
                report.cut_bytes = last.length - gap.from;
                (tail.end, tail.seq, tail.hash) = (gap.from, gap.seq, gap.hash);
                tail.breaks.retain(|damage| damage.from < gap.from);
                tracing::warn!(
                    segment = %frame::segment_name(segment),
                    offset = gap.from,
                    bytes = report.cut_bytes,
                    last = gap.seq,
                    "cut an unfinished write off the end of the journal"
                );
            }
        }
        for gap in &tail.gaps {
            let to_seq = gap.next.map_or(durable, |next| next - 1);
            let seqs = (gap.seq < to_seq).then(|| gap.seq + 1..=to_seq);
            let (from, to) = (gap.from, gap.to);
            report.add(Damage { kind: DamageKind::Unreadable, segment, from, to, seqs });
        }
        for damage in tail.breaks {
            report.add(damage);
        }
        let ends_in_gap = tail.gaps.last().is_some_and(|gap| gap.next.is_none());
        if tail.seq < durable && !ends_in_gap {
            let (from, to, seqs) = (tail.end, tail.end, Some(tail.seq + 1..=durable));
            report.add(Damage { kind: DamageKind::Missing, segment, from, to, seqs });
        }
        let cut = (report.cut_bytes > 0).then_some(tail.end);
        settle(last, cut, tail.unproven, tail.end)
            .and_then(|()| disk.sync_dir())
            .map_err(JournalError::disk("making the end of the journal durable"))?;
        reader.set_end(segment, tail.end);
        let hash = tail.hash.unwrap_or(frame::NO_HASH);
        let file = Arc::clone(&last.file);
        let mut journal = Self::at(disk, reader, head, file, (tail.end, tail.seq, hash));
        if tail.seq < durable || ends_in_gap {
            // Numbers that were given once are not given again.
            journal.durable_hash = frame::NO_HASH;
            journal.begin_segment(durable.max(tail.seq) + 1)?;
        } else if last.head.is_none() || tail.end >= journal.reader.segment_bytes {
            journal.state = State::Full;
            journal.prepare()?;
        }
        Ok(journal)
    }
}

fn find(disk: &dyn Disk) -> Result<Vec<Found>, JournalError> {
    let names = disk.list().map_err(JournalError::disk("listing the folder"))?;
    let mut seqs: Vec<u64> = names
        .iter()
        .filter_map(|name| frame::parse_segment_name(name))
        .filter(|s| *s > 0)
        .collect();
    seqs.sort_unstable();
    seqs.into_iter()
        .map(|first_seq| {
            let file = disk
                .open(&frame::segment_name(first_seq))
                .map_err(JournalError::disk("opening a segment"))?;
            let length = super::file_end(&file)?;
            let mut bytes = [0; frame::SEGMENT_HEAD_BYTES];
            let read = file
                .read_at(&mut bytes, 0)
                .map_err(JournalError::disk("reading a segment's head"))?;
            let head = SegmentHead::read(bytes.get(..read).unwrap_or_default());
            let both = head.is_some_and(|(_, both)| both);
            let head = head.map(|(head, _)| head);
            match head {
                Some(head) if head.version > frame::VERSION => {
                    Err(JournalError::Newer { segment: first_seq, found: head.version })
                }
                Some(head) if head.first_seq != first_seq => {
                    Err(JournalError::Foreign { segment: first_seq })
                }
                Some(_) | None => Ok(Found { first_seq, file, length, head, both }),
            }
        })
        .collect()
}

/// Takes away a last segment that was being made when the power went or the disk failed: its head,
/// or one copy of it, is not whole, and no record is written before both are on disk. One that is
/// all that is left of what the views have seen stays, for what is missing to be told.
fn drop_unborn(
    disk: &dyn Disk,
    found: &mut Vec<Found>,
    known: Option<Known>,
) -> Result<(), JournalError> {
    let last_trace = found.len() == 1 && known.is_some_and(|known| known.seq > 0);
    let begun = |f: &Found| !f.both && f.length <= frame::FIRST_OFFSET;
    let unborn = |f: &Found| begun(f) && !(last_trace && f.head.is_some());
    if let Some(last) = found.pop_if(|last| unborn(last)) {
        let name = frame::segment_name(last.first_seq);
        disk.remove(&name)
            .and_then(|()| disk.sync_dir())
            .map_err(JournalError::disk("removing an unfinished segment"))?;
        tracing::info!(segment = %name, "removed a segment that had not been finished");
    }
    Ok(())
}

/// The journal that all segments belong to; `None` where there is no segment.
fn identity(found: &[Found], known: Option<Known>) -> Result<Option<[u8; 16]>, JournalError> {
    let Some(first) = found.first() else {
        return match known {
            Some(known) if known.seq > 0 => Err(JournalError::Gone { seq: known.seq }),
            Some(_) | None => Ok(None),
        };
    };
    let named = found.iter().find_map(|f| f.head).map(|head| head.journal);
    let Some(journal) = named.or(known.map(|known| known.journal)) else {
        return Err(JournalError::Headless { segment: first.first_seq });
    };
    if let Some(other) = found.iter().find(|f| f.head.is_some_and(|h| h.journal != journal)) {
        return Err(JournalError::Foreign { segment: other.first_seq });
    }
    match known {
        // Views that have seen no record are nobody's: they are made again.
        Some(known) if known.journal != journal && known.seq > 0 => Err(JournalError::Elsewhere),
        Some(_) | None => Ok(Some(journal)),
    }
}

/// The head of every segment; one that cannot be read is worked out from its neighbour.
fn heads(
    found: &[Found],
    journal: [u8; 16],
    report: &mut JournalReport,
) -> BTreeMap<u64, SegmentHead> {
    let mut heads = BTreeMap::new();
    let mut previous = (0, 0);
    for segment in found {
        if !segment.both {
            let (from, to) = (0, frame::FIRST_OFFSET);
            let (segment, kind) = (segment.first_seq, DamageKind::Head);
            report.add(Damage { kind, segment, from, to, seqs: None });
        }
        let head = segment.head.unwrap_or(SegmentHead {
            version: frame::VERSION,
            journal,
            first_seq: segment.first_seq,
            before: frame::NO_HASH,
            previous: previous.0,
            previous_end: previous.1,
        });
        heads.insert(segment.first_seq, head);
        previous = (segment.first_seq, segment.length);
    }
    heads
}

/// The cheap check: every segment but the last reaches as far as the next one says.
fn check_ends(
    found: &[Found],
    heads: &BTreeMap<u64, SegmentHead>,
    reader: &Reader,
    report: &mut JournalReport,
) -> io::Result<()> {
    let mut before: Option<(&Found, &SegmentHead)> = None;
    for next in found {
        let Some(head) = heads.get(&next.first_seq) else { continue };
        let Some((segment, own)) = before.replace((next, head)) else {
            // The journal begins with its first record.
            if let Some(seqs) = missing(1, next.first_seq) {
                let (segment, kind) = (next.first_seq, DamageKind::Missing);
                report.add(Damage { kind, segment, from: 0, to: 0, seqs: Some(seqs) });
            }
            continue;
        };
        let (kind, first_seq, from) = (DamageKind::Missing, segment.first_seq, segment.length);
        if head.previous != first_seq {
            // Segments between are gone: what this one holds says which records that are.
            let seqs = missing(survey(segment, own)?.seq + 1, next.first_seq);
            report.add(Damage { kind, segment: first_seq, from, to: from, seqs });
            reader.set_end(first_seq, from);
            continue;
        }
        let to = head.previous_end;
        if from < to {
            let seqs = missing(survey(segment, own)?.seq + 1, next.first_seq);
            report.add(Damage { kind, segment: first_seq, from, to, seqs });
        }
        reader.set_end(first_seq, to.min(from));
    }
    Ok(())
}

fn missing(from: u64, before: u64) -> Option<RangeInclusive<u64>> {
    (from < before).then(|| from..=before - 1)
}

/// Walks the whole of the last segment.
fn survey(last: &Found, head: &SegmentHead) -> io::Result<Tail> {
    let start = frame::FIRST_OFFSET.min(last.length);
    let first = head.first_seq - 1;
    let before = (head.before != frame::NO_HASH || first == 0).then_some(head.before);
    let file = Arc::clone(&last.file);
    let mut walk = Walk::new(file, head.seed(), last.length, start, first, before);
    let mut tail = Tail {
        gaps: Vec::new(),
        breaks: Vec::new(),
        durable: 0,
        unproven: start,
        end: last.length,
        seq: first,
        hash: before,
    };
    loop {
        let (seq, hash) = (walk.seq(), walk.hash());
        match walk.step()? {
            Step::End => break,
            Step::Gap { from, to } => tail.gaps.push(Gap { from, to, seq, hash, next: None }),
            Step::Frame(met) => {
                if let Some(gap) = tail.gaps.last_mut().filter(|gap| gap.to == met.offset) {
                    gap.next = Some(met.head.seq);
                }
                if !met.chained {
                    let (segment, from, to) = (last.first_seq, met.offset, met.end);
                    let seqs = Some(met.head.seq..=met.head.seq);
                    let kind = DamageKind::Chain;
                    tail.breaks.push(Damage { kind, segment, from, to, seqs });
                }
                if met.head.durable_seq > tail.durable {
                    (tail.durable, tail.unproven) = (met.head.durable_seq, met.offset);
                }
            }
        }
    }
    (tail.seq, tail.hash) = (walk.seq(), walk.hash());
    Ok(tail)
}

/// Cuts the segment where it is torn, and puts on disk what nothing speaks for. Such records are
/// written again and not only synced: after a failed sync the system takes its copy in memory for
/// clean, and a second sync would succeed without writing anything. Where no record speaks for the
/// segment, that goes for its head too.
fn settle(last: &Found, cut: Option<u64>, unproven: u64, end: u64) -> io::Result<()> {
    if let Some(length) = cut {
        last.file.truncate(length)?;
    }
    let mut chunk = vec![0; 1024 * 1024];
    let mut offset = if unproven <= frame::FIRST_OFFSET { 0 } else { unproven };
    while offset < end {
        let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
        let part = left.min(chunk.len());
        let into = chunk.get_mut(..part).unwrap_or_default();
        let read = last.file.read_at(into, offset)?;
        if read == 0 {
            break;
        }
        last.file.write_at(into.get(..read).unwrap_or_default(), offset)?;
        offset += u64::try_from(read).unwrap_or(u64::MAX);
    }
    last.file.sync()
}
