//! What happens to a case. An event is a fact and is never changed; it is stored as it stands here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::codes::CodedWith;
use super::message::{
    Acknowledgement, Actor, Closure, Complaint, Ii, Origin, PartialReply, PlaceCorrection,
    Question, Remark, Reply, Supplement, Transfer, Withdrawal,
};
use super::notice::{About, Reminder, Whom};
use super::registration::RegistrationNumber;
use crate::id::HsaId;

/// One thing that happened to one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A new case, from 1177 or registered from outside it.
    Opened(Box<Opened>),
    /// More from the complainant.
    Supplemented { supplement: Supplement, remarks: Vec<Remark> },
    /// The complainant takes it back; the handler closes it.
    Withdrawn { withdrawal: Withdrawal },
    /// A step of the handling.
    Handled { by: Actor, via: Via, step: Box<Step> },
    /// An outgoing message is about to be sent: a lease that runs out.
    Leased { item: ItemId, attempt: u32, until: Timestamp, instance: String },
    /// What came of an attempt to send.
    Tried { item: ItemId, attempt: u32, outcome: Outcome },
    /// An operator decided about an outgoing message.
    Decided { item: ItemId, decision: Decision, reason: String },
    /// Something among the staff of the built-in store, which the complainant is not told of.
    Staff { by: Actor, act: Act },
    /// Staff are told of a deadline.
    Reminded { reminder: Reminder },
}

/// What the staff of the built-in store do with a case besides handling it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// The case is somebody's from now on, or nobody's.
    Assigned { to: Option<Assignee> },
    /// An internal note.
    Noted { text: String },
    /// The case was shown: the access log (PDL 4 kap. 3 §, HSLF-FS 2016:40 4 kap. 9 §).
    Read { why: Why },
    /// The step of record `step` was taken back before anybody was told of it.
    Undone { step: u64 },
}

/// Somebody that a case is assigned to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignee {
    pub hsa_id: HsaId,
    pub name: String,
}

/// On what ground somebody was shown a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Reads and distributes what comes in.
    Distributes,
    /// Handles the case.
    Handles,
    /// Stands in for the one who handles the case.
    StandsIn,
    /// Oversees the unit's cases.
    Oversees,
    /// Checks who has read the case.
    ReviewsLog,
    /// Has searched, and was shown that the case is there.
    Searches,
    /// Gives it out for diarieföring, from the command line.
    Exports,
}

impl Why {
    /// In Swedish, for people.
    #[must_use]
    pub const fn swedish(self) -> &'static str {
        match self {
            Self::Distributes => "fördelar enhetens ärenden",
            Self::Handles => "handlägger ärendet",
            Self::StandsIn => "ersätter den som handlägger ärendet",
            Self::Oversees => "kvalitetsansvarig",
            Self::ReviewsLog => "granskar åtkomstloggen",
            Self::Searches => "såg det i en sökning",
            Self::Exports => "tog ut ärendet för diarieföring",
        }
    }
}

/// The beginning of a case. All that the destination depends on is fixed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub number: RegistrationNumber,
    pub source: Source,
    /// The system that sent it.
    pub sender: HsaId,
    /// The receiver's name when the case was accepted; the HSA-id stands in the complaint.
    pub receiver_name: String,
    pub destination: Destination,
    pub complaint: Complaint,
}

/// Where a case began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// 1177.
    Portal,
    /// Outside 1177, registered by a handler.
    Registered { origin: Origin, by: Box<Actor> },
}

/// Who handles a case. Fixed at accept; a new configuration never moves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// The built-in staff store.
    Store,
    /// A region's own system, addressed as `receiver`.
    System { id: String, hsa_id: HsaId, receiver: HsaId },
}

/// The door that a step of the handling came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// An own system, by `ProcessComplaintHandling`.
    System,
    /// The built-in store.
    Store,
}

/// A step of the handling: everything a handler can do but begin a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Acknowledgement(Acknowledgement),
    PartialReply(PartialReply),
    Question(Question),
    /// With the versions of the code lists that it was coded with.
    Reply(Reply, CodedWith),
    Transfer(Transferred),
    PlaceCorrection(PlaceCorrection),
    /// With the versions of the code lists that it was coded with.
    Closure(Closure, CodedWith),
}

/// A transfer, and the destination that it led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    pub transfer: Transfer,
    pub receiver_name: String,
    pub destination: Destination,
}

/// An outgoing message: the record that owes it, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemId {
    /// Journal number of the record that owes it.
    pub seq: u64,
    /// Its place among what the record owes.
    pub n: u16,
}

impl std::fmt::Display for ItemId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.seq, self.n)
    }
}

impl ItemId {
    /// Reads the `seq.n` form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seq, n) = text.split_once('.')?;
        Some(Self { seq: seq.parse().ok()?, n: n.parse().ok()? })
    }
}

/// A message that a record owes to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The id of the system that gets it.
    pub to: String,
    pub what: Debt,
    /// Not sent before: until then it can be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

impl Owed {
    /// Owed at once.
    #[must_use]
    pub const fn now(to: String, what: Debt) -> Self {
        Self { to, what, not_before: None }
    }
}

/// What is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "debt", rename_all = "snake_case")]
pub enum Debt {
    /// The complainant's message of record `seq`, to the own system, addressed as `receiver`.
    Relay { seq: Option<u64>, receiver: HsaId },
    /// A letter to the complainant's 1177 Inkorg about this record.
    Letter,
    /// The handling event of this record, to the 1177 platform.
    Onward,
    /// A mail to staff.
    Notice { about: About, whom: Whom },
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The receiver said that it has it.
    Delivered,
    /// Definite: the person cannot be reached in the inbox. The handler sees it and takes another
    /// way.
    Unreachable { why: String },
    /// Not delivered for certain, or the receiver is idempotent: again at `at`.
    Again { at: Timestamp, why: String },
    /// Sent, and no answer that tells: neither delivered nor failed.
    Unknown { why: String },
    /// The receiver refused it, or the time to try is over: a person must look.
    Parked { why: String },
}

/// What an operator can decide about an outgoing message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Send it (again) now.
    Retry,
    /// Leave it until it is released.
    Hold,
    /// Give a held one free: it is sent in its turn.
    Release,
    /// It was found to have arrived.
    MarkDelivered,
    /// Never send it.
    Discard,
}

/// The message that an event came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// From the certificate.
    pub sender: HsaId,
    pub message_id: Ii,
    pub sent: Timestamp,
    /// SHA-256 of what the message says, without when it was sent: the same content sent again is
    /// the same message.
    pub digest: String,
    /// `x-rivta-original-serviceconsumer-hsaid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_consumer: Option<String>,
    /// `x-rivta-acting-on-behalf-of-hsaid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// `x-skltp-correlation-id`, the caller's or ours.
    pub correlation_id: String,
    /// Our span of the trace that it came in, as a `traceparent`: what it causes belongs there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace: String,
}
