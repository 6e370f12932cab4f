//! Power cuts on real files: what the gateway had not synced is taken back, all of it or at random.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::messages::Random;
use super::world::{Plan, World, temp};

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// What of a cache that was not synced is on the disk all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing.
    Nothing,
    /// Any of it, sector by sector, in whatever order: writes are torn and overtake each other.
    Any,
}

/// A disk below a world's store that can lose its power.
#[derive(Debug)]
pub struct Power {
    dir: PathBuf,
    store: PathBuf,
    cuts: u64,
}

/// One thing that the gateway did to a file, with what was there before.
#[derive(Debug)]
enum Note {
    Write { inode: u64, at: u64, size: u64, length: u64, old: Vec<u8> },
    Truncate { inode: u64, size: u64, old: Vec<u8> },
    Create { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
}

/// The preloaded library, built once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let to = temp("power").join("power.so");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/power.c");
        let built = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&to, &from])
            .args(["-ldl", "-lpthread"])
            .status();
        assert!(built.unwrap().success(), "{} is not built", from.display());
        to
    })
}

impl Power {
    /// Below a world whose store is to be `store`; and the plan with it. With `lies` the disk says of
    /// every sync that it was done, and did nothing.
    pub fn under(plan: Plan, lies: bool) -> (Self, Plan) {
        let dir = temp("power");
        let store = dir.join("store");
        let text = |path: &Path| path.display().to_string();
        let plan = plan.store(store.clone()).environment(&[
            ("LD_PRELOAD", &text(library())),
            ("KLAGOMAL_POWER_DIR", &text(&store)),
            ("KLAGOMAL_POWER_LOG", &text(&dir.join("log"))),
            ("KLAGOMAL_POWER_BOOT", &text(&dir.join("boot"))),
            ("KLAGOMAL_POWER_STALL", &text(&dir.join("stall"))),
        ]);
        let plan = if lies { plan.environment(&[("KLAGOMAL_POWER_LIES", "1")]) } else { plan };
        let power = Self { dir, store, cuts: 0 };
        power.boots();
        (power, plan)
    }

    /// From now on no sync returns, until [`Power::goes_on`].
    pub fn stalls(&self) {
        fs::write(self.dir.join("stall"), "").unwrap();
    }

    pub fn goes_on(&self) {
        fs::remove_file(self.dir.join("stall")).unwrap();
    }

    fn boots(&self) {
        let id = format!("{:08x}-0000-4000-8000-000000000000\n", self.cuts);
        fs::write(self.dir.join("boot"), id).unwrap();
    }

    /// Kills the gateway and takes back what was not on the disk; how many notes that were.
    pub fn cut(&mut self, world: &mut World, keeps: Keeps, random: &mut Random) -> usize {
        world.kill();
        let lost = self.lose(keeps, random);
        self.cuts += 1;
        self.boots();
        for entry in fs::read_dir(&self.dir).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("log") {
                fs::remove_file(path).unwrap();
            }
        }
        lost
    }

    fn lose(&self, keeps: Keeps, random: &mut Random) -> usize {
        let notes = unsynced(&fs::read(self.dir.join("log")).unwrap_or_default());
        let lost = notes.len();
        let files = inodes(&self.store);
        let mut sectors: BTreeMap<(u64, u64), bool> = BTreeMap::new();
        let mut sizes: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (_, note) in notes.iter().rev() {
            let (inode, at, size, length, old) = match note {
                Note::Write { inode, at, size, length, old } => (*inode, *at, *size, *length, old),
                Note::Truncate { inode, size, old } => {
                    let cut = u64::try_from(old.len()).unwrap();
                    (*inode, size - cut, *size, cut, old)
                }
                Note::Create { .. } | Note::Rename { .. } | Note::Unlink { .. } => continue,
            };
            let Some(path) = files.get(&inode) else { continue };
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let entry = sizes.entry(inode).or_insert((0, 0));
            entry.0 = size;
            for sector in at / SECTOR..=(at + length).saturating_sub(1).max(at) / SECTOR {
                let begins = at.max(sector * SECTOR);
                let ends = (at + length).min((sector + 1) * SECTOR);
                // Once the state after some write is on the disk, what was before it is no more.
                let kept = sectors.entry((inode, sector)).or_insert(false);
                *kept |= keeps == Keeps::Any && random.below(2) == 0;
                if *kept {
                    entry.1 = entry.1.max(ends);
                    continue;
                }
                let part = |place: u64| usize::try_from(place - at).unwrap().min(old.len());
                let before = &old[part(begins)..part(ends)];
                file.write_all_at(before, begins).unwrap();
                let zeros = usize::try_from(ends - begins).unwrap() - before.len();
                let after = begins + u64::try_from(before.len()).unwrap();
                file.write_all_at(&vec![0; zeros], after).unwrap();
            }
        }
        for (inode, (size, kept)) in sizes {
            let Some(path) = files.get(&inode) else { continue };
            OpenOptions::new().write(true).open(path).unwrap().set_len(size.max(kept)).unwrap();
        }
        self.lose_names(&notes, keeps, random);
        lost
    }

    /// Names come to disk in their order, so a tail of them is lost.
    fn lose_names(&self, notes: &[(u64, Note)], keeps: Keeps, random: &mut Random) {
        let names: Vec<_> = notes
            .iter()
            .filter(|(_, it)| !matches!(it, Note::Write { .. } | Note::Truncate { .. }))
            .collect();
        let kept = match keeps {
            Keeps::Nothing => 0,
            Keeps::Any => random.below(u64::try_from(names.len()).unwrap() + 1),
        };
        for (number, note) in names.into_iter().skip(usize::try_from(kept).unwrap()).rev() {
            let saved = self.dir.join(format!("log.{number}"));
            match note {
                Note::Create { path } if path.is_dir() => fs::remove_dir_all(path).unwrap(),
                Note::Create { path } => drop(fs::remove_file(path)),
                Note::Rename { from, to } => {
                    drop(fs::rename(to, from));
                    if saved.exists() {
                        fs::rename(saved, to).unwrap();
                    }
                }
                Note::Unlink { path } => drop(fs::rename(saved, path)),
                Note::Write { .. } | Note::Truncate { .. } => {}
            }
        }
    }
}

/// Every file below a folder by its inode.
fn inodes(dir: &Path) -> BTreeMap<u64, PathBuf> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(inodes(&path));
        } else if kind.is_file() {
            found.insert(File::open(&path).unwrap().metadata().unwrap().ino(), path);
        }
    }
    found
}

/// Reads the notes, and leaves out those that a later sync of their file or folder covers.
fn unsynced(log: &[u8]) -> Vec<(u64, Note)> {
    let mut rest = log;
    let mut notes: Vec<(u64, u64, Note)> = Vec::new();
    while let Some((number, inode, note)) = read(&mut rest) {
        match note {
            Ok(note) => notes.push((number, inode, note)),
            Err(last) => notes.retain(|(at, of, _)| *of != inode || *at > last),
        }
    }
    notes.into_iter().map(|(number, _, note)| (number, note)).collect()
}

/// A note; or for a sync the last number that it covers. `None` at the end, or where the kill came
/// in the middle of one.
fn read(rest: &mut &[u8]) -> Option<(u64, u64, Result<Note, u64>)> {
    let mut from = *rest;
    let kind = take::<1>(&mut from)?[0];
    let number = u64::from_le_bytes(take(&mut from)?);
    let inode = u64::from_le_bytes(take(&mut from)?);
    let note = match kind {
        b'W' => {
            let (at, size) =
                (u64::from_le_bytes(take(&mut from)?), u64::from_le_bytes(take(&mut from)?));
            let length = u64::from(u32::from_le_bytes(take(&mut from)?));
            Ok(Note::Write { inode, at, size, length, old: bytes(&mut from)? })
        }
        b'T' => {
            let size = u64::from_le_bytes(take(&mut from)?);
            Ok(Note::Truncate { inode, size, old: bytes(&mut from)? })
        }
        b'S' => Err(u64::from_le_bytes(take(&mut from)?)),
        b'C' | b'M' => Ok(Note::Create { path: path(&mut from)? }),
        b'R' => Ok(Note::Rename { from: path(&mut from)?, to: path(&mut from)? }),
        b'U' => Ok(Note::Unlink { path: path(&mut from)? }),
        other => panic!("a note of kind {other}"),
    };
    *rest = from;
    Some((number, inode, note))
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

fn bytes(from: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(u32::from_le_bytes(take(from)?)).unwrap();
    let (first, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(first.to_vec())
}

fn path(from: &mut &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(String::from_utf8(bytes(from)?).unwrap()))
}
