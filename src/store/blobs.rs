//! Attachments: files named by the hash of what is in them, on disk before anything names them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock;
use crate::limits;

/// How many of a file's first bytes are told: enough for every magic number that is looked for.
pub const FIRST_BYTES: usize = 16;

/// Why a file cannot be kept or given.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The disk said no.
    #[error("{doing} among the attachments")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the disk said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than its bound; nothing of it is kept.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// Too little space is left on the disk.
    #[error(
        "{free} bytes are free on the disk of the attachments, {} are needed",
        limits::STORE_FREE_BYTES_MIN
    )]
    NoSpace {
        /// Bytes that are free.
        free: u64,
    },
    /// Not the name of a file here.
    #[error("a name of a file is 64 hexadecimal digits in lower case")]
    Name,
    /// No such file.
    #[error("there is no file {sha256}")]
    Absent {
        /// Its name.
        sha256: String,
    },
    /// What lies there is not what its name says.
    #[error("file {sha256} is damaged: restore it from a copy")]
    Damaged {
        /// Its name.
        sha256: String,
    },
}

impl BlobError {
    fn disk(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, source }
    }
}

/// The folder of files. All calls wait for the disk: make them from a blocking thread.
#[derive(Debug, Clone)]
pub struct Blobs {
    shared: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    dir: PathBuf,
    tmp: PathBuf,
    free_bytes_min: u64,
    /// Bytes being written now, in all writers.
    writing: AtomicU64,
    /// Held while a file is found and made young, or found old and removed.
    choosing: Mutex<()>,
}

/// A file that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name: the SHA-256 of its content in lower-case hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Its first [`FIRST_BYTES`] bytes, or all of them.
    pub first: Vec<u8>,
}

impl Blobs {
    /// Opens `dir` (`attachments/`), making it where it is missing, and removes what was being
    /// written when the last process ended. The caller holds the lock of the store.
    pub fn new(dir: &Path) -> Result<Self, BlobError> {
        Self::keeping_free(dir, limits::STORE_FREE_BYTES_MIN)
    }

    /// As [`Blobs::new`], with another bound for the free space under which no file is begun.
    ///
    /// # Errors
    /// As [`Blobs::new`].
    pub fn keeping_free(dir: &Path, free_bytes_min: u64) -> Result<Self, BlobError> {
        let tmp = dir.join("tmp");
        fs::create_dir_all(&tmp).map_err(BlobError::disk("making the folders"))?;
        for entry in fs::read_dir(&tmp).map_err(BlobError::disk("listing tmp/"))? {
            entry
                .and_then(|entry| fs::remove_file(entry.path()))
                .map_err(BlobError::disk("removing an unfinished file"))?;
        }
        sync_dir(dir).map_err(BlobError::disk("syncing the folder"))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(BlobError::disk("syncing the folder above"))?;
        }
        let shared = Arc::new(Folder {
            dir: dir.to_owned(),
            tmp,
            free_bytes_min,
            writing: AtomicU64::new(0),
            choosing: Mutex::new(()),
        });
        Ok(Self { shared })
    }

    /// A file without a name for `bytes` bytes that are put together to be given out. It goes with
    /// its last reader.
    pub fn scratch(&self, bytes: u64) -> Result<Scratch, BlobError> {
        let room = self.room(bytes)?;
        let file = tempfile::tempfile_in(&self.shared.tmp);
        Ok(Scratch { file: file.map_err(BlobError::disk("beginning a file"))?, _room: room })
    }

    /// Keeps room for `bytes` bytes, where they leave enough free.
    fn room(&self, bytes: u64) -> Result<Room, BlobError> {
        let space = rustix::fs::statvfs(&self.shared.tmp).map_err(|error| BlobError::Disk {
            doing: "asking for free space",
            source: error.into(),
        })?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let promised = self.shared.writing.load(Ordering::Relaxed).saturating_add(bytes);
        if free < self.shared.free_bytes_min.saturating_add(promised) {
            return Err(BlobError::NoSpace { free });
        }
        self.shared.writing.fetch_add(bytes, Ordering::Relaxed);
        Ok(Room { folder: Arc::clone(&self.shared), bytes })
    }

    /// Begins a file of at most `limit` bytes.
    pub fn begin(&self, limit: u64) -> Result<BlobWriter, BlobError> {
        let room = self.room(limit)?;
        let path = self.shared.tmp.join(Uuid::new_v4().simple().to_string());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(BlobError::disk("beginning a file"))?;
        Ok(BlobWriter {
            folder: Arc::clone(&self.shared),
            _room: room,
            path: Some(path),
            file,
            hash: Sha256::new(),
            first: Vec::with_capacity(FIRST_BYTES),
            bytes: 0,
            limit,
            over: false,
        })
    }

    /// The file named `sha256` for reading, and its length in bytes.
    pub fn open(&self, sha256: &str) -> Result<(File, u64), BlobError> {
        let file = match File::open(self.shared.path(sha256)?) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Absent { sha256: sha256.to_owned() });
            }
            Err(error) => return Err(BlobError::disk("opening a file")(error)),
        };
        let length = file.metadata().map_err(BlobError::disk("reading a file's length"))?.len();
        Ok((file, length))
    }

    /// Reads the file named `sha256` to its end and checks that it is what its name says.
    pub fn verify(&self, sha256: &str) -> Result<u64, BlobError> {
        let (mut file, _) = self.open(sha256)?;
        let mut hash = HashWriter { hash: Sha256::new() };
        let bytes = io::copy(&mut file, &mut hash).map_err(BlobError::disk("reading a file"))?;
        if hex(&hash.hash.finalize()) == sha256 {
            Ok(bytes)
        } else {
            Err(BlobError::Damaged { sha256: sha256.to_owned() })
        }
    }

    /// Removes files that nothing names and that are older than `older_than`, which must be longer
    /// than any message takes from its attachments to its record. Gives how many.
    pub fn sweep(
        &self,
        is_referenced: impl Fn(&str) -> bool,
        older_than: Duration,
        now: Timestamp,
    ) -> Result<u64, BlobError> {
        let mut removed = 0;
        let listing = BlobError::disk;
        for folder in fs::read_dir(&self.shared.dir).map_err(listing("listing"))? {
            let folder = folder.map_err(listing("listing"))?.path();
            if folder == self.shared.tmp || !folder.is_dir() {
                continue;
            }
            let before = removed;
            for entry in fs::read_dir(&folder).map_err(listing("listing"))? {
                let entry = entry.map_err(listing("listing"))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let _choosing = self.shared.choose();
                let written = entry
                    .metadata()
                    .and_then(|found| found.modified())
                    .map_err(BlobError::disk("reading a file's age"))?;
                let old = Timestamp::try_from(written)
                    .is_ok_and(|written| clock::after(written, older_than) <= now);
                if old && is_name(&name) && !is_referenced(&name) {
                    fs::remove_file(entry.path()).map_err(BlobError::disk("removing a file"))?;
                    removed += 1;
                }
            }
            if removed > before {
                sync_dir(&folder).map_err(BlobError::disk("syncing a folder"))?;
            }
        }
        Ok(removed)
    }
}

impl Folder {
    fn choose(&self) -> MutexGuard<'_, ()> {
        self.choosing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a file lies: only a hash becomes part of a path.
    fn path(&self, sha256: &str) -> Result<PathBuf, BlobError> {
        let start = sha256.get(..2).filter(|_| is_name(sha256)).ok_or(BlobError::Name)?;
        Ok(self.dir.join(start).join(sha256))
    }
}

/// Bytes of the disk that are spoken for; given back when it is dropped.
#[derive(Debug)]
struct Room {
    folder: Arc<Folder>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.folder.writing.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A file without a name, and the room that is kept for it while it is written.
#[derive(Debug)]
pub struct Scratch {
    /// To write to; whoever takes it out gives the room back, which the file itself takes by then.
    pub file: File,
    _room: Room,
}

/// A file on its way to disk. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    folder: Arc<Folder>,
    _room: Room,
    path: Option<PathBuf>,
    file: File,
    hash: Sha256,
    first: Vec<u8>,
    bytes: u64,
    limit: u64,
    over: bool,
}

impl BlobWriter {
    /// Takes the next bytes. Beyond the bound nothing more is written and [`Self::finish`] says so.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let total = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.over || total > self.limit {
            self.over = true;
            return Ok(());
        }
        self.file.write_all(bytes).map_err(BlobError::disk("writing a file"))?;
        self.hash.update(bytes);
        let wanted = FIRST_BYTES.saturating_sub(self.first.len());
        self.first.extend(bytes.iter().take(wanted));
        self.bytes = total;
        Ok(())
    }

    /// Whether more than the bound has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Its first [`FIRST_BYTES`] bytes, or all that came so far.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts the file on disk under its name. A file that is there already is taken for it, once its
    /// length agrees.
    pub fn finish(mut self) -> Result<Stored, BlobError> {
        if self.over {
            return Err(BlobError::TooLarge { limit: self.limit });
        }
        let sha256 = hex(&std::mem::take(&mut self.hash).finalize());
        let to = self.folder.path(&sha256)?;
        let stored = Stored { sha256, bytes: self.bytes, first: std::mem::take(&mut self.first) };
        let folder = to.parent().unwrap_or(&self.folder.dir).to_owned();
        let choosing = self.folder.choose();
        let existing = fs::metadata(&to).is_ok_and(|found| found.len() == stored.bytes);
        if existing {
            self.renew(&to)?;
            drop(choosing);
            // The one who wrote it may not have synced the folder yet.
            sync_dir(&folder).map_err(BlobError::disk("syncing a folder"))?;
            return Ok(stored);
        }
        drop(choosing);
        self.file.sync_all().map_err(BlobError::disk("syncing a file"))?;
        if !folder.is_dir() {
            fs::create_dir_all(&folder).map_err(BlobError::disk("making a folder"))?;
        }
        sync_dir(&self.folder.dir).map_err(BlobError::disk("syncing the folder"))?;
        if let Some(from) = &self.path {
            fs::rename(from, &to).map_err(BlobError::disk("naming a file"))?;
        }
        self.path = None;
        sync_dir(&folder).map_err(BlobError::disk("syncing a folder"))?;
        Ok(stored)
    }

    /// Makes a file that is used again young again, so that no sweep takes it before it is named.
    fn renew(&self, existing: &Path) -> Result<(), BlobError> {
        let written = self.file.metadata().and_then(|found| found.modified());
        let file = OpenOptions::new().append(true).open(existing);
        let renewed = file.and_then(|file| file.set_modified(written?).and(file.sync_all()));
        renewed.map_err(BlobError::disk("using a file again"))
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Some(path) = self.path.take()
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(error = %error, "an unfinished attachment stays until the next start");
        }
    }
}

struct HashWriter {
    hash: Sha256,
}

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
