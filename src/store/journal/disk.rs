//! The little that the journal asks of a disk: one flat folder of files.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One flat folder. Names are plain file names.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The names of the files in the folder, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that exists, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a file that must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Takes a name away. Durable after [`Disk::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations and removals durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Bytes that may still be written here by an ordinary user.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// One open file. Offsets and lengths in bytes.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Fills as much of `into` as there is from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`; after an error any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes content and length durable (`fdatasync`). After an error nothing since the last
    /// success may be trusted, whatever a later call says.
    fn sync(&self) -> io::Result<()>;
    /// Sets the length.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// The length.
    fn length(&self) -> io::Result<u64>;
}

/// A folder of the machine's own file system.
#[derive(Debug)]
pub struct FolderDisk {
    folder: PathBuf,
    handle: File,
    read_only: bool,
}

impl FolderDisk {
    /// Opens `folder`, making it (and what leads to it) where it is missing.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let handle = File::open(folder)?;
        if let Some(parent) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { folder: folder.to_owned(), handle, read_only: false })
    }

    /// Opens a `folder` that must exist, for looking only: nothing in it can be changed.
    pub fn look(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: folder.to_owned(), handle: File::open(folder)?, read_only: true })
    }

    fn may_change(&self) -> io::Result<()> {
        match self.read_only {
            true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            false => Ok(()),
        }
    }
}

impl Disk for FolderDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(!self.read_only).open(path)?;
        Ok(Arc::new(FolderFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.may_change()?;
        let path = self.folder.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Arc::new(FolderFile(file)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        fs::remove_file(self.folder.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::fstatvfs(&self.handle)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

#[derive(Debug)]
struct FolderFile(File);

impl DiskFile for FolderFile {
    fn read_at(&self, mut into: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while !into.is_empty() {
            match self.0.read_at(into, offset) {
                Ok(0) => break,
                Ok(n) => {
                    read += n;
                    offset = offset.saturating_add(n.try_into().unwrap_or(u64::MAX));
                    into = into.get_mut(n..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
