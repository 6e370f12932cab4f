//! A file that is written and read at any place, sealed in blocks by a key that is never written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::{Key, NONCE_LEN, TAG_BYTES, random};
use crate::store::keys::KeyError;

/// Bytes that are sealed together, and held in memory.
const BLOCK_BYTES: usize = 64 * 1024;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// What sealing adds to a block.
const MORE: u64 = (NONCE_LEN + TAG_BYTES) as u64;

/// The file.
#[derive(Debug)]
pub struct SealedBlocks {
    file: File,
    key: Key,
    /// The block in memory, and its number.
    block: Vec<u8>,
    number: u64,
    changed: bool,
    at: u64,
    length: u64,
}

impl SealedBlocks {
    /// Over an empty file.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn new(file: File) -> Result<Self, KeyError> {
        let key = Key::new(&random()?)?;
        let block = Vec::new();
        Ok(Self { file, key, block, number: 0, changed: false, at: 0, length: 0 })
    }

    /// Brings the block into memory in which `at` is.
    fn turn_to(&mut self, at: u64) -> io::Result<()> {
        let number = at / BLOCK;
        if number == self.number {
            return Ok(());
        }
        self.flush()?;
        self.block.clear();
        self.number = number;
        let begins = number * BLOCK;
        if begins < self.length {
            let bytes = (self.length - begins).min(BLOCK) + MORE;
            let mut sealed = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut sealed, number * (BLOCK + MORE))?;
            let opened = self.key.open(&sealed, &number.to_be_bytes()).map_err(io::Error::other)?;
            self.block = opened.ok_or(io::ErrorKind::InvalidData)?;
        }
        Ok(())
    }

    fn within(&self) -> io::Result<usize> {
        usize::try_from(self.at % BLOCK).map_err(io::Error::other)
    }
}

impl Read for SealedBlocks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.turn_to(self.at)?;
        let ready = self.block.get(self.within()?..).unwrap_or_default();
        let count = ready.len().min(out.len());
        out.iter_mut().zip(ready).for_each(|(to, from)| *to = *from);
        self.at += u64::try_from(count).map_err(io::Error::other)?;
        Ok(count)
    }
}

impl Write for SealedBlocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.at > self.length {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.turn_to(self.at)?;
        let within = self.within()?;
        let (now, _) = bytes.split_at((BLOCK_BYTES - within).min(bytes.len()));
        let end = within + now.len();
        if self.block.len() < end {
            self.block.resize(end, 0);
        }
        let place = self.block.get_mut(within..end).unwrap_or_default();
        place.copy_from_slice(now);
        self.changed = true;
        self.at += u64::try_from(now.len()).map_err(io::Error::other)?;
        self.length = self.length.max(self.at);
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.changed) {
            let bound = self.number.to_be_bytes();
            let sealed = self.key.seal(&self.block, &bound).map_err(io::Error::other)?;
            self.file.write_all_at(&sealed, self.number * (BLOCK + MORE))?;
        }
        Ok(())
    }
}

impl Seek for SealedBlocks {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
