//! A message to send: its text, and in between the files that are fetched when it is sent.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Head, Skeleton};
use crate::id::HsaId;
use crate::xml::write::push_text;

/// A message as pieces, so that its body can be streamed and its length known before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// In order.
    pub parts: Vec<Piece>,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// UTF-8 text, as it goes on the wire.
    Text(String),
    /// A file, which goes as base64 without line breaks.
    File {
        /// Lower-case hexadecimal.
        sha256: String,
        /// Decoded size.
        bytes: u64,
    },
}

impl Outline {
    /// The exact number of bytes on the wire.
    #[must_use]
    pub fn content_length(&self) -> u64 {
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            Piece::File { bytes, .. } => base64_length(*bytes),
        };
        self.parts.iter().map(length).fold(0, u64::saturating_add)
    }

    /// Adds text.
    pub fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            Some(Piece::File { .. }) | None => self.parts.push(Piece::Text(text.to_owned())),
        }
    }

    /// Adds a file.
    pub fn push_file(&mut self, sha256: &str, bytes: u64) {
        self.parts.push(Piece::File { sha256: sha256.to_owned(), bytes });
    }
}

/// How many characters base64 makes of so many bytes.
#[must_use]
pub const fn base64_length(bytes: u64) -> u64 {
    bytes.div_ceil(3).saturating_mul(4)
}

/// A message as it came, kept so that it can be sent on with its body byte for byte the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// The skeleton's text.
    pub text: String,
    /// Where files go, in order.
    pub marks: Vec<Mark>,
    /// The envelope's start tag, which declares prefixes that the body may use.
    pub envelope: Range<usize>,
    /// Where Body's start tag begins.
    pub body: usize,
    /// Where the envelope ends.
    pub end: usize,
    /// The prefix of the envelope's own elements; empty for a default namespace.
    pub soap_prefix: String,
}

/// The place of a file in an [`Original`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// What it stands in for in the text.
    pub range: Range<usize>,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Decoded size.
    pub bytes: u64,
}

impl Original {
    /// Joins what was read to where its files are: `files` gives SHA-256 and decoded size by index.
    /// `None` if it does not give one for each file.
    #[must_use]
    pub fn of(skeleton: Skeleton, head: &Head, files: &[(String, u64)]) -> Option<Self> {
        if skeleton.files.len() != files.len() {
            return None;
        }
        let marks = skeleton.files.into_iter().zip(files);
        let marks = marks.map(|(mark, (sha256, bytes))| Mark {
            range: mark.range,
            sha256: sha256.clone(),
            bytes: *bytes,
        });
        Some(Self {
            text: skeleton.text,
            marks: marks.collect(),
            envelope: head.envelope.clone(),
            body: head.body,
            end: skeleton.root_end,
            soap_prefix: head.soap_prefix.clone(),
        })
    }

    /// The same body to another address: the envelope's start tag and the body as they came, and a
    /// header with nothing but the address (RIV TA Basic Profile 2.1).
    #[must_use]
    pub fn relay(&self, address: &HsaId) -> Outline {
        let mut outline = Outline::default();
        outline.push_text(self.text.get(self.envelope.clone()).unwrap_or_default());
        let colon = if self.soap_prefix.is_empty() { "" } else { ":" };
        let header = format!("{}{colon}Header", self.soap_prefix);
        let mut text = format!("<{header}><LogicalAddress xmlns=\"{}\">", super::REGISTRY_1);
        push_text(&mut text, address.as_str());
        text.push_str(&format!("</LogicalAddress></{header}>"));
        outline.push_text(&text);
        let mut at = self.body;
        for mark in &self.marks {
            outline.push_text(self.text.get(at..mark.range.start).unwrap_or_default());
            outline.push_file(&mark.sha256, mark.bytes);
            at = mark.range.end;
        }
        outline.push_text(self.text.get(at..self.end).unwrap_or_default());
        outline
    }
}
