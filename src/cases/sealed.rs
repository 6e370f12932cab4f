//! The sealed form of a case's record: a head that anybody may read, and a body that needs a key.
//!
//! `KLS1 | bytes of the head 4 | head, JSON | nonce 12 | body, AES-256-GCM | tag 16`. The head is bound
//! to the body. It holds what the store must know when the key is shredded: which case, which files,
//! which message; never a word of anybody's, an identity, or who did what.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{RECORD_VERSION, Record, RecordError};
use crate::complaint::event::{Act, Debt, Event};
use crate::complaint::message::Ii;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::store::keys::Keys;

/// No JSON begins so.
const MAGIC: &[u8] = b"KLS1";

/// What of a record is readable without a key. Every record has one, sealed or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`RECORD_VERSION`] when it was written.
    pub v: u16,
    pub at: Timestamp,
    pub case: Ii,
    /// The key that opens the body.
    pub key: u64,
    /// Of the case, in its first record and in those of messages that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<RegistrationNumber>,
    /// The case begins here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opens: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<Came>,
    /// The files that it names: their names on disk, and bytes there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(String, u64)>,
    /// Other records of the case that it tells of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<u64>,
}

/// The message that a record came with, so that it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    pub sender: HsaId,
    pub id: Ii,
    /// Of the content; blinded, so that nobody can try out what it was.
    pub digest: String,
}

/// A record in its sealed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub head: Head,
    /// The head as it was written.
    written: Vec<u8>,
    body: Vec<u8>,
}

impl Head {
    /// What of `record` may be read without a key; `key` opens the rest.
    #[must_use]
    pub fn of(record: &Record, key: u64) -> Self {
        let item = match &record.event {
            Event::Leased { item, .. }
            | Event::Tried { item, .. }
            | Event::Decided { item, .. } => Some(item.seq),
            Event::Staff { act: Act::Undone { step }, .. } => Some(*step),
            Event::Staff { .. }
            | Event::Opened(_)
            | Event::Supplemented { .. }
            | Event::Withdrawn { .. }
            | Event::Handled { .. }
            | Event::Reminded { .. } => None,
        };
        let relayed = record.owed.iter().filter_map(|owed| match &owed.what {
            Debt::Relay { seq, .. } => *seq,
            Debt::Letter | Debt::Onward | Debt::Notice { .. } => None,
        });
        let number = if let Event::Opened(opened) = &record.event {
            Some(opened.number.clone())
        } else {
            None
        };
        Self {
            v: RECORD_VERSION,
            at: record.at,
            case: record.case.clone(),
            key,
            opens: number.is_some(),
            number,
            came: record.incoming.as_ref().map(|incoming| Came {
                sender: incoming.sender.clone(),
                id: incoming.message_id.clone(),
                digest: incoming.digest.clone(),
            }),
            files: record
                .files()
                .into_iter()
                .map(|(name, bytes)| (name.to_owned(), bytes))
                .collect(),
            about: relayed.chain(item).collect(),
        }
    }
}

impl Sealed {
    /// Reads the form. `None` where it is another one.
    ///
    /// # Errors
    /// When it is this form and no head can be read in it, or a later version wrote it.
    pub fn read(payload: &[u8]) -> Option<Result<Self, RecordError>> {
        let rest = payload.strip_prefix(MAGIC)?;
        Some(Self::read_rest(rest))
    }

    fn read_rest(rest: &[u8]) -> Result<Self, RecordError> {
        let parts = rest.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            rest.split_at_checked(length)
        });
        let (written, body) = parts.ok_or(RecordError::Short)?;
        let head: Head =
            serde_json::from_slice(written).map_err(|error| RecordError::Form(error.into()))?;
        if head.v > RECORD_VERSION {
            return Err(RecordError::Newer { found: head.v });
        }
        Ok(Self { head, written: written.to_vec(), body: body.to_vec() })
    }

    /// The record; `None` where its key has been shredded.
    ///
    /// # Errors
    /// When there are no keys, its key is damaged, or it is not as it was sealed.
    pub fn open(&self, keys: Option<&Keys>) -> Result<Option<Record>, RecordError> {
        let keys = keys.ok_or(RecordError::NoKeys)?;
        let opened = keys.open_sealed(self.head.key, &self.written, &self.body);
        let Some(body) = opened.map_err(RecordError::Key)? else { return Ok(None) };
        serde_json::from_slice(&body).map(Some).map_err(|error| RecordError::Form(error.into()))
    }
}

/// The sealed form of `record` under the key of `head`; `None` where that has been shredded.
///
/// # Errors
/// When the key cannot be read.
pub fn seal(keys: &Keys, head: &Head, record: &Record) -> Result<Option<Vec<u8>>, RecordError> {
    let form = |error: serde_json::Error| RecordError::Form(error.into());
    let written = serde_json::to_vec(head).map_err(form)?;
    let body = serde_json::to_vec(record).map_err(form)?;
    let sealed = keys.seal(head.key, &written, &body).map_err(RecordError::Key)?;
    Ok(sealed.map(|sealed| {
        let length = u32::try_from(written.len()).unwrap_or(u32::MAX).to_le_bytes();
        [MAGIC, &length, &written, &sealed].concat()
    }))
}

/// What stands for a text where it must not be read: itself, where nothing is sealed.
#[must_use]
pub fn blinded<'a>(keys: Option<&Keys>, text: &'a str) -> Cow<'a, str> {
    keys.map_or(Cow::Borrowed(text), |keys| Cow::Owned(keys.blind(text)))
}
