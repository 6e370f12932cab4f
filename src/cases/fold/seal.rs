//! Sealing what is appended, opening what is folded, and what is left of a case that was removed.

use jiff::Timestamp;

use crate::complaint::event::ItemId;
use crate::store::engine::{FoldError, ViewWriter};
use crate::store::keys::{KeyError, Keys};
use crate::store::views::{Entry, Scan};

use super::super::key;
use super::super::record::{Item, Receipt, Record, RecordError, Removed};
use super::super::remove::Remains;
use super::super::sealed::{self, Head, Sealed};
use super::{AtHand, add, counter, read, read_case, row, unindex, unlist, write};

/// What is to be appended for `record`.
pub(super) fn seal(
    keys: &Keys,
    mut record: Record,
    views: &ViewWriter<'_>,
) -> Result<AtHand, FoldError> {
    let key = match row::key_of(views, &record.case)? {
        Some(key) => key,
        None => keys.make(next_key(views)?).map_err(|error| of_record(RecordError::Key(error)))?,
    };
    name_files(keys, &mut record).map_err(of_record)?;
    let mut head = Head::of(&record, key);
    if let Some(came) = &mut head.came {
        came.digest = keys.blind(&came.digest);
        if head.number.is_none() {
            head.number = read_case(views, &record.case)?.map(|case| case.number);
        }
    }
    let sealed = sealed::seal(keys, &head, &record).map_err(of_record)?;
    let written = sealed.ok_or_else(|| of_record(RecordError::Removed))?;
    Ok(AtHand { written, head: Some(head), record })
}

/// Each file that is on disk and sealed becomes this record's own. One whose key is not known any
/// more refuses the record: it would name a file that nobody can open.
fn name_files(keys: &Keys, record: &mut Record) -> Result<(), RecordError> {
    let contents = record.contents().into_iter();
    let wanted: Vec<String> = contents.map(|(sha256, _)| sha256.to_owned()).collect();
    let named = wanted.iter().map(|sha256| keys.take(sha256).ok_or(RecordError::FileForgotten));
    record.sealed_files = named.collect::<Result<_, _>>()?;
    Ok(())
}

fn next_key(views: &ViewWriter<'_>) -> Result<u64, FoldError> {
    let found = views.get(&key::count(key::KEYS_USED, ""))?;
    Ok(found.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
}

/// Notes which key a case has, and that no other gets it.
fn note_key(head: &Head, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    if next_key(views)? <= head.key {
        let next = head.key.saturating_add(1).to_be_bytes();
        views.put(&key::count(key::KEYS_USED, ""), next)?;
    }
    Ok(())
}

/// Brings a sealed record to the fold: `None` where there is nothing more of it to fold.
pub(super) fn open(
    keys: Option<&Keys>,
    seq: u64,
    record: &Sealed,
    views: &mut ViewWriter<'_>,
) -> Result<Option<Record>, FoldError> {
    match record.open(keys) {
        Ok(Some(plain)) => opened(&record.head, plain, views).map(Some),
        Ok(None) => {
            note_key(&record.head, views)?;
            remains(&record.head, views).map(|()| None)
        }
        // No damage: the next start may well read it.
        Err(error @ (RecordError::NoKeys | RecordError::Key(KeyError::Disk { .. }))) => {
            Err(of_record(error))
        }
        // Damage is of its place: the rest is served. The message may come again, with another number.
        Err(error) => {
            tracing::error!(seq, key = record.head.key, "left out of the views: {error}");
            note_key(&record.head, views)?;
            number_is_given(&record.head, views).map(|()| None)
        }
    }
}

/// A record as it is folded whose sealed form has `head`; its case and its key are noted.
pub(super) fn opened(
    head: &Head,
    mut record: Record,
    views: &mut ViewWriter<'_>,
) -> Result<Record, FoldError> {
    note_key(head, views)?;
    if !head.opens && row::key_of(views, &head.case)? != Some(head.key) {
        row::note_key(views, &head.case, head.key)?;
    }
    if let (Some(incoming), Some(came)) = (&mut record.incoming, &head.came) {
        incoming.digest.clone_from(&came.digest);
    }
    Ok(record)
}

/// What a record leaves whose key is shredded: its message is known again, its number is not given
/// again.
fn remains(head: &Head, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    if let (Some(came), Some(number)) = (&head.came, &head.number) {
        let receipt = Receipt {
            digest: came.digest.clone(),
            case: head.case.clone(),
            number: number.clone(),
            received: head.at,
        };
        write(views, key::message(&came.sender, &came.id), &receipt)?;
    }
    number_is_given(head, views)
}

/// No other case gets the number of the one that begins here.
fn number_is_given(head: &Head, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    if let (true, Some(number)) = (head.opens, &head.number) {
        write(views, key::number(number), &head.case)?;
        add(views, (key::NUMBERS_SKIPPED, ""), 1)?;
    }
    Ok(())
}

/// Takes a case out of every view. What was folded of it before is gone then, as [`remains`] would
/// have left it.
pub(super) fn remove(
    at: Timestamp,
    removed: &Removed,
    views: &mut ViewWriter<'_>,
) -> Result<(), FoldError> {
    for slot in &removed.keys {
        write(views, key::removed(*slot), &Remains::of(at, removed))?;
    }
    let Some(row) = row::read(views, &removed.case)? else { return Ok(()) };
    let case = &row.case;
    unlist(case, views)?;
    for (reading, _) in all(views, key::readings(&case.id))? {
        let seq = reading.split_last_chunk::<8>().map_or(0, |(_, seq)| u64::from_be_bytes(*seq));
        for unit in &removed.units {
            views.delete(&key::unit_reading(unit, seq))?;
        }
        views.delete(&reading)?;
    }
    forget_items(row.began.seq, views)?;
    for (event, _) in all(views, key::events(&case.id))? {
        let seq = event.split_last_chunk::<8>().map_or(0, |(_, seq)| u64::from_be_bytes(*seq));
        forget_items(seq, views)?;
        views.delete(&event)?;
    }
    for person in &row.people {
        views.delete(&key::person_hashed(person, &case.id))?;
    }
    for file in &removed.files {
        views.delete(&key::file(file))?;
    }
    row::delete(views, &case.id)?;
    add(views, ("cases", ""), -1)?;
    add(views, (key::NUMBERS_SKIPPED, ""), 1)
}

fn forget_items(seq: u64, views: &mut ViewWriter<'_>) -> Result<(), FoldError> {
    for n in 0..=u16::MAX {
        let id = ItemId { seq, n };
        let Some(item) = read::<Item>(views, &key::item(id))? else { break };
        unindex(&item, views)?;
        add(views, counter(&item), -1)?;
        views.delete(&key::lane_item(&item.to, &item.case, id))?;
        views.delete(&key::item(id))?;
    }
    Ok(())
}

/// Every entry under a prefix, however many there are.
fn all(views: &ViewWriter<'_>, prefix: Vec<u8>) -> Result<Vec<Entry>, FoldError> {
    let mut found = Vec::new();
    let mut scan = Scan::prefix(prefix.clone());
    loop {
        let page = views.scan(&scan)?;
        let Some((last, _)) = page.last().cloned() else { return Ok(found) };
        found.extend(page);
        scan = Scan::prefix(prefix.clone()).after(last);
    }
}

fn of_record(error: RecordError) -> FoldError {
    FoldError::Record(Box::new(error))
}
