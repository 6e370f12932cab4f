//! The bytes of a file of keys: a head of 256, then slots of 64, each with a checksum.
//!
//! A head is `magic 8 | form 4 | store 16 | check 16 | blinding key, wrapped 60 | 0… | CRC32C 4`, a
//! slot `key, wrapped 60 | CRC32C 4`, all zero where the key is shredded. The CRC of a slot starts
//! from the store and the slot's number, so that no slot passes for another, nor a hole for a slot.

use std::path::Path;

use super::master::MasterKey;
use super::seal::{KEY_BYTES, TAG_BYTES, random};
use super::{KeyError, hex};

/// The two copies.
pub const NAMES: [&str; 2] = ["1.klk", "2.klk"];

pub(super) const VERSION: u32 = 1;
pub(super) const HEAD_BYTES: usize = 256;
pub(super) const SLOT_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"KLAGKEYS";
const CRC_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;

/// A key under the master key: nonce, sealed key, tag.
pub(super) const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
pub(super) type Wrapped = [u8; WRAPPED_BYTES];

const _: () = assert!(WRAPPED_BYTES + CRC_BYTES == SLOT_BYTES);

/// What stands first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Which store the keys are of: a slot of another one is none here.
    pub(super) store: [u8; 16],
    /// Of the master key, [`MasterKey::check`].
    pub(super) check: [u8; 16],
    pub(super) wrapped_blinding: Wrapped,
}

/// What is in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Key(Wrapped),
    Shredded,
}

/// The beginning of what tells a master key, for people.
pub(super) fn short(check: &[u8; 16]) -> String {
    hex(check.get(..4).unwrap_or_default())
}

impl Head {
    /// Of a new store.
    pub(super) fn new(master: &MasterKey) -> Result<Self, KeyError> {
        let mut store = [0; 16];
        store.iter_mut().zip(random()?).for_each(|(to, from)| *to = from);
        let head = Self { store, check: master.check(), wrapped_blinding: [0; WRAPPED_BYTES] };
        let wrapped = master.key()?.seal(&random()?, &head.bound_to())?;
        let wrapped_blinding = wrapped.try_into().map_err(|_| KeyError::Cipher)?;
        Ok(Self { wrapped_blinding, ..head })
    }

    /// The same under another master key.
    pub(super) fn under(
        &self,
        master: &MasterKey,
        rewrap: impl FnOnce(&[u8], &[u8]) -> Result<Option<Vec<u8>>, KeyError>,
    ) -> Result<Self, KeyError> {
        let wrapped = rewrap(&self.bound_to(), &self.wrapped_blinding)?.ok_or(KeyError::Cipher)?;
        let wrapped_blinding = wrapped.try_into().map_err(|_| KeyError::Cipher)?;
        Ok(Self { store: self.store, check: master.check(), wrapped_blinding })
    }

    /// What the blinding key is bound to.
    pub(super) fn bound_to(&self) -> Vec<u8> {
        [self.store.as_slice(), b"blinding"].concat()
    }

    /// What the key in a slot is bound to.
    pub(super) fn bound_to_slot(&self, slot: u64) -> Vec<u8> {
        [self.store.as_slice(), &slot.to_be_bytes()].concat()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.store);
        bytes.extend_from_slice(&self.check);
        bytes.extend_from_slice(&self.wrapped_blinding);
        bytes.resize(HEAD_BYTES - CRC_BYTES, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` where it is no whole head.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, KeyError> {
        let Some((rest, crc)) =
            bytes.get(..HEAD_BYTES).and_then(|it| it.split_last_chunk::<CRC_BYTES>())
        else {
            return Ok(None);
        };
        if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
            return Ok(None);
        }
        let mut rest = rest;
        let (Some(magic), Some(version)) = (take::<8>(&mut rest), take::<4>(&mut rest)) else {
            return Ok(None);
        };
        let found = u32::from_le_bytes(version);
        if magic != MAGIC {
            return Ok(None);
        }
        if found > VERSION {
            return Err(KeyError::Newer { found });
        }
        Ok((|| {
            let (store, check) = (take(&mut rest)?, take(&mut rest)?);
            Some(Self { store, check, wrapped_blinding: take(&mut rest)? })
        })())
    }

    fn crc_of_slot(&self, slot: u64, body: &[u8]) -> u32 {
        let seed = crc32c::crc32c_append(crc32c::crc32c(&self.store), &slot.to_le_bytes());
        crc32c::crc32c_append(seed, body)
    }

    pub(super) fn slot_to_bytes(&self, slot: u64, what: &Slot) -> [u8; SLOT_BYTES] {
        let body = match what {
            Slot::Key(wrapped) => *wrapped,
            Slot::Shredded => [0; WRAPPED_BYTES],
        };
        let crc = self.crc_of_slot(slot, &body);
        let mut bytes = [0; SLOT_BYTES];
        let parts = body.into_iter().chain(crc.to_le_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    /// `None` where it is no whole slot of this number.
    pub(super) fn read_slot(&self, slot: u64, bytes: &[u8; SLOT_BYTES]) -> Option<Slot> {
        let (body, crc) = bytes.split_first_chunk::<WRAPPED_BYTES>()?;
        if self.crc_of_slot(slot, body) != u32::from_le_bytes(crc.try_into().ok()?) {
            return None;
        }
        Some(if body.iter().all(|b| *b == 0) { Slot::Shredded } else { Slot::Key(*body) })
    }
}

/// Where a slot begins.
pub(super) fn place(slot: u64) -> u64 {
    let (head, bytes) = (HEAD_BYTES as u64, SLOT_BYTES as u64);
    head.saturating_add(slot.saturating_mul(bytes))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

/// What a look at the keys of a store or a backup found, without the master key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Keys that are there.
    pub keys: u64,
    /// Keys that have been shredded.
    pub shredded: u64,
    /// What is not as it was written, each in words.
    pub damage: Vec<String>,
}

/// Looks at every byte of the keys in `dir`. `None` where there are none: the store is not sealed.
///
/// # Errors
/// When the disk says no, or a later version wrote them.
pub fn check(dir: &Path) -> Result<Option<Checked>, KeyError> {
    let mut found = Checked::default();
    let mut copies = Vec::new();
    for name in NAMES {
        let path = dir.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => copies.push((name, Some(bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => copies.push((name, None)),
            Err(error) => return Err(KeyError::disk("reading", &path)(error)),
        }
    }
    if copies.iter().all(|(_, bytes)| bytes.is_none()) {
        return Ok(None);
    }
    let mut seen = Vec::new();
    for (name, bytes) in copies {
        let Some(bytes) = bytes else {
            found
                .damage
                .push(format!("keys/{name} is missing; the next start makes it of the other"));
            continue;
        };
        match Head::read(&bytes)? {
            Some(head) => {
                let slots = slots(&head, &bytes);
                let broken = slots.iter().filter(|it| it.is_none()).count();
                if broken > 0 {
                    found.damage.push(format!("keys/{name}: {broken} damaged keys"));
                }
                seen.push(slots);
            }
            None => found.damage.push(format!("keys/{name}: its head is damaged")),
        }
    }
    count(&seen, &mut found);
    Ok(Some(found))
}

fn count(seen: &[Vec<Option<Slot>>], found: &mut Checked) {
    let longest = seen.iter().map(Vec::len).max().unwrap_or(0);
    let mut lost = 0;
    for at in 0..longest {
        let here: Vec<&Slot> = seen.iter().filter_map(|slots| slots.get(at)?.as_ref()).collect();
        match here.as_slice() {
            [] => lost += 1,
            some if some.contains(&&Slot::Shredded) => found.shredded += 1,
            _ => found.keys += 1,
        }
    }
    if lost > 0 {
        let what = format!("{lost} keys are damaged in every copy: what they sealed is lost");
        found.damage.push(what);
    }
}

fn slots(head: &Head, bytes: &[u8]) -> Vec<Option<Slot>> {
    let rest = bytes.get(HEAD_BYTES..).unwrap_or_default();
    let (whole, _) = rest.as_chunks::<SLOT_BYTES>();
    (0..).zip(whole).map(|(at, slot)| head.read_slot(at, slot)).collect()
}
