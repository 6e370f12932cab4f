//! Files and folders of a copy: new, private, whole on disk, and never over anything.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BackupError;
use crate::limits;

const PIECE: usize = 256 * 1024;

/// What was read or written: its length and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// A writer that hashes what goes through it.
pub(super) struct Hashing<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, hash: Sha256::new(), bytes: 0 }
    }

    pub(super) fn finish(self) -> (W, Print) {
        (self.to, Print { bytes: self.bytes, sha256: hex(&self.hash.finalize()) })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.to.write(bytes)?;
        self.hash.update(bytes.get(..taken).unwrap_or_default());
        self.bytes += u64::try_from(taken).unwrap_or(0);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// The hash of what is in a file.
pub(super) fn print(path: &Path) -> io::Result<Print> {
    let mut to = Hashing::new(io::sink());
    pour(&mut File::open(path)?, &mut to, &|| false)?;
    Ok(to.finish().1)
}

fn pour(from: &mut dyn Read, to: &mut dyn Write, stop: &dyn Fn() -> bool) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        if stop() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(piece.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A new file that only its owner reads.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Copies a file to a new one, on disk when this returns.
pub(super) fn copy(from: &Path, to: &Path, stop: &dyn Fn() -> bool) -> Result<Print, BackupError> {
    let mut source = File::open(from).map_err(BackupError::disk("opening", from))?;
    let length = source.metadata().map_err(BackupError::disk("looking at", from))?.len();
    room(to, length)?;
    let file = create(to).map_err(BackupError::disk("making", to))?;
    let mut to_file = Hashing::new(file);
    pour(&mut source, &mut to_file, stop).map_err(|error| match stop() {
        true => BackupError::Stopped,
        false => BackupError::disk("copying to", to)(error),
    })?;
    let (file, print) = to_file.finish();
    file.sync_all().map_err(BackupError::disk("syncing", to))?;
    Ok(print)
}

/// Writes a small new file, on disk when this returns.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    create(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(BackupError::disk("writing", path))
}

/// Whether `bytes` more may be written beside `path`; the store may be on the same disk.
pub(super) fn room(path: &Path, bytes: u64) -> Result<(), BackupError> {
    let dir = path.parent().unwrap_or(path);
    let space = rustix::fs::statvfs(dir)
        .map_err(|error| BackupError::disk("asking for free space at", dir)(error.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = bytes.saturating_add(limits::STORE_FREE_BYTES_MIN);
    match free < needed {
        true => Err(BackupError::NoSpace { dir: dir.to_owned(), free, needed }),
        false => Ok(()),
    }
}

/// Makes a folder that only its owner enters, and what leads to it.
pub(super) fn folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(BackupError::disk("making", path))
}

/// Puts the names in a folder on disk, and those in all folders below it.
pub(super) fn sync(dir: &Path) -> Result<(), BackupError> {
    let doing = |error| BackupError::disk("syncing", dir)(error);
    for entry in fs::read_dir(dir).map_err(doing)? {
        let path = entry.map_err(BackupError::disk("listing", dir))?.path();
        if path.is_dir() {
            sync(&path)?;
        }
    }
    File::open(dir).and_then(|it| it.sync_all()).map_err(BackupError::disk("syncing", dir))
}

/// A folder on its way: written under another name, and gone again unless it is finished.
#[derive(Debug)]
pub(super) struct Growing {
    to: PathBuf,
    part: PathBuf,
    finished: bool,
}

impl Growing {
    /// Begins `to`, which is an absolute path and must be absent or an empty folder.
    pub(super) fn begin(to: &Path) -> Result<Self, BackupError> {
        let refuse = |why: &str| BackupError::folder(to, why);
        let (Some(name), Some(above)) = (to.file_name(), to.parent()) else {
            return Err(refuse("this is no folder that can be made; name another"));
        };
        if !to.is_absolute() {
            return Err(refuse("not an absolute path; begin with /"));
        }
        match fs::read_dir(to).map(|mut entries| entries.next().is_some()) {
            Ok(true) => {
                return Err(refuse("something is there already; name a new or empty folder"));
            }
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::disk("looking at", to)(error)),
        }
        if !above.is_dir() {
            let why = format!("the folder {} is not there; make it first", above.display());
            return Err(refuse(&why));
        }
        let mut part = name.to_owned();
        part.push(".part");
        let part = above.join(part);
        let made = DirBuilder::new().mode(0o700).create(&part);
        match made {
            Ok(()) => Ok(Self { to: to.to_owned(), part, finished: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let why = "it is there: another is being made, or one was cut off; if none is being \
                           made, remove it";
                Err(BackupError::folder(part, why))
            }
            Err(error) => Err(BackupError::disk("making", part)(error)),
        }
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// Puts everything on disk, then gives it its name.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        sync(&self.part)?;
        fs::rename(&self.part, &self.to).map_err(BackupError::disk("naming", &self.to))?;
        self.finished = true;
        let above = self.to.parent().unwrap_or(&self.to);
        File::open(above).and_then(|it| it.sync_all()).map_err(BackupError::disk("syncing", above))
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_dir_all(&self.part)
        {
            let path = self.part.display();
            tracing::warn!(error = %error, "{path} is left of a copy that was not finished");
        }
    }
}
