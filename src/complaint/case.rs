//! The case as it stands: a function of its events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Destination, Event, Source, Step};
use super::message::{ClosureReason, Ii, Place, RecipientKind, ReplyChannel};
use super::registration::RegistrationNumber;
use crate::id::HsaId;

/// A case, folded from its events. Holds no text of the complainant's and no identity, so that it
/// can stand in lists and indexes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub id: Ii,
    pub number: RegistrationNumber,
    pub opened: Timestamp,
    pub changed: Timestamp,
    pub sender: HsaId,
    pub from_portal: bool,
    pub kind: RecipientKind,
    /// Who has the case now.
    pub receiver: HsaId,
    pub receiver_name: String,
    /// Who it was sent to: the logical address of its later messages.
    pub addressed: HsaId,
    pub county: String,
    pub destination: Destination,
    /// Hash of the routing configuration that accepted it.
    pub generation: String,
    /// Whether there is a person to write to, by the form of the identity.
    pub in_inbox: bool,
    pub reply_wanted: bool,
    pub reply_channel: Option<ReplyChannel>,
    pub place: Option<HsaId>,
    pub acknowledged: Option<Timestamp>,
    pub questions: Vec<Asked>,
    pub withdrawn: Option<Timestamp>,
    pub closed: Option<Closed>,
    /// Journal numbers of what the complainant sent, in order.
    pub complainant_seqs: Vec<u64>,
    /// How many events it has.
    pub events: u32,
}

/// A question to the complainant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub id: String,
    pub at: Timestamp,
    pub answered: Option<Timestamp>,
}

/// How and when a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub at: Timestamp,
    /// `None`: by a written reply.
    pub without_reply: Option<ClosureReason>,
}

/// Where a case stands, in the order that it usually passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Received,
    Acknowledged,
    /// A question is out and not answered.
    AwaitsComplainant,
    /// The complainant took it back; to be closed.
    Withdrawn,
    Closed,
}

impl Status {
    /// In Swedish, for people.
    #[must_use]
    pub const fn swedish(self) -> &'static str {
        match self {
            Self::Received => "mottaget",
            Self::Acknowledged => "under handläggning",
            Self::AwaitsComplainant => "väntar på komplettering",
            Self::Withdrawn => "återtaget av anmälaren",
            Self::Closed => "avslutat",
        }
    }
}

impl Case {
    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.closed.is_some() {
            Status::Closed
        } else if self.withdrawn.is_some() {
            Status::Withdrawn
        } else if self.questions.iter().any(|asked| asked.answered.is_none()) {
            Status::AwaitsComplainant
        } else if self.acknowledged.is_some() {
            Status::Acknowledged
        } else {
            Status::Received
        }
    }

    /// The case after its first event; `None` where that is not an opening.
    #[must_use]
    pub fn begin(
        id: &Ii,
        seq: u64,
        at: Timestamp,
        generation: &str,
        event: &Event,
    ) -> Option<Self> {
        let Event::Opened(opened) = event else { return None };
        let complaint = &opened.complaint;
        let unit = &complaint.recipient.unit;
        Some(Self {
            id: id.clone(),
            number: opened.number.clone(),
            opened: at,
            changed: at,
            sender: opened.sender.clone(),
            from_portal: matches!(opened.source, Source::Portal),
            kind: complaint.recipient.kind,
            receiver: unit.hsa_id.clone(),
            receiver_name: opened.receiver_name.clone(),
            addressed: unit.hsa_id.clone(),
            county: complaint.recipient.county.clone(),
            destination: opened.destination.clone(),
            generation: generation.to_owned(),
            in_inbox: super::command::inbox_person(complaint).is_some(),
            reply_wanted: complaint.reply_wish.wanted,
            reply_channel: complaint.reply_wish.channel,
            place: match &complaint.place {
                Some(Place::Unit(unit)) => Some(unit.hsa_id.clone()),
                Some(Place::FreeText(_)) | None => None,
            },
            acknowledged: None,
            questions: Vec::new(),
            withdrawn: None,
            closed: None,
            complainant_seqs: vec![seq],
            events: 1,
        })
    }

    /// Folds a later event in. Delivery events change nothing of the case itself.
    pub fn fold(&mut self, seq: u64, at: Timestamp, event: &Event) {
        match event {
            Event::Opened(_) => {}
            Event::Supplemented { supplement, .. } => {
                self.complainant_seqs.push(seq);
                for asked in &mut self.questions {
                    let meant = supplement.in_reply_to.as_ref().is_none_or(|id| *id == asked.id);
                    if meant && asked.answered.is_none() {
                        asked.answered = Some(at);
                    }
                }
            }
            Event::Withdrawn { .. } => {
                self.complainant_seqs.push(seq);
                self.withdrawn = Some(at);
            }
            Event::Handled { step, .. } => self.step(at, step),
            Event::Leased { .. } | Event::Tried { .. } | Event::Decided { .. } => return,
        }
        self.changed = at;
        self.events += 1;
    }

    fn step(&mut self, at: Timestamp, step: &Step) {
        match step {
            Step::Acknowledgement(_) => self.acknowledged = self.acknowledged.or(Some(at)),
            Step::PartialReply(_) => {}
            Step::Question(question) => {
                self.questions.push(Asked { id: question.question_id.clone(), at, answered: None });
            }
            Step::Reply(..) => self.closed = Some(Closed { at, without_reply: None }),
            Step::Transfer(transferred) => {
                self.receiver = transferred.transfer.to_unit.hsa_id.clone();
                self.receiver_name = transferred.receiver_name.clone();
                self.destination = transferred.destination.clone();
            }
            Step::PlaceCorrection(correction) => self.place = Some(correction.unit.hsa_id.clone()),
            Step::Closure(closure, _) => {
                self.closed = Some(Closed { at, without_reply: Some(closure.reason) });
            }
        }
    }
}
