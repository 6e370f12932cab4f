//! Sealing: AES-256-GCM over a record, and over a file in chunks while it streams.
//!
//! A file has a key of its own that seals nothing else, so the nonce of a chunk is its number, with
//! a mark on the last: chunks can be neither left out, moved nor cut off unnoticed.

use std::fs::File;
use std::io::{self, Read};

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, RandomizedNonceKey, UnboundKey,
};

use super::{KeyError, SealedFile, hex, of_hex};

mod blocks;

pub use blocks::SealedBlocks;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// Bytes that AES-GCM adds.
pub(super) const TAG_BYTES: usize = 16;

/// Bytes of a file that are sealed at a time; what a reader holds in memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// A key for records and other keys: each sealing has a random nonce, which stands before it.
pub(super) struct Key(RandomizedNonceKey);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Random bytes for a key.
pub(super) fn random() -> Result<[u8; KEY_BYTES], KeyError> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| KeyError::Cipher)?;
    Ok(key)
}

impl Key {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        RandomizedNonceKey::new(&AES_256_GCM, bytes).map(Self).map_err(|_| KeyError::Cipher)
    }

    /// Nonce, sealed text and tag.
    pub(super) fn seal(&self, plain: &[u8], bound: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut sealed = vec![0; NONCE_LEN];
        let mut body = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(bound), &mut body);
        let nonce = nonce.map_err(|_| KeyError::Cipher)?;
        sealed.copy_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// What was sealed; `None` where it was not by this key, not bound to this, or is not whole.
    pub(super) fn open(&self, sealed: &[u8], bound: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        let Some((nonce, body)) = sealed.split_first_chunk::<NONCE_LEN>() else { return Ok(None) };
        let mut body = body.to_vec();
        let opened = self.0.open_in_place(Nonce::from(nonce), Aad::from(bound), &mut body);
        let Ok(length) = opened.map(|plain| plain.len()) else { return Ok(None) };
        body.truncate(length);
        Ok(Some(body))
    }
}

/// Seals one file as it comes.
pub struct FileSealer {
    key: LessSafeKey,
    bytes: [u8; KEY_BYTES],
    chunk: Vec<u8>,
    next: u64,
}

impl std::fmt::Debug for FileSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSealer").field("next", &self.next).finish_non_exhaustive()
    }
}

impl FileSealer {
    /// Begins a file under a key of its own.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn new() -> Result<Self, KeyError> {
        let bytes = random()?;
        Ok(Self { key: file_key(&bytes)?, bytes, chunk: Vec::new(), next: 0 })
    }

    /// Takes the next bytes; hands what is sealed of them to `to`.
    ///
    /// # Errors
    /// When `to` cannot take it.
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            // Only with more to come is a full chunk known not to be the last.
            if self.chunk.len() == CHUNK_BYTES {
                self.flush(false, to)?;
            }
            let room = CHUNK_BYTES - self.chunk.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Seals the rest.
    ///
    /// # Errors
    /// When `to` cannot take it.
    pub fn finish(&mut self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.flush(true, to)
    }

    fn flush(&mut self, last: bool, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let sealed = self.key.seal_in_place_append_tag(
            nonce(self.next, last),
            Aad::empty(),
            &mut self.chunk,
        );
        sealed.map_err(|_| io::Error::other("the cipher refused"))?;
        to(&self.chunk)?;
        self.chunk.clear();
        self.next += 1;
        Ok(())
    }

    /// Where the file lies, for the record that names it.
    #[must_use]
    pub fn sealed(&self, sha256: &str, name: &str) -> SealedFile {
        SealedFile { sha256: sha256.to_owned(), name: name.to_owned(), key: hex(&self.bytes) }
    }
}

/// Bytes on disk of a file of `bytes` bytes.
#[must_use]
pub const fn sealed_length(bytes: u64) -> u64 {
    let chunks = bytes.div_ceil(CHUNK_BYTES as u64);
    let chunks = if chunks == 0 { 1 } else { chunks };
    bytes.saturating_add(chunks.saturating_mul(TAG_BYTES as u64))
}

/// Bytes of a file of which `sealed` bytes are on disk.
#[must_use]
pub const fn plain_length(sealed: u64) -> u64 {
    let chunks = sealed.div_ceil((CHUNK_BYTES + TAG_BYTES) as u64);
    sealed.saturating_sub(chunks.saturating_mul(TAG_BYTES as u64))
}

/// Reads a sealed file. What is not as it was sealed is an error of kind `InvalidData`, and nothing
/// of the chunk that it is in is given out.
pub struct FileOpener {
    file: File,
    key: LessSafeKey,
    plain: Vec<u8>,
    at: usize,
    next: u64,
    /// Sealed bytes still to be read.
    left: u64,
    ended: bool,
}

impl std::fmt::Debug for FileOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileOpener").field("next", &self.next).finish_non_exhaustive()
    }
}

impl FileOpener {
    /// Opens `file`, of which `length` bytes are on disk.
    ///
    /// # Errors
    /// When the key is none.
    pub fn new(file: File, length: u64, sealed: &SealedFile) -> Result<Self, KeyError> {
        let key = of_hex(&sealed.key).ok_or(KeyError::Cipher)?;
        let key = file_key(&key)?;
        Ok(Self { file, key, plain: Vec::new(), at: 0, next: 0, left: length, ended: false })
    }

    fn refill(&mut self) -> io::Result<()> {
        let whole = u64::try_from(CHUNK_BYTES + TAG_BYTES).unwrap_or(u64::MAX);
        let take = whole.min(self.left);
        self.plain.clear();
        self.at = 0;
        Read::by_ref(&mut self.file).take(take).read_to_end(&mut self.plain)?;
        self.left -= take;
        self.ended = self.left == 0;
        let opened =
            self.key.open_in_place(nonce(self.next, self.ended), Aad::empty(), &mut self.plain);
        let Ok(length) = opened.map(|plain| plain.len()) else {
            self.plain.clear();
            let what = "the sealed file is damaged: restore it from a copy";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        };
        self.plain.truncate(length);
        self.next += 1;
        Ok(())
    }
}

impl Read for FileOpener {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let ready = self.plain.get(self.at..).unwrap_or_default();
        let count = ready.len().min(out.len());
        out.iter_mut().zip(ready).for_each(|(to, from)| *to = *from);
        self.at += count;
        Ok(count)
    }
}

fn file_key(bytes: &[u8]) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, bytes).map(LessSafeKey::new).map_err(|_| KeyError::Cipher)
}

fn nonce(number: u64, last: bool) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let parts = number.to_be_bytes().into_iter().chain([u8::from(last)]);
    bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}
