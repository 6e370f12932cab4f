//! A case's row in the views: the case, and what only the store knows of it.
//!
//! One row rather than one for each: what a row costs the views is its key.

use crate::complaint::case::Case;
use crate::complaint::message::Ii;
use crate::store::engine::{FoldError, ViewWriter};
use crate::store::journal::Position;

use super::super::key;
use super::super::record::FormError;
use super::{form, to_json};

/// Bytes of one piece of a row; the views take values of at most 8 KiB.
const PIECE_BYTES: usize = 8_000;

/// Stands for no key.
const NO_KEY: u64 = u64::MAX;

/// The hash of who somebody is: [`key::person_hash`].
pub(super) type PersonHash = [u8; 32];

/// `key 8 | position 20 | people 1 | hash 32 each | case, JSON`, numbers big-endian.
#[derive(Debug)]
pub(in crate::cases) struct Row {
    pub case: Case,
    /// The key that its records are sealed by.
    pub key: Option<u64>,
    /// Its first record.
    pub began: Position,
    /// Complainant and patient.
    pub people: Vec<PersonHash>,
}

impl Row {
    /// The row under `prefix`, a [`key::case`], whose pieces `get` gives: the first that is not full
    /// is the last.
    pub(in crate::cases) fn get<E>(
        prefix: &[u8],
        mut get: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Result<Option<Self>, FormError>, E> {
        let Some(mut bytes) = get(&key::case_piece(prefix, 0))? else { return Ok(Ok(None)) };
        let mut pieces = 1;
        while bytes.len() == usize::from(pieces) * PIECE_BYTES
            && let Some(piece) = get(&key::case_piece(prefix, pieces))?
        {
            bytes.extend_from_slice(&piece);
            pieces += 1;
        }
        Ok(Self::read(&bytes).map(Some))
    }

    fn read(bytes: &[u8]) -> Result<Self, FormError> {
        let (head, case) = Head::read(bytes).ok_or(FormError::BROKEN_OFF)?;
        let people = head.people.as_chunks().0.to_vec();
        Ok(Self { case: serde_json::from_slice(case)?, key: head.key, began: head.began, people })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, FoldError> {
        let people = u8::try_from(self.people.len()).unwrap_or(u8::MAX);
        let mut bytes = self.key.unwrap_or(NO_KEY).to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.began.to_bytes());
        bytes.push(people);
        for hash in self.people.iter().take(usize::from(people)) {
            bytes.extend_from_slice(hash);
        }
        bytes.extend_from_slice(&to_json(&self.case)?);
        Ok(bytes)
    }
}

/// What stands before the case.
struct Head<'a> {
    key: Option<u64>,
    began: Position,
    people: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (key, rest) = bytes.split_first_chunk()?;
        let (began, rest) = rest.split_at_checked(Position::BYTES)?;
        let (people, rest) = rest.split_first()?;
        let (people, case) =
            rest.split_at_checked(size_of::<PersonHash>() * usize::from(*people))?;
        let key = Some(u64::from_be_bytes(*key)).filter(|key| *key != NO_KEY);
        Some((Self { key, began: Position::from_bytes(began)?, people }, case))
    }
}

/// The row of a case.
pub(super) fn read(views: &ViewWriter<'_>, id: &Ii) -> Result<Option<Row>, FoldError> {
    let read = Row::get(&key::case(id), |key| views.get(key))?;
    read.map_err(|error| FoldError::Record(error.into()))
}

/// The case of a row has no bound that fits one view's value: a row lies in pieces. `begins`: there is
/// none yet.
pub(super) fn write(views: &mut ViewWriter<'_>, row: &Row, begins: bool) -> Result<(), FoldError> {
    let (bytes, prefix) = (row.to_bytes()?, key::case(&row.case.id));
    let mut pieces = 0u16;
    for piece in bytes.chunks(PIECE_BYTES) {
        let key = key::case_piece(&prefix, pieces);
        if begins {
            views.put_new(&key, piece)?;
        } else {
            views.put(&key, piece)?;
        }
        pieces += 1;
    }
    if begins {
        return Ok(());
    }
    // A transfer to a shorter name can make it shorter.
    delete_from(views, &prefix, pieces)
}

/// Takes the row of a case away.
pub(super) fn delete(views: &mut ViewWriter<'_>, id: &Ii) -> Result<(), FoldError> {
    delete_from(views, &key::case(id), 0)
}

fn delete_from(views: &mut ViewWriter<'_>, prefix: &[u8], mut piece: u16) -> Result<(), FoldError> {
    while views.get(&key::case_piece(prefix, piece))?.is_some() {
        views.delete(&key::case_piece(prefix, piece))?;
        piece += 1;
    }
    Ok(())
}

/// The key that the records of a case are sealed by, where it has one.
pub(super) fn key_of(views: &ViewWriter<'_>, id: &Ii) -> Result<Option<u64>, FoldError> {
    let Some(first) = views.get(&key::case_piece(&key::case(id), 0))? else { return Ok(None) };
    let (head, _) = Head::read(&first).ok_or_else(|| form(FormError::BROKEN_OFF))?;
    Ok(head.key)
}

/// Notes the key of a case that began before the store had keys.
pub(super) fn note_key(views: &mut ViewWriter<'_>, id: &Ii, slot: u64) -> Result<(), FoldError> {
    let place = key::case_piece(&key::case(id), 0);
    let Some(mut first) = views.get(&place)? else { return Ok(()) };
    if let Some(key) = first.first_chunk_mut() {
        *key = slot.to_be_bytes();
    }
    Ok(views.put(&place, first)?)
}
