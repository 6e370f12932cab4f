//! A disk in memory that forgets what was not synced, and fails when told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

/// The unit that a power cut keeps or loses as a whole.
const SECTOR: usize = 512;

/// What a disk does instead of what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written: the disk is full.
    NoSpace,
    /// Half of a write is done, a sync forgets what it was to keep, and the call fails.
    Io,
    /// The power goes in the middle of the operation; every later call fails.
    PowerCut,
}

/// What is left of unsynced writes after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// All, as after `kill -9`.
    All,
    /// Each sector by the throw of a coin with this seed: torn and out of order.
    Some(u64),
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    files: BTreeMap<u64, Content>,
    /// Names now, names on disk, and what has happened to names between.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<(String, Option<u64>)>,
    next_file: u64,
    /// Operations that change something, counted from 1.
    operations: u64,
    fault: Option<(u64, u64, Fault)>,
    dead: bool,
    free: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl MemoryDisk {
    /// From operation `first` (counted from 1) on, `times` operations meet `fault`.
    pub fn fail_at(&self, first: u64, times: u64, fault: Fault) {
        self.lock().fault = Some((first, first.saturating_add(times), fault));
    }

    /// No more faults, if the power is still on.
    pub fn heal(&self) {
        self.lock().fault = None;
    }

    /// Operations so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// What [`Disk::free_bytes`] says from now on.
    pub fn set_free(&self, bytes: u64) {
        self.lock().free = Some(bytes);
    }

    /// The disk as it is found after the power has come back.
    #[must_use]
    pub fn after_power_cut(&self, kept: Kept) -> Self {
        let platter = self.lock();
        let mut coin = Coin(match kept {
            Kept::Some(seed) => Some(seed | 1),
            Kept::Nothing | Kept::All => None,
        });
        let keep = |coin: &mut Coin| match kept {
            Kept::Nothing => false,
            Kept::All => true,
            Kept::Some(_) => coin.throw(),
        };
        let mut names = platter.durable_names.clone();
        for (name, file) in &platter.pending_names {
            if !keep(&mut coin) {
                continue;
            }
            match file {
                Some(file) => names.insert(name.clone(), *file),
                None => names.remove(name),
            };
        }
        let mut files = BTreeMap::new();
        for (id, content) in &platter.files {
            let mut bytes = content.durable.clone();
            for change in &content.pending {
                match change {
                    Change::Length(length) if keep(&mut coin) => bytes.resize(*length, 0),
                    Change::Length(_) => {}
                    Change::Write(offset, written) => {
                        let mut at = *offset;
                        for part in sectors(*offset, written) {
                            if keep(&mut coin) {
                                put(&mut bytes, at, part);
                            }
                            at += part.len();
                        }
                    }
                }
            }
            files.insert(*id, Content { live: bytes.clone(), durable: bytes, pending: Vec::new() });
        }
        let next_file = platter.next_file;
        let durable_names = names.clone();
        let platter = Platter { files, names, durable_names, next_file, ..Platter::default() };
        Self(Arc::new(Mutex::new(platter)))
    }

    /// The content of a file, as a reader would see it.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let platter = self.lock();
        let file = platter.names.get(name)?;
        Some(platter.files.get(file)?.live.clone())
    }

    /// Puts a file in place, synced: for a test that damages one.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut platter = self.lock();
        let id = platter.next_file;
        platter.next_file += 1;
        let content = Content { live: bytes.clone(), durable: bytes, pending: Vec::new() };
        platter.files.insert(id, content);
        platter.names.insert(name.to_owned(), id);
        platter.durable_names.insert(name.to_owned(), id);
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platter {
    /// Counts an operation; gives the fault that it meets.
    fn count(&mut self) -> io::Result<Option<Fault>> {
        self.alive()?;
        self.operations += 1;
        let now = self.operations;
        let met = self.fault.filter(|(first, end, _)| (*first..*end).contains(&now));
        if let Some((_, _, Fault::PowerCut)) = met {
            self.dead = true;
        }
        Ok(met.map(|(_, _, fault)| fault))
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn file(&mut self, id: u64) -> io::Result<&mut Content> {
        self.files.get_mut(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&mut self, name: &str, file: Option<u64>) {
        match file {
            Some(file) => self.names.insert(name.to_owned(), file),
            None => self.names.remove(name),
        };
        self.pending_names.push((name.to_owned(), file));
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let platter = self.lock();
        platter.alive()?;
        Ok(platter.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let platter = self.lock();
        platter.alive()?;
        let file = *platter.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(MemoryFile { disk: self.clone(), file }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut platter = self.lock();
        let fault = platter.count()?;
        if matches!(fault, Some(Fault::NoSpace | Fault::Io)) {
            return Err(failed(fault));
        }
        if platter.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = platter.next_file;
        platter.next_file += 1;
        platter.files.insert(file, Content::default());
        platter.rename(name, Some(file));
        if fault.is_some() {
            return Err(failed(fault));
        }
        Ok(Arc::new(MemoryFile { disk: self.clone(), file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut platter = self.lock();
        if !platter.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let fault = platter.count()?;
        if matches!(fault, Some(Fault::NoSpace | Fault::Io)) {
            return Err(failed(fault));
        }
        platter.rename(name, None);
        fault.map_or(Ok(()), |fault| Err(failed(Some(fault))))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut platter = self.lock();
        if let Some(fault) = platter.count()? {
            return Err(failed(Some(fault)));
        }
        platter.durable_names = platter.names.clone();
        platter.pending_names.clear();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let platter = self.lock();
        platter.alive()?;
        Ok(platter.free.unwrap_or(u64::MAX))
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    file: u64,
}

impl DiskFile for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut platter = self.disk.lock();
        platter.alive()?;
        let bytes = &platter.file(self.file)?.live;
        let rest = usize::try_from(offset).ok().and_then(|from| bytes.get(from..));
        let rest = rest.unwrap_or_default();
        into.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Ok(rest.len().min(into.len()))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut platter = self.disk.lock();
        let fault = platter.count()?;
        let done = match fault {
            None | Some(Fault::PowerCut) => bytes,
            Some(Fault::NoSpace) => &[],
            Some(Fault::Io) => bytes.get(..bytes.len() / 2).unwrap_or_default(),
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let content = platter.file(self.file)?;
        put(&mut content.live, offset, done);
        content.pending.push(Change::Write(offset, done.to_vec()));
        fault.map_or(Ok(()), |fault| Err(failed(Some(fault))))
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.disk.lock();
        let fault = platter.count()?;
        let content = platter.file(self.file)?;
        match fault {
            None => {
                for change in content.pending.drain(..) {
                    match change {
                        Change::Write(offset, bytes) => put(&mut content.durable, offset, &bytes),
                        Change::Length(length) => content.durable.resize(length, 0),
                    }
                }
                Ok(())
            }
            // The system takes its copy for clean: these writes are never tried again.
            Some(Fault::Io) => {
                content.pending.clear();
                Err(failed(fault))
            }
            Some(Fault::NoSpace | Fault::PowerCut) => Err(failed(fault)),
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut platter = self.disk.lock();
        let fault = platter.count()?;
        if matches!(fault, Some(Fault::NoSpace | Fault::Io)) {
            return Err(failed(fault));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let content = platter.file(self.file)?;
        content.live.resize(length, 0);
        content.pending.push(Change::Length(length));
        fault.map_or(Ok(()), |fault| Err(failed(Some(fault))))
    }

    fn length(&self) -> io::Result<u64> {
        let mut platter = self.disk.lock();
        platter.alive()?;
        Ok(u64::try_from(platter.file(self.file)?.live.len()).unwrap_or(u64::MAX))
    }
}

fn failed(fault: Option<Fault>) -> io::Error {
    match fault {
        Some(Fault::NoSpace) => io::ErrorKind::StorageFull.into(),
        Some(Fault::Io) | None => io::Error::other("input/output error"),
        Some(Fault::PowerCut) => io::Error::other("the power went"),
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset.saturating_add(written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(written);
    }
}

/// `written` in parts that each lie within one sector.
fn sectors(offset: usize, written: &[u8]) -> impl Iterator<Item = &[u8]> {
    let first = (SECTOR - offset % SECTOR).min(written.len());
    let (head, rest) = written.split_at_checked(first).unwrap_or((written, &[]));
    std::iter::once(head).chain(rest.chunks(SECTOR))
}

/// A repeatable coin (xorshift).
#[derive(Debug)]
struct Coin(Option<u64>);

impl Coin {
    fn throw(&mut self) -> bool {
        let Some(mut x) = self.0 else { return false };
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = Some(x);
        x.count_ones().is_multiple_of(2)
    }
}
