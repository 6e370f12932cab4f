//! Attachments: files named by the hash of what lies on disk, and there before anything names them.
//!
//! Where the store is sealed, each file is sealed by a key of its own, which the record that names
//! it holds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::clock;
use crate::limits;
use crate::store::hex;
use crate::store::keys::seal::{FileOpener, FileSealer, SealedBlocks, plain_length};
use crate::store::keys::{KeyError, Keys, SealedFile};

mod scratch;

pub use scratch::Scratch;

/// How many of a file's first bytes are told: enough for every magic number that is looked for.
pub const FIRST_BYTES: usize = 16;

/// Bytes of a content that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

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
    /// It cannot be sealed or opened.
    #[error("the key of a file")]
    Key(#[from] KeyError),
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
    /// Where files are sealed: what knows their keys until a record does.
    keys: Option<Arc<Keys>>,
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
    /// The SHA-256 of its content in lower-case hexadecimal; its name, where it is not sealed.
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
        Ok(Self { shared, keys: None })
    }

    /// The same, sealing every file that is begun from now on; `None` seals nothing.
    #[must_use]
    pub fn sealing(self, keys: Option<Arc<Keys>>) -> Self {
        Self { keys, ..self }
    }

    /// A file without a name for `bytes` bytes that are put together to be given out. It goes with
    /// its last reader.
    pub fn scratch(&self, bytes: u64) -> Result<Scratch, BlobError> {
        let room = self.room(bytes)?;
        let file = tempfile::tempfile_in(&self.shared.tmp);
        let file = file.map_err(BlobError::disk("beginning a file"))?;
        Ok(match &self.keys {
            Some(_) => Scratch::sealed(SealedBlocks::new(file)?, room),
            None => Scratch::clear(file, room),
        })
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
        let sealing = match &self.keys {
            Some(keys) => Some(Sealing::new(Arc::clone(keys))?),
            None => None,
        };
        Ok(BlobWriter {
            folder: Arc::clone(&self.shared),
            _room: room,
            path: Some(path),
            file,
            sealing,
            hash: Sha256::new(),
            first: Vec::with_capacity(FIRST_BYTES),
            bytes: 0,
            limit,
            over: false,
        })
    }

    /// The content of a file that a record names, and its length in bytes; `sealed` as the record has
    /// it. What is sealed and damaged is an error where it is read.
    pub fn content(
        &self,
        sha256: &str,
        sealed: Option<&SealedFile>,
    ) -> Result<(Content, u64), BlobError> {
        let Some(sealed) = sealed else {
            return self.open(sha256).map(|(file, length)| (Content::Clear(file), length));
        };
        let (file, length) = self.open(&sealed.name)?;
        let opener = FileOpener::new(file, length, sealed)?;
        Ok((Content::Sealed(Box::new(opener)), plain_length(length)))
    }

    /// The length of a file with this content that no record need name; [`BlobError::Absent`] where
    /// there is none, or its key is not known any more.
    pub fn length_of_fresh(&self, sha256: &str) -> Result<u64, BlobError> {
        let Some(keys) = &self.keys else { return self.open(sha256).map(|(_, length)| length) };
        let absent = || BlobError::Absent { sha256: sha256.to_owned() };
        let sealed = keys.peek(sha256).ok_or_else(absent)?;
        self.open(&sealed.name).map(|(_, length)| plain_length(length))
    }

    /// Removes a file at once; one that is not there is removed already.
    pub fn remove(&self, name: &str) -> Result<(), BlobError> {
        let path = self.shared.path(name)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(BlobError::disk("removing a file")(error)),
        }
        let folder = path.parent().unwrap_or(&self.shared.dir);
        sync_dir(folder).map_err(BlobError::disk("syncing a folder"))
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

/// The content of a file.
#[derive(Debug)]
pub enum Content {
    /// As it lies on disk.
    Clear(File),
    /// Opened while it is read.
    Sealed(Box<FileOpener>),
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(file) => file.read(out),
            Self::Sealed(opener) => opener.read(out),
        }
    }
}

/// A content as the chunks of a body, read by threads that may wait for the disk.
pub fn chunks(
    content: impl Read + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(Some(content), |content| async move {
        let mut content = content?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(CHUNK_BYTES);
            let wanted = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
            let read = Read::by_ref(&mut content).take(wanted).read_to_end(&mut bytes);
            (read.map(|_| bytes), content)
        });
        match read.await {
            Ok((Ok(bytes), _)) if bytes.is_empty() => None,
            Ok((Ok(bytes), content)) => Some((Ok(Bytes::from(bytes)), Some(content))),
            Ok((Err(error), _)) => Some((Err(error), None)),
            Err(_) => Some((Err(io::Error::other("reading a file was given up")), None)),
        }
    })
}

/// What seals a file that is being written.
#[derive(Debug)]
struct Sealing {
    keys: Arc<Keys>,
    sealer: FileSealer,
    /// Of what lies on disk.
    hash: Sha256,
}

impl Sealing {
    fn new(keys: Arc<Keys>) -> Result<Self, KeyError> {
        Ok(Self { keys, sealer: FileSealer::new()?, hash: Sha256::new() })
    }

    fn write(&mut self, bytes: &[u8], mut file: &File) -> io::Result<()> {
        let Self { sealer, hash, .. } = self;
        sealer.push(bytes, &mut |sealed| {
            hash.update(sealed);
            file.write_all(sealed)
        })
    }

    /// Seals the rest; the name of the file.
    fn finish(&mut self, mut file: &File) -> io::Result<String> {
        let Self { sealer, hash, .. } = self;
        sealer.finish(&mut |sealed| {
            hash.update(sealed);
            file.write_all(sealed)
        })?;
        Ok(hex(&std::mem::take(hash).finalize()))
    }
}

/// A file on its way to disk. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    folder: Arc<Folder>,
    _room: Room,
    path: Option<PathBuf>,
    file: File,
    sealing: Option<Sealing>,
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
        let written = match &mut self.sealing {
            Some(sealing) => sealing.write(bytes, &self.file),
            None => self.file.write_all(bytes),
        };
        written.map_err(BlobError::disk("writing a file"))?;
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
    /// length agrees; what is sealed is never the same twice.
    pub fn finish(mut self) -> Result<Stored, BlobError> {
        if self.over {
            return Err(BlobError::TooLarge { limit: self.limit });
        }
        let sha256 = hex(&std::mem::take(&mut self.hash).finalize());
        let name = match &mut self.sealing {
            Some(sealing) => sealing.finish(&self.file),
            None => Ok(sha256.clone()),
        };
        let name = name.map_err(BlobError::disk("writing a file"))?;
        let to = self.folder.path(&name)?;
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
        if let Some(Sealing { keys, sealer, .. }) = self.sealing.take() {
            keys.remember(sealer.sealed(&stored.sha256, &name));
        }
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

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests;
