//! The routing folder as bytes: read until it stands still, and put back byte for byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::limits;
use crate::tak::{Finding, Generation, Severity, Source};

/// Every file of a routing folder that the gateway reads: `*.toml` in it, and in its subfolder of
/// code lists. Names have the subfolder before them, with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    files: BTreeMap<String, Vec<u8>>,
}

/// Why a folder gave no content.
#[derive(Debug)]
pub(super) enum NotRead {
    /// The folder itself.
    Folder(io::Error),
    /// Files in it.
    Files(Vec<Finding>),
}

impl Content {
    /// Files by name.
    #[must_use]
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { files }
    }

    /// Files by name.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The name of exactly these bytes.
    #[must_use]
    pub fn generation(&self) -> Generation {
        Generation::of_files(self.files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])))
    }

    /// As texts, or what is no text and where.
    pub(super) fn sources(self) -> Result<Vec<Source>, Vec<Finding>> {
        self.texts().map_err(|(_, faults)| faults)
    }

    /// As [`Self::sources`], and itself where it has none. Copies nothing.
    pub(super) fn texts(self) -> Result<Vec<Source>, (Self, Vec<Finding>)> {
        let fault = |(name, bytes): (&String, &Vec<u8>)| {
            Some(not_text(name, bytes, &std::str::from_utf8(bytes).err()?))
        };
        let faults: Vec<Finding> = self.files.iter().filter_map(fault).collect();
        if !faults.is_empty() {
            return Err((self, faults));
        }
        let files = self.files.into_iter();
        let text = |(name, bytes)| Some(Source { name, text: String::from_utf8(bytes).ok()? });
        Ok(files.filter_map(text).collect())
    }

    /// Reads `folder` until two readings in a row give the same, so that a file half written or a
    /// folder half exchanged is not taken for a whole one.
    pub(super) fn read(folder: &Path) -> Result<Self, NotRead> {
        let mut last = read_once(folder);
        for _ in 0..limits::ROUTING_READINGS_MAX {
            let next = read_once(folder);
            match (&last, &next) {
                (Ok(one), Ok(two)) if one == two => return next,
                (Err(NotRead::Files(one)), Err(NotRead::Files(two))) if one == two => return next,
                (Err(NotRead::Folder(_)), Err(NotRead::Folder(_))) => return next,
                _ => last = next,
            }
            std::thread::park_timeout(limits::ROUTING_READING_WAIT);
        }
        match last {
            Ok(_) => Err(NotRead::Folder(io::Error::other(
                "its files change all the time; two readings in a row never gave the same",
            ))),
            Err(error) => Err(error),
        }
    }
}

impl From<Vec<Source>> for Content {
    fn from(sources: Vec<Source>) -> Self {
        Self { files: sources.into_iter().map(|it| (it.name, it.text.into_bytes())).collect() }
    }
}

fn read_once(folder: &Path) -> Result<Content, NotRead> {
    let root = folder.canonicalize().map_err(NotRead::Folder)?;
    let lists = folder.join(Source::CODE_LISTS);
    let (mut files, mut faults) = (BTreeMap::new(), Vec::new());
    let mut left = u64::try_from(limits::TAK_BYTES_MAX).unwrap_or(u64::MAX);
    let folders = [(folder, ""), (lists.as_path(), Source::CODE_LISTS)];
    for (folder, prefix) in folders {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if !prefix.is_empty() && error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(NotRead::Folder(error)),
        };
        for entry in entries {
            let path = entry.map_err(NotRead::Folder)?.path();
            let Some(name) = name_of(&path, prefix, &mut faults) else { continue };
            if files.len() + faults.len() >= limits::TAK_FILES_MAX {
                let text = format!("there are more than {} files", limits::TAK_FILES_MAX);
                return Err(NotRead::Files(vec![fault(&name, text, "split it by fewer files")]));
            }
            match file(&path, &root, left) {
                Ok(bytes) => {
                    left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    files.insert(name, bytes);
                }
                Err((text, hint)) => faults.push(fault(&name, text, hint)),
            }
        }
    }
    faults.sort_by(|a, b| a.file.cmp(&b.file));
    if faults.is_empty() { Ok(Content { files }) } else { Err(NotRead::Files(faults)) }
}

/// The name that a file goes by; `None` for what is not ours. A name that begins with a dot is an
/// editor's own.
fn name_of(path: &Path, prefix: &str, faults: &mut Vec<Finding>) -> Option<String> {
    let name = path.file_name().unwrap_or_default();
    let ours =
        path.extension() == Some(OsStr::new("toml")) && !name.as_encoded_bytes().starts_with(b".");
    let slash = if prefix.is_empty() { "" } else { "/" };
    let shown = format!("{prefix}{slash}{}", name.to_string_lossy());
    if ours && name.to_str().is_none() {
        let text = "the file's name is not UTF-8".to_owned();
        faults.push(fault(&shown, text, "give it a name of letters and digits"));
        return None;
    }
    ours.then_some(shown)
}

/// The bytes of one file, or what is wrong with it and what to do.
fn file(path: &Path, root: &Path, left: u64) -> Result<Vec<u8>, (String, &'static str)> {
    let failed = |error: io::Error| match fs::read_link(path) {
        Ok(to) => (
            format!("the link leads to {}, which cannot be read: {error}", to.display()),
            "put the file itself here, or remove the link",
        ),
        Err(_) => (format!("it cannot be read: {error}"), "see to its permissions and its disk"),
    };
    let real = path.canonicalize().map_err(failed)?;
    if !real.starts_with(root) {
        return Err((
            format!("the link leads out of the folder, to {}", real.display()),
            "put the file itself here: what routing says is one folder",
        ));
    }
    // Asked before it is opened: opening a pipe would wait for somebody to write.
    if !fs::metadata(&real).map_err(failed)?.is_file() {
        return Err(("it is not a file".to_owned(), "remove it, or give it another ending"));
    }
    let most = limits::ROUTING_FILE_BYTES_MAX.min(left);
    let mut bytes = Vec::new();
    let opened = File::open(&real).map_err(failed)?;
    opened.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        let text = format!("with it there is more than is read: {most} bytes were left");
        return Err((text, "remove what is no routing from the folder"));
    }
    Ok(bytes)
}

fn fault(file: &str, message: String, hint: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        file: file.to_owned(),
        line: 1,
        column: 1,
        message,
        hint: Some(hint.to_owned()),
    }
}

fn not_text(name: &str, bytes: &[u8], error: &std::str::Utf8Error) -> Finding {
    let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let start = before.iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
    let line = before.iter().filter(|it| **it == b'\n').count() + 1;
    let on_line = String::from_utf8_lossy(before.get(start..).unwrap_or_default());
    let byte = bytes.get(before.len()).copied().unwrap_or_default();
    Finding {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(on_line.chars().count() + 1).unwrap_or(u32::MAX),
        ..fault(
            name,
            format!("byte 0x{byte:02x} is not text in UTF-8"),
            "save the file as UTF-8: an editor may have written ISO 8859-1 or UTF-16",
        )
    }
}

/// What tells a changed folder from an unchanged one without reading it: names, sizes and times.
#[must_use]
pub fn fingerprint(folder: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut print = Vec::new();
    // Code lists and HSA unit files may be in a subfolder each; names that begin with a dot are
    // nobody's configuration.
    let mut folders = vec![(folder.to_owned(), true)];
    while let Some((folder, is_top)) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // Through links, which is where a mounted configuration changes.
            let path = entry.path();
            let found = fs::metadata(&path).ok();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if is_top && !hidden && found.as_ref().is_some_and(fs::Metadata::is_dir) {
                folders.push((path.clone(), false));
            }
            let size = found.as_ref().map_or(0, fs::Metadata::len);
            print.push((path, size, found.and_then(|it| it.modified().ok())));
        }
    }
    print.sort();
    print
}

/// Makes the files of `folder` that the gateway reads exactly `content`: each is written beside
/// itself and renamed, and those that `content` does not have are removed. Other files stay.
pub(super) fn put_back(folder: &Path, content: &Content) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lists = folder.join(Source::CODE_LISTS);
    if content.files.keys().any(|it| it.contains('/')) {
        fs::create_dir_all(&lists)?;
    }
    for (name, bytes) in &content.files {
        if fs::symlink_metadata(folder.join(name)).is_ok_and(|it| it.is_file())
            && fs::read(folder.join(name)).is_ok_and(|old| old == *bytes)
        {
            continue;
        }
        write_whole(&folder.join(name), bytes)?;
    }
    for (place, prefix) in [(folder, ""), (lists.as_path(), "code-lists/")] {
        for entry in fs::read_dir(place).into_iter().flatten() {
            let path = entry?.path();
            let Some(name) = name_of(&path, "", &mut Vec::new()) else { continue };
            if !content.files.contains_key(&format!("{prefix}{name}")) && !path.is_dir() {
                fs::remove_file(&path)?;
            }
        }
        if place.is_dir() {
            sync_dir(place)?;
        }
    }
    Ok(())
}

/// Writes a file whole or not at all: beside itself, synced, renamed.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Writes every file beside its place, then moves each to it: none is ever seen half written.
///
/// # Errors
/// What could not be written, and what the system said.
pub fn write_all(folder: &Path, files: &[&Source]) -> Result<(), (PathBuf, io::Error)> {
    let failed = |path: &Path, error| (path.to_owned(), error);
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    // Not `.toml`, so that nobody reads it for a part of the folder.
    let beside = |file: &Source| folder.join(format!("{}.new", file.name));
    for file in files {
        let new = beside(file);
        let write = || {
            let mut handle = File::create(&new)?;
            handle.write_all(file.text.as_bytes())?;
            handle.sync_all()
        };
        write().map_err(|error| failed(&new, error))?;
    }
    for file in files {
        let path = folder.join(&file.name);
        fs::rename(beside(file), &path).map_err(|error| failed(&path, error))?;
    }
    sync_dir(folder).map_err(|error| failed(folder, error))
}

pub(super) fn sync_dir(folder: &Path) -> io::Result<()> {
    let here = folder.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { folder })?.sync_all()
}
