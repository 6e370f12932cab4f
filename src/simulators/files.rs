//! The attachments of a message that arrives, taken to disk a piece at a time.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::StartError;
use crate::complaint::message::MediaType;
use crate::limits;
use crate::rivta::FileSeen;
use crate::soap::Part;
use crate::store::blobs::{BlobError, BlobWriter, Blobs};

/// The folder of a simulator's attachments; a temporary one is removed with it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) blobs: Blobs,
    temporary: Option<PathBuf>,
}

impl Folder {
    /// Opens `folder`, or a temporary one.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, StartError> {
        let temporary = match folder {
            Some(_) => None,
            None => {
                let name = format!("klagomal-simulator-{}", Uuid::new_v4().simple());
                Some(std::env::temp_dir().join(name))
            }
        };
        let path = folder.or(temporary.as_deref()).unwrap_or(Path::new("."));
        let blobs = Blobs::new(path)
            .map_err(|source| StartError::Folder { path: path.to_owned(), source })?;
        Ok(Self { blobs, temporary })
    }

    /// Where it lies, if it goes when this value goes.
    #[cfg(test)]
    pub(super) fn temporary(&self) -> Option<&Path> {
        self.temporary.as_deref()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary
            && let Err(error) = fs::remove_dir_all(path)
        {
            tracing::warn!(path = %path.display(), %error, "a temporary folder stays behind");
        }
    }
}

/// Takes the files of one message.
#[derive(Debug)]
pub(super) struct Files {
    blobs: Blobs,
    writer: Option<BlobWriter>,
    seen: Vec<FileSeen>,
}

/// Why files could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilesError {
    #[error("an attachment cannot be kept")]
    Blob(#[from] BlobError),
    #[error("the thread that writes attachments is gone")]
    Thread,
}

impl Files {
    pub(super) fn new(blobs: &Blobs) -> Self {
        Self { blobs: blobs.clone(), writer: None, seen: Vec::new() }
    }

    /// What was seen of each file, in order.
    pub(super) fn seen(self) -> Vec<FileSeen> {
        self.seen
    }

    /// Takes what a piece of the message held of files.
    pub(super) async fn take(self, parts: Vec<Part>) -> Result<Self, FilesError> {
        if parts.is_empty() {
            return Ok(self);
        }
        let work = tokio::task::spawn_blocking(move || self.write(parts));
        work.await.map_err(|_| FilesError::Thread)?
    }

    fn write(mut self, parts: Vec<Part>) -> Result<Self, FilesError> {
        for part in parts {
            match part {
                Part::FileBegin => {
                    self.writer = Some(self.blobs.begin(limits::ATTACHMENT_BYTES_MAX)?);
                }
                Part::FileBytes(bytes) => {
                    if let Some(writer) = &mut self.writer {
                        writer.write(&bytes)?;
                    }
                }
                Part::FileEnd { broken } => {
                    if let Some(writer) = self.writer.take() {
                        self.seen.push(end(writer, broken.is_some())?);
                    }
                }
            }
        }
        Ok(self)
    }
}

/// A file that will be refused is not kept: its writer takes it away.
fn end(writer: BlobWriter, broken: bool) -> Result<FileSeen, BlobError> {
    let too_large = writer.is_over();
    if broken || too_large {
        let (sha256, bytes) = (String::new(), writer.bytes());
        return Ok(FileSeen { sha256, bytes, media: None, broken, too_large });
    }
    let stored = writer.finish()?;
    let media = MediaType::of_magic(&stored.first);
    Ok(FileSeen { sha256: stored.sha256, bytes: stored.bytes, media, broken, too_large })
}

/// Keeps `content` as a file to be sent; its name and length.
pub(super) async fn keep(blobs: &Blobs, content: Vec<u8>) -> Result<(String, u64), FilesError> {
    let blobs = blobs.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut writer = blobs.begin(limits::ATTACHMENT_BYTES_MAX)?;
        writer.write(&content)?;
        writer.finish()
    });
    let stored = work.await.map_err(|_| FilesError::Thread)??;
    Ok((stored.sha256, stored.bytes))
}
