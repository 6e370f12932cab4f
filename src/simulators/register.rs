//! What came in, in order, each message once: idempotent on sender and message id.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::door::Received;
use crate::complaint::message::{Attachment, Ii};
use crate::id::HsaId;
use crate::limits;

/// A message that a simulator has processed. No personal data: texts are there as digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Who called, by its certificate; by `x-rivta-original-serviceconsumer-hsaid` on a door
    /// without TLS.
    pub sender: Option<HsaId>,
    /// `x-rivta-original-serviceconsumer-hsaid`.
    pub original_consumer: Option<String>,
    /// `x-skltp-correlation-id` of the first call.
    pub correlation_id: Option<String>,
    /// The logical address.
    pub address: String,
    pub message_id: Ii,
    /// Absent only in a registration.
    pub case_id: Option<Ii>,
    /// The element of the choice, as `complaint` or `partialReply`.
    pub kind: &'static str,
    /// The `questionId` of a question, the `inReplyTo` of a supplement.
    pub question: Option<String>,
    /// [`text_digest`] of the message's main text, where it has one.
    pub text_sha256: Option<String>,
    /// In order.
    pub attachments: Vec<AttachmentSeen>,
    /// When it first came.
    pub received: Timestamp,
    /// How often it came and was processed or known again; 1 is once.
    pub times: u32,
    /// The number that was given for the case.
    pub registration_number: Option<String>,
    #[serde(skip)]
    pub(super) digest: String,
}

/// An attachment of a message. Its content lies in the simulator's folder under its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentSeen {
    pub id: String,
    pub media_type: &'static str,
    pub sha256: String,
    /// Decoded size.
    pub bytes: u64,
}

impl Message {
    /// A message with what its call says; the rest is filled in by the one who reads it.
    pub(super) fn of(call: &Received, id: &Ii, kind: &'static str, digest: String) -> Self {
        Self {
            sender: call.sender.clone(),
            original_consumer: call.original_consumer.clone(),
            correlation_id: call.correlation_id.clone(),
            address: call.head.address.trim().to_owned(),
            message_id: id.clone(),
            case_id: None,
            kind,
            question: None,
            text_sha256: None,
            attachments: Vec::new(),
            received: call.at,
            times: 1,
            registration_number: None,
            digest,
        }
    }
}

impl From<&Attachment> for AttachmentSeen {
    fn from(attachment: &Attachment) -> Self {
        Self {
            id: attachment.id.clone(),
            media_type: attachment.media_type.as_str(),
            sha256: attachment.sha256.clone(),
            bytes: attachment.bytes,
        }
    }
}

/// SHA-256 of a text in lower-case hexadecimal.
#[must_use]
pub fn text_digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// What says whether two messages of one id are the same: the gateway's own rule, all but the times
/// and ids of sending.
pub(super) fn content_digest(content: &impl Serialize) -> String {
    serde_json::to_vec(content).map(|bytes| hex(&Sha256::digest(bytes))).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// What is known of a message that comes.
#[derive(Debug)]
pub(super) enum Known {
    New,
    /// With what was answered then.
    Again(Box<Message>),
    /// The id has been used for something else.
    Reused,
}

#[derive(Debug, Default)]
pub(super) struct Register {
    messages: Vec<Message>,
    places: BTreeMap<(Option<HsaId>, Ii), usize>,
}

impl Register {
    /// Looks for a message like `message`, and counts it where it is known.
    pub(super) fn known(&mut self, message: &Message) -> Known {
        let key = (message.sender.clone(), message.message_id.clone());
        let Some(found) = self.places.get(&key).and_then(|place| self.messages.get_mut(*place))
        else {
            return Known::New;
        };
        if found.digest != message.digest {
            return Known::Reused;
        }
        found.times = found.times.saturating_add(1);
        Known::Again(Box::new(found.clone()))
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= limits::SIMULATOR_MESSAGES_MAX
    }

    /// Adds a message that [`Self::known`] found to be new.
    pub(super) fn add(&mut self, message: Message) {
        let key = (message.sender.clone(), message.message_id.clone());
        self.places.insert(key, self.messages.len());
        self.messages.push(message);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.clone()
    }
}
