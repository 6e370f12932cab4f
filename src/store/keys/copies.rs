//! The two copies of the keys on disk: what one has lost, the other mends.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::KeyError;
use super::file::{HEAD_BYTES, Head, NAMES, SLOT_BYTES, Slot, place, short};
use super::master::MasterKey;

/// What a rotation writes before it is put in place.
const NEW: [&str; 2] = ["new-1.klk", "new-2.klk"];

/// What may be left by what was cut off.
const OTHERS: [&str; 4] = [NEW[0], NEW[1], "1.new", "2.new"];

/// Both files, open.
#[derive(Debug)]
pub(super) struct Copies {
    dir: PathBuf,
    head: Head,
    files: [(PathBuf, File); 2],
}

impl Copies {
    /// Opens both, or makes them. A copy that is missing, has a damaged head, or was left under
    /// another master key by a rotation that was cut off is made again from the other.
    pub(super) fn open(dir: &Path, master: &MasterKey) -> Result<(Self, Head), KeyError> {
        let paths = NAMES.map(|name| dir.join(name));
        let mut good = None;
        let mut other = None;
        let mut found = false;
        for path in &paths {
            let Some(bytes) = start_of(path)? else { continue };
            found = true;
            match Head::read(&bytes)? {
                Some(head) if head.check == master.check() => {
                    good.get_or_insert((path.clone(), head));
                }
                Some(head) => other = Some(head),
                None => {}
            }
        }
        leave_no_others(dir)?;
        let head = match (good, other) {
            (Some((path, head)), _) => {
                for to in paths.iter().filter(|to| **to != path) {
                    renew(&head, &path, to)?;
                }
                head
            }
            (None, Some(head)) => {
                let (found, given) = (short(&head.check), short(&master.check()));
                return Err(KeyError::OtherMaster { dir: dir.to_owned(), found, given });
            }
            (None, None) if found => return Err(KeyError::Damaged { dir: dir.to_owned() }),
            (None, None) => begin(dir, &paths, master)?,
        };
        let open = |path: PathBuf| {
            let file = OpenOptions::new().read(true).write(true).open(&path);
            file.map_err(KeyError::disk("opening", &path)).map(|file| (path, file))
        };
        let [one, two] = paths;
        let copies =
            Self { dir: dir.to_owned(), head: head.clone(), files: [open(one)?, open(two)?] };
        Ok((copies, head))
    }

    /// A slot, from whichever copy has it whole. What one has lost it gets again.
    pub(super) fn one(&mut self, slot: u64) -> Result<Option<Slot>, KeyError> {
        let [one, two] = &self.files;
        match read(&self.head, one, slot)? {
            Some(found) => Ok(Some(found)),
            None => match read(&self.head, two, slot)? {
                Some(found) => {
                    tracing::error!(slot, "a key is damaged in {}; mended", one.0.display());
                    write(&self.head, one, &[(slot, found.clone())])?;
                    Ok(Some(found))
                }
                None => Ok(None),
            },
        }
    }

    /// A slot that both copies have, mended where one has not, or where one is shredded.
    pub(super) fn both(&mut self, slot: u64) -> Result<Option<Slot>, KeyError> {
        let [one, two] = &self.files;
        let found = (read(&self.head, one, slot)?, read(&self.head, two, slot)?);
        let (wanted, missing) = match found {
            (None, None) => return Ok(None),
            (Some(a), Some(b)) if a == b => return Ok(Some(a)),
            (Some(Slot::Shredded), _) => (Slot::Shredded, two),
            (_, Some(Slot::Shredded)) => (Slot::Shredded, one),
            (Some(found), _) => (found, two),
            (None, Some(found)) => (found, one),
        };
        write(&self.head, missing, &[(slot, wanted.clone())])?;
        Ok(Some(wanted))
    }

    /// Writes slots to both; on disk when it returns.
    pub(super) fn write(&mut self, slots: &[(u64, Slot)]) -> Result<(), KeyError> {
        self.files.iter().try_for_each(|file| write(&self.head, file, slots))
    }

    fn slots(&self) -> Result<u64, KeyError> {
        let mut most = 0;
        for (path, file) in &self.files {
            let length = file.metadata().map_err(KeyError::disk("looking at", path))?.len();
            most = most.max(length.saturating_sub(HEAD_BYTES as u64) / SLOT_BYTES as u64);
        }
        Ok(most)
    }

    /// One whole copy, put together of both.
    pub(super) fn copy(&mut self, to: &Path) -> Result<(), KeyError> {
        let head = self.head.clone();
        self.assemble(&head, to, &mut |_, slot| Ok(slot)).map(drop)
    }

    /// Both files again with another head and every slot changed, one after the other.
    pub(super) fn rewrite(
        &mut self,
        head: &Head,
        change: &mut dyn FnMut(u64, Slot) -> Result<Slot, KeyError>,
    ) -> Result<u64, KeyError> {
        let [new, second] = NEW.map(|name| self.dir.join(name));
        let keys = self.assemble(head, &new, change)?;
        let [one, two] = NAMES.map(|name| self.dir.join(name));
        fs::copy(&new, &second)
            .and_then(|_| File::open(&second)?.sync_all())
            .map_err(KeyError::disk("copying to", &second))?;
        for (from, to) in [(new, one), (second, two)] {
            fs::rename(&from, &to)
                .and_then(|()| File::open(&self.dir)?.sync_all())
                .map_err(KeyError::disk("putting in place", &to))?;
        }
        Ok(keys)
    }

    /// Writes a file of keys; how many it holds that are not shredded. A slot that is damaged in
    /// both copies stays so.
    fn assemble(
        &mut self,
        head: &Head,
        to: &Path,
        change: &mut dyn FnMut(u64, Slot) -> Result<Slot, KeyError>,
    ) -> Result<u64, KeyError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(to);
        let file = file.map_err(KeyError::disk("making", to))?;
        let mut file = io::BufWriter::new(file);
        let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(KeyError::disk("writing", to));
        put(&head.to_bytes())?;
        let mut keys = 0;
        for slot in 0..self.slots()? {
            match self.one(slot)? {
                Some(found) => {
                    let found = change(slot, found)?;
                    keys += u64::from(matches!(found, Slot::Key(_)));
                    put(&head.slot_to_bytes(slot, &found))?;
                }
                None => put(&[0; SLOT_BYTES])?,
            }
        }
        let file =
            file.into_inner().map_err(|error| KeyError::disk("writing", to)(error.into()))?;
        file.sync_all().map_err(KeyError::disk("syncing", to))?;
        Ok(keys)
    }
}

/// Removes what a rotation or a mending that was cut off has left: it holds keys that may have been
/// shredded since.
fn leave_no_others(dir: &Path) -> Result<(), KeyError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(KeyError::disk("listing", dir)(error)),
    };
    for entry in entries {
        let path = entry.map_err(KeyError::disk("listing", dir))?.path();
        let name = path.file_name().and_then(|it| it.to_str());
        if OTHERS.iter().any(|other| name == Some(other)) {
            fs::remove_file(&path).map_err(KeyError::disk("removing", &path))?;
        }
    }
    Ok(())
}

/// The first bytes of a copy; `None` where there is none.
fn start_of(path: &Path) -> Result<Option<Vec<u8>>, KeyError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(KeyError::disk("opening", path)(error)),
    };
    let mut bytes = Vec::new();
    let wanted = HEAD_BYTES as u64;
    file.take(wanted).read_to_end(&mut bytes).map_err(KeyError::disk("reading", path))?;
    Ok(Some(bytes))
}

/// Makes the first keys of a store.
fn begin(dir: &Path, paths: &[PathBuf; 2], master: &MasterKey) -> Result<Head, KeyError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(KeyError::disk("making", dir))?;
    let head = Head::new(master)?;
    // Cut off in the middle, it leaves no keys that cannot be read.
    for (new, path) in NEW.map(|name| dir.join(name)).iter().zip(paths) {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(new);
        file.and_then(|mut file| file.write_all(&head.to_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(new, path))
            .map_err(KeyError::disk("making", path))?;
    }
    let above = dir.parent().filter(|it| !it.as_os_str().is_empty());
    for dir in [Some(dir), above].into_iter().flatten() {
        File::open(dir).and_then(|it| it.sync_all()).map_err(KeyError::disk("syncing", dir))?;
    }
    Ok(head)
}

/// Makes `to` again from `from` where it has not the same head.
fn renew(head: &Head, from: &Path, to: &Path) -> Result<(), KeyError> {
    let there = start_of(to)?.map(|bytes| Head::read(&bytes)).transpose()?.flatten();
    if there.as_ref() == Some(head) {
        return Ok(());
    }
    tracing::warn!("{} is made again from {}", to.display(), from.display());
    let new = to.with_extension("new");
    fs::copy(from, &new)
        .and_then(|_| File::open(&new)?.sync_all())
        .and_then(|()| fs::rename(&new, to))
        .and_then(|()| match to.parent() {
            Some(dir) => File::open(dir)?.sync_all(),
            None => Ok(()),
        })
        .map_err(KeyError::disk("making again", to))
}

fn read(head: &Head, (path, file): &(PathBuf, File), slot: u64) -> Result<Option<Slot>, KeyError> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, place(slot)) {
        Ok(()) => Ok(head.read_slot(slot, &bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(KeyError::disk("reading", path)(error)),
    }
}

/// One write for slots that follow each other, one sync for all.
fn write(
    head: &Head,
    (path, file): &(PathBuf, File),
    slots: &[(u64, Slot)],
) -> Result<(), KeyError> {
    for run in slots.chunk_by(|a, b| a.0 + 1 == b.0) {
        let Some((first, _)) = run.first() else { continue };
        let bytes: Vec<u8> =
            run.iter().flat_map(|(slot, what)| head.slot_to_bytes(*slot, what)).collect();
        file.write_all_at(&bytes, place(*first)).map_err(KeyError::disk("writing", path))?;
    }
    // Also where nothing but an old slot changed: a shredded key must be gone from the disk.
    file.sync_all().map_err(KeyError::disk("syncing", path))
}
