//! One case, whole, for diarieföring: a PDF/A to read, XML for machines, its files, and what each is.
//!
//! | in the archive | what |
//! | --- | --- |
//! | `arende.pdf` | the case as people read it, PDF/A-2b |
//! | `arende.xml` | the same for machines, by `schemas/export-1.xsd` |
//! | `filer/NN-NAME` | every file, byte for byte |
//! | `innehall.sha256` | the SHA-256 of each of them, as `sha256sum --check` reads it |

mod pdf;
pub mod told;
mod xml;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Seek, SeekFrom, Write};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::cases::Cases;
use crate::cases::query::QueryError;
use crate::cases::record::Record;
use crate::complaint::case::Case;
use crate::complaint::codes::CodeLists;
use crate::complaint::event::{Event, Opened};
use crate::complaint::message::Attachment;
use crate::limits;
use crate::store::blobs::{BlobError, Scratch};
use crate::store::keys::SealedFile;

/// Why a case cannot be given out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the case cannot be read")]
    Case(#[from] QueryError),
    /// Nothing is given out that is not whole.
    #[error("record {seq} of the case is damaged; restore it from a backup first")]
    Damaged { seq: u64 },
    #[error("a file of the case")]
    File(#[from] BlobError),
    #[error("the PDF cannot be made: {0}")]
    Pdf(String),
    #[error("the XML cannot be written")]
    Xml(#[source] io::Error),
    #[error("the archive cannot be written")]
    Archive(#[source] io::Error),
}

/// A case with everything that is told of it.
#[derive(Debug)]
pub struct Whole {
    case: Case,
    opened: Box<Opened>,
    events: Vec<Told>,
    files: Vec<Filed>,
    at: Timestamp,
}

/// One event in words.
#[derive(Debug)]
struct Told {
    seq: u64,
    at: Timestamp,
    title: String,
    text: Option<String>,
}

/// A file and where it is in the archive.
#[derive(Debug)]
struct Filed {
    seq: u64,
    path: String,
    file: Attachment,
    sealed: Option<SealedFile>,
}

impl Whole {
    /// Reads a case; waits for the disk. `lists` give the codes their texts.
    ///
    /// # Errors
    /// When part of it cannot be read.
    pub fn read(cases: &Cases, case: &Case, lists: &CodeLists) -> Result<Self, ExportError> {
        let (mut opened, mut events, mut files) = (None, Vec::new(), Vec::new());
        for (seq, record) in cases.records(&case.id)? {
            let record: Record = record.map_err(|_| ExportError::Damaged { seq })?;
            for file in record.attachments() {
                let path = format!("filer/{:02}-{}", files.len() + 1, plain(&file.file_name));
                let sealed = record.sealed_file(&file.sha256).cloned();
                files.push(Filed { seq, path, file: file.clone(), sealed });
            }
            if let Some((title, text)) = told::words(lists, case, &record) {
                events.push(Told { seq, at: record.at, title, text });
            }
            if let Event::Opened(it) = record.event {
                opened = Some(it);
            }
        }
        let opened = opened.ok_or(ExportError::Damaged { seq: 0 })?;
        Ok(Self { case: case.clone(), opened, events, files, at: cases.now() })
    }

    /// The case as a PDF/A-2b.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn pdf(&self, lists: &CodeLists) -> Result<Vec<u8>, ExportError> {
        pdf::pdf(self, lists)
    }

    fn xml(&self, lists: &CodeLists) -> Result<Vec<u8>, ExportError> {
        xml::xml(self, lists).map_err(ExportError::Xml)
    }

    /// Writes the archive, its files read from disk a piece at a time.
    ///
    /// # Errors
    /// When something of it cannot be read or written; what is written then is no archive.
    fn archive(
        &self,
        cases: &Cases,
        lists: &CodeLists,
        into: impl Write + Seek,
    ) -> Result<(), ExportError> {
        let mut archive = Archive { zip: ZipWriter::new(into), sums: BTreeMap::new() };
        archive.add("arende.pdf", self.pdf(lists)?.as_slice())?;
        archive.add("arende.xml", self.xml(lists)?.as_slice())?;
        for Filed { path, file, sealed, .. } in &self.files {
            let (content, _) = cases.blobs().content(&file.sha256, sealed.as_ref())?;
            let sum = archive.add(path, content)?;
            if sum != file.sha256 {
                return Err(BlobError::Damaged { sha256: file.sha256.clone() }.into());
            }
        }
        archive.finish()
    }
}

/// The archive of a case, to be read from its beginning, and its bytes. It lies on the disk of the store, which has
/// room for what lies there, has no name, and goes with its last reader.
///
/// # Errors
/// When something of it cannot be read or written.
pub fn packed(
    cases: &Cases,
    case: &Case,
    lists: &CodeLists,
) -> Result<(Scratch, u64), ExportError> {
    let whole = Whole::read(cases, case, lists)?;
    let files: u64 = whole.files.iter().map(|it| it.file.bytes).sum();
    let mut scratch = cases.blobs().scratch(files.saturating_add(limits::EXPORT_WORDS_BYTES))?;
    whole.archive(cases, lists, &mut scratch)?;
    let bytes = scratch.seek(SeekFrom::End(0)).map_err(ExportError::Archive)?;
    scratch.seek(SeekFrom::Start(0)).map_err(ExportError::Archive)?;
    Ok((scratch, bytes))
}

struct Archive<W: Write + Seek> {
    zip: ZipWriter<W>,
    sums: BTreeMap<String, String>,
}

impl<W: Write + Seek> Archive<W> {
    /// Adds a file; its SHA-256.
    fn add(&mut self, path: &str, mut content: impl Read) -> Result<String, ExportError> {
        // Pictures and PDFs are compressed already.
        let stored = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(0o600);
        let failed = |error: zip::result::ZipError| ExportError::Archive(io::Error::other(error));
        self.zip.start_file(path, stored).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let came = content.read(&mut piece).map_err(ExportError::Archive)?;
            let Some(piece) = piece.get(..came).filter(|it| !it.is_empty()) else { break };
            hash.update(piece);
            self.zip.write_all(piece).map_err(ExportError::Archive)?;
        }
        let mut sum = String::with_capacity(64);
        for byte in hash.finalize() {
            write!(sum, "{byte:02x}").unwrap_or_default();
        }
        self.sums.insert(path.to_owned(), sum.clone());
        Ok(sum)
    }

    fn finish(mut self) -> Result<(), ExportError> {
        let mut list = String::new();
        for (path, sum) in &self.sums {
            writeln!(list, "{sum}  {path}").unwrap_or_default();
        }
        self.add("innehall.sha256", list.as_bytes())?;
        let done = self.zip.finish().map_err(|error| ExportError::Archive(io::Error::other(error)));
        done.map(drop)
    }
}

/// A name that every file system takes and no program reads as a path.
fn plain(name: &str) -> String {
    let fit = |c: char| if c.is_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
    let name: String = name.chars().map(fit).collect();
    let surplus = name.chars().count().saturating_sub(80);
    let name: String = name.chars().skip(surplus).collect();
    name.trim_start_matches(['.', ' ']).to_owned()
}
