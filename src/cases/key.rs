//! Keys of the views: one letter for the kind, then parts that sort as they should.
//!
//! Texts are closed by a zero byte, which no XML text can hold; long ones stand as their hash;
//! numbers are big-endian.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::complaint::event::ItemId;
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;

/// `m`: receipt by sender and message id.
#[must_use]
pub fn message(sender: &HsaId, id: &Ii) -> Vec<u8> {
    let mut key = vec![b'm'];
    text(&mut key, sender.key());
    ii(&mut key, id);
    key
}

/// `c`: case by id; its pieces stand behind it.
#[must_use]
pub fn case(id: &Ii) -> Vec<u8> {
    let mut key = vec![b'c'];
    ii(&mut key, id);
    key
}

/// A piece of the row of a case, whose [`case`] is `prefix`.
#[must_use]
pub fn case_piece(prefix: &[u8], n: u16) -> Vec<u8> {
    [prefix, &n.to_be_bytes()].concat()
}

/// The [`case`] that stands at the end of another key, from `at` on.
#[must_use]
pub fn case_behind(key: &[u8], at: usize) -> Vec<u8> {
    [b"c", key.get(at..).unwrap_or_default()].concat()
}

/// `e`: journal position of a case's record, by its journal number; of its first where no row of the
/// case has it.
#[must_use]
pub fn event(id: &Ii, seq: u64) -> Vec<u8> {
    let mut key = events(id);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Prefix of all records of a case.
#[must_use]
pub fn events(id: &Ii) -> Vec<u8> {
    let mut key = vec![b'e'];
    ii(&mut key, id);
    key
}

/// `n`: case id by registration number, in the order in which they were given.
#[must_use]
pub fn number(number: &RegistrationNumber) -> Vec<u8> {
    let mut key = numbers();
    match number.ordinal() {
        Some(ordinal) => key.extend_from_slice(&ordinal.to_be_bytes()),
        // None of ours: behind all of them.
        None => {
            key.push(u8::MAX);
            text(&mut key, number.as_str());
        }
    }
    key
}

/// Prefix of all registration numbers.
#[must_use]
pub fn numbers() -> Vec<u8> {
    vec![b'n']
}

/// `u`: cases of a unit, the open ones first, oldest first.
#[must_use]
pub fn unit(receiver: &HsaId, closed: bool, at: Timestamp, id: &Ii) -> Vec<u8> {
    let mut key = unit_prefix(receiver, closed);
    time(&mut key, at);
    ii(&mut key, id);
    key
}

/// Prefix of a unit's open or closed cases.
#[must_use]
pub fn unit_prefix(receiver: &HsaId, closed: bool) -> Vec<u8> {
    let mut key = vec![b'u'];
    text(&mut key, receiver.key());
    key.push(u8::from(closed));
    key
}

/// `h`: cases that somebody at a unit has, the open ones first, oldest first.
#[must_use]
pub fn handler(receiver: &HsaId, handler: &HsaId, closed: bool, at: Timestamp, id: &Ii) -> Vec<u8> {
    let mut key = handler_prefix(receiver, handler, closed);
    time(&mut key, at);
    ii(&mut key, id);
    key
}

/// Prefix of the open or closed cases that somebody at a unit has.
#[must_use]
pub fn handler_prefix(receiver: &HsaId, handler: &HsaId, closed: bool) -> Vec<u8> {
    let mut key = vec![b'h'];
    text(&mut key, receiver.key());
    text(&mut key, handler.key());
    key.push(u8::from(closed));
    key
}

/// How a person's identity, blinded where the store is sealed, stands in keys.
#[must_use]
pub fn person_hash(identity: &str) -> [u8; 32] {
    Sha256::digest(identity.as_bytes()).into()
}

/// `p`: cases of a person, complainant or patient.
#[must_use]
pub fn person_hashed(identity: &[u8; 32], id: &Ii) -> Vec<u8> {
    let mut key = person_prefix(identity);
    ii(&mut key, id);
    key
}

/// Prefix of the cases of a person.
#[must_use]
pub fn person_prefix(identity: &[u8; 32]) -> Vec<u8> {
    let mut key = vec![b'p'];
    key.extend_from_slice(identity);
    key
}

/// `x`: keys of cases that were removed.
#[must_use]
pub fn removed(slot: u64) -> Vec<u8> {
    let mut key = removals();
    key.extend_from_slice(&slot.to_be_bytes());
    key
}

/// Prefix of the keys of cases that were removed.
#[must_use]
pub fn removals() -> Vec<u8> {
    vec![b'x']
}

/// `f`: a file that a record names.
#[must_use]
pub fn file(sha256: &str) -> Vec<u8> {
    let mut key = vec![b'f'];
    text(&mut key, sha256);
    key
}

/// `r`: a reading of a case, by its journal number.
#[must_use]
pub fn reading(id: &Ii, seq: u64) -> Vec<u8> {
    let mut key = readings(id);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Prefix of all readings of a case.
#[must_use]
pub fn readings(id: &Ii) -> Vec<u8> {
    let mut key = vec![b'r'];
    ii(&mut key, id);
    key
}

/// `v`: a reading of any case that a unit has, the newest first.
#[must_use]
pub fn unit_reading(receiver: &HsaId, seq: u64) -> Vec<u8> {
    let mut key = unit_readings(receiver);
    key.extend_from_slice(&(!seq).to_be_bytes());
    key
}

/// Prefix of all readings of a unit's cases.
#[must_use]
pub fn unit_readings(receiver: &HsaId) -> Vec<u8> {
    let mut key = vec![b'v'];
    text(&mut key, receiver.key());
    key
}

/// Prefix of all outgoing messages, in the order in which they were owed.
#[must_use]
pub fn items() -> Vec<u8> {
    vec![b'o']
}

/// `o`: outgoing message.
#[must_use]
pub fn item(id: ItemId) -> Vec<u8> {
    let mut key = items();
    item_id(&mut key, id);
    key
}

/// `l`: what is owed to one system about one case, in order.
#[must_use]
pub fn lane(to: &str, case: &Ii) -> Vec<u8> {
    let mut key = vec![b'l'];
    text(&mut key, to);
    ii(&mut key, case);
    key
}

/// Prefix of everything that is owed and not done with.
#[must_use]
pub fn lanes() -> Vec<u8> {
    vec![b'l']
}

/// Prefix of everything that is owed to one system and not done with.
#[must_use]
pub fn lanes_to(system: &str) -> Vec<u8> {
    let mut key = lanes();
    text(&mut key, system);
    key
}

/// A place in a lane.
#[must_use]
pub fn lane_item(to: &str, case: &Ii, id: ItemId) -> Vec<u8> {
    let mut key = lane(to, case);
    item_id(&mut key, id);
    key
}

/// `d`: what is due to one system, by time. A lease stands here with the time it runs out, marked
/// by [`LEASE`].
#[must_use]
pub fn due(to: &str, at: Timestamp, id: ItemId) -> Vec<u8> {
    let mut key = due_prefix(to);
    time(&mut key, at);
    item_id(&mut key, id);
    key
}

/// The value of a lease in the list of what is due; other values are empty.
pub const LEASE: &[u8] = b"l";

/// Prefix of what is due to one system.
#[must_use]
pub fn due_prefix(to: &str) -> Vec<u8> {
    let mut key = vec![b'd'];
    text(&mut key, to);
    key
}

/// `s`: what stands still and needs a person.
#[must_use]
pub fn stuck(id: ItemId) -> Vec<u8> {
    let mut key = vec![b's'];
    item_id(&mut key, id);
    key
}

/// `k`: counters of something, by state where it has states.
#[must_use]
pub fn count(of: &str, state: &str) -> Vec<u8> {
    let mut key = vec![b'k'];
    text(&mut key, of);
    key.extend_from_slice(state.as_bytes());
    key
}

/// Counted under [`count`]: the first key that no case has.
pub const KEYS_USED: &str = "keys used";

/// Counted under [`count`]: registration numbers that no case gets.
pub const NUMBERS_SKIPPED: &str = "numbers skipped";

/// `w`: systems that an operator has paused.
#[must_use]
pub fn pause(system: &str) -> Vec<u8> {
    let mut key = pauses();
    text(&mut key, system);
    key
}

/// Prefix of all pauses.
#[must_use]
pub fn pauses() -> Vec<u8> {
    vec![b'w']
}

/// `y`: systems that something was ever owed to, whether they are configured now or not.
#[must_use]
pub fn owed_to(system: &str) -> Vec<u8> {
    let mut key = vec![b'y'];
    text(&mut key, system);
    key
}

/// The time and item that a [`due`] key ends with.
#[must_use]
pub fn due_parts(key: &[u8]) -> Option<(Timestamp, ItemId)> {
    let tail = key.len().checked_sub(18).and_then(|at| key.get(at..))?;
    let millis = u64::from_be_bytes(tail.get(..8)?.try_into().ok()?) ^ (1 << 63);
    let at = Timestamp::from_millisecond(millis.cast_signed()).ok()?;
    Some((at, item_parts(tail)?))
}

/// The item that a key ends with.
#[must_use]
pub fn item_parts(key: &[u8]) -> Option<ItemId> {
    let tail = key.len().checked_sub(10).and_then(|at| key.get(at..))?;
    let seq = u64::from_be_bytes(tail.get(..8)?.try_into().ok()?);
    let n = u16::from_be_bytes(tail.get(8..)?.try_into().ok()?);
    Some(ItemId { seq, n })
}

/// A part longer than this stands as its hash: the views take keys of a kilobyte, and an identity
/// on the wire may be longer.
const PART_BYTES_MAX: usize = 100;

fn text(key: &mut Vec<u8>, part: &str) {
    if part.len() <= PART_BYTES_MAX {
        key.extend_from_slice(part.as_bytes());
    } else {
        // No XML text can begin with this byte, so no short part looks like a hash.
        key.push(1);
        key.extend_from_slice(&Sha256::digest(part.as_bytes()));
    }
    key.push(0);
}

fn ii(key: &mut Vec<u8>, id: &Ii) {
    text(key, &id.root);
    text(key, id.extension.as_deref().unwrap_or(""));
}

/// The sign bit is turned, so that times before 1970 sort first.
fn time(key: &mut Vec<u8>, at: Timestamp) {
    let millis = at.as_millisecond().cast_unsigned() ^ (1 << 63);
    key.extend_from_slice(&millis.to_be_bytes());
}

fn item_id(key: &mut Vec<u8>, id: ItemId) {
    key.extend_from_slice(&id.seq.to_be_bytes());
    key.extend_from_slice(&id.n.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_keys_sort_by_time_and_tell_what_they_hold() {
        let times: Vec<Timestamp> = [-5_000_i64, 0, 1, 1_790_000_000_000]
            .into_iter()
            .map(|millis| Timestamp::from_millisecond(millis).unwrap())
            .collect();
        let id = ItemId { seq: 7, n: 2 };
        let keys: Vec<Vec<u8>> = times.iter().map(|at| due("inkorg", *at, id)).collect();
        assert!(keys.is_sorted());
        for (key, at) in keys.iter().zip(times) {
            assert_eq!(due_parts(key), Some((at, id)));
        }
    }

    #[test]
    fn the_longest_ids_make_keys_that_the_views_take() {
        let long = "å".repeat(500);
        let id = |last: char| Ii { root: format!("{long}{last}"), extension: Some(long.clone()) };
        let sender = HsaId::parse(&"S".repeat(64)).unwrap();
        assert!(message(&sender, &id('a')).len() < 256);
        assert!(lane_item(&"s".repeat(64), &id('a'), ItemId { seq: 1, n: 1 }).len() < 256);
        assert!(count(&long, "unreachable").len() < 256);
        assert!(owed_to(&long).len() < 256);
        assert_ne!(case(&id('a')), case(&id('b')));
    }

    #[test]
    fn ids_that_differ_only_in_where_they_split_have_different_keys() {
        let one = Ii { root: "a".to_owned(), extension: Some("bc".to_owned()) };
        let other = Ii { root: "ab".to_owned(), extension: Some("c".to_owned()) };
        assert_ne!(case(&one), case(&other));
    }
}
