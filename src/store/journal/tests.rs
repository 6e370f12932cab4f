//! Tests of the journal: what is torn is cut, what is damaged is named, what is promised is there.

use std::sync::Arc;

use super::disk::Disk;
use super::frame;
use super::memory::{Fault, Kept, MemoryDisk};
use super::{
    Damage, DamageKind, Journal, JournalError, JournalReport, Known, Position, ReadError, Record,
};

const SMALL: u64 = 1024;

fn open(disk: &MemoryDisk) -> (Journal, JournalReport) {
    Journal::open(Arc::new(disk.clone()), None, SMALL).unwrap()
}

fn append(journal: &mut Journal, payloads: &[&[u8]]) -> Vec<Position> {
    journal.prepare().unwrap();
    let at = payloads.iter().map(|payload| journal.stage(payload).unwrap()).collect();
    journal.commit().unwrap();
    at
}

fn all(journal: &Journal) -> Vec<Record> {
    journal.reader().records(None).map(Result::unwrap).collect()
}

fn payloads(journal: &Journal) -> Vec<Vec<u8>> {
    all(journal).into_iter().map(|record| record.payload).collect()
}

fn numbered(count: u64) -> Vec<Vec<u8>> {
    (1..=count).map(|n| format!("post {n} ").repeat(5).into_bytes()).collect()
}

/// A journal of several segments, one record a batch.
fn filled(disk: &MemoryDisk, count: u64) -> Vec<Position> {
    let (mut journal, _) = open(disk);
    numbered(count).iter().flat_map(|payload| append(&mut journal, &[payload])).collect()
}

fn names(disk: &MemoryDisk) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.sort();
    names
}

#[test]
fn records_come_back_by_position_and_in_order_over_segments_and_restarts() {
    let disk = MemoryDisk::default();
    let at = filled(&disk, 40);
    assert!(names(&disk).len() > 3, "several segments: {:?}", names(&disk));
    let (mut journal, report) = open(&disk);
    assert_eq!((report.last_seq, report.cut_bytes, report.damage.len()), (40, 0, 0));
    assert_eq!(payloads(&journal), numbered(40));
    for (position, payload) in at.iter().zip(numbered(40)) {
        assert_eq!(journal.reader().read(*position).unwrap(), payload);
        assert_eq!(Position::from_bytes(&position.to_bytes()), Some(*position));
    }
    assert!(at.is_sorted() && at.iter().map(|p| p.to_bytes()).is_sorted());
    let after: Vec<u64> =
        journal.reader().records(Some(at[24])).map(|r| r.unwrap().position.seq).collect();
    assert_eq!(after, (26..=40).collect::<Vec<_>>());
    assert_eq!(append(&mut journal, &[b"41"])[0].seq, 41);
    let verdict = journal.reader().verify().unwrap();
    assert_eq!((verdict.records, verdict.report.damage), (41, vec![]));
    assert_eq!(verdict.last_hash, journal.durable_hash);
}

#[test]
fn a_segment_whose_head_was_written_in_part_is_made_anew() {
    let disk = MemoryDisk::default();
    // Making the file is the first operation, writing its head the second.
    disk.fail_at(2, 1, Fault::Io);
    assert!(Journal::open(Arc::new(disk.clone()), None, SMALL).is_err());
    let (mut journal, report) = open(&disk);
    assert_eq!(report.damage, vec![]);
    append(&mut journal, &[b"the first"]);
    let (journal, report) = open(&disk);
    assert_eq!((report.damage, payloads(&journal)), (vec![], vec![b"the first".to_vec()]));
}

#[test]
fn a_head_that_was_in_memory_only_is_on_disk_after_the_next_start() {
    let disk = MemoryDisk::default();
    disk.fail_at(3, 1, Fault::Io); // its sync
    assert!(Journal::open(Arc::new(disk.clone()), None, SMALL).is_err());
    let (mut journal, _) = open(&disk);
    append(&mut journal, &[b"the first"]);
    let after = disk.after_power_cut(Kept::Nothing);
    let (journal, report) = open(&after);
    assert_eq!((report.damage, payloads(&journal)), (vec![], vec![b"the first".to_vec()]));
}

#[test]
fn a_large_record_and_an_empty_one_come_back_and_one_above_the_bound_is_refused() {
    let (mut journal, _) = open(&MemoryDisk::default());
    let large = vec![7; crate::limits::RECORD_BYTES_MAX];
    let at = append(&mut journal, &[b"", &large]);
    assert_eq!(journal.reader().read(at[0]).unwrap(), b"");
    assert_eq!(journal.reader().read(at[1]).unwrap(), large);
    journal.prepare().unwrap();
    let over = vec![7; crate::limits::RECORD_BYTES_MAX + 1];
    assert!(
        matches!(journal.stage(&over), Err(JournalError::TooLarge { found }) if found == over.len())
    );
}

#[test]
fn staged_records_can_be_read_and_rolled_back() {
    let (mut journal, _) = open(&MemoryDisk::default());
    let kept = journal.stage(b"kept").unwrap();
    let point = journal.savepoint();
    let gone = journal.stage(b"gone").unwrap();
    assert_eq!(journal.staged(gone), Some(&b"gone"[..]));
    journal.roll_back(point);
    assert_eq!((journal.staged(gone), journal.staged(kept)), (None, Some(&b"kept"[..])));
    let next = journal.stage(b"next").unwrap();
    assert_eq!(next, gone);
    journal.commit().unwrap();
    assert_eq!(payloads(&journal), [b"kept", b"next"]);
    assert_eq!(journal.last_position(), Some(next));
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_whole_records_and_appending_goes_on() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), None, 1 << 20).unwrap();
    append(&mut journal, &[b"first", b"second"]);
    let before = usize::try_from(journal.length).unwrap();
    let last = append(&mut journal, &[b"third", b"fourth", b"fifth"]);
    let name = frame::segment_name(1);
    let whole = disk.content(&name).unwrap();
    for length in before..whole.len() {
        let torn = MemoryDisk::default();
        torn.set_content(&name, whole[..length].to_vec());
        let (mut journal, report) = open(&torn);
        let kept = last.iter().filter(|at| at.offset as usize <= length).count();
        let ends = [last[1].offset as usize, last[2].offset as usize];
        let whole_ones = ends.iter().filter(|end| **end <= length).count();
        assert!(kept >= whole_ones);
        assert_eq!(report.last_seq, 2 + whole_ones as u64, "cut at {length}");
        assert_eq!(report.damage, [], "cut at {length}");
        let start = [before, ends[0], ends[1]][whole_ones];
        assert_eq!(report.cut_bytes, (length - start) as u64);
        append(&mut journal, &[b"after"]);
        let (journal, report) = open(&torn);
        assert_eq!((report.cut_bytes, report.damage.len()), (0, 0));
        assert_eq!(payloads(&journal).last().unwrap(), b"after");
        assert_eq!(report.last_seq, 3 + whole_ones as u64);
    }
}

#[test]
fn a_tail_with_a_hole_is_cut_at_the_hole_although_later_records_are_whole() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = open(&disk);
    append(&mut journal, &[b"first"]);
    let at = append(&mut journal, &[b"second", b"third"]);
    let name = frame::segment_name(1);
    let mut bytes = disk.content(&name).unwrap();
    bytes[at[0].offset as usize + 60] ^= 1;
    disk.set_content(&name, bytes);
    let (journal, report) = open(&disk);
    assert_eq!((report.last_seq, report.damage), (1, vec![]));
    assert!(report.cut_bytes > 0);
    assert_eq!(payloads(&journal), [b"first"]);
}

#[test]
fn a_flipped_bit_anywhere_in_an_older_record_is_named_and_the_rest_is_served() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), None, 1 << 20).unwrap();
    let at: Vec<_> = numbered(6).iter().flat_map(|p| append(&mut journal, &[p])).collect();
    let name = frame::segment_name(1);
    let whole = disk.content(&name).unwrap();
    for byte in at[2].offset as usize..at[3].offset as usize {
        let flipped = MemoryDisk::default();
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        flipped.set_content(&name, bytes);
        let (mut journal, report) = open(&flipped);
        let (from, to) = (u64::from(at[2].offset), u64::from(at[3].offset));
        let seqs = Some(3..=3);
        let damage = Damage { kind: DamageKind::Unreadable, segment: 1, from, to, seqs };
        assert_eq!(report.damage, [damage], "byte {byte}");
        assert_eq!((report.cut_bytes, report.last_seq), (0, 6));
        assert_eq!(flipped.content(&name).unwrap().len(), whole.len(), "nothing is cut");
        assert!(
            matches!(journal.reader().read(at[2]), Err(ReadError::Damaged(d)) if d.seqs == Some(3..=3))
        );
        for n in [0, 1, 3, 4, 5] {
            assert_eq!(journal.reader().read(at[n]).unwrap(), numbered(6)[n]);
        }
        let told = journal.reader().records(None);
        let (good, bad): (Vec<_>, Vec<_>) = told.partition(Result::is_ok);
        assert_eq!((good.len(), bad.is_empty()), (5, false));
        append(&mut journal, &[b"goes on"]);
        let verdict = journal.reader().verify().unwrap();
        assert_eq!(verdict.records, 6);
        assert!(!verdict.report.damage.is_empty());
    }
}

#[test]
fn damage_in_an_older_segment_is_found_by_the_check_and_by_reading() {
    let disk = MemoryDisk::default();
    let at = filled(&disk, 30);
    let victim = at[3];
    assert_eq!(victim.segment, 1);
    let name = frame::segment_name(1);
    let mut bytes = disk.content(&name).unwrap();
    bytes[victim.offset as usize + 70] ^= 4;
    disk.set_content(&name, bytes);
    let (journal, report) = open(&disk);
    assert_eq!(report.damage, []);
    assert!(matches!(journal.reader().read(victim), Err(ReadError::Damaged(_))));
    let verdict = journal.reader().verify().unwrap();
    assert_eq!(verdict.records, 29);
    let missing: Vec<_> = verdict.report.damage.iter().filter_map(|d| d.seqs.clone()).collect();
    assert_eq!(missing, [4..=4]);
}

#[test]
fn a_segment_that_is_gone_or_short_is_named() {
    let disk = MemoryDisk::default();
    filled(&disk, 40);
    let second = names(&disk)[1].clone();
    let first_of = |name: &str| frame::parse_segment_name(name).unwrap();
    let (from, to) = (first_of(&second), first_of(&names(&disk)[2]) - 1);
    let content = disk.content(&second).unwrap();
    disk.set_content(&second, content[..content.len() - 10].to_vec());
    let (_, report) = open(&disk);
    assert_eq!(report.damage.len(), 1);
    assert_eq!((report.damage[0].kind, report.damage[0].segment), (DamageKind::Missing, from));
    disk.remove(&second).unwrap();
    let (journal, report) = open(&disk);
    assert_eq!(report.damage.len(), 1);
    assert_eq!(report.damage[0].seqs, Some(from..=to));
    assert_eq!(report.last_seq, 40);
    let missing = journal.reader().verify().unwrap().report.damage;
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].seqs, Some(from..=to));
}

#[test]
fn a_replaced_record_with_a_right_checksum_breaks_the_chain() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), None, 1 << 20).unwrap();
    let at: Vec<_> = numbered(4).iter().flat_map(|p| append(&mut journal, &[p])).collect();
    let name = frame::segment_name(1);
    let mut bytes = disk.content(&name).unwrap();
    let range = at[1].offset as usize..at[2].offset as usize;
    let head = frame::Head::read(&bytes[range.clone()]).unwrap();
    let mut forged = Vec::new();
    let payload = vec![b'x'; head.length];
    frame::write(&mut forged, journal.head.seed(), &head, &payload);
    bytes[range].copy_from_slice(&forged);
    disk.set_content(&name, bytes);
    let (journal, report) = open(&disk);
    assert_eq!(report.damage.len(), 1);
    assert_eq!((report.damage[0].kind, &report.damage[0].seqs), (DamageKind::Chain, &Some(3..=3)));
    assert_eq!(journal.reader().verify().unwrap().report.damage, report.damage);
    let forged_tail = frame::is_whole(&forged, frame::seed(&[0; 16], 1));
    assert!(!forged_tail, "a frame of another journal is no frame here");
}

#[test]
fn damage_at_the_very_end_is_not_cut_where_the_views_know_better() {
    for keep in [0, 30] {
        let disk = MemoryDisk::default();
        let (mut journal, _) = Journal::open(Arc::new(disk.clone()), None, 1 << 20).unwrap();
        let at = append(&mut journal, &[b"first", b"second"]);
        let at = [at, append(&mut journal, &[b"third"])].concat();
        let known = Known { journal: journal.id(), seq: 3 };
        let name = frame::segment_name(1);
        let bytes = disk.content(&name).unwrap();
        disk.set_content(&name, bytes[..at[2].offset as usize + keep].to_vec());
        let (mut journal, report) =
            Journal::open(Arc::new(disk.clone()), Some(known), 1 << 20).unwrap();
        assert_eq!((report.cut_bytes, report.last_seq), (0, 3));
        assert_eq!(report.damage.len(), 1, "{keep}");
        assert_eq!(report.damage[0].seqs, Some(3..=3));
        assert_eq!(append(&mut journal, &[b"fourth"])[0].seq, 4, "no number is given twice");
        let (journal, _) = Journal::open(Arc::new(disk), Some(known), 1 << 20).unwrap();
        let found: Vec<_> = journal.reader().records(None).filter_map(Result::ok).collect();
        assert_eq!(found.iter().map(|r| r.position.seq).collect::<Vec<_>>(), [1, 2, 4]);
        let damage = journal.reader().verify().unwrap().report.damage;
        assert!(damage.iter().any(|d| d.seqs == Some(3..=3)), "{damage:?}");
    }
}

#[test]
fn a_journal_that_is_gone_or_another_ones_is_refused_where_the_views_know_better() {
    let known = Known { journal: [7; 16], seq: 3 };
    let disk = MemoryDisk::default();
    let refused = Journal::open(Arc::new(disk.clone()), Some(known), SMALL);
    assert!(matches!(refused, Err(JournalError::Gone { seq: 3 })));
    filled(&disk, 3);
    let refused = Journal::open(Arc::new(disk), Some(known), SMALL);
    assert!(matches!(refused, Err(JournalError::Elsewhere)));
}

#[test]
fn one_copy_of_a_head_is_enough_and_without_both_the_records_are_read_all_the_same() {
    let disk = MemoryDisk::default();
    filled(&disk, 30);
    for name in names(&disk) {
        for (copies, byte) in [(1, 20), (1, 150), (2, 20)] {
            let hurt = disk.after_power_cut(Kept::All);
            let mut bytes = hurt.content(&name).unwrap();
            bytes[byte] ^= 1;
            if copies == 2 {
                bytes[byte + 128] ^= 1;
            }
            hurt.set_content(&name, bytes);
            let (mut journal, report) = open(&hurt);
            assert_eq!(report.last_seq, 30, "{name} {copies}");
            assert_eq!(report.damage[0].kind, DamageKind::Head);
            assert_eq!(payloads(&journal), numbered(30));
            append(&mut journal, &[b"more"]);
            assert_eq!(open(&hurt).1.last_seq, 31);
        }
    }
}

#[test]
fn the_only_segment_without_a_head_is_refused_and_left_alone() {
    let disk = MemoryDisk::default();
    filled(&disk, 2);
    let name = frame::segment_name(1);
    let mut bytes = disk.content(&name).unwrap();
    bytes[..256].fill(0);
    disk.set_content(&name, bytes.clone());
    let refused = Journal::open(Arc::new(disk.clone()), None, SMALL);
    assert!(matches!(refused, Err(JournalError::Headless { segment: 1 })));
    assert_eq!(disk.content(&name).unwrap(), bytes);
}

#[test]
fn a_later_format_is_refused() {
    let disk = MemoryDisk::default();
    let (journal, _) = open(&disk);
    let head = frame::SegmentHead { version: 2, ..journal.head };
    disk.set_content(&frame::segment_name(1), head.to_bytes());
    let refused = Journal::open(Arc::new(disk), None, SMALL).unwrap_err();
    assert!(refused.to_string().contains("format 2, this program reads up to 1"), "{refused}");
}

/// Appends batches of two until the disk refuses; gives how many records were acknowledged.
fn work(disk: &MemoryDisk, batches: u64, again: bool) -> u64 {
    let Ok((mut journal, _)) = Journal::open(Arc::new(disk.clone()), None, SMALL) else { return 0 };
    let mut acked = journal.durable_seq();
    for _ in 0..batches {
        if journal.prepare().is_err() {
            if again { continue } else { break }
        }
        let (a, b) = (acked + 1, acked + 2);
        journal.stage(format!("post {a}").repeat(9).as_bytes()).unwrap();
        journal.stage(format!("post {b}").repeat(9).as_bytes()).unwrap();
        match journal.commit() {
            Ok(()) => acked = b,
            Err(_) if again => {}
            Err(_) => break,
        }
    }
    acked
}

fn check(disk: &MemoryDisk, acked: u64, what: &str) {
    let (journal, report) = open(disk);
    assert_eq!(report.damage, [], "{what}");
    assert!(report.last_seq >= acked, "{what}: acked {acked}, found {}", report.last_seq);
    for (record, seq) in all(&journal).iter().zip(1..) {
        let payload = format!("post {seq}").repeat(9).into_bytes();
        assert_eq!((record.position.seq, &record.payload), (seq, &payload), "{what}");
    }
    assert_eq!(all(&journal).len() as u64, report.last_seq, "{what}");
    let verdict = journal.reader().verify().unwrap();
    assert_eq!(verdict.report.damage, [], "{what}");
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged_and_leaves_a_prefix() {
    let clean = MemoryDisk::default();
    work(&clean, 14, false);
    let operations = clean.operations();
    assert!(operations > 40);
    for n in 1..=operations {
        let disk = MemoryDisk::default();
        disk.fail_at(n, 1, Fault::PowerCut);
        let acked = work(&disk, 14, false);
        let mut kept = vec![Kept::Nothing, Kept::All];
        kept.extend((1..16).map(|seed| Kept::Some(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed))));
        for kept in kept {
            let after = disk.after_power_cut(kept);
            check(&after, acked, &format!("operation {n}, kept {kept:?}"));
            // A second cut while it is being opened and gone on with.
            let acked = work(&after.after_power_cut(Kept::All), 1, false);
            for m in 1..8 {
                let again = after.after_power_cut(Kept::All);
                again.fail_at(m, 1, Fault::PowerCut);
                let more = work(&again, 1, false);
                let least = if more == 0 { acked.saturating_sub(2) } else { more };
                let third = again.after_power_cut(Kept::Some(n * 31 + m));
                check(&third, least, &format!("operation {n}, kept {kept:?}, then {m}"));
            }
        }
    }
}

#[test]
fn after_a_failed_write_or_sync_appending_goes_on_and_nothing_acknowledged_is_lost() {
    let clean = MemoryDisk::default();
    work(&clean, 14, false);
    // The first four make the journal.
    for n in 5..=clean.operations() {
        for (fault, times) in
            [(Fault::NoSpace, 1), (Fault::NoSpace, 6), (Fault::Io, 1), (Fault::Io, 6)]
        {
            let disk = MemoryDisk::default();
            disk.fail_at(n, times, fault);
            let acked = work(&disk, 24, true);
            assert!(acked >= 20, "comes back by itself: {n} {fault:?} {times}: {acked}");
            for kept in [Kept::Nothing, Kept::All, Kept::Some(n)] {
                let after = disk.after_power_cut(kept);
                check(&after, acked, &format!("{fault:?} {times} at {n}, kept {kept:?}"));
            }
        }
    }
}

#[test]
fn records_that_a_failed_sync_left_in_memory_only_are_on_disk_once_they_were_found() {
    let disk = MemoryDisk::default();
    let (mut journal, _) = open(&disk);
    append(&mut journal, &[b"first"]);
    let next = disk.operations() + 2;
    disk.fail_at(next, u64::MAX, Fault::Io);
    journal.prepare().unwrap();
    journal.stage(b"second").unwrap();
    journal.commit().unwrap_err();
    drop(journal);
    disk.heal();
    // The process starts again, the machine does not: the record is found in the system's memory.
    let (mut journal, report) = open(&disk);
    assert_eq!(report.last_seq, 2);
    append(&mut journal, &[b"third"]);
    let (journal, report) = open(&disk.after_power_cut(Kept::Nothing));
    assert_eq!(report.damage, []);
    assert_eq!(payloads(&journal), [&b"first"[..], b"second", b"third"]);
}

#[test]
fn a_segment_that_cannot_be_made_again_hides_nothing_of_those_before() {
    for m in 1..=10 {
        let disk = MemoryDisk::default();
        let (mut journal, _) = open(&disk);
        let large = vec![b'x'; usize::try_from(journal.reader().segment_bytes).unwrap()];
        append(&mut journal, &[&large]);
        // A segment without records, in which the first write fails.
        journal.prepare().unwrap();
        disk.fail_at(disk.operations() + 1, 1, Fault::Io);
        journal.stage(b"lost").unwrap();
        journal.commit().unwrap_err();
        disk.fail_at(disk.operations() + m, 1, Fault::Io);
        let prepared = journal.prepare().is_ok();
        let all: Vec<_> = journal.reader().records(None).collect();
        assert!(all.iter().all(Result::is_ok), "operation {m}, prepared: {prepared}: {all:?}");
        assert_eq!(all.len(), 1, "operation {m}");
        disk.heal();
        append(&mut journal, &[b"second"]);
        assert_eq!(payloads(&journal), [&large[..], b"second"]);
    }
}
