//! A file that is put together to be given out: no name, gone with its last reader, and sealed where
//! the store is, by a key that only this process ever has.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use super::Room;
use crate::store::keys::seal::SealedBlocks;

/// Such a file, and the room on the disk that is kept for it.
#[derive(Debug)]
pub struct Scratch {
    inner: Inner,
    _room: Room,
}

#[derive(Debug)]
enum Inner {
    Clear(File),
    Sealed(Box<SealedBlocks>),
}

impl Scratch {
    pub(super) fn clear(file: File, room: Room) -> Self {
        Self { inner: Inner::Clear(file), _room: room }
    }

    pub(super) fn sealed(blocks: SealedBlocks, room: Room) -> Self {
        Self { inner: Inner::Sealed(Box::new(blocks)), _room: room }
    }
}

impl Read for Scratch {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Clear(file) => file.read(out),
            Inner::Sealed(blocks) => blocks.read(out),
        }
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Clear(file) => file.write(bytes),
            Inner::Sealed(blocks) => blocks.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Clear(file) => file.flush(),
            Inner::Sealed(blocks) => blocks.flush(),
        }
    }
}

impl Seek for Scratch {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.inner {
            Inner::Clear(file) => file.seek(to),
            Inner::Sealed(blocks) => blocks.seek(to),
        }
    }
}
