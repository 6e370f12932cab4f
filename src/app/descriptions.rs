//! Reading the folder of contract packages: files only, no links, within bounds.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::limits;
use crate::rivta::wsdl::{Library, has_end};

/// Why a folder of packages is not used.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionsError {
    /// It, or something in it.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// More than is kept in memory.
    #[error(
        "{} holds more than {} WSDLs and schemas, or {} bytes of them: name the folder of the \
         packages alone",
        .0.display(), limits::WSDL_FILES_MAX, limits::WSDL_FOLDER_BYTES_MAX
    )]
    TooMuch(PathBuf),
}

/// Our own contracts and those of the packages in `folder`, and what of these is left out.
pub(super) fn read(folder: Option<&Path>) -> Result<(Library, Vec<String>), DescriptionsError> {
    let Some(folder) = folder else { return Ok((Library::own(), Vec::new())) };
    let mut found = Found { root: folder.to_owned(), ..Found::default() };
    found.walk(folder, "", limits::WSDL_FOLDERS_DEEP_MAX)?;
    let (library, told) = Library::own().with(found.files);
    Ok((library, found.told.into_iter().chain(told).collect()))
}

#[derive(Default)]
struct Found {
    root: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
    bytes: u64,
    told: Vec<String>,
}

impl Found {
    fn walk(&mut self, folder: &Path, name: &str, deep: usize) -> Result<(), DescriptionsError> {
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| DescriptionsError::Unreadable { path, source }
        };
        for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
            let entry = entry.map_err(unreadable(folder))?;
            let path = entry.path();
            let Ok(own) = entry.file_name().into_string() else { continue };
            let name = if name.is_empty() { own } else { format!("{name}/{own}") };
            // Of a link this is the link itself.
            let kind = entry.file_type().map_err(unreadable(&path))?;
            let wanted = has_end(&name, ".wsdl") || has_end(&name, ".xsd");
            if kind.is_dir() {
                match deep.checked_sub(1) {
                    Some(deep) => self.walk(&path, &name, deep)?,
                    None => self.told.push(format!("{name} is too deep inside; it is not read")),
                }
            } else if kind.is_file() && wanted {
                self.take(&path, name).map_err(unreadable(&path))?;
                if self.files.len() > limits::WSDL_FILES_MAX
                    || self.bytes > limits::WSDL_FOLDER_BYTES_MAX
                {
                    return Err(DescriptionsError::TooMuch(self.root.clone()));
                }
            } else if wanted || kind.is_symlink() {
                self.told.push(format!("{name} is no file of its own; it is not followed"));
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, name: String) -> io::Result<()> {
        let mut bytes = Vec::new();
        let most = limits::WSDL_FILE_BYTES_MAX;
        fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > most {
            self.told.push(format!("{name} is larger than {most} bytes; it is not given out"));
        } else {
            self.bytes += length;
            self.files.insert(name, bytes);
        }
        Ok(())
    }
}
