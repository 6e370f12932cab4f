//! One process per folder.

use std::fs::{OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::{FolderLock, StoreError};

impl FolderLock {
    /// Locks `dir`, or says who has it. The lock goes with the process, however it ends.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let folder =
            |doing| move |source| StoreError::Folder { doing, dir: dir.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join("lock"))
            .map_err(folder("opening the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let read = Read::by_ref(&mut file).take(20).read_to_string(&mut pid);
                let known = read.is_ok() && !pid.trim().is_empty();
                let pid = if known { pid.trim().to_owned() } else { "(unknown)".to_owned() };
                return Err(StoreError::InUse { dir: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(folder("locking")(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(folder("writing the lock file"))?;
        Ok(Self { _file: file })
    }
}
