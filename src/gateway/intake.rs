//! One message off the wire: its form in memory, its files on disk, whatever its size.

use super::refusal::Refusal;
use crate::complaint::message::MediaType;
use crate::limits;
use crate::rivta::FileSeen;
use crate::soap::{Broken, Part};
use crate::store::blobs::{BlobError, BlobWriter, Blobs};
use crate::telemetry::Chain;

/// Bytes of files gathered before they are handed to a blocking thread.
const GATHER_BYTES: usize = 256 * 1024;

/// Takes the files of one message to disk while it arrives.
#[derive(Debug)]
pub(super) struct Files {
    blobs: Blobs,
    writer: Option<BlobWriter>,
    gathered: Vec<Part>,
    bytes: usize,
    seen: Vec<FileSeen>,
}

/// Why a file could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("an attachment cannot be written")]
    Blob(#[from] BlobError),
    #[error("the thread that writes attachments is gone")]
    Thread,
}

impl From<FileError> for Refusal {
    fn from(error: FileError) -> Self {
        Self::Unavailable(Chain(&error).to_string())
    }
}

impl Files {
    pub(super) const fn new(blobs: Blobs) -> Self {
        Self { blobs, writer: None, gathered: Vec::new(), bytes: 0, seen: Vec::new() }
    }

    /// Takes what a piece of the message held of files.
    pub(super) async fn take(mut self, parts: Vec<Part>) -> Result<Self, FileError> {
        self.gather(parts);
        if self.bytes < GATHER_BYTES {
            return Ok(self);
        }
        self.write().await
    }

    /// Takes the last of it, without waiting for the disk.
    pub(super) fn gather(&mut self, parts: Vec<Part>) {
        for part in parts {
            if let Part::FileBytes(bytes) = &part {
                self.bytes += bytes.len();
            }
            self.gathered.push(part);
        }
    }

    /// Whether something is to be written still.
    pub(super) fn waits(&self) -> bool {
        !self.gathered.is_empty()
    }

    /// Writes the rest; what was seen of each file, in order.
    pub(super) async fn finish(self) -> Result<Vec<FileSeen>, FileError> {
        let all = if self.gathered.is_empty() { self } else { self.write().await? };
        Ok(all.seen)
    }

    async fn write(self) -> Result<Self, FileError> {
        tokio::task::spawn_blocking(move || self.write_gathered())
            .await
            .map_err(|_| FileError::Thread)?
    }

    fn write_gathered(mut self) -> Result<Self, FileError> {
        self.bytes = 0;
        for part in std::mem::take(&mut self.gathered) {
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
                        self.seen.push(end(writer, broken)?);
                    }
                }
            }
        }
        Ok(self)
    }
}

/// A file that will be refused is not kept; its writer takes it away when it is dropped.
fn end(writer: BlobWriter, broken: Option<Broken>) -> Result<FileSeen, BlobError> {
    let too_large = writer.is_over();
    if broken.is_some() || too_large {
        return Ok(FileSeen {
            sha256: String::new(),
            bytes: 0,
            media: None,
            broken: broken.is_some(),
            too_large,
        });
    }
    let stored = writer.finish()?;
    Ok(FileSeen {
        media: MediaType::of_magic(&stored.first),
        sha256: stored.sha256,
        bytes: stored.bytes,
        broken: false,
        too_large: false,
    })
}
