//! The case as it stands: a function of its events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Act, Assignee, Destination, Event, Source, Step};
use super::message::{Classification, ClosureReason, Code, Ii, Place, RecipientKind, ReplyChannel};
use super::notice::Reminder;
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
    /// Nobody knows who the complainant is.
    pub anonymous: bool,
    pub reply_wanted: bool,
    pub reply_channel: Option<ReplyChannel>,
    pub place: Option<HsaId>,
    /// The complainant's own categories: codes.
    pub experienced: Vec<String>,
    /// The handler's main problems: codes.
    pub main_problems: Vec<String>,
    /// Who has it in the built-in store.
    pub assigned: Option<Assignee>,
    /// When the complainant first heard from a person.
    pub contacted: Option<Timestamp>,
    pub acknowledged: Option<Timestamp>,
    pub questions: Vec<Asked>,
    pub withdrawn: Option<Timestamp>,
    pub closed: Option<Closed>,
    /// The last step of the handling, and what it replaced.
    pub last_step: Option<LastStep>,
    /// Journal numbers of what the complainant sent, in order.
    pub complainant_seqs: Vec<u64>,
    /// The deadlines that staff were told of.
    pub reminded: Vec<Reminder>,
    /// How many events it has, without those of delivery, of reading and of reminding.
    pub events: u32,
}

/// The last step of the handling, with what is needed to take it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastStep {
    /// Journal number of its record.
    pub seq: u64,
    pub at: Timestamp,
    /// Who took it.
    pub by: HsaId,
    /// The question that it asked.
    question: Option<String>,
    contacted: Option<Timestamp>,
    acknowledged: Option<Timestamp>,
    place: Option<HsaId>,
    main_problems: Vec<String>,
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
    /// The complainant has heard from somebody.
    Acknowledged,
    /// A question is out and not answered.
    AwaitsComplainant,
    /// The complainant took it back; to be closed.
    Withdrawn,
    Closed,
}

impl Status {
    /// Every status, in their order.
    pub const ALL: [Self; 5] = [
        Self::Received,
        Self::Acknowledged,
        Self::AwaitsComplainant,
        Self::Withdrawn,
        Self::Closed,
    ];

    /// The name used in counters and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Acknowledged => "acknowledged",
            Self::AwaitsComplainant => "awaits_complainant",
            Self::Withdrawn => "withdrawn",
            Self::Closed => "closed",
        }
    }

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
        } else if self.acknowledged.or(self.contacted).is_some() {
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
            anonymous: complaint.complainant.person_id.is_none()
                && complaint.complainant.name.is_none(),
            reply_wanted: complaint.reply_wish.wanted,
            reply_channel: complaint.reply_wish.channel,
            place: match &complaint.place {
                Some(Place::Unit(unit)) => Some(unit.hsa_id.clone()),
                Some(Place::FreeText(_)) | None => None,
            },
            experienced: codes(&complaint.experienced_problems),
            main_problems: Vec::new(),
            assigned: None,
            contacted: None,
            acknowledged: None,
            questions: Vec::new(),
            withdrawn: None,
            closed: None,
            last_step: None,
            complainant_seqs: vec![seq],
            reminded: Vec::new(),
            events: 1,
        })
    }

    /// Folds a later event in. Delivery and reading change nothing of the case itself.
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
            Event::Handled { by, step, .. } => {
                self.last_step = Some(self.before(seq, at, &by.hsa_id, step));
                self.step(at, step);
            }
            Event::Staff { act: Act::Assigned { to }, .. } => self.assigned.clone_from(to),
            Event::Staff { act: Act::Noted { .. }, .. } => {}
            Event::Staff { act: Act::Undone { step }, .. } => self.undo(*step),
            Event::Reminded { reminder } => {
                self.reminded.push(*reminder);
                return;
            }
            Event::Staff { act: Act::Read { .. }, .. }
            | Event::Leased { .. }
            | Event::Tried { .. }
            | Event::Decided { .. } => return,
        }
        self.changed = at;
        self.events += 1;
    }

    fn before(&self, seq: u64, at: Timestamp, by: &HsaId, step: &Step) -> LastStep {
        let question = match step {
            Step::Question(question) => Some(question.question_id.clone()),
            Step::Acknowledgement(_)
            | Step::PartialReply(_)
            | Step::Reply(..)
            | Step::Transfer(_)
            | Step::PlaceCorrection(_)
            | Step::Closure(..) => None,
        };
        LastStep {
            seq,
            at,
            by: by.clone(),
            question,
            contacted: self.contacted,
            acknowledged: self.acknowledged,
            place: self.place.clone(),
            main_problems: self.main_problems.clone(),
        }
    }

    /// The case as it was before its last step, with what has come since. A case that was closed
    /// takes no step, so the last one did not reopen it.
    fn undo(&mut self, step: u64) {
        let Some(last) = self.last_step.take_if(|last| last.seq == step) else { return };
        if let Some(question) = &last.question {
            self.questions.retain(|asked| asked.id != *question);
        }
        self.contacted = last.contacted;
        self.acknowledged = last.acknowledged;
        self.place = last.place;
        self.main_problems = last.main_problems;
        self.closed = None;
    }

    fn step(&mut self, at: Timestamp, step: &Step) {
        if !matches!(step, Step::PlaceCorrection(_) | Step::Transfer(_)) {
            self.contacted = self.contacted.or(Some(at));
        }
        match step {
            Step::Acknowledgement(_) => self.acknowledged = self.acknowledged.or(Some(at)),
            Step::PartialReply(_) => {}
            Step::Question(question) => {
                self.questions.push(Asked { id: question.question_id.clone(), at, answered: None });
            }
            Step::Reply(reply, _) => {
                self.classify(&reply.classification);
                self.closed = Some(Closed { at, without_reply: None });
            }
            Step::Transfer(transferred) => {
                self.receiver = transferred.transfer.to_unit.hsa_id.clone();
                self.receiver_name = transferred.receiver_name.clone();
                self.destination = transferred.destination.clone();
            }
            Step::PlaceCorrection(correction) => self.place = Some(correction.unit.hsa_id.clone()),
            Step::Closure(closure, _) => {
                self.classify(&closure.classification);
                self.closed = Some(Closed { at, without_reply: Some(closure.reason) });
            }
        }
    }

    fn classify(&mut self, classification: &Classification) {
        self.main_problems = codes(&classification.main_problems);
    }
}

fn codes(codes: &[Code]) -> Vec<String> {
    codes.iter().filter_map(|code| code.code.clone()).collect()
}
