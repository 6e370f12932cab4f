//! The keys that what is kept is sealed by: one for each case, each under the master key.
//!
//! `keys/1.klk` and `keys/2.klk` hold the same: a head, then a slot of 64 bytes for each key. A slot
//! is on disk in both before anything is sealed by its key; overwriting it in both is what makes a
//! case unreadable for ever. The master key itself is nowhere on this disk.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::store::hex;

mod copies;
mod file;
pub mod master;
pub mod seal;
#[cfg(test)]
mod tests;

use copies::Copies;
use file::{Head, Slot};
use master::MasterKey;
use seal::Key;

pub use file::{Checked, NAMES, check};

/// Why something cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk said no.
    #[error("{doing} {}", path.display())]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The master key cannot be had.
    #[error("the master key: {0}")]
    Master(String),
    /// The store was sealed under another master key.
    #[error(
        "the keys in {} are under master key {found}, and {given} was given; set \
         [store] master_key_file or master_key_command to the right one",
        dir.display()
    )]
    OtherMaster {
        /// The folder of the keys.
        dir: PathBuf,
        /// What the keys say of theirs.
        found: String,
        /// The same of the one given.
        given: String,
    },
    /// The store is sealed and no master key is set.
    #[error(
        "the store is sealed: {} is there, and no master key is set; set [store] master_key_file or \
         master_key_command",
        dir.display()
    )]
    NoMaster {
        /// The folder of the keys.
        dir: PathBuf,
    },
    /// Neither copy of the keys can be used.
    #[error("both copies of the keys in {} are damaged; restore one from a backup", dir.display())]
    Damaged {
        /// The folder of the keys.
        dir: PathBuf,
    },
    /// A later version of the program wrote the keys.
    #[error(
        "the keys have form {found}, this program reads up to {}; run the newer version",
        file::VERSION
    )]
    Newer {
        /// The form that they say they have.
        found: u32,
    },
    /// One key is damaged in both copies.
    #[error("key {slot} is damaged in both copies; restore the keys from a backup")]
    DamagedSlot {
        /// Which.
        slot: u64,
    },
    /// What was to be opened is not what was sealed by this key, or not whole.
    #[error("what is sealed by key {slot} is not as it was written")]
    NotAsSealed {
        /// Which.
        slot: u64,
    },
    /// The library refused; there is nothing to do about it here.
    #[error("the cipher refused")]
    Cipher,
}

impl KeyError {
    fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { doing, path, source }
    }
}

/// Where a sealed file lies and what opens it. Stands only inside what is sealed itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Of the file's content, in lower-case hexadecimal: what the rest of the record calls it.
    pub sha256: String,
    /// Of what lies on disk: its name there.
    pub name: String,
    /// In lower-case hexadecimal.
    pub key: String,
}

impl std::fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The keys of a store. All calls may wait for the disk.
#[derive(Debug)]
pub struct Keys {
    head: Head,
    master: Key,
    /// What identities and digests are made unrecognisable by. Stays the same for the store's life.
    blinding: hmac::Key,
    copies: Mutex<Copies>,
    fresh: Mutex<Fresh>,
}

/// Files on disk that no record names yet.
#[derive(Debug, Default)]
struct Fresh {
    by_content: BTreeMap<String, Vec<SealedFile>>,
    /// Oldest first; some may have been taken since.
    order: VecDeque<(String, String)>,
}

impl Keys {
    /// The keys in `dir` (`keys/` of a store), made where there are none. The caller holds the lock
    /// of the store.
    ///
    /// # Errors
    /// When they are under another master key, damaged in both copies, or the disk says no.
    pub fn open(dir: &Path, master: &MasterKey) -> Result<Self, KeyError> {
        let (copies, head) = Copies::open(dir, master)?;
        let under = master.key()?;
        let blinding = under.open(&head.wrapped_blinding, &head.bound_to())?;
        let blinding = blinding.ok_or_else(|| KeyError::Damaged { dir: dir.to_owned() })?;
        Ok(Self {
            head,
            master: under,
            blinding: hmac::Key::new(hmac::HMAC_SHA256, &blinding),
            copies: Mutex::new(copies),
            fresh: Mutex::default(),
        })
    }

    /// Whether the store that `dir` is the `keys/` of is sealed.
    #[must_use]
    pub fn are_in(dir: &Path) -> bool {
        NAMES.iter().any(|name| dir.join(name).exists())
    }

    /// The first eight characters of what tells the master key from others.
    #[must_use]
    pub fn master_check(&self) -> String {
        file::short(&self.head.check)
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands for `text` where it must not be read: the same for the same text, and to nobody
    /// without the master key a way back or a way to try. Lower-case hexadecimal.
    #[must_use]
    pub fn blind(&self, text: &str) -> String {
        hex(hmac::sign(&self.blinding, text.as_bytes()).as_ref())
    }

    /// Makes sure that slot `from`, or the first after it that can be used, holds a key that is on
    /// disk; gives its number. Nothing has been sealed by it.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn make(&self, from: u64) -> Result<u64, KeyError> {
        let mut copies = self.copies();
        let mut slot = from;
        loop {
            match copies.both(slot)? {
                Some(Slot::Key(_)) => return Ok(slot),
                Some(Slot::Shredded) => slot += 1,
                None => {
                    let fresh = (slot..slot + limits::KEYS_AHEAD)
                        .map(|at| Ok((at, self.new_slot(at)?)))
                        .collect::<Result<Vec<_>, KeyError>>()?;
                    copies.write(&fresh)?;
                }
            }
        }
    }

    fn new_slot(&self, slot: u64) -> Result<Slot, KeyError> {
        let wrapped = self.master.seal(&seal::random()?, &self.head.bound_to_slot(slot))?;
        Ok(Slot::Key(wrapped.try_into().map_err(|_| KeyError::Cipher)?))
    }

    /// The key in `slot`; `None` where it has been shredded.
    fn key(&self, slot: u64) -> Result<Option<Key>, KeyError> {
        let found = self.copies().one(slot)?;
        let wrapped = match found {
            Some(Slot::Key(wrapped)) => wrapped,
            Some(Slot::Shredded) => return Ok(None),
            None => return Err(KeyError::DamagedSlot { slot }),
        };
        let key = self.master.open(&wrapped, &self.head.bound_to_slot(slot))?;
        Key::new(&key.ok_or(KeyError::DamagedSlot { slot })?).map(Some)
    }

    /// Seals `body` by the key in `slot`, bound to `head`, which stays readable; `None` where the key
    /// has been shredded.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn seal(&self, slot: u64, head: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        self.key(slot)?.map(|key| key.seal(body, head)).transpose()
    }

    /// Opens what [`Keys::seal`] made; `None` where the key has been shredded.
    ///
    /// # Errors
    /// When the key is damaged, or head or body are not as they were sealed.
    pub fn open_sealed(
        &self,
        slot: u64,
        head: &[u8],
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, KeyError> {
        let Some(key) = self.key(slot)? else { return Ok(None) };
        key.open(sealed, head)?.ok_or(KeyError::NotAsSealed { slot }).map(Some)
    }

    /// Overwrites the keys in `slots`: what they sealed can be read by nobody any more. On disk when
    /// it returns; done twice it is done once.
    ///
    /// # Errors
    /// When the disk says no: then some may be there still, and it is to be called again.
    pub fn shred(&self, slots: &[u64]) -> Result<(), KeyError> {
        let mut copies = self.copies();
        let mut todo = Vec::new();
        for slot in slots {
            if !matches!(copies.both(*slot), Ok(Some(Slot::Shredded))) {
                todo.push((*slot, Slot::Shredded));
            }
        }
        if todo.is_empty() { Ok(()) } else { copies.write(&todo) }
    }

    /// Writes both copies of the keys to the folder `to`: what is in them now.
    ///
    /// # Errors
    /// When a disk says no.
    pub fn copy(&self, to: &Path) -> Result<(), KeyError> {
        let mut copies = self.copies();
        NAMES.iter().try_for_each(|name| copies.copy(&to.join(name)))
    }

    /// Keeps the key of a file that is on disk until a record takes it. The oldest is forgotten
    /// where there are [`limits::FRESH_FILES_MAX`]; its file goes with the sweep.
    pub fn remember(&self, file: SealedFile) {
        let mut fresh = self.fresh();
        while fresh.order.len() >= limits::FRESH_FILES_MAX {
            let Some((content, name)) = fresh.order.pop_front() else { break };
            fresh.forget(&content, &name);
        }
        fresh.order.push_back((file.sha256.clone(), file.name.clone()));
        fresh.by_content.entry(file.sha256.clone()).or_default().push(file);
    }

    /// Takes out a file with this content that no record names: no two records name one.
    pub fn take(&self, sha256: &str) -> Option<SealedFile> {
        let mut fresh = self.fresh();
        let taken = fresh.by_content.get_mut(sha256)?.pop()?;
        fresh.forget(sha256, &taken.name);
        Some(taken)
    }

    /// A file with this content that no record names, if there is one.
    #[must_use]
    pub fn peek(&self, sha256: &str) -> Option<SealedFile> {
        self.fresh().by_content.get(sha256)?.last().cloned()
    }
}

impl Fresh {
    fn forget(&mut self, content: &str, name: &str) {
        let Some(same) = self.by_content.get_mut(content) else { return };
        same.retain(|it| it.name != name);
        if same.is_empty() {
            self.by_content.remove(content);
        }
        // What was taken leaves its place in the order, which is cut when it is long.
        if self.order.len() > 2 * self.by_content.len() + 64 {
            let Self { by_content, order } = self;
            order.retain(|(content, name)| {
                by_content.get(content).is_some_and(|it| it.iter().any(|it| it.name == *name))
            });
        }
    }
}

/// Puts the keys in `dir` under another master key. The caller holds the lock of the store. Cut off,
/// it leaves one copy under each, and either key opens the store. Gives how many keys there are.
///
/// # Errors
/// When `old` is not theirs, one is damaged in both copies, or the disk says no.
pub fn rotate(dir: &Path, old: &MasterKey, new: &MasterKey) -> Result<u64, KeyError> {
    let keys = Keys::open(dir, old)?;
    let under = new.key()?;
    let head =
        keys.head.under(new, |bound, wrapped| rewrapped(&keys.master, &under, bound, wrapped))?;
    let mut copies = keys.copies();
    copies.rewrite(&head, &mut |slot, found| match found {
        Slot::Shredded => Ok(Slot::Shredded),
        Slot::Key(wrapped) => {
            let bound = keys.head.bound_to_slot(slot);
            let wrapped = rewrapped(&keys.master, &under, &bound, &wrapped)?;
            let wrapped = wrapped.ok_or(KeyError::DamagedSlot { slot })?;
            Ok(Slot::Key(wrapped.try_into().map_err(|_| KeyError::Cipher)?))
        }
    })
}

/// What is under `old`, under `new`; `None` where it is not under `old`.
fn rewrapped(
    old: &Key,
    new: &Key,
    bound: &[u8],
    wrapped: &[u8],
) -> Result<Option<Vec<u8>>, KeyError> {
    old.open(wrapped, bound)?.map(|key| new.seal(&key, bound)).transpose()
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let digits = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(digits).collect()
}
